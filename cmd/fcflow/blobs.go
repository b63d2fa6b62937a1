package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// blobs returns values that a run keeps apart from its events: from its owner,
// else from its history.
func (a *app) blobs(ctx context.Context, st *store.Store, id workflow.RunID, digests []string) (map[string][]byte, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	live, err := a.alive(ctx, st, id)
	if err != nil {
		return nil, err
	}
	if live == nil || live.client == nil {
		return st.Blobs(ctx, id, digests)
	}
	defer live.close()
	found := make(map[string][]byte, len(digests))
	for _, digest := range digests {
		text, err := live.client.Blob(ctx, id, digest)
		if errors.Is(err, server.ErrGone) {
			return st.Blobs(ctx, id, digests)
		}
		if err != nil {
			return nil, err
		}
		found[digest] = text
	}
	return found, nil
}

// complete reads into the views of a run those outputs of some steps that are kept
// apart.
func (a *app) complete(ctx context.Context, st *store.Store, run *workflow.Run, views []workflow.StepView, steps []string) error {
	missing := map[*workflow.UnitView]string{}
	var digests []string
	for i, s := range run.Steps {
		if !slices.Contains(steps, s.Step.ID) {
			continue
		}
		for j, u := range s.Units {
			if u.Outputs.Blob != "" {
				missing[&views[i].Instances[j]] = u.Outputs.Blob
				digests = append(digests, u.Outputs.Blob)
			}
		}
	}
	found, err := a.blobs(ctx, st, run.ID, digests)
	if err != nil {
		return err
	}
	for view, digest := range missing {
		view.Outputs = json.RawMessage(found[digest])
	}
	return nil
}
