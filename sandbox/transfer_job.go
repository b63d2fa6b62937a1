package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// transferKind is one kind of transfer job.
type transferKind struct {
	name   string // of the job
	title  string // in the first line of its output
	script func(order) string
	run    func(*transferJob) (exitCode int)
}

var transferKinds = map[string]transferKind{
	"mv": {"MoveFiles", "Move Files Job", order.moveScript, fileWork("move", "moved", (*transferJob).move)},
	"cp": {"CopyFiles", "Copy Files Job", order.copyScript, fileWork("copy", "copied", (*transferJob).copy)},
	"rm": {"DeleteFiles", "Delete Files Job", order.removeScript, fileWork("delete", "deleted", (*transferJob).remove)},

	"compress": {"CompressFiles", "Compress Files Job", order.compressScript, fileWork("compress", "compressed", (*transferJob).compress)},
	"extract":  {"CompressFiles", "Extract Files Job", order.extractScript, fileWork("extract", "extracted", (*transferJob).extract)},

	"ingress": {"IngressFileTransfer", "Ingress File Transfer Job", order.ingressScript, (*transferJob).ingress},
	"egress":  {"OutgressFileTransfer", "Upload File Job", order.egressScript, (*transferJob).egress},

	"stream-in":  {"IngressFileTransfer", "Ingress/Outgress File Transfer Job", order.streamScript, (*transferJob).stream},
	"stream-out": {"OutgressFileTransfer", "Ingress/Outgress File Transfer Job", order.streamScript, (*transferJob).stream},

	"wormhole-in":  {"IngressFileTransfer", "Ingress File Transfer Job", order.wormholeInScript, (*transferJob).wormholeIn},
	"wormhole-out": {"OutgressFileTransfer", "Ingress File Transfer Job", order.wormholeOutScript, (*transferJob).wormholeOut},
}

// transferJob is a transfer at work, as the user who asked for it.
type transferJob struct {
	session
	order
	server *Server
	row    batch.Job
	dir    string // of the job's own, outside the file systems
	stdout io.Writer
	stderr io.Writer

	listed []string // follows the line that says it went well
}

// builtins are the payloads of transfer jobs, for the batch system.
func (s *Server) builtins() map[string]batch.Builtin {
	all := map[string]batch.Builtin{}
	for name, kind := range transferKinds {
		all[name] = func(ctx context.Context, run batch.BuiltinRun) int { return s.runTransfer(ctx, kind, run) }
	}
	return all
}

func (s *Server) runTransfer(ctx context.Context, kind transferKind, run batch.BuiltinRun) (exitCode int) {
	u, known := s.users.find(run.Job.Spec.User)
	t := &transferJob{session: session{s.volumes, u, ctx}, server: s, row: run.Job, dir: run.Dir}
	if !known || json.Unmarshal(run.Args, &t.order) != nil {
		return 1
	}
	for _, log := range []struct {
		to   *io.Writer
		name string
	}{{&t.stdout, run.Job.Spec.Stdout}, {&t.stderr, run.Job.Spec.Stderr}} {
		f, err := t.create(log.name)
		if err != nil {
			return 1 // there is nowhere to say why
		}
		defer f.Close()
		*log.to = f
	}
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintln(t.stderr, "panic:", p)
			s.log.Error("transfer job panicked", "job", run.Job.ID, "name", kind.name, "panic", p)
			panic(p) // the batch system records where
		}
	}()
	t.say("%s (id:%s)", kind.title, run.Job.ID)
	return kind.run(t)
}

// say writes a line to the output log.
func (t *transferJob) say(format string, args ...any) {
	fmt.Fprintln(t.stdout, stamp()+" "+fmt.Sprintf(format, args...))
}

// complain writes what the command of err wrote to its standard error.
func (t *transferJob) complain(err error) {
	text := err.Error()
	var e *apiError
	switch {
	case errors.As(err, &e) && e.stderr != "":
		text = e.stderr
	case e != nil:
		text = e.message
	}
	fmt.Fprintln(t.stderr, text)
}

// stamp is the time as date prints it.
func stamp() string { return time.Now().UTC().Format("Mon Jan _2 15:04:05 UTC 2006") }

// fileWork is the frame of the jobs that stay on the system. Their script
// prints something on the way out, so that the job succeeds whatever happened;
// only the logs tell.
func fileWork(verb, done string, work func(*transferJob) error) func(*transferJob) int {
	return func(t *transferJob) int {
		err := work(t)
		switch {
		case t.expired() != nil:
			return 1 // stopped: it says nothing any more
		case err == nil:
			t.say("Files were successfully %s.", done)
			for _, line := range t.listed {
				fmt.Fprintln(t.stdout, line)
			}
		default:
			t.complain(err)
			fmt.Fprintf(t.stderr, "%s Unable to %s files exit code:0 error: \n", stamp(), verb)
		}
		return 0
	}
}

// settle decides once where a job puts things. A job that is repeated by a later
// process gets the first decision again: by now it may have moved the source or
// made the target.
func (t *transferJob) settle(decide func() (destination string, err error)) (destination string, again bool, err error) {
	file := filepath.Join(t.dir, "destination.json")
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &destination)
		return destination, true, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	if destination, err = decide(); err != nil {
		return "", false, err
	}
	return destination, false, writeJSON(file, destination)
}

func (t *transferJob) remove() error {
	name, again, err := t.settle(func() (string, error) { return t.Source, nil })
	if err != nil {
		return err
	}
	err = t.rm(name)
	if _, gone := t.existing(name, false); again && errors.Is(gone, syscall.ENOENT) {
		return nil // it was removed before the interruption
	}
	return err
}

func (t *transferJob) compress() error {
	k, err := t.packing(t.Source, t.Pattern, t.Dereference)
	if err != nil {
		return err
	}
	if err := k.write(t.Target, t.Compression); err != nil {
		return err
	}
	if t.Pattern != "" {
		t.listed = append([]string{"Files compressed:"}, k.matched...)
	}
	return nil
}

func (t *transferJob) extract() error { return t.session.extract(t.Source, t.Target, t.Compression) }

// The scripts are what the metadata of a job shows. Paths stand in them as the
// reference server pastes them.

func (o order) moveScript() string { return fmt.Sprintf("mv -- '%s' '%s'\n", o.Source, o.Target) }

func (o order) removeScript() string { return fmt.Sprintf("rm -R -- '%s'\n", o.Source) }

func (o order) copyScript() string {
	links := "--no-dereference"
	if o.Dereference {
		links = "--dereference"
	}
	return fmt.Sprintf("cp --force --recursive --preserve=all %s -- '%s' '%s'\n", links, o.Source, o.Target)
}

// tarOptions are the letters of tar for a compression.
var tarOptions = map[string]string{"none": "", "gzip": "z", "bzip2": "j", "xz": "J"}

func (o order) compressScript() string {
	source := strings.TrimRight(o.Source, "/")
	dir, base := filepath.Dir(source), filepath.Base(source)
	if o.Pattern != "" {
		return fmt.Sprintf("cd '%s' && find . -type f -regex '%s' -print0 | tar -c%svf '%s' --null --files-from -\n",
			dir, o.Pattern, tarOptions[o.Compression], o.Target)
	}
	links := ""
	if o.Dereference {
		links = "--dereference "
	}
	return fmt.Sprintf("tar %s-c%sf '%s' -C '%s' '%s'\n", links, tarOptions[o.Compression], o.Target, dir, base)
}

func (o order) extractScript() string {
	return fmt.Sprintf("tar -x%sf '%s' -C '%s'\n", tarOptions[o.Compression], o.Source, o.Target)
}

func (o order) ingressScript() string {
	return fmt.Sprintf("object=\"%s/%s\"\ntarget=\"%s\"\nuntil curl --fail --head \"$object_url\"; do sleep 60; done\n"+
		"curl --fail --output \"$target\" \"$object_url\"\n", o.Staged.Bucket, o.Staged.Key, o.Target)
}

func (o order) egressScript() string {
	return fmt.Sprintf("object=\"%s/%s\"\nnum_parts=%d\ninput_file=%s\n", o.Staged.Bucket, o.Staged.Key, o.Staged.Parts, o.Source)
}

func (o order) streamScript() string {
	return fmt.Sprintf("streamer server --path %s %s\n", o.Stream.Path, o.Stream.Operation)
}

func (o order) wormholeInScript() string {
	return fmt.Sprintf("wormhole receive %s --accept-file --output-file %s\n", o.Code, o.Target)
}

func (o order) wormholeOutScript() string {
	return fmt.Sprintf("wormhole send %s --code %s\n", o.Source, o.Code)
}
