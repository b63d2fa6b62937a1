package workflow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestResetsCountAsUnitsDo drives random runs with random events and resets.
// After each event every counter and queue is what the units alone say, and a
// reset touches what the rules say and nothing else.
func TestResetsCountAsUnitsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newRandomRun(t)
		for range rapid.IntRange(1, 120).Draw(t, "events") {
			p.step()
			p.check()
		}
	})
}

// randomRun applies random events that an owner could write.
type randomRun struct {
	t     *rapid.T
	run   *Run
	now   time.Time
	epoch int64
	tried map[UnitRef]int // the highest number of an attempt
	first *Workflow
	past  []Event
}

func newRandomRun(t *rapid.T) *randomRun {
	source := randomSource(t)
	w, problems := Load("random.yaml", []byte(source), testCatalogue(), CheckOptions{})
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, source)
	}
	p := &randomRun{t: t, first: w, run: NewRun(w), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), epoch: 1, tried: map[UnitRef]int{}}
	p.must(nil, 0, &RunCreated{ID: "r", Nonce: "n"})
	return p
}

// randomSource writes a workflow with every kind of fan-out and of dependency.
func randomSource(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("version: 1\nname: random\ntimeout: 24h\nsteps:\n")
	draw := func(prefix string, n int) {
		fanned, plain := []string{}, []string{}
		for i := range n {
			id := fmt.Sprintf("%s%d", prefix, i)
			job := rapid.IntRange(0, 3).Draw(t, "job") == 0
			fmt.Fprintf(&b, "  - id: %s\n", id)
			var needs []string
			value := ""
			for j := range i {
				before := fmt.Sprintf("%s%d", prefix, j)
				switch edge := rapid.IntRange(0, 4).Draw(t, "edge"); {
				case edge == 0:
					needs = append(needs, before)
				case edge == 1 && slices.Contains(plain, before):
					value = fmt.Sprintf(", int: \"${{ steps.%s.outputs.int }}\"", before)
				}
			}
			if len(needs) > 0 {
				fmt.Fprintf(&b, "    needs: [%s]\n", strings.Join(needs, ", "))
			}
			if rapid.IntRange(0, 3).Draw(t, "if") == 0 {
				b.WriteString("    if: ${{ always() }}\n")
			}
			if rapid.IntRange(0, 4).Draw(t, "continue") == 0 {
				b.WriteString("    continue_on_error: true\n")
			}
			kind := rapid.IntRange(0, 6).Draw(t, "fan-out")
			switch {
			case kind == 0:
				b.WriteString("    matrix: { n: [1, 2] }\n")
			case kind == 1:
				b.WriteString("    for_each: [x, y, x]\n")
			case kind <= 3 && len(plain) > 0:
				fmt.Fprintf(&b, "    for_each: \"${{ steps.%s.outputs.list }}\"\n", rapid.SampledFrom(plain).Draw(t, "list"))
			case kind <= 5 && len(fanned) > 0:
				fmt.Fprintf(&b, "    for_each: %s\n", rapid.SampledFrom(fanned).Draw(t, "source"))
			default:
				kind = 6
			}
			if kind < 6 {
				fanned = append(fanned, id)
				if rapid.IntRange(0, 2).Draw(t, "fail_fast") == 0 {
					b.WriteString("    fail_fast: true\n")
				}
			}
			if job {
				b.WriteString("    uses: wait_for_job\n    with: { system: daint, job_id: \"7\" }\n")
				continue
			}
			if kind == 6 {
				plain = append(plain, id)
			}
			fmt.Fprintf(&b, "    uses: noop\n    with: { text: x%s }\n", value)
		}
	}
	draw("s", rapid.IntRange(1, 6).Draw(t, "steps"))
	if n := rapid.IntRange(0, 2).Draw(t, "finally"); n > 0 {
		b.WriteString("finally:\n")
		draw("f", n)
	}
	return b.String()
}

func (p *randomRun) apply(u *Unit, attempt int, data Payload) error {
	p.now = p.now.Add(time.Second)
	e := &Event{Seq: p.run.Seq + 1, At: p.now, Epoch: p.epoch, Attempt: attempt, Data: data}
	if u != nil {
		e.Step, e.Instance = u.Step.Step.ID, u.Instance
	}
	return p.add(e)
}

func (p *randomRun) add(e *Event) error {
	err := Apply(p.run, e)
	if err == nil {
		p.past = append(p.past, *e)
	}
	return err
}

func (p *randomRun) must(u *Unit, attempt int, data Payload) {
	if err := p.apply(u, attempt, data); err != nil {
		p.t.Fatalf("%s: %v\n%s", data.Kind(), err, p.run.Workflow.Source)
	}
}

// step applies one event.
func (p *randomRun) step() {
	r := p.run
	switch {
	case r.State.Terminal():
		p.must(nil, 0, &RunReopened{Round: r.Round + 1})
		p.reset(true)
		return
	case r.State == RunQueued && rapid.IntRange(0, 4).Draw(p.t, "cancel before the start") > 0:
		p.must(nil, 0, &RunStarted{})
		return
	case r.Finishable():
		end := &RunFinished{}
		end.State, end.Cause = r.End()
		p.must(nil, 0, end)
		return
	}
	if r.State == RunRunning && p.expand() {
		return
	}
	switch rapid.IntRange(0, 24).Draw(p.t, "what") {
	case 0:
		p.must(nil, 0, &CancelRequested{By: "me"})
	case 1:
		if r.State == RunRunning {
			p.must(nil, 0, &RunTimedOut{})
		}
	case 2:
		p.epoch++
		p.must(nil, 0, &RunOpened{})
	case 3, 4, 5:
		p.reset(false)
	default:
		if r.State == RunRunning {
			p.unit()
		}
	}
}

// expand tells the instances of a step, most of the time.
func (p *randomRun) expand() bool {
	var steps []*StepRun
	p.run.ToExpand(func(s *StepRun) bool { steps = append(steps, s); return true })
	if len(steps) == 0 || rapid.IntRange(0, 4).Draw(p.t, "do not expand") == 0 {
		return false
	}
	s := rapid.SampledFrom(steps).Draw(p.t, "expand")
	events, _ := p.run.Expand(s, 0, nil)
	for _, data := range events {
		p.now = p.now.Add(time.Second)
		if err := p.add(&Event{Seq: p.run.Seq + 1, At: p.now, Epoch: p.epoch, Step: s.Step.ID, Data: data}); err != nil {
			p.t.Fatalf("%s: %v\n%s", data.Kind(), err, p.run.Workflow.Source)
		}
	}
	return true
}

// unit moves one unit.
func (p *randomRun) unit() {
	var may []*Unit
	p.run.ToJudge(func(u *Unit) bool { may = append(may, u); return true })
	for _, s := range p.run.Steps {
		for _, u := range s.Units {
			if u.State == Ready || u.State == Running || u.State == Waiting {
				may = append(may, u)
			}
		}
	}
	if len(may) == 0 {
		return
	}
	u := rapid.SampledFrom(may).Draw(p.t, "unit")
	n := len(u.Attempts)
	switch u.row() {
	case rowPending:
		p.must(u, 0, p.verdict(u))
	case rowReady:
		if n != p.tried[u.Ref()] {
			p.t.Fatalf("%s had %d attempts and knows of %d", u.Ref(), p.tried[u.Ref()], n)
		}
		p.tried[u.Ref()]++
		p.must(u, n+1, &AttemptStarted{System: rapid.SampledFrom([]string{"daint", "eiger"}).Draw(p.t, "system")})
	case rowBackoff:
		p.must(u, 0, &BackoffEnded{})
	case rowRemote, rowLocal:
		p.must(u, n, &AttemptWoken{Why: WakeDue})
	case rowRunning:
		p.must(u, n, rapid.SampledFrom([]Payload{
			p.success(u), p.success(u), &AttemptFinished{State: Failed, Cause: CauseExit}, &AttemptFinished{State: Cancelled},
			&AttemptFinished{State: Failed, Cause: CauseExit, Retry: &Retry{At: p.now, Rule: -1}},
			&AttemptWaiting{Reason: WaitJob}, &AttemptWaiting{Reason: WaitTimer, Until: p.now.Add(time.Minute)},
		}).Draw(p.t, "outcome"))
	}
}

func (p *randomRun) success(u *Unit) *AttemptFinished {
	end := &AttemptFinished{State: Succeeded}
	if u.Step.Step.Uses == "noop" {
		end.Outputs.JSON = []byte(rapid.SampledFrom([]string{
			`{"int":1,"list":[]}`, `{"int":1,"list":[1]}`, `{"int":1,"list":[1,2]}`, `{"int":1,"list":[2,2,3]}`,
		}).Draw(p.t, "outputs"))
	}
	return end
}

// verdict judges a unit as an owner does, with conditions that chance decides.
func (p *randomRun) verdict(u *Unit) Payload {
	skip := func(cause Cause, root *Unit) Payload {
		ref := root.Ref()
		return &UnitSkipped{Cause: cause, Root: &ref}
	}
	if root := p.run.Blocked(u); root != nil && !u.Step.Step.StatusIf && !u.Step.Step.Finally {
		return skip(CauseUpstreamFailed, root)
	}
	if missing := p.run.MissingValue(u); missing != nil {
		if missing.Root != nil {
			missing = missing.Root
		}
		return skip(CauseSourceMissing, missing)
	}
	return rapid.SampledFrom([]Payload{
		&UnitReady{}, &UnitReady{}, &UnitSkipped{Cause: CauseConditionFalse}, &UnitFailed{Cause: CauseExpression},
	}).Draw(p.t, "verdict")
}

// reset resets units at random, if that may be.
func (p *randomRun) reset(must bool) {
	r := p.run
	choice := &UnitsReset{By: "me", Force: rapid.Bool().Draw(p.t, "force")}
	if must || rapid.Bool().Draw(p.t, "named") {
		choice.Force = choice.Force || must
		for range rapid.IntRange(1, 3).Draw(p.t, "names") {
			s := rapid.SampledFrom(r.Steps).Draw(p.t, "step")
			if len(s.Units) > 0 {
				choice.Units = append(choice.Units, rapid.SampledFrom(s.Units).Draw(p.t, "unit").Ref())
			}
		}
	}
	tries := map[UnitRef]int{}
	for u := range p.states() {
		tries[u.Ref()] = len(u.Attempts)
	}
	before, want := p.states(), p.wantSet(choice)
	set, err := r.resetSet(choice)
	if err != nil {
		if !errors.Is(err, ErrConflict) || must && len(choice.Units) > 0 {
			p.t.Fatalf("refused: %v", err)
		}
		if applied := p.apply(nil, 0, choice); applied == nil {
			p.t.Fatalf("a refused reset is applied: %v", err)
		}
		return
	}
	for _, u := range set.units {
		if u.State == Running || u.State == Waiting {
			p.t.Fatalf("%s is %s and is reset", u.Ref(), u.State)
		}
	}
	if diff := cmp.Diff(want, refs(set.units)); diff != "" {
		p.t.Fatalf("reset set of %v (-want +got):\n%s%s", choice, diff, r.Workflow.Source)
	}
	p.must(nil, 0, choice)
	for u, was := range before {
		in := slices.Contains(set.units, u)
		now, still := r.Unit(u.Ref())
		switch {
		case !in && now != u, !in && u.State != was && was != Pending:
			p.t.Fatalf("%s was %s, was not to be reset, and is %s", u.Ref(), was, u.State)
		case in && !still && u.Step.expanded:
			p.t.Fatalf("%s is lost", u.Ref())
		case in && u.State != Pending && u.State != Ready:
			p.t.Fatalf("%s was %s and is %s after the reset", u.Ref(), was, u.State)
		case in && was.Done() && (u.Cause != "" || u.Root != nil || u.Good || !u.Outputs.IsZero() || u.outputs != nil || u.system != "" || len(u.Tries()) > 0):
			p.t.Fatalf("%s keeps something of before: %+v", u.Ref(), u)
		case len(u.Attempts) != tries[u.Ref()]:
			p.t.Fatalf("%s had %d attempts and has %d", u.Ref(), tries[u.Ref()], len(u.Attempts))
		}
	}
	if r.CancelRequests > 0 {
		p.t.Fatal("the cancel outlives the reset")
	}
}

func (p *randomRun) states() map[*Unit]State {
	states := map[*Unit]State{}
	for _, s := range p.run.Steps {
		for _, u := range s.Units {
			states[u] = u.State
		}
	}
	return states
}

func refs(units []*Unit) []string {
	names := []string{}
	for _, u := range units {
		names = append(names, u.Ref().String())
	}
	return names
}

// wantSet is the set of a reset by the letter of the rules.
func (p *randomRun) wantSet(choice *UnitsReset) []string {
	var chosen, set, all []*Unit
	for _, s := range p.run.Steps {
		all = append(all, s.Units...)
	}
	main := false
	for _, u := range all {
		named := slices.Contains(choice.Units, u.Ref())
		if named || len(choice.Units) == 0 && (u.State == Failed || u.State == Cancelled) && !u.Good {
			chosen = append(chosen, u)
			main = main || !u.Step.Step.Finally
		}
	}
	after := p.dependents(all, chosen)
	afterSuccess := p.dependents(all, slices.DeleteFunc(slices.Clone(chosen), func(u *Unit) bool { return u.State != Succeeded }))
	for _, u := range all {
		alone := u.Instance == "" && (u.Step.Step.Matrix != nil || u.Step.Step.ForEach != nil)
		if slices.Contains(chosen, u) || afterSuccess[u] || after[u] && (u.State != Succeeded || alone) || main && u.Step.Step.Finally {
			set = append(set, u)
		}
	}
	return refs(set)
}

// dependents finds what waits for some units, directly or not, by looking again
// and again until nothing more is found.
func (p *randomRun) dependents(all, of []*Unit) map[*Unit]bool {
	found := map[*Unit]bool{}
	hit := func(u *Unit) bool { return found[u] || slices.Contains(of, u) }
	var step func(s *StepRun) bool // whether something of the step, or before an empty one, is hit
	step = func(s *StepRun) bool {
		if len(s.Units) > 0 {
			return slices.ContainsFunc(s.Units, hit)
		}
		return slices.ContainsFunc(s.Step.WaitsFor(), func(b int) bool { return step(p.run.Steps[b]) })
	}
	for more := true; more; {
		more = false
		for _, u := range all {
			waits := slices.ContainsFunc(u.Step.Step.Barriers, func(b int) bool { return step(p.run.Steps[b]) })
			waits = waits || u.source != nil && hit(u.source)
			if u.Step.Step.FailFast && u.State == Skipped && u.Cause == CauseUpstreamFailed {
				waits = waits || slices.ContainsFunc(u.Step.Units, func(other *Unit) bool {
					return other.State.Done() && !other.Good && other.Root == u.Root && hit(other)
				})
			}
			if waits && !found[u] {
				found[u], more = true, true
			}
		}
	}
	return found
}

// check compares the counters with what the units say.
func (p *randomRun) check() {
	p.t.Helper()
	if diff := cmp.Diff(naive(p.run), kept(p.run)); diff != "" {
		p.t.Fatalf("after event %d (-units +counters):\n%s", p.run.Seq, diff)
	}
	for _, s := range p.run.Steps {
		for _, u := range s.Units {
			if u.State.Done() && (u.Good != p.run.good(u) || !u.Good && !u.Root.State.Done()) {
				p.t.Fatalf("%s is %s, good: %v, and its root %s is %s", u.Ref(), u.State, u.Good, u.Root.Ref(), u.Root.State)
			}
		}
	}
}

// tally is what is counted of a run.
type tally struct {
	Steps                               map[string]stepTally
	Main, Finally, Running              int
	BadMain, BadFinally, Cancelled, Has bool
	Jobs                                map[string]int
	Failed                              []string
	Judge, Ready, Ring, Expand          []string
}

type stepTally struct {
	Counts                               string
	Backoff, Open, Unmet, Bad, BadByWork int
	Root                                 bool
}

// naive counts by looking at every unit.
func naive(r *Run) tally {
	n := tally{Steps: map[string]stepTally{}, Jobs: map[string]int{}, Judge: []string{}, Ready: []string{}, Ring: []string{}, Expand: []string{}}
	open := map[int]bool{}
	for i, s := range r.Steps {
		open[i] = !s.expanded
		for _, u := range s.Units {
			open[i] = open[i] || !u.State.Done()
		}
		if open[i] && s.Step.Finally {
			n.Finally++
		} else if open[i] {
			n.Main++
		}
	}
	for _, s := range r.Steps {
		var c stepTally
		counts := map[State]int{}
		failed, job := false, 0
		if s.Step.Spec().Job {
			job = 1
		}
		for _, b := range s.Step.Barriers {
			if open[b] {
				c.Unmet++
			}
		}
		if s.Step.Finally && n.Main > 0 {
			c.Unmet++
		}
		for _, u := range s.Units {
			counts[u.State]++
			switch u.State {
			case Running:
				n.Running++
				n.Jobs[u.Attempt().System] += job
			case Waiting:
				if u.Wait.Reason == WaitBackoff {
					c.Backoff++
				} else {
					n.Jobs[u.Attempt().System] += job
				}
			case Ready:
				n.Ready = append(n.Ready, u.Ref().String())
				if !slices.Contains(n.Ring, s.Step.ID) {
					n.Ring = append(n.Ring, s.Step.ID)
				}
			case Pending:
				if c.Unmet == 0 && r.State == RunRunning && (u.source == nil || u.source.State.Done()) {
					n.Judge = append(n.Judge, u.Ref().String())
				}
			case Failed:
				failed = failed || !s.Step.ContinueOnError
			}
			if !u.State.Done() {
				c.Open++
				continue
			}
			n.Cancelled = n.Cancelled || u.State == Cancelled && !s.Step.Finally
			if !r.good(u) {
				c.Bad++
				if u.Root.State != Cancelled {
					c.BadByWork++
				}
				n.BadMain, n.BadFinally = n.BadMain || !s.Step.Finally, n.BadFinally || s.Step.Finally
			}
		}
		if !s.expanded && s.Step.Pair == nil && r.State == RunRunning && (s.Step.Matrix != nil || c.Unmet == 0) {
			n.Expand = append(n.Expand, s.Step.ID)
		}
		if failed {
			n.Failed = append(n.Failed, s.Step.ID)
		}
		c.Root = c.Bad > 0
		c.Counts = printCounts(counts)
		n.Steps[s.Step.ID] = c
	}
	n.Has = n.Main == 0
	maps.DeleteFunc(n.Jobs, func(_ string, n int) bool { return n == 0 })
	slices.Sort(n.Expand)
	slices.Sort(n.Failed)
	slices.Sort(n.Ring)
	slices.Sort(n.Ready)
	slices.Sort(n.Judge)
	return n
}

// kept is what the fold counts.
func kept(r *Run) tally {
	k := tally{
		Steps: map[string]stepTally{}, Main: r.openMain, Finally: r.openFinally, Running: r.running,
		BadMain: r.badMain, BadFinally: r.badFinally, Cancelled: r.cancelled, Has: r.Result != "",
		Jobs: maps.Clone(r.jobs), Judge: []string{}, Ready: []string{}, Ring: []string{}, Expand: []string{},
	}
	r.ToExpand(func(s *StepRun) bool { k.Expand = append(k.Expand, s.Step.ID); return true })
	slices.Sort(k.Expand)
	maps.DeleteFunc(k.Jobs, func(_ string, n int) bool { return n == 0 })
	k.Failed = append(k.Failed, r.failedSteps...)
	slices.Sort(k.Failed)
	for _, s := range r.Steps {
		rooted := s.badRoot != nil && slices.ContainsFunc(s.Units, func(u *Unit) bool { return !u.Good && u.Root == s.badRoot })
		k.Steps[s.Step.ID] = stepTally{printCounts(s.counts), s.backoff, s.open, s.unmet, s.bad, s.badNotStop, rooted}
		s.ReadyUnits(func(u *Unit) bool { k.Ready = append(k.Ready, u.Ref().String()); return true })
	}
	r.ToJudge(func(u *Unit) bool { k.Judge = append(k.Judge, u.Ref().String()); return true })
	r.ReadySteps(func(s *StepRun) bool { k.Ring = append(k.Ring, s.Step.ID); return true })
	slices.Sort(k.Ring)
	slices.Sort(k.Ready)
	slices.Sort(k.Judge)
	k.Ready = slices.Compact(k.Ready)
	return k
}

func printCounts(counts map[State]int) string {
	var b strings.Builder
	for _, s := range States() {
		if counts[s] > 0 {
			fmt.Fprintf(&b, "%s %d ", s, counts[s])
		}
	}
	return b.String()
}
