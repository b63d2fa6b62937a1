package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

type uploadIn struct {
	inWorkdir
	From     string `json:"from" is:"required,local,source" doc:"Local file; relative to the directory of the workflow file."`
	To       string `json:"to" is:"remote" default:"./" doc:"Remote path; ending in a slash it is the directory, and the file keeps its name. Missing directories are made."`
	OnExists string `json:"on_exists" enum:"skip_same fail replace" default:"skip_same" doc:"What to do if the remote file exists. skip_same accepts a file of the same content and fails otherwise. What an earlier attempt of this step left is always replaced."`
}

func upload() stepType {
	return define[uploadIn, transferOut](workflow.StepSpec{
		Name: "upload", Group: groupTransfers,
		Summary: "Copies a local file to a system",
		Doc: "The file goes through the service in one request, which bounds its size (`systems` tells the limit). The copy counts when its size " +
			"matches and, wherever the server can compute it, its SHA-256. Other programs may see a part of the file while it is written.",
		Remote:     true,
		Idempotent: true,
		CheckWith:  checkTransfer,
		Causes:     transferCauses,
		Example: `- id: send
  uses: upload
  with: { from: notes.txt, to: in/ }
`,
	}, operation(send))
}

func send(ctx context.Context, c *call, in uploadIn) (transferOut, error) {
	from, err := c.localFile(in.From)
	if err != nil {
		return transferOut{}, err
	}
	to, err := c.path(in.inWorkdir, target(in.To, filepath.Base(from)))
	if err != nil {
		return transferOut{}, err
	}
	file, err := os.Open(from)
	if err != nil {
		return transferOut{}, refuse("%v", err)
	}
	defer file.Close()
	before, err := c.checkSource(ctx, file)
	if err != nil {
		return transferOut{}, err
	}
	digest, err := digestOf(file)
	if err != nil {
		return transferOut{}, fail(workflow.CauseTransfer, "read %s: %v", from, err)
	}
	out := transferOut{Path: to, SizeBytes: before.Size(), SHA256: digest}
	if skip, err := c.acceptRemote(ctx, in, &out); skip || err != nil {
		return out, err
	}
	if err := c.put(ctx, to, file, out.SizeBytes); err != nil {
		return out, err
	}
	if after, err := os.Stat(from); err != nil || !sameFile(before, after) {
		return out, fail(workflow.CauseInputChanged, "%s changed while it was uploaded", from)
	}
	return out, c.verifyRemote(ctx, &out)
}

// localFile makes the path of a local source absolute. It must be one file.
func (c *call) localFile(p string) (string, error) {
	if !filepath.IsAbs(p) {
		p = filepath.Join(c.Run.Dir, p)
	}
	info, err := os.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if problems := checkOneFile("from", p); len(problems) > 0 {
			return "", refuse("%s", problems[0].Message)
		}
		return "", refuse("%s does not exist", p)
	case err != nil:
		return "", refuse("%v", err)
	case info.IsDir():
		return "", refuse("%s is a directory; upload takes one file: pack it with tar first", p)
	case !info.Mode().IsRegular():
		return "", refuse("%s is not a regular file", p)
	}
	return p, c.checkInput(p, info)
}

// checkInput compares a file that is an input of the run with what it was when
// the run was created.
func (c *call) checkInput(p string, info fs.FileInfo) error {
	for name, facts := range c.Run.Files {
		if facts.Path == p && (facts.SizeBytes != info.Size() || !facts.ModifiedAt.Equal(info.ModTime())) {
			return fail(workflow.CauseInputChanged, "%s, input %q, has changed since the run was created", p, name)
		}
	}
	return nil
}

// checkSource refuses a file that the server would refuse, before a byte of it
// is sent.
func (c *call) checkSource(ctx context.Context, file *os.File) (fs.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, refuse("%v", err)
	}
	facts, err := c.library.system(ctx, c.system())
	if err != nil {
		return nil, err
	}
	if limit := facts.MaxUpload(); info.Size() > limit {
		return nil, refuse("%s has %d bytes; %s takes at most %d in one request", file.Name(), info.Size(), c.system(), limit)
	}
	return info, nil
}

// acceptRemote judges what is there already: true if it will do.
func (c *call) acceptRemote(ctx context.Context, in uploadIn, out *transferOut) (bool, error) {
	found, err := c.stat(ctx, out.Path)
	switch {
	case err != nil || found == nil:
		return false, err
	case found.IsDir():
		return false, refuse("%s is a directory; end `to` with a slash to put the file into it", out.Path)
	case in.OnExists == replace:
		return false, nil
	case in.OnExists == failExists:
		if c.again() {
			return false, nil
		}
		return false, refuse("%s exists", out.Path)
	}
	if found.Size == out.SizeBytes {
		digest, err := c.remoteDigest(ctx, out.Path, found.Size)
		if err != nil {
			return false, err
		}
		if digest == out.SHA256 {
			out.Skipped, out.Verified = true, verifiedDigest
			return true, nil
		}
	}
	if c.again() {
		return false, nil
	}
	return false, refuse("%s exists and is not known to be the same; set on_exists: replace to overwrite it", out.Path)
}

// put sends the bytes, and makes the directory if it is missing.
func (c *call) put(ctx context.Context, to string, file *os.File, size int64) error {
	dir, name := path.Split(to)
	dir = path.Clean(dir)
	c.Progress(engine.Progress{Total: size})
	err := c.files().Upload(ctx, c.system(), dir, name, file, size)
	if isNotFound(err) {
		if _, err := c.files().Mkdir(ctx, c.system(), dir, true); err != nil {
			return err
		}
		err = c.files().Upload(ctx, c.system(), dir, name, file, size)
	}
	if err == nil {
		c.Progress(engine.Progress{Done: size, Total: size})
	}
	return err
}

// verifyRemote compares the copy with the file.
func (c *call) verifyRemote(ctx context.Context, out *transferOut) error {
	found, err := c.files().Stat(ctx, c.system(), out.Path, true)
	if err != nil {
		return err
	}
	if found.Size != out.SizeBytes {
		return fail(workflow.CauseTransfer, "%s has %d bytes after the upload of %d", out.Path, found.Size, out.SizeBytes)
	}
	digest, err := c.remoteDigest(ctx, out.Path, found.Size)
	if err != nil {
		return err
	}
	if digest != "" && digest != out.SHA256 {
		return fail(workflow.CauseTransfer, "%s has another SHA-256 (%s) than what was uploaded (%s)", out.Path, digest, out.SHA256)
	}
	out.Verified = verdict(digest, out.SHA256)
	return nil
}

func sameFile(a, b fs.FileInfo) bool { return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) }
