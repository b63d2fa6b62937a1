package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

type s3PutIn struct {
	From     string `json:"from" is:"required,local,source" doc:"Local file; relative to the directory of the workflow file."`
	To       string `json:"to" is:"required" doc:"The object, as s3://bucket/key; ending in a slash the key gets the name of the file. The bucket must exist."`
	OnExists string `json:"on_exists" enum:"skip_same fail replace" default:"skip_same" doc:"What to do if the object exists. skip_same accepts an object of the same content and fails otherwise. What an earlier attempt of this step left is always replaced."`
	storeIn
}

type s3PutOut struct {
	URI       string `json:"uri" doc:"The object, as s3://bucket/key."`
	SizeBytes int64  `json:"size_bytes" unit:"bytes" doc:"Its size."`
	SHA256    string `json:"sha256" doc:"Its SHA-256, 64 hexadecimal digits; also kept with the object, as the metadata fcflow-sha256."`
	ETag      string `json:"etag" doc:"What the store calls this content."`
	Skipped   bool   `json:"skipped" doc:"Whether the same object was there already."`
}

func s3Put() stepType {
	return define[s3PutIn, s3PutOut](workflow.StepSpec{
		Name: "s3_put", Group: groupObjects,
		Summary: "Copies a local file to an object store",
		Doc: "A file above 8 MiB goes in parts over several connections. The store checks the MD5 of everything it gets; the object appears, or changes, at once. " +
			"Parts of an upload that is interrupted stay in the bucket, invisible, until its own rules remove them. A store in trouble is waited for.",
		Idempotent: true,
		CheckWith:  checkStore("to"),
		Causes:     append([]workflow.Cause{workflow.CauseInputChanged}, storeCauses...),
		Example: `- id: store
  uses: s3_put
  with: { from: notes.txt, to: "s3://demo/examples/" }
`,
	}, storeOperation(putObject))
}

func putObject(ctx context.Context, c *call, in s3PutIn) (s3PutOut, error) {
	at, err := location(in.To)
	if err != nil {
		return s3PutOut{}, err
	}
	from := c.localPath(in.From)
	if at.Key == "" || strings.HasSuffix(at.Key, "/") {
		at.Key += filepath.Base(from)
	}
	file, before, err := c.openSource(from)
	if err != nil {
		return s3PutOut{}, err
	}
	defer file.Close()
	store, err := c.objectStore(in.storeIn)
	if err != nil {
		return s3PutOut{}, err
	}
	digest, err := digestOf(file)
	if err != nil {
		return s3PutOut{}, refuse("read %s: %v", from, err)
	}
	out := s3PutOut{URI: at.String(), SizeBytes: before.Size(), SHA256: digest}
	if skip, err := c.isObject(ctx, store, at, file, in.OnExists, &out); skip || err != nil {
		return out, err
	}
	if err := c.beginCopy(ctx); err != nil {
		return out, err
	}
	info, err := store.Put(ctx, at, file, before.Size(), datatransfer.PutOptions{SHA256: digest, Progress: c.advance})
	if after, statErr := os.Stat(from); statErr != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return out, fail(workflow.CauseInputChanged, "%s changed while it was copied", from)
	}
	out.ETag = info.ETag
	return out, err
}

// openSource opens a local file, which must be a regular one.
func (c *call) openSource(from string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, refuse("%s does not exist", from)
	case err != nil:
		return nil, nil, refuse("%v", err)
	case !info.Mode().IsRegular():
		return nil, nil, refuse("%s is not a regular file; pack a directory with tar first", from)
	}
	if err := c.checkInput(from); err != nil {
		return nil, nil, err
	}
	file, err := os.Open(from)
	if err != nil {
		return nil, nil, refuse("%v", err)
	}
	return file, info, nil
}

// isObject judges what is there already: true if it will do.
func (c *call) isObject(ctx context.Context, store *datatransfer.ObjectStore, at datatransfer.Location, file *os.File, onExists string, out *s3PutOut) (bool, error) {
	info, err := store.Stat(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return c.accept(onExists, out.URI, func() (bool, error) {
		if _, err := file.Seek(0, 0); err != nil {
			return false, localError(err)
		}
		_, same, err := store.Matches(ctx, info, file)
		out.Skipped, out.ETag = same, info.ETag
		return same, err
	})
}
