package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

type downloadIn struct {
	inWorkdir
	From     string `json:"from" is:"required,remote,source" doc:"Remote file, directory or pattern (* ? [a-z] **), which must match no links; relative to workdir."`
	To       string `json:"to" is:"local" default:"./" doc:"Path below the output directory of the run; ending in a slash it is the directory, and what is copied keeps its name. For a pattern it is always the directory, in which files keep their path from the first wildcard on. Missing directories are made. Or s3://bucket/key, where one file is put as an object."`
	OnExists string `json:"on_exists" enum:"skip_same fail replace" default:"skip_same" doc:"What to do if a local file exists. skip_same accepts a file of the same content and fails otherwise. What an earlier attempt of this step left is always replaced."`
	transferIn
	storeIn
}

func download() stepType {
	return define[downloadIn, transferOut](workflow.StepSpec{
		Name: "download", Group: groupTransfers,
		Summary: "Copies files of a system here",
		Doc: "A file that fits goes through the service in one request, a larger one by the way the system has: over an object store in ranges, " +
			"side by side and each repeated by itself, by a stream from a batch job, or by magic wormhole. A directory or pattern is packed on the " +
			"system and comes as one archive; nothing is ever written outside the target. A directory that holds a pipe, or a link that leads out of it, is refused.\n\n" +
			"A file appears under its name when it is complete, on disk, its size matches and, wherever the server can compute it, its SHA-256. " +
			"An interrupted download goes on with the ranges that are missing. While it waits for a batch job of the service the step takes no slot.\n\n" +
			nearObjects,
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Version:    2,
		CheckWith:  checkTransfer("to", "from"),
		Causes:     allTransferCauses,
		Example: `- id: fetch
  uses: download
  with: { from: "${{ steps.pack.outputs.target }}" }
`,
	}, fetch)
}

func fetch(ctx context.Context, c *call, in downloadIn) engine.Outcome {
	m := moving{
		call: c,
		transferJob: func(j datatransfer.Journal) (*firecrest.TransferJob, error) {
			return (&datatransfer.Download{Journal: j}).LiveJob()
		},
		discard: func() error { return c.discardPart(in) },
	}
	return m.enter(ctx, func() engine.Outcome { return c.fetchFrom(ctx, in) })
}

// fetchFrom downloads whatever the remote path is.
func (c *call) fetchFrom(ctx context.Context, in downloadIn) engine.Outcome {
	if !datatransfer.IsStoreAddress(in.To) {
		if _, err := c.outputPath(in.To); err != nil {
			return c.failed(ctx, err)
		}
	}
	if datatransfer.IsGlob(in.From) {
		return c.fetchMany(ctx, in)
	}
	from, err := c.path(in.inWorkdir, in.From)
	if err != nil {
		return c.failed(ctx, err)
	}
	var many remoteBundle
	if found, err := c.Load(bundleKey, &many); err != nil {
		return lost(err)
	} else if found {
		return c.fetchMany(ctx, in)
	}
	begun, err := c.begun()
	if err != nil {
		return lost(err)
	}
	var source *firecrest.FileStat
	if !begun {
		source, err = c.files().Stat(ctx, c.system(), from, true)
		switch {
		case err != nil:
			return c.failed(ctx, err)
		case source.IsDir():
			return c.fetchMany(ctx, in)
		case !source.IsRegular():
			return c.failed(ctx, refuse("%s is not a regular file", from))
		}
	}
	if datatransfer.IsStoreAddress(in.To) {
		return c.fetchObject(ctx, in, from, source)
	}
	return c.fetchFile(ctx, in, from, source)
}

// fetchFile downloads one file; source is nil if that has begun already.
func (c *call) fetchFile(ctx context.Context, in downloadIn, from string, source *firecrest.FileStat) engine.Outcome {
	to, err := c.outputPath(target(in.To, path.Base(from)))
	if err != nil {
		return c.failed(ctx, err)
	}
	root, err := openOutput(c.Run.OutputDir)
	if err != nil {
		return c.failed(ctx, localError(err))
	}
	defer root.Close()
	d, err := c.newDownload(ctx, in, from)
	if err != nil {
		return c.failed(ctx, err)
	}
	d.Root, d.To, d.Source = root, to, source
	out := transferOut{Path: filepath.Join(c.Run.OutputDir, to), Files: 1}
	if source == nil {
		if d.Digest, err = c.notedDigest(); err != nil {
			return lost(err)
		}
	} else {
		var ended *engine.Outcome
		if d.Digest, ended = c.digestBefore(ctx, in.transferIn, from, source.Size); ended != nil {
			return *ended
		}
		out.SizeBytes = source.Size
		if skip, err := c.acceptLocal(root, to, in, d.Digest, &out); err != nil {
			return c.failed(ctx, err)
		} else if skip {
			return engine.Success(out)
		}
		if err := c.begin(ctx); err != nil {
			return lost(err)
		}
	}
	result, ended := c.moveOnce(ctx, d)
	if ended != nil {
		return *ended
	}
	out.fill(result)
	return engine.Success(out)
}

// partName is what a file is called before it is complete, and a directory.
func (c *call) partName() string { return "." + c.Token + ".part" }

// discardPart removes what has come of files that are not complete.
func (c *call) discardPart(in downloadIn) error {
	root, err := os.OpenRoot(c.Run.OutputDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.RemoveAll(c.partName()) // of many files
	if to, pathErr := c.outputPath(target(in.To, path.Base(in.From))); pathErr == nil {
		d := datatransfer.Download{Root: root, To: to, Part: c.partName()}
		err = errors.Join(err, d.Discard())
	}
	return err
}

// newDownload prepares the download of a file. What is incomplete has a name of
// its own, with the attempt in it.
func (c *call) newDownload(ctx context.Context, in downloadIn, from string) (*datatransfer.Download, error) {
	facts, err := c.library.system(ctx, c.system())
	if err != nil {
		return nil, err
	}
	return &datatransfer.Download{
		Mover: c.library.mover, System: c.system(), From: from, Part: c.partName(),
		Method: firecrest.TransferMethod(in.Method), Account: c.account(in.Account), Facts: facts,
		Journal: c, Progress: c.advance,
	}, nil
}

// outputPath is a path below the output directory, relative to it.
func (c *call) outputPath(to string) (string, error) {
	if filepath.IsAbs(to) {
		relative, err := filepath.Rel(c.Run.OutputDir, to)
		if err != nil {
			return "", refuse("%s is not below the output directory %s", to, c.Run.OutputDir)
		}
		to = relative
	}
	to = filepath.Clean(to)
	if !filepath.IsLocal(to) {
		return "", refuse("%s leaves the output directory %s; `fcflow run --output-dir` sets another", to, c.Run.OutputDir)
	}
	return to, nil
}

// acceptLocal judges what is there already: true if it will do.
func (c *call) acceptLocal(root *os.Root, to string, in downloadIn, remote string, out *transferOut) (bool, error) {
	began, err := c.beganEarlier()
	if err != nil {
		return false, err
	}
	file, err := root.Open(to)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, localError(err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return false, localError(err)
	case info.IsDir():
		return false, refuse("%s is a directory; end `to` with a slash to put the file into it", out.Path)
	case in.OnExists == replace || began && in.OnExists != skipSame:
		return false, nil
	case in.OnExists == failExists:
		return false, refuse("%s exists", out.Path)
	}
	digest, err := digestOf(file)
	if err != nil {
		return false, localError(err)
	}
	if info.Size() == out.SizeBytes && digest == remote {
		out.SHA256, out.Verified, out.Skipped, out.Method = digest, verifiedDigest, true, methodNone
		return true, nil
	}
	if began {
		return false, nil
	}
	return false, refuse("%s exists and is not known to be the same; set on_exists: replace to overwrite it", out.Path)
}

// openOutput opens the output directory; nothing below is reached through a
// link that leads out of it.
func openOutput(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// localError is what a failure of this machine's files means for the step.
func localError(err error) error {
	switch {
	case err == nil:
		return nil
	case isQuota(err):
		return fail(workflow.CauseDiskQuota, "%v", err)
	}
	return refuse("%v", err)
}
