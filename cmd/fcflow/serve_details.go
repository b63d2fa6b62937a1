package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fcflow/fcflow/internal/dagsvg"
	"github.com/fcflow/fcflow/internal/results"
	"github.com/fcflow/fcflow/internal/why"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// Graph implements [server.Host].
func (h *host) Graph(ctx context.Context, id workflow.RunID) (server.Graph, error) {
	run, err := h.show(ctx, id)
	if err != nil {
		return server.Graph{}, err
	}
	return graphOfRun(&run.RunView).placed(), nil
}

// placed says where the drawing has its boxes.
func (g *graph) placed() server.Graph {
	place := dagsvg.Arrange(g.drawing())
	answer := server.Graph{Nodes: []server.GraphNode{}, Edges: []server.GraphEdge{}, Width: place.Width, Height: place.Height}
	for i, n := range g.nodes {
		b := place.Boxes[i]
		answer.Nodes = append(answer.Nodes, server.GraphNode{ID: n.id, Uses: n.uses, Finally: n.finally, X: b.X, Y: b.Y, W: b.W, H: b.H})
		for _, need := range n.needs {
			answer.Edges = append(answer.Edges, server.GraphEdge{From: g.nodes[need].id, To: n.id})
		}
	}
	return answer
}

// askedUnit finds the only instance that a request names.
func askedUnit(run *workflow.Run, name string) (*workflow.Unit, error) {
	u, err := unitOf(run, name)
	return u, unitRefused(name, err)
}

// unitRefused tells who asks that a name which means many instances is their mistake.
func unitRefused(name string, err error) error {
	switch {
	case err == nil || !errors.Is(err, errUsage):
		return err
	case name == "":
		return server.BadRequest(errors.New("which unit? STEP or STEP/KEY"))
	}
	return server.BadRequest(err)
}

// Unit implements [server.Host].
func (h *host) Unit(ctx context.Context, id workflow.RunID, name string) (workflow.UnitView, error) {
	run, _, err := h.folded(ctx, id, func(workflow.Event) {})
	if err != nil {
		return workflow.UnitView{}, err
	}
	u, err := askedUnit(run, name)
	if err != nil {
		return workflow.UnitView{}, err
	}
	view := run.Describe()
	found, err := oneUnit(&view, u.Ref().String())
	if err != nil {
		return workflow.UnitView{}, err
	}
	values := kept{}
	values.add(u.Outputs, &found.Outputs)
	for i, t := range u.Attempts {
		values.add(t.With, &found.Attempts[i].With)
	}
	if u.Imported != nil {
		values.add(u.Imported.With, &found.With)
	}
	return *found, h.fill(ctx, id, values)
}

// fill reads values that are kept apart.
func (h *host) fill(ctx context.Context, id workflow.RunID, values kept) error {
	mine, err := h.session.owned.Find(ctx, id)
	if err != nil {
		return values.fill(ctx, h.session.app, h.session.store, id)
	}
	for digest, places := range values {
		text, err := mine.Blob(ctx, digest)
		if err != nil {
			return err
		}
		for _, at := range places {
			*at = text
		}
	}
	return nil
}

// Why implements [server.Host].
func (h *host) Why(ctx context.Context, id workflow.RunID, name string) (any, error) {
	run, _, err := h.folded(ctx, id, func(workflow.Event) {})
	if err != nil {
		return nil, err
	}
	u, err := askedUnit(run, name)
	if err != nil {
		return nil, err
	}
	ref := u.Ref()
	witness := why.NewWitness(ref)
	run, driven, err := h.folded(ctx, id, witness.Note)
	if err != nil {
		return nil, err
	}
	if u, err = unitOf(run, ref.String()); err != nil {
		return nil, err
	}
	x := explained{Chain: witness.Explain(run, u), Live: driven && !run.State.Terminal(), Interrupted: !driven && !run.State.Terminal()}
	x.Next = h.session.app.helps(&x)
	return x, nil
}

// Script implements [server.Host].
func (h *host) Script(ctx context.Context, id workflow.RunID, name string, attempt int) ([]byte, error) {
	run, _, err := h.folded(ctx, id, func(workflow.Event) {})
	if err != nil {
		return nil, err
	}
	u, err := askedUnit(run, name)
	if err != nil {
		return nil, err
	}
	for i := len(u.Attempts) - 1; i >= 0; i-- {
		t := u.Attempts[i]
		if attempt != 0 && t.Number != attempt {
			continue
		}
		if t.Submission == nil || t.Submission.Intent.Script == "" {
			break
		}
		r, err := h.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		text, err := r.Blob(ctx, t.Submission.Intent.Script)
		return []byte(h.session.app.streams.Secrets.Redact(string(text))), err
	}
	return nil, fmt.Errorf("%s has no script: %w", u.Ref(), workflow.ErrNotFound)
}

// Results implements [server.Host].
func (h *host) Results(ctx context.Context, id workflow.RunID, step string) (any, error) {
	return h.results(ctx, id, step)
}

func (h *host) results(ctx context.Context, id workflow.RunID, step string) (*shownResults, error) {
	run, live, err := h.folded(ctx, id, func(workflow.Event) {})
	if err != nil {
		return nil, err
	}
	if _, known := run.Step(step); step != "" && !known {
		return nil, unknownStep(run, step)
	}
	view := run.Describe()
	values := kept{}
	values.addOutputs(run, view.Steps, results.Shown(run.Workflow, view.Steps, step))
	if err := h.fill(ctx, id, values); err != nil {
		return nil, err
	}
	var now time.Time
	if live {
		now = time.Now()
	}
	tables := results.Tables(run.Workflow, view.Steps, step, now)
	if tables == nil {
		tables = []results.Table{}
	}
	return &shownResults{id, run.Workflow.Name, run.State, live, !live && !run.State.Terminal(), tables}, nil
}

// CSV implements [server.Host].
func (h *host) CSV(ctx context.Context, id workflow.RunID, step string, w io.Writer) error {
	shown, err := h.results(ctx, id, step)
	if err != nil {
		return err
	}
	if len(shown.Tables) != 1 {
		return server.BadRequest(fmt.Errorf("CSV is of one table, and the run has %d: choose one with step", len(shown.Tables)))
	}
	columns := shown.Tables[0].Columns()
	var header []string
	for _, c := range columns {
		header = append(header, c.Name)
	}
	return csv.NewWriter(w).WriteAll(append([][]string{header}, shown.Tables[0].Cells(columns)...))
}
