package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/sandbox/objects"
)

// Exit codes of the jobs that go through the object store.
const (
	exitFetch     = 1  // the object could not be fetched
	exitOther     = 2  // the object could not be read
	exitDirectory = 3  // the target is a directory
	exitTooLarge  = 27 // the source has outgrown the plan
	exitNoSource  = 34 // the source is no regular file, or there is no place for its parts
	exitRejected  = 70 // the object store did not take the parts for an object
)

// ingress is the job of an upload: it waits for the object and puts it at the
// target, in place of a file that is there. One that never comes is no failure.
func (t *transferJob) ingress() (exitCode int) {
	t.say("Waiting till file to tranfer is available...")
	object, err := t.await()
	switch {
	case object == nil && err == nil:
		return 0
	case err != nil:
		fmt.Fprintln(t.stderr, err)
		return exitOther
	}
	defer object.Close()
	t.say("File to transfer found in S3 bucket")
	target := expanded(t.Target)
	t.say("Downloading file to: %s ...", target)
	size, exitCode := t.fetch(object, target)
	if exitCode != 0 {
		return exitCode
	}
	t.say("Received %d bytes", size)
	t.say("File was successfully downloaded (size: %.3fMB)", float64(size)/(1<<20))
	return 0
}

// await looks for the object until it is there, or nil if it gives up. How long
// it does counts from the start of the job, whichever process ran it then.
func (t *transferJob) await() (*objects.Reader, error) {
	sys := t.server.site.system(t.row.Spec.System)
	if sys == nil {
		return nil, nil // no longer part of the site
	}
	look := time.NewTicker(time.Duration(sys.transfer().Poll))
	defer look.Stop()
	enough := time.NewTimer(time.Until(t.row.Started.Add(time.Duration(sys.transfer().GiveUp))))
	defer enough.Stop()
	for {
		object, err := t.server.objects.Open(t.Staged.Bucket, t.Staged.Key)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return object, err
		}
		select {
		case <-look.C:
		case <-enough.C:
			return nil, nil
		case <-t.ctx.Done():
			return nil, context.Cause(t.ctx)
		}
	}
}

// fetch writes the object to the target. What is there is removed first, and a
// reader sees the new file grow. Like the script it does not notice when the
// target cannot be written: only the error log tells.
func (t *transferJob) fetch(object *objects.Reader, target string) (size int64, exitCode int) {
	p, err := t.locate(target, true)
	switch {
	case err == nil && p.info != nil && p.info.IsDir():
		fmt.Fprintln(t.stderr, stamp()+" targetPath must point to a file path:  is a directory.") // without its name
		return 0, exitDirectory
	case err == nil && p.info != nil && p.info.Mode().IsRegular():
		if p, err = t.changeable(target, false); err == nil {
			err = p.dir.Remove(p.rel)
		}
		if err != nil {
			fmt.Fprintf(t.stderr, "rm: cannot remove '%s': %s\n", target, strerror(err))
			return 0, exitFetch
		}
	}
	if object.Size() == 0 { // there is no range of bytes to ask for
		fmt.Fprintln(t.stderr, stamp()+" Download failed: part 1")
		return 0, exitFetch
	}
	f, err := t.create(target)
	if err != nil {
		t.shellSays(54, "%s: %s", target, strerror(err))
		fmt.Fprintf(t.stderr, "rm: cannot remove '%s.1': %s\n", target, strerror(err))
		return object.Size(), 0
	}
	size, err = io.Copy(t.server.quota(f, "job upload", target), t.limited(object))
	err = errors.Join(err, f.Close())
	switch {
	case errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.ENOSPC):
		fmt.Fprintf(t.stderr, "cat: write error: %s\n", strerror(err))
		return object.Size(), 0
	case err != nil:
		fmt.Fprintf(t.stderr, "cat: write error: %s\n", strerror(err))
		return 0, exitFetch
	}
	return size, 0
}

// shellSays writes what the shell complains about in a line of the script.
func (t *transferJob) shellSays(line int, format string, args ...any) {
	fmt.Fprintf(t.stderr, "/var/spool/slurmd/job%05s/slurm_script: line %d: %s\n", t.row.ID, line, fmt.Sprintf(format, args...))
}

// variable is what the shell replaces between double quotes.
var variable = regexp.MustCompile("\\\\([$`\"\\\\\n])|\\$(\\w+|\\{\\w*\\}|\\([^)]*\\))|`[^`]*`")

// expanded is a value between the double quotes of a script: variables are
// empty, as are the commands in it, which are not run.
func expanded(value string) string {
	return variable.ReplaceAllStringFunc(value, func(m string) string {
		if m[0] == '\\' {
			return m[1:]
		}
		return ""
	})
}

// egress is the job of a download: it puts the source into the bucket, in parts.
func (t *transferJob) egress() (exitCode int) {
	plan := t.Staged
	if _, err := t.server.objects.Stat(plan.Bucket, plan.Key); err == nil { // it was sent before an interruption
		t.info("Multipart file upload successfully completed")
		return 0
	}
	fmt.Fprintf(t.stdout, "Uploading file:%s into %d chunks\n", t.Source, plan.Parts)
	f, size, err := t.source()
	if err != nil {
		fmt.Fprintln(t.stderr, "file_not_found")
		return exitNoSource
	}
	defer f.Close()
	folder := path.Join("tmp", newUUID()) + "/"
	made := path.Join(t.row.Spec.WorkingDir, folder)
	if err := t.mkdirAll(made); err != nil {
		fmt.Fprintf(t.stderr, "mkdir: cannot create directory '%s': %s\n", folder, strerror(err))
		return exitNoSource
	}
	defer func() { _ = session{t.volumes, t.user, context.WithoutCancel(t.ctx)}.rm(made) }()
	t.info("Creating temporary folder:%s", folder)
	if size > int64(plan.Parts)*plan.PartSize && plan.Parts > 0 {
		fmt.Fprintln(t.stderr, "[ERROR] The file is larger than it was when the transfer was requested")
		return exitTooLarge
	}
	if plan.Parts == 0 {
		t.shellSays(216, `(file_size + num_parts - 1) / num_parts : division by 0 (error token is "num_parts ")`)
	}
	parts, err := t.sendParts(f, size)
	if err != nil {
		fmt.Fprintln(t.stderr, err)
		return exitRejected
	}
	t.info("Signaling multipart upload completion")
	if _, err := t.server.objects.CompleteMultipart(plan.Bucket, plan.Key, plan.Upload, parts); err != nil {
		fmt.Fprintln(t.stderr, "curl: (22) The requested URL returned error: 400")
		return exitRejected
	}
	t.info("Multipart file upload successfully completed")
	return 0
}

// info writes a line to the output log the way the script of egress does.
func (t *transferJob) info(format string, args ...any) {
	fmt.Fprintln(t.stdout, "[INFO] "+fmt.Sprintf(format, args...))
}

// source opens the file to send. Its name stands in the script without quotes,
// so one with white space is taken for something else.
func (t *transferJob) source() (*os.File, int64, error) {
	if !oneWord(t.Source) {
		return nil, 0, syscall.ENOENT
	}
	p, err := t.existing(t.Source, true)
	if err == nil && !p.info.Mode().IsRegular() {
		err = syscall.EINVAL
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := t.open(p)
	return f, p.info.Size(), err
}

// sendParts cuts the source into as many parts as were planned, of whole
// mebibytes, which can make them fewer.
func (t *transferJob) sendParts(f io.ReaderAt, size int64) ([]objects.Part, error) {
	const mebibyte = 1 << 20
	plan := t.Staged
	step := int64(mebibyte)
	if plan.Parts > 0 {
		step = max(1, (size/int64(plan.Parts)+mebibyte)/mebibyte) * mebibyte
	}
	var parts []objects.Part
	for at := int64(0); at < size && plan.Parts > 0; at += step {
		n := len(parts) + 1
		t.info("Uploading part %d...", n)
		etag, err := t.server.objects.PutPart(plan.Bucket, plan.Key, plan.Upload, n, t.limited(io.NewSectionReader(f, at, min(step, size-at))))
		if err != nil {
			return nil, err
		}
		parts = append(parts, objects.Part{Number: n, ETag: etag})
	}
	t.info("Parts upload completed.")
	for _, p := range parts {
		t.info("Upload of part %d succeded with ETag: %s|", p.Number, strings.Trim(p.ETag, `"`))
	}
	return parts, nil
}
