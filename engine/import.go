package engine

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// imports is what a new run takes over of an older one.
type imports struct {
	old   *workflow.Run
	from  string
	blobs workflow.BlobReader
}

// CreateFrom is Create for a run of the same workflow as an older one, in which
// only a step and what depends on it is done again; all else stands as it ended
// there. blobs reads values of the older run. An error that is
// [workflow.ErrConflict] if something that would have to stand was not done, or is
// bad.
func (e *Engine) CreateFrom(ctx context.Context, s workflow.Store, created workflow.RunCreated, old *workflow.Run, from string, blobs workflow.BlobReader) (*Execution, error) {
	return e.create(ctx, s, old.Workflow, created, &imports{old, from, blobs})
}

// maxImported bounds what an import says by value: what it was given goes into a blob
// if that and the outputs are more together than an event may hold.
const maxImported = 40 << 10

// into applies the imports to a run that was just made.
func (i *imports) into(run *workflow.Run, at time.Time) ([]workflow.Event, []workflow.Blob, error) {
	if i == nil {
		return nil, nil, nil
	}
	events, err := run.Import(i.old, i.from, at)
	if err != nil {
		return nil, nil, err
	}
	run.TakeChanged()
	var blobs []workflow.Blob
	for _, e := range events {
		p, ok := e.Data.(*workflow.UnitImported)
		if !ok {
			continue
		}
		for _, body := range []workflow.Body{p.With, p.Outputs} {
			if body.Blob == "" {
				continue
			}
			text, err := i.blobs(body.Blob)
			if err != nil {
				return nil, nil, err
			}
			blobs = append(blobs, workflow.NewBlob(text))
		}
		if len(p.With.JSON)+len(p.Outputs.JSON) > maxImported {
			with := workflow.NewBlob(p.With.JSON)
			p.With, blobs = workflow.Body{Blob: with.Digest}, append(blobs, with)
		}
	}
	return events, blobs, nil
}
