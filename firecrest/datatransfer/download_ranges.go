package datatransfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/fcflow/fcflow/firecrest"
)

// fetch gets the object, in ranges if the store has them.
func (d *Download) fetch(ctx context.Context, url firecrest.Secret) error {
	l, err := d.Mover.link(d.System, url)
	if err != nil {
		return err
	}
	found, err := d.Mover.lookAt(ctx, l)
	switch {
	case errors.Is(err, ErrExpired):
		return d.stale(ctx)
	case err != nil:
		return err
	case found.size >= 0 && found.size != d.state.Size:
		return &MismatchError{d.From, fmt.Sprintf("had %d bytes, and the object store got %d: it changed, or a part of it was lost", d.state.Size, found.size)}
	}
	if !found.ranges {
		r := &ranges{link: l, size: d.state.Size, file: d.file}
		d.report(0)
		if err := d.Mover.fetchWhole(ctx, r); err != nil {
			return err
		}
		return d.moved(ctx)
	}
	if found.etag != d.state.ETag || d.state.Chunk == 0 {
		if err := d.startRanges(ctx, found.etag); err != nil {
			return err
		}
	}
	return d.fetchRanges(ctx, l)
}

// startRanges makes room for an object, and forgets the ranges of another.
func (d *Download) startRanges(ctx context.Context, etag string) error {
	if err := errors.Join(d.file.Truncate(0), d.file.Truncate(d.state.Size)); err != nil {
		return localError(err)
	}
	d.state.Object++
	d.state.ETag, d.state.Chunk = etag, d.Mover.chunkSize(d.state.Size)
	return d.keep(ctx)
}

func (d *Download) rangeKey(i int) string {
	return fmt.Sprintf("range.%d.%d", d.state.Object, i)
}

// fetchRanges fetches what is not on disk. A range is noted when it would survive
// a crash of the machine.
func (d *Download) fetchRanges(ctx context.Context, l link) error {
	r := d.ranges(l)
	for i := range r.have {
		if _, err := d.Journal.Load(d.rangeKey(i), &r.have[i]); err != nil {
			return journalError(err)
		}
	}
	d.report(r.fetched())
	var fresh []int
	flush := func() error {
		d.report(r.meter.bytes.Load())
		if len(fresh) == 0 {
			return nil
		}
		if err := d.file.Sync(); err != nil {
			return localError(err)
		}
		for _, i := range fresh {
			if err := d.Journal.Put(d.rangeKey(i), true); err != nil {
				return journalError(err)
			}
		}
		fresh = nil
		return journalError(d.Journal.Flush(ctx))
	}
	err := d.Mover.fetchRanges(ctx, r, func(i int) error { fresh = append(fresh, i); return nil }, flush)
	switch flushErr := flush(); {
	case errors.Is(err, ErrExpired):
		return d.stale(ctx)
	case errors.Is(err, ErrChanged):
		d.state.ETag, d.state.Chunk = "", 0
		return errors.Join(err, d.keep(ctx))
	case err != nil || flushErr != nil:
		return errors.Join(err, flushErr)
	}
	return d.moved(ctx)
}

func (d *Download) ranges(l link) *ranges {
	r := &ranges{link: l, etag: d.state.ETag, size: d.state.Size, chunk: d.state.Chunk, file: d.file}
	if r.chunk == 0 {
		r.chunk = d.Mover.chunkSize(r.size)
	}
	r.have = make([]bool, r.count())
	return r
}
