package workflow

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestReplansCountAsUnitsDo drives random runs and edits their workflows now and
// then. After each event every counter and queue is what the units alone say, what
// is under way stays, and no number of an attempt is given twice.
func TestReplansCountAsUnitsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newRandomRun(t)
		for range rapid.IntRange(1, 4).Draw(t, "workflows") {
			for range rapid.IntRange(1, 60).Draw(t, "events") {
				p.step()
				p.check()
			}
			p.checkAttempts()
			p.replan()
		}
	})
}

// fold makes the run again from its events.
func (p *randomRun) fold() *Run {
	r := NewRun(p.first)
	for _, e := range p.past {
		if err := Apply(r, &e); err != nil {
			p.t.Fatal(err)
		}
	}
	return r
}

// replan has the run go on with another random workflow, if that may be.
func (p *randomRun) replan() {
	w, problems := Load("random.yaml", []byte(randomSource(p.t)), testCatalogue(), CheckOptions{})
	if len(problems) > 0 {
		p.t.Fatal(problems)
	}
	plan, err := Replan(p.fold(), p.fold(), w, ReplanOptions{Replanned: RunReplanned{By: "me"}, At: p.now})
	switch {
	case errors.Is(err, ErrConflict):
		return // it is being cancelled
	case err != nil:
		p.t.Fatal(err)
	case len(plan.InFlight) > 0:
		return
	}
	live := p.live(p.run)
	if p.run.State.Terminal() {
		p.must(nil, 0, &RunReopened{Round: p.run.Round + 1})
	}
	for _, e := range plan.Events {
		p.now = p.now.Add(time.Second)
		if err := p.add(&Event{Seq: p.run.Seq + 1, At: p.now, Epoch: p.epoch, Step: e.Step, Data: e.Data}); err != nil {
			p.t.Fatalf("%s: %v", e.Data.Kind(), err)
		}
		p.check()
	}
	if diff := cmp.Diff(live, p.live(p.run)); diff != "" {
		p.t.Fatalf("what is under way changes:\n%s", diff)
	}
	if diff := cmp.Diff(kept(p.run), kept(p.fold())); diff != "" {
		p.t.Fatalf("folded again it is another run:\n%s", diff)
	}
	p.checkAttempts()
}

// checkAttempts: every attempt that was ever made is in the picture of the run, once.
func (p *randomRun) checkAttempts() {
	made, seen := 0, 0
	for _, e := range p.past {
		if _, ok := e.Data.(*AttemptStarted); ok {
			made++
		}
	}
	v := p.run.Describe()
	for _, s := range v.Steps {
		for _, u := range s.Instances {
			seen += len(u.Attempts)
		}
	}
	for _, u := range v.Dropped {
		seen += len(u.Attempts)
	}
	if made != seen {
		p.t.Fatalf("%d attempts were made, and the run shows %d", made, seen)
	}
}

// live lists what is under way, with the number of its attempt.
func (p *randomRun) live(r *Run) map[string]int {
	live := map[string]int{}
	for _, s := range r.Steps {
		for _, u := range s.Units {
			if u.live() {
				live[u.Ref().String()] = len(u.Attempts)
			}
		}
	}
	return live
}

// TestDefinitionParts: a text is cut between characters, into events that can be
// stored, and put together again.
func TestDefinitionParts(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a\"\n–🙂", 9000)
	r := NewRun(&Workflow{})
	for i, part := range definitionParts([]byte(text)) {
		e := &Event{Seq: int64(i + 1), Epoch: 1, Data: part}
		if stored, err := e.MarshalJSON(); err != nil || len(stored) > MaxEventBytes || !utf8.ValidString(part.(*DefinitionPart).Text) {
			t.Errorf("part %d: %d bytes, %v", i, len(stored), err)
		}
		if err := Apply(r, e); err != nil {
			t.Fatal(err)
		}
	}
	if string(r.definition) != text {
		t.Error("the parts make another text")
	}
	if err := Apply(r, &Event{Seq: r.Seq + 1, Epoch: 1, Data: &DefinitionPart{From: 7, Text: "x"}}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a part is missing: %v", err)
	}
	if err := Apply(r, &Event{Seq: r.Seq + 1, Epoch: 1, Data: &RunReplanned{Definition: "x"}}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another text: %v", err)
	}
}
