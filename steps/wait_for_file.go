package steps

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type waitForFileIn struct {
	Local     string   `json:"local" is:"local" doc:"File on this machine; relative to the directory of the workflow file."`
	Remote    string   `json:"remote" is:"remote" doc:"File on a system."`
	Object    string   `json:"object" doc:"Object, as s3://bucket/key."`
	MinSize   size     `json:"min_size" default:"0" doc:"How large it must be at least."`
	StableFor duration `json:"stable_for" default:"0s" doc:"For how long size and time must have stayed the same, for files that others still write. Counted from when fcflow first sees them so."`
	Poll      duration `json:"poll" doc:"How often to look. Without it every second on this machine, elsewhere every 20 seconds and while nothing happens ever more seldom, down to every 5 minutes. Never more often than every second, and elsewhere than poll.min of the profile."`
	inWorkdir
	storeIn
}

type waitForFileOut struct {
	Path       string `json:"path" doc:"Full path of the file, or s3://bucket/key."`
	SizeBytes  int64  `json:"size_bytes" unit:"bytes" doc:"Its size."`
	ModifiedAt string `json:"modified_at" doc:"When it was last changed, RFC 3339 in UTC."`
}

func waitForFile() stepType {
	return define[waitForFileIn, waitForFileOut](workflow.StepSpec{
		Name: "wait_for_file", Group: groupControl,
		Summary: "Waits until a file is there",
		Doc: "One of local, remote and object says where. A missing file is waited for, also in a directory or bucket that does not exist yet; one that may not be looked at, " +
			"or something there that is no file, fails with rejected. While it waits the step takes no slot; `timeout` bounds it. A service in trouble is waited for. " +
			"Steps on one system together look at most once a second. Some object stores say of missing objects that they may not be read, unless the keys may list the bucket.",
		Remote:      true,
		RemoteInput: "remote",
		Idempotent:  true,
		Resumable:   true,
		CheckWith:   checkWaitForFile,
		Causes:      []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI, workflow.CauseTransfer},
		Example: `- id: words
  uses: wait_for_file
  with: { local: notes.txt, min_size: 1B, stable_for: 100ms }
`,
	}, awaitFile)
}

func checkWaitForFile(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
	in := literal[map[string]json.RawMessage](with)
	places := 0
	for _, name := range []string{"local", "remote", "object"} {
		if in[name] != nil || dynamic(name) {
			places++
		}
	}
	problems := checkStore("object")(with, dynamic)
	if places != 1 {
		problems = append(problems, workflow.FieldProblem{
			Code: codeExclusive, Message: "a `wait_for_file` step needs one of `local`, `remote` and `object`", Hint: "name the one file that it waits for",
		})
	}
	if amounts := literal[waitForFileIn](with); amounts.MinSize < 0 || amounts.StableFor < 0 || amounts.Poll < 0 {
		problems = append(problems, workflow.FieldProblem{Code: codeOutOfRange, Message: "`min_size`, `stable_for` and `poll` cannot be negative"})
	}
	return problems
}

// awaitFile looks, and leaves the next looks to the watcher.
func awaitFile(ctx context.Context, c *call, in waitForFileIn) engine.Outcome {
	topic := fileTopic(c.Token)
	files := c.library.files
	if c.Stopping() {
		files.forget(topic)
		return engine.Ended("nothing of the step was under way")
	}
	wait, err := c.fileWait(in)
	if err != nil {
		return c.failed(ctx, err)
	}
	wait = files.begin(topic, wait)
	found, err := wait.ready(ctx)
	switch {
	case err != nil:
		return c.notLooked(ctx, topic, in, err)
	case found != nil:
		files.forget(topic)
		return engine.Success(waitForFileOut{found.path, found.size, found.modified.UTC().Format(time.RFC3339)})
	}
	if err := c.recovered(ctx); err != nil {
		return lost(err)
	}
	return engine.Suspend(engine.Wait{Reason: workflow.WaitTimer, Topic: topic, Message: wait.message(in)})
}

// notLooked is what an error of a look means: the end, or a pause.
func (c *call) notLooked(ctx context.Context, topic string, in waitForFileIn, err error) engine.Outcome {
	fail := c.failed
	if in.Object != "" {
		fail = c.storeFailed
	}
	out := fail(ctx, err)
	if !out.Waits() {
		c.library.files.forget(topic)
	}
	return out
}

// message says what is waited for.
func (f *fileWait) message(in waitForFileIn) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := in.Local + in.Remote + in.Object // of which there is one
	if f.last != nil {
		return name + " is there; it may still change"
	}
	return name + " is not there yet"
}

// fileWait is how to look for the file that the inputs name.
func (c *call) fileWait(in waitForFileIn) (*fileWait, error) {
	f := &fileWait{minSize: int64(in.MinSize), stableFor: time.Duration(in.StableFor), pauses: c.library.files.pause}
	switch {
	case in.Local != "":
		path := in.Local
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.Run.Dir, path)
		}
		f.pauses = c.library.files.nearby
		f.look = func(context.Context) (*foundFile, error) { return localFile(path) }
	case in.Remote != "":
		path, err := c.path(in.inWorkdir, in.Remote)
		if err != nil {
			return nil, err
		}
		system, service := c.system(), c.files()
		f.turn = func() time.Time { return c.library.files.turn(system) }
		f.look = func(ctx context.Context) (*foundFile, error) { return remoteFile(ctx, service, system, path) }
	default:
		at, err := objectLocation(in.Object)
		if err != nil {
			return nil, err
		}
		store, err := c.objectStore(in.storeIn)
		if err != nil {
			return nil, err
		}
		f.look = func(ctx context.Context) (*foundFile, error) {
			info, err := store.Stat(ctx, at)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			return &foundFile{at.String(), info.Size, info.Modified}, err
		}
	}
	if poll := time.Duration(in.Poll); poll > 0 {
		pause := max(poll, f.pauses.first)
		f.pauses = pauses{pause, pause}
	}
	return f, nil
}

// localFile looks for a file on this machine.
func localFile(path string) (*foundFile, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, localError(err)
	case !info.Mode().IsRegular():
		return nil, refuse("%s is no file", path)
	}
	return &foundFile{path, info.Size(), info.ModTime()}, nil
}

// remoteFile looks for a file on a system.
func remoteFile(ctx context.Context, service *firecrest.FilesystemService, system, path string) (*foundFile, error) {
	stat, err := service.Stat(ctx, system, path, true)
	switch {
	case isNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case statType(stat) != "file":
		return nil, refuse("%s on %s is no file", path, system)
	}
	return &foundFile{path, stat.Size, time.Unix(stat.Mtime, 0)}, nil
}
