package datatransfer

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/fcflow/fcflow/firecrest"
)

// direct fetches the file in one request.
func (d *Download) direct(ctx context.Context, facts *firecrest.System) error {
	if limit := facts.MaxDownload(); d.state.Size > limit {
		return fmt.Errorf("%s has %d bytes; %s sends at most %d in one request", d.From, d.state.Size, d.System, limit)
	}
	if err := d.file.Truncate(0); err != nil {
		return localError(err)
	}
	d.report(0)
	sink := &sinkWriter{w: io.NewOffsetWriter(d.file, 0)}
	n, err := d.Mover.client.Filesystem.Download(ctx, d.System, d.From, sink)
	switch {
	case sink.err != nil:
		return localError(sink.err)
	case err != nil:
		return err
	case n != d.state.Size:
		return &MismatchError{d.From, fmt.Sprintf("had %d bytes, and %d came: it changed, or was cut short", d.state.Size, n)}
	}
	return d.moved(ctx)
}

// sinkWriter keeps the error of the disk apart from those of the service.
type sinkWriter struct {
	w   io.Writer
	err error
}

func (s *sinkWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// stream gets the file from the job, which has to run by then.
func (d *Download) stream(ctx context.Context, coordinates firecrest.Secret, seen *Seen) (*Pending, error) {
	switch {
	case seen == nil || !seen.Over() && !seen.State.IsActive():
		return &Pending{Job: *d.state.Job, Since: d.state.Begun, Running: true}, nil
	case d.state.Connected: // the job is spoken to once, and that was cut short
		return nil, d.stale(ctx)
	case seen.Over():
		told, err := d.Mover.judge(ctx, *d.state.Job, *seen)
		if err == nil {
			err = told
		}
		return nil, err
	}
	d.state.Connected = true
	if err := d.keep(ctx); err != nil {
		return nil, err
	}
	if err := d.file.Truncate(0); err != nil {
		return nil, localError(err)
	}
	d.report(0)
	live, stop := d.Mover.whileLive(ctx, *d.state.Job)
	defer stop()
	sink := &sinkWriter{w: io.NewOffsetWriter(d.file, 0)}
	peer, err := d.Mover.streamPeer(coordinates)
	if err != nil {
		return nil, err
	}
	size, _, err := peer.receive(live, sink, func(done, _ int64) { d.report(done) })
	switch {
	case sink.err != nil:
		return nil, localError(sink.err)
	case err != nil:
		return nil, d.Mover.cutShort(live, *d.state.Job, err)
	case size != d.state.Size:
		return nil, &MismatchError{d.From, fmt.Sprintf("had %d bytes, and %d came: it changed", d.state.Size, size)}
	}
	return nil, d.moved(ctx)
}

// wormhole gets the file through the wormhole program, which waits for the job.
func (d *Download) wormhole(ctx context.Context, code firecrest.Secret) error {
	if d.state.Connected { // the code is good for one connection
		return d.stale(ctx)
	}
	d.state.Connected = true
	if err := d.keep(ctx); err != nil {
		return err
	}
	if err := d.file.Close(); err != nil {
		return localError(err)
	}
	d.file = nil
	// The program writes a file of its own, and must find none there.
	if err := d.root.Remove(d.part); err != nil {
		return localError(err)
	}
	live, stop := d.Mover.whileLive(ctx, *d.state.Job)
	defer stop()
	err := ReceiveWormhole(live, d.Mover.settings.Wormhole, code, filepath.Join(d.root.Name(), d.part))
	if err != nil {
		return d.Mover.cutShort(live, *d.state.Job, err)
	}
	if err := d.moved(ctx); err != nil {
		return err
	}
	return d.open()
}
