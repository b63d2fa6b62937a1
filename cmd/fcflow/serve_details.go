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

// boxNote is as long as what the page writes into most boxes.
const boxNote = "0/24 · 8 running"

// placed says where the drawing has its boxes, which have room for how far their step is.
func (g *graph) placed() server.Graph {
	d := g.drawing()
	for i := range d.Nodes {
		d.Nodes[i].Note = boxNote
	}
	place := dagsvg.Arrange(d)
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

// unitRefused tells who asks that a name which means many instances is their mistake.
func unitRefused(err error) error {
	var many *ambiguousUnit
	if !errors.As(err, &many) {
		return err
	}
	return server.BadRequest(fmt.Errorf("%s: ask for one of them, unit=STEP/KEY", many.means()))
}

// Unit implements [server.Host].
func (h *host) Unit(ctx context.Context, id workflow.RunID, name string) (workflow.UnitView, error) {
	var view workflow.UnitView
	values := kept{}
	err := h.foldedUnit(ctx, id, name, func(f *folded, u *workflow.Unit) error {
		view = f.run.DescribeUnit(u)
		values.add(u.Outputs, &view.Outputs)
		for i, t := range u.Attempts {
			values.add(t.With, &view.Attempts[i].With)
		}
		if u.Imported != nil {
			values.add(u.Imported.With, &view.With)
		}
		return nil
	})
	if err != nil {
		return workflow.UnitView{}, err
	}
	return view, h.fill(ctx, id, values)
}

// foldedUnit is folded for the instance that a request names.
func (h *host) foldedUnit(ctx context.Context, id workflow.RunID, name string, use func(*folded, *workflow.Unit) error) error {
	return h.folded(ctx, id, func(f *folded) error {
		u, err := unitOf(f.run, name)
		if err != nil {
			return unitRefused(err)
		}
		return use(f, u)
	})
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
	var x explained
	err := h.foldedUnit(ctx, id, name, func(f *folded, u *workflow.Unit) error {
		witness := why.NewWitness(u.Ref())
		if err := h.pick(ctx, id, f.index.Of(u.Ref()), witness.Note); err != nil {
			return err
		}
		over := f.run.State.Terminal()
		x = explained{Chain: witness.Explain(f.run, u), Live: f.driven && !over, Interrupted: !f.driven && !over}
		return nil
	})
	if err != nil {
		return nil, err
	}
	x.Next = h.session.app.helps(&x, isThere(ctx, h.session.store, x.Imported))
	return x, nil
}

// Script implements [server.Host].
func (h *host) Script(ctx context.Context, id workflow.RunID, name string, attempt int) ([]byte, error) {
	digest := ""
	err := h.foldedUnit(ctx, id, name, func(_ *folded, u *workflow.Unit) error {
		digest = scriptOf(u, attempt)
		if digest == "" {
			return fmt.Errorf("%s has no script: %w", u.Ref(), workflow.ErrNotFound)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r, err := h.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	text, err := r.Blob(ctx, digest)
	return []byte(h.session.app.streams.Secrets.Redact(string(text))), err
}

// scriptOf is the digest of the script of an attempt, 0 being the newest; "" if it
// has none.
func scriptOf(u *workflow.Unit, attempt int) string {
	for i := len(u.Attempts) - 1; i >= 0; i-- {
		t := u.Attempts[i]
		if attempt != 0 && t.Number != attempt {
			continue
		}
		if t.Submission == nil {
			return ""
		}
		return t.Submission.Intent.Script
	}
	return ""
}

// Results implements [server.Host].
func (h *host) Results(ctx context.Context, id workflow.RunID, step string) (any, error) {
	return h.results(ctx, id, step)
}

func (h *host) results(ctx context.Context, id workflow.RunID, step string) (*shownResults, error) {
	var view workflow.RunView
	var definition *workflow.Workflow
	live, values := false, kept{}
	err := h.folded(ctx, id, func(f *folded) error {
		if _, known := f.run.Step(step); step != "" && !known {
			return unknownStep(f.run, step)
		}
		view, definition, live = f.run.Describe(), f.run.Workflow, f.driven
		values.addOutputs(f.run, view.Steps, results.Shown(definition, view.Steps, step))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := h.fill(ctx, id, values); err != nil {
		return nil, err
	}
	var now time.Time
	if live {
		now = time.Now()
	}
	tables := results.Tables(definition, view.Steps, step, now)
	if tables == nil {
		tables = []results.Table{}
	}
	return &shownResults{id, definition.Name, view.State, live, !live && !view.State.Terminal(), tables}, nil
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
