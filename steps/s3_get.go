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

	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

type s3GetIn struct {
	From     string `json:"from" is:"required" doc:"The object, as s3://bucket/key."`
	To       string `json:"to" is:"local" default:"./" doc:"Path below the output directory of the run; ending in a slash it is the directory, and the file gets the last part of the key as its name. Missing directories are made."`
	OnExists string `json:"on_exists" enum:"skip_same fail replace" default:"skip_same" doc:"What to do if the local file exists. skip_same accepts a file of the same content and fails otherwise. What an earlier attempt of this step left is always replaced."`
	storeIn
}

type s3GetOut struct {
	Path      string `json:"path" doc:"Full path of the local file."`
	SizeBytes int64  `json:"size_bytes" unit:"bytes" doc:"Its size."`
	SHA256    string `json:"sha256" doc:"Its SHA-256, 64 hexadecimal digits."`
	ETag      string `json:"etag" doc:"What the store calls this content."`
	Verified  string `json:"verified" enum:"sha256 md5 size" doc:"sha256 for an object that fcflow put; md5 if the store tells that digest, of the whole or of parts; else only the size could be compared."`
	Skipped   bool   `json:"skipped" doc:"Whether the same file was there already."`
}

func s3Get() stepType {
	return define[s3GetIn, s3GetOut](workflow.StepSpec{
		Name: "s3_get", Group: groupObjects,
		Summary: "Copies an object here",
		Doc: "The object comes in pieces over several connections; a piece that breaks off goes on where it was. The file appears under its name when it is complete and verified. " +
			"A store in trouble is waited for.",
		Idempotent: true,
		CheckWith:  checkStore("from"),
		Causes:     append([]workflow.Cause{workflow.CauseDiskQuota}, storeCauses...),
		Example: `- id: back
  uses: s3_get
  with: { from: "${{ steps.store.outputs.uri }}", to: back/ }
`,
	}, storeOperation(getObject))
}

func getObject(ctx context.Context, c *call, in s3GetIn) (s3GetOut, error) {
	at, err := objectLocation(in.From)
	if err != nil {
		return s3GetOut{}, err
	}
	to, err := c.outputPath(target(in.To, path.Base(at.Key)))
	if err != nil {
		return s3GetOut{}, err
	}
	store, err := c.objectStore(in.storeIn)
	if err != nil {
		return s3GetOut{}, err
	}
	info, err := store.Stat(ctx, at)
	if err != nil {
		return s3GetOut{}, err
	}
	root, err := openOutput(c.Run.OutputDir)
	if err != nil {
		return s3GetOut{}, localError(err)
	}
	defer root.Close()
	out := s3GetOut{Path: filepath.Join(c.Run.OutputDir, to), SizeBytes: info.Size, ETag: info.ETag}
	if skip, err := c.hasObject(ctx, store, info, root, to, in.OnExists, &out); skip || err != nil {
		return out, err
	}
	return out, c.getTo(ctx, store, at, root, to, &out)
}

// hasObject judges what is there already: true if it will do.
func (c *call) hasObject(ctx context.Context, store *datatransfer.ObjectStore, info datatransfer.ObjectInfo, root *os.Root, to, onExists string, out *s3GetOut) (bool, error) {
	file, err := root.Open(to)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, localError(err)
	}
	defer file.Close()
	found, err := file.Stat()
	switch {
	case err != nil:
		return false, localError(err)
	case found.IsDir():
		return false, refuse("%s is a directory; end `to` with a slash to put the file into it", out.Path)
	}
	return c.accept(onExists, out.Path, func() (bool, error) {
		hash := sha256.New()
		verified, same, err := store.Matches(ctx, info, io.TeeReader(file, hash))
		out.SHA256, out.Verified, out.Skipped = hex.EncodeToString(hash.Sum(nil)), verified, same
		return same, err
	})
}

// getTo fetches the bytes into a hidden file, which takes the name when it is
// verified and on disk.
func (c *call) getTo(ctx context.Context, store *datatransfer.ObjectStore, at datatransfer.Location, root *os.Root, to string, out *s3GetOut) (err error) {
	if err := c.beginCopy(ctx); err != nil {
		return err
	}
	if err := root.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return localError(err)
	}
	part := filepath.Join(filepath.Dir(to), "."+c.Token+".part")
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
	info, verified, err := store.Get(ctx, at, io.MultiWriter(file, hash), c.advance)
	if err != nil {
		return err
	}
	out.SizeBytes, out.ETag, out.Verified, out.SHA256, out.Skipped = info.Size, info.ETag, verified, hex.EncodeToString(hash.Sum(nil)), false
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return localError(err)
	}
	if err := root.Rename(part, to); err != nil {
		return localError(err)
	}
	return localError(syncDir(root, filepath.Dir(to)))
}
