package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
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

// kept collects where values belong that a run keeps apart from its events.
type kept map[string][]*json.RawMessage // by digest

func (k kept) add(body workflow.Body, at *json.RawMessage) {
	if body.Blob != "" {
		k[body.Blob] = append(k[body.Blob], at)
	}
}

// addOutputs adds the outputs of some steps.
func (k kept) addOutputs(run *workflow.Run, views []workflow.StepView, steps []string) {
	for i, s := range run.Steps {
		if !slices.Contains(steps, s.Step.ID) {
			continue
		}
		for j, u := range s.Units {
			k.add(u.Outputs, &views[i].Instances[j].Outputs)
		}
	}
}

// addInputs adds what the last attempt of each instance was given, or what an
// imported one was given where it was done.
func (k kept) addInputs(run *workflow.Run, views []workflow.StepView) {
	for i, s := range run.Steps {
		for j, u := range s.Units {
			if u.Imported != nil {
				k.add(u.Imported.With, &views[i].Instances[j].With)
			} else if n := len(u.Attempts); n > 0 {
				k.add(u.Attempts[n-1].With, &views[i].Instances[j].Attempts[n-1].With)
			}
		}
	}
}

// fill reads the values.
func (k kept) fill(ctx context.Context, a *app, st *store.Store, id workflow.RunID) error {
	found, err := a.blobs(ctx, st, id, slices.Sorted(maps.Keys(k)))
	if err != nil {
		return err
	}
	for digest, places := range k {
		for _, at := range places {
			*at = json.RawMessage(found[digest])
		}
	}
	return nil
}
