package datatransfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// sendParts sends the file to an object store.
func (u *Upload) sendParts(ctx context.Context, secrets uploadSecrets) error {
	p, err := u.parts(secrets)
	if err != nil {
		return err
	}
	now := time.Now()
	if p.complete.expired(now) {
		return u.stale(ctx)
	}
	u.report(p.sent())
	digest := u.digest(ctx)
	err = u.Mover.sendParts(ctx, p,
		func(i int, etag string) error { return journalError(u.Journal.Put(u.partKey(i), etag)) },
		func() error {
			u.report(p.meter.bytes.Load())
			return journalError(u.Journal.Flush(ctx))
		})
	if flushErr := u.Journal.Flush(ctx); err == nil {
		err = journalError(flushErr)
	}
	if digestErr := digest(); err == nil {
		err = digestErr
	}
	if err != nil {
		return u.unusable(ctx, err)
	}
	u.report(p.sent())
	if err := u.unchanged(); err != nil {
		return err
	}
	again := u.state.Asked
	u.state.Asked = true
	if err := u.keep(ctx); err != nil {
		return err
	}
	certain, err := u.Mover.completeParts(ctx, p, again)
	if err != nil {
		return u.unusable(ctx, err)
	}
	u.state.Stage, u.state.Unsure = stageMoved, !certain
	return u.keep(ctx)
}

// unusable gives the transfer up if its addresses are of no use any more, and
// returns any other error.
func (u *Upload) unusable(ctx context.Context, err error) error {
	var store *StoreError
	if errors.Is(err, ErrExpired) || errors.As(err, &store) && store.gone() {
		return u.stale(ctx)
	}
	return err
}

func (u *Upload) partKey(i int) string { return fmt.Sprintf("part.%d.%d", u.state.Round, i) }

// parts is the file as the object store gets it.
func (u *Upload) parts(secrets uploadSecrets) (*parts, error) {
	p := &parts{size: u.state.Size, partSize: u.state.PartSize, content: u.file}
	if p.partSize <= 0 || p.count() > len(secrets.Parts) {
		return nil, fmt.Errorf("the service gave %d addresses for parts of %d bytes, and the file has %d bytes", len(secrets.Parts), p.partSize, p.size)
	}
	var err error
	if p.complete, err = u.Mover.link(u.System, firecrest.Secret(secrets.Complete)); err != nil {
		return nil, err
	}
	p.etags = make([]string, p.count())
	for i := range p.etags {
		l, err := u.Mover.link(u.System, firecrest.Secret(secrets.Parts[i]))
		if err != nil {
			return nil, err
		}
		p.links = append(p.links, l)
		if _, err := u.Journal.Load(u.partKey(i), &p.etags[i]); err != nil {
			return nil, journalError(err)
		}
	}
	return p, nil
}

// minPart is the smallest part, in bytes, that object stores take.
const minPart = 5 << 20

// declared is the size of the file as the service is told.
func (u *Upload) declared(facts *firecrest.System) int64 {
	if u.PartSize < minPart || facts.Transfer == nil || facts.Transfer.MaxPartSize <= u.PartSize {
		return u.state.Size
	}
	count := (u.state.Size + u.PartSize - 1) / u.PartSize
	if count > mostParts {
		return u.state.Size
	}
	return max(u.state.Size, (count-1)*facts.Transfer.MaxPartSize+1)
}
