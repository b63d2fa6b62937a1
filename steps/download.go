package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type downloadIn struct {
	inWorkdir
	From     string `json:"from" is:"required,remote,source" doc:"Remote file."`
	To       string `json:"to" is:"local" default:"./" doc:"Path below the output directory of the run; ending in a slash it is the directory, and the file keeps its name. Missing directories are made."`
	OnExists string `json:"on_exists" enum:"skip_same fail replace" default:"skip_same" doc:"What to do if the local file exists. skip_same accepts a file of the same content and fails otherwise. What an earlier attempt of this step left is always replaced."`
}

func download() stepType {
	return define[downloadIn, transferOut](workflow.StepSpec{
		Name: "download", Group: groupTransfers,
		Summary: "Copies a file of a system here",
		Doc: "The file goes through the service in one request, which bounds its size (`systems` tells the limit). It appears under its name " +
			"when it is complete, its size matches and, wherever the server can compute it, its SHA-256.",
		Remote:     true,
		Idempotent: true,
		CheckWith:  checkTransfer,
		Causes:     transferCauses,
		Example: `- id: fetch
  uses: download
  with: { from: "${{ steps.pack.outputs.target }}" }
`,
	}, operation(fetch))
}

func fetch(ctx context.Context, c *call, in downloadIn) (transferOut, error) {
	from, err := c.path(in.inWorkdir, in.From)
	if err != nil {
		return transferOut{}, err
	}
	to, err := c.outputPath(target(in.To, path.Base(from)))
	if err != nil {
		return transferOut{}, err
	}
	source, err := c.remoteSource(ctx, from)
	if err != nil {
		return transferOut{}, err
	}
	remote, err := c.remoteDigest(ctx, from, source.Size)
	if err != nil {
		return transferOut{}, err
	}
	root, err := openOutput(c.Run.OutputDir)
	if err != nil {
		return transferOut{}, localError(err)
	}
	defer root.Close()
	out := transferOut{Path: filepath.Join(c.Run.OutputDir, to), SizeBytes: source.Size}
	if skip, err := c.acceptLocal(root, to, in, remote, &out); skip || err != nil {
		return out, err
	}
	return out, c.get(ctx, root, from, to, remote, &out)
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

// remoteSource refuses what one request cannot fetch, before anything is sent.
func (c *call) remoteSource(ctx context.Context, from string) (*firecrest.FileStat, error) {
	facts, err := c.library.system(ctx, c.system())
	if err != nil {
		return nil, err
	}
	source, err := c.files().Stat(ctx, c.system(), from, true)
	switch {
	case isNotFound(err) && len(checkOneFile("from", from)) > 0:
		return nil, refuse("%s", checkOneFile("from", from)[0].Message)
	case err != nil:
		return nil, err
	case source.IsDir():
		return nil, refuse("%s is a directory; download takes one file: pack it with `compress` first", from)
	case !source.IsRegular():
		return nil, refuse("%s is not a regular file", from)
	case source.Size > facts.MaxDownload():
		return nil, refuse("%s has %d bytes; %s sends at most %d in one request", from, source.Size, c.system(), facts.MaxDownload())
	}
	return source, nil
}

// acceptLocal judges what is there already: true if it will do.
func (c *call) acceptLocal(root *os.Root, to string, in downloadIn, remote string, out *transferOut) (bool, error) {
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
	case in.OnExists == replace:
		return false, nil
	case in.OnExists == failExists:
		if c.again() {
			return false, nil
		}
		return false, refuse("%s exists", out.Path)
	}
	digest, err := digestOf(file)
	if err != nil {
		return false, localError(err)
	}
	if info.Size() == out.SizeBytes && digest == remote {
		out.SHA256, out.Verified, out.Skipped = digest, verifiedDigest, true
		return true, nil
	}
	if c.again() {
		return false, nil
	}
	return false, refuse("%s exists and is not known to be the same; set on_exists: replace to overwrite it", out.Path)
}

// get fetches the bytes into a hidden file, which takes the name when it is
// verified and on disk.
func (c *call) get(ctx context.Context, root *os.Root, from, to, remote string, out *transferOut) (err error) {
	if err := root.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return localError(err)
	}
	part := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+"."+c.Token+".part")
	file, err := root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return localError(err)
	}
	defer func() {
		file.Close()
		if err != nil {
			_ = root.Remove(part) // it is replaced by the next attempt anyway
		}
	}()
	hash := sha256.New()
	c.Progress(engine.Progress{Total: out.SizeBytes})
	sink := &localWriter{w: io.MultiWriter(file, hash)}
	n, err := c.files().Download(ctx, c.system(), from, sink)
	switch {
	case sink.err != nil:
		return localError(sink.err)
	case err != nil:
		return err
	}
	out.SHA256 = hex.EncodeToString(hash.Sum(nil))
	switch {
	case n != out.SizeBytes:
		return fail(workflow.CauseTransfer, "%s had %d bytes, and %d came: it changed, or was cut short", from, out.SizeBytes, n)
	case remote != "" && remote != out.SHA256:
		return fail(workflow.CauseTransfer, "%s had the SHA-256 %s, and what came has %s: it changed, or was damaged", from, remote, out.SHA256)
	}
	out.Verified = verdict(remote, out.SHA256)
	c.Progress(engine.Progress{Done: n, Total: n})
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return localError(err)
	}
	if err := root.Rename(part, to); err != nil {
		return localError(err)
	}
	return localError(syncDir(root, filepath.Dir(to)))
}

// localWriter keeps the error of the disk apart from those of the service.
type localWriter struct {
	w   io.Writer
	err error
}

func (l *localWriter) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		l.err = err
	}
	return n, err
}

// openOutput opens the output directory; nothing below is reached through a
// link that leads out of it.
func openOutput(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
