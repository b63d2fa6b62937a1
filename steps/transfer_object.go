package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
)

// An object on the near side of a transfer lies on disk here while it moves: what
// is interrupted can go on, and both halves are verified by themselves.

// nearObjects is what the documentation says about that.
const nearObjects = "An object s3://bucket/key lies on the disk of this machine while it moves. Only for such an object are the inputs " +
	"from endpoint to session_token: the object store that the service itself moves large files over needs none."

// sendObject uploads an object as a file.
func (c *call) sendObject(ctx context.Context, in uploadIn) engine.Outcome {
	at, err := objectLocation(in.From)
	if err != nil {
		return c.failed(ctx, err)
	}
	local, err := c.PrivatePath("object")
	if err != nil {
		return c.failed(ctx, localError(err))
	}
	if _, err := os.Stat(local); err != nil {
		if err := c.spool(ctx, in.storeIn, at, local); err != nil {
			return c.storeFailed(ctx, err)
		}
	}
	return c.sendFile(ctx, in, local, path.Base(at.Key))
}

// spool copies an object to a local file, which has its name when it is complete
// and verified.
func (c *call) spool(ctx context.Context, in storeIn, at datatransfer.Location, local string) error {
	store, err := c.objectStore(in)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(local+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return localError(err)
	}
	_, _, err = store.Get(ctx, at, file, c.advance)
	if err == nil {
		err = localError(file.Sync())
	}
	if err := errors.Join(err, localError(file.Close())); err != nil {
		return err
	}
	return localError(os.Rename(local+".part", local))
}

// fetchObject downloads a file and puts it as an object; source is nil if the
// latter has begun already.
func (c *call) fetchObject(ctx context.Context, in downloadIn, from string, source *firecrest.FileStat) engine.Outcome {
	at, err := location(in.To)
	if err != nil {
		return c.failed(ctx, err)
	}
	if at.Key == "" || strings.HasSuffix(at.Key, "/") {
		at.Key += path.Base(from)
	}
	if in.OnExists == failExists && source != nil {
		if err := c.checkNoObject(ctx, in.storeIn, at); err != nil {
			return c.storeFailed(ctx, err)
		}
	}
	local, err := c.PrivatePath("object")
	if err != nil {
		return c.failed(ctx, localError(err))
	}
	d, err := c.newDownload(ctx, in, from)
	if err != nil {
		return c.failed(ctx, err)
	}
	d.To, d.Part, d.Source = local, filepath.Base(local)+".part", source
	moved, ended := c.moveOnce(ctx, d)
	if ended == nil {
		ended = c.confirm(ctx, in.transferIn, from, moved)
	}
	if ended != nil {
		return *ended
	}
	out := transferOut{Path: at.String(), Files: 1}
	out.fill(moved)
	if err := c.putObjectFrom(ctx, in, at, local, &out); err != nil {
		return c.storeFailed(ctx, err)
	}
	return engine.Success(out)
}

// checkNoObject refuses an object that exists, before the file comes that would
// have to take its place.
func (c *call) checkNoObject(ctx context.Context, in storeIn, at datatransfer.Location) error {
	store, err := c.objectStore(in)
	if err != nil {
		return err
	}
	if _, err = store.Stat(ctx, at); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if began, journalErr := c.beganEarlier(); err != nil || began || journalErr != nil {
		return errors.Join(err, journalErr)
	}
	return refuse("%s exists", at)
}

func (c *call) putObjectFrom(ctx context.Context, in downloadIn, at datatransfer.Location, local string, out *transferOut) error {
	store, err := c.objectStore(in.storeIn)
	if err != nil {
		return err
	}
	file, err := os.Open(local)
	if err != nil {
		return localError(err)
	}
	defer file.Close()
	var put s3PutOut
	put.URI = at.String()
	if skip, err := c.isObject(ctx, store, at, file, in.OnExists, &put); skip || err != nil {
		out.Skipped = skip
		return err
	}
	if err := c.beginCopy(ctx); err != nil {
		return err
	}
	_, err = store.Put(ctx, at, file, out.SizeBytes, datatransfer.PutOptions{SHA256: out.SHA256, Progress: c.advance})
	return err
}
