package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

type uploadIn struct {
	inWorkdir
	From     string `json:"from" is:"required,local,source" doc:"Local file, directory or pattern (* ? [a-z] **); relative to the directory of the workflow file. Or s3://bucket/key, an object."`
	To       string `json:"to" is:"remote" default:"./" doc:"Remote path; ending in a slash it is the directory, and what is copied keeps its name. For a pattern it is always the directory, in which files keep their path from the first wildcard on. Missing directories are made."`
	OnExists string `json:"on_exists" enum:"skip_same fail replace" default:"skip_same" doc:"What to do if a remote file exists. skip_same accepts a file of the same content and fails otherwise. What an earlier attempt of this step left is always replaced."`
	transferIn
	storeIn
	PartSize size `json:"part_size" default:"0" doc:"Over s3, the size of the parts that go side by side, 5 MiB or more, where the service would have larger ones; 0 leaves it to the service."`
}

func upload() stepType {
	return define[uploadIn, transferOut](workflow.StepSpec{
		Name: "upload", Group: groupTransfers,
		Summary: "Copies local files to a system",
		Doc: "A file that fits goes through the service in one request, a larger one by the way the system has: over an object store in parts, " +
			"side by side and each repeated by itself, by a stream to a batch job, or by magic wormhole. A directory or pattern goes as one archive, " +
			"which is unpacked in its target.\n\n" +
			"The copy counts when its size matches and, wherever the server can compute it, its SHA-256, and no batch job of this step may still write to it. " +
			"An interrupted upload goes on with the parts that are missing. While it waits for a batch job of the service the step takes no slot. " +
			"Other programs may see a part of a file while it is written.\n\n" +
			nearObjects,
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Version:    2,
		CheckWith:  checkTransfer("from", "to"),
		Causes:     allTransferCauses,
		Example: `- id: send
  uses: upload
  with: { from: notes.txt, to: in/ }
`,
	}, send)
}

func send(ctx context.Context, c *call, in uploadIn) engine.Outcome {
	m := moving{
		call: c,
		transferJob: func(j datatransfer.Journal) (*firecrest.TransferJob, error) {
			return (&datatransfer.Upload{Journal: j}).LiveJob()
		},
		discard: func() error { return nil }, // what lies on the system is replaced by the next upload
	}
	return m.enter(ctx, func() engine.Outcome {
		if datatransfer.IsStoreAddress(in.From) {
			return c.sendObject(ctx, in)
		}
		from := c.localPath(in.From)
		if info, err := os.Stat(from); err == nil && info.Mode().IsRegular() {
			return c.sendFile(ctx, in, from, filepath.Base(from))
		}
		return c.sendMany(ctx, in, from)
	})
}

// localPath makes the path of a local source absolute.
func (c *call) localPath(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Run.Dir, p)
}

// sendFile uploads one file, which has the name if the target names a directory
// only.
func (c *call) sendFile(ctx context.Context, in uploadIn, from, name string) engine.Outcome {
	to, err := c.path(in.inWorkdir, target(in.To, name))
	if err != nil {
		return c.failed(ctx, err)
	}
	if err := c.checkInput(from); err != nil {
		return c.failed(ctx, err)
	}
	out := transferOut{Path: to, Files: 1}
	var digest string
	if begun, err := c.begun(); err != nil {
		return lost(err)
	} else if !begun {
		if digest, err = c.acceptRemote(ctx, in, from, &out); err != nil {
			return c.failed(ctx, err)
		}
		if out.Skipped {
			return engine.Success(out)
		}
		if err := c.begin(ctx); err != nil {
			return lost(err)
		}
	}
	u, err := c.newUpload(ctx, in, from, to)
	if err != nil {
		return c.failed(ctx, err)
	}
	u.SHA256 = digest
	result, ended := c.moveOnce(ctx, u)
	if ended == nil {
		ended = c.confirm(ctx, in.transferIn, to, result)
	}
	if ended != nil {
		return *ended
	}
	out.fill(result)
	return engine.Success(out)
}

// newUpload prepares the upload of a file.
func (c *call) newUpload(ctx context.Context, in uploadIn, from, to string) (*datatransfer.Upload, error) {
	facts, err := c.library.system(ctx, c.system())
	if err != nil {
		return nil, err
	}
	return &datatransfer.Upload{
		Mover: c.library.mover, System: c.system(), From: from, To: to, Method: firecrest.TransferMethod(in.Method),
		Account: c.account(in.Account), PartSize: int64(in.PartSize), Facts: facts, Journal: c, Progress: c.advance,
	}, nil
}

// checkInput compares a file that is an input of the run with what it was when
// the run was created.
func (c *call) checkInput(p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return refuse("%v", err)
	}
	for name, facts := range c.Run.Files {
		if facts.Path == p && (facts.SizeBytes != info.Size() || !facts.ModifiedAt.Equal(info.ModTime())) {
			return fail(workflow.CauseInputChanged, "%s, input %q, has changed since the run was created", p, name)
		}
	}
	return nil
}

// acceptRemote judges what is there already, and marks the result as skipped if
// it will do. It returns the digest of the file if it had to compute it.
func (c *call) acceptRemote(ctx context.Context, in uploadIn, from string, out *transferOut) (digest string, err error) {
	began, err := c.beganEarlier()
	if err != nil {
		return "", err
	}
	found, err := c.stat(ctx, out.Path)
	switch {
	case err != nil || found == nil:
		return "", err
	case found.IsDir():
		return "", refuse("%s is a directory; end `to` with a slash to put the file into it", out.Path)
	case in.OnExists == replace || in.OnExists == failExists && began:
		return "", nil
	case in.OnExists == failExists:
		return "", refuse("%s exists", out.Path)
	}
	info, err := os.Stat(from)
	if err != nil {
		return "", refuse("%v", err)
	}
	if found.Size == info.Size() {
		if digest, err = fileDigest(from); err != nil {
			return "", refuse("read %s: %v", from, err)
		}
		there, err := c.remoteDigest(ctx, out.Path, found.Size)
		if err != nil {
			return "", err
		}
		if there == digest {
			out.SizeBytes, out.SHA256, out.Verified, out.Skipped, out.Method = found.Size, digest, verifiedDigest, true, methodNone
			return digest, nil
		}
	}
	if began {
		return digest, nil
	}
	return "", refuse("%s exists and is not known to be the same; set on_exists: replace to overwrite it", out.Path)
}

// localFile makes the path of a local source absolute. It must be one file.
func (c *call) localFile(p string) (string, error) {
	p = c.localPath(p)
	info, err := os.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", refuse("%s does not exist", p)
	case err != nil:
		return "", refuse("%v", err)
	case !info.Mode().IsRegular():
		return "", refuse("%s is not a file", p)
	}
	return p, c.checkInput(p)
}

func fileDigest(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return digestOf(file)
}

// noLocal says why there is nothing to upload.
func noLocal(from string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, datatransfer.ErrNoMatch) {
		return refuse("%s does not exist, and as a pattern it matches nothing", from)
	}
	return refuse("%v", err)
}
