package datatransfer

import (
	"context"
	"errors"
	"io"
	"path"

	"github.com/fcflow/fcflow/firecrest"
)

// maxSlow is how often one request may take longer than the server lets it,
// before a file goes by the way for large ones.
const maxSlow = 2

const slowKey = "upload.slow"

// direct sends the file in one request. What the server makes of it is seen in
// the file, whatever it answers: it gives up on a command that may go on, and
// on an empty file always.
func (u *Upload) direct(ctx context.Context) (*Result, error) {
	u.report(0)
	files := u.Mover.client.Filesystem
	dir, name := path.Split(u.To)
	dir = path.Clean(dir)
	if err := u.digest(ctx)(); err != nil {
		return nil, err
	}
	err := files.Upload(ctx, u.System, dir, name, u.file, u.state.Size)
	if errors.Is(err, firecrest.ErrNotFound) {
		if _, err := files.Mkdir(ctx, u.System, dir, true); err != nil {
			return nil, err
		}
		err = files.Upload(ctx, u.System, dir, name, u.file, u.state.Size)
	}
	switch {
	case errors.Is(err, firecrest.ErrTimeout):
		result, verifyErr := u.verify(ctx)
		if verifyErr != nil || !u.certain(result) {
			return nil, u.tooSlow(ctx, err)
		}
		return result, nil
	case err != nil:
		return nil, err
	}
	u.report(u.state.Size)
	return u.verify(ctx)
}

// tooSlow counts a request that took too long, and changes the way after some.
func (u *Upload) tooSlow(ctx context.Context, err error) error {
	slow := 0
	if _, err := u.Journal.Load(slowKey, &slow); err != nil {
		return journalError(err)
	}
	slow++
	if err := keep(ctx, u.Journal, slowKey, slow); err != nil {
		return err
	}
	facts, factsErr := u.Mover.facts(ctx, u.Facts, u.System)
	if slow < maxSlow || factsErr != nil || facts.Transfer == nil || u.state.Size == 0 || u.Method == Direct {
		return err
	}
	u.state.Method = firecrest.TransferMethod(facts.Transfer.Method)
	return u.keep(ctx)
}

// stream sends the file to the job, which has to run by then.
func (u *Upload) stream(ctx context.Context, coordinates firecrest.Secret, seen *Seen) (*Pending, error) {
	switch {
	case seen == nil || !seen.Over() && !seen.State.IsActive():
		return &Pending{Job: *u.state.Job, Since: u.state.Begun, Running: true}, nil
	case seen.Over(): // nobody listens any more; the file may be there all the same
		u.state.Unsure = u.state.Asked
		return nil, u.moved(ctx)
	case u.state.Asked: // the job is spoken to once, and that was cut short
		return nil, u.stale(ctx)
	}
	u.state.Asked = true
	if err := u.keep(ctx); err != nil {
		return nil, err
	}
	u.report(0)
	live, stop := u.Mover.whileLive(ctx, *u.state.Job)
	defer stop()
	peer, err := u.Mover.streamPeer(coordinates)
	if err != nil {
		return nil, err
	}
	sum, err := peer.send(live, io.NewSectionReader(u.file, 0, u.state.Size), u.state.Size, u.report)
	if err != nil {
		return nil, u.Mover.cutShort(live, *u.state.Job, err)
	}
	u.state.SHA256 = sum
	return nil, u.moved(ctx)
}

func (u *Upload) moved(ctx context.Context) error {
	u.state.Stage = stageMoved
	return u.keep(ctx)
}

// clearTarget removes a file that is in the way: a job that is spoken to
// directly does not replace one.
func (u *Upload) clearTarget(ctx context.Context) error {
	err := u.Mover.client.Filesystem.Remove(ctx, u.System, u.To)
	if errors.Is(err, firecrest.ErrNotFound) {
		return nil
	}
	return err
}

// wormhole sends the file through the wormhole program, which has the code
// before there is a job.
func (u *Upload) wormhole(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var refused error
	live, stop := ctx, func() {}
	defer func() { stop() }()
	err := SendWormhole(ctx, u.Mover.settings.Wormhole, u.From, func(code firecrest.Secret) error {
		transfer, err := u.Mover.client.Transfer.Upload(ctx, u.System, u.To, firecrest.UploadRequest{
			Method: firecrest.MethodWormhole, FileSize: u.state.Size, WormholeCode: code, Account: u.Account,
		})
		if err == nil {
			err = u.begun(ctx, transfer.Job)
		}
		if err != nil {
			refused = err
			return err
		}
		live, stop = u.Mover.whileLive(ctx, transfer.Job)
		context.AfterFunc(live, func() { cancel(context.Cause(live)) })
		return nil
	})
	switch {
	case refused != nil:
		return refused
	case err != nil && u.state.Job != nil:
		return u.Mover.cutShort(live, *u.state.Job, err)
	case err != nil:
		return err
	}
	return u.moved(ctx)
}
