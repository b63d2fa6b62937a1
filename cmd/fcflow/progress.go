package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

// progress shows how runs go while somebody watches: on a terminal a line for
// each active instance that is drawn again, above it what has ended; elsewhere a
// line for each change. It never holds up who reports: printing is the matter of
// a goroutine of its own.
type progress struct {
	out   *console.Stream
	quiet bool
	refer func(workflow.RunID) string // how to name a run on a command line

	mu      sync.Mutex
	lines   []console.Line // to be printed for good
	active  map[unitKey]*activity
	totals  map[workflow.RunID]*total
	wake    chan struct{}
	stop    chan struct{}
	stopped sync.WaitGroup
}

type unitKey struct {
	run  workflow.RunID
	unit workflow.UnitRef
}

// activity is an instance that is under way.
type activity struct {
	order   int // of its step in the file
	symbol  console.Text
	attempt int
	text    string // what it does, as last printed
	passing string // from the step itself, not durable
	since   time.Time
}

// total is a run as its last line shows it.
type total struct {
	name        string
	above       string // the steps that it runs for, as "prep › "; "" if nobody shows them
	done, units int
	counted     time.Time
	started     time.Time
	ended       bool
	queued      string // what it waits for before it starts
}

const drawEvery = 120 * time.Millisecond

func newProgress(out *console.Stream, quiet bool, refer func(workflow.RunID) string) *progress {
	p := &progress{
		out: out, quiet: quiet, refer: refer, active: map[unitKey]*activity{}, totals: map[workflow.RunID]*total{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	p.stopped.Add(1)
	go p.print()
	return p
}

// close prints what is left and takes the display away.
func (p *progress) close() {
	p.mu.Lock()
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.mu.Unlock()
	p.stopped.Wait()
}

// print is the goroutine.
func (p *progress) print() {
	defer p.stopped.Done()
	if p.out.Terminal() && !p.quiet {
		p.draw()
		return
	}
	for {
		select {
		case <-p.wake:
			p.out.Lines(p.take()...)
		case <-p.stop:
			p.out.Lines(p.take()...)
			return
		}
	}
}

func (p *progress) draw() {
	live := p.out.Live()
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			live.Draw(p.take(), p.region(time.Now()))
		case <-p.stop:
			live.Draw(p.take(), nil)
			return
		}
	}
}

func (p *progress) take() []console.Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// say prints a line for good.
func (p *progress) say(line ...console.Text) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(line)
}

func (p *progress) add(line console.Line) {
	if p.quiet {
		return
	}
	p.lines = append(p.lines, line)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Write takes log lines while the display stands where they would go.
func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, console.Line{console.Say(strings.TrimSuffix(string(text), "\n"))})
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return len(text), nil
}

// observe is told of each commit, on the goroutine that owns the run.
func (p *progress) observe(run *workflow.Run, events []workflow.Event, changed []*workflow.Unit) {
	if p.quiet {
		return // nobody looks, and a server drives very many runs
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.total(run.ID, run.Workflow.Name)
	if t.above == "" {
		t.above = p.above(run)
	}
	if t.started.IsZero() {
		t.started = run.StartedAt
	}
	t.ended = run.State.Terminal()
	if run.State != workflow.RunQueued {
		t.queued = ""
	}
	if now := time.Now(); now.Sub(t.counted) >= drawEvery {
		t.counted = now // it costs more the more steps there are
		t.done, t.units = countUnits(run)
	} else {
		for _, u := range changed {
			if u.State.Done() {
				t.done++
			}
		}
	}
	for _, e := range events {
		if c, ok := e.Data.(*workflow.CancelRequested); ok && !fromParent(run, c) {
			p.add(p.stamp(e.At, console.State("cancelled"), console.Say(" asked for by "+c.By)))
		}
	}
	at := events[len(events)-1].At
	for _, u := range changed {
		p.unit(run.ID, u, at)
	}
	// What the scheduler says of a job changes no state, but the line.
	for _, e := range events {
		if _, ok := e.Data.(*workflow.JobObserved); !ok {
			continue
		}
		if u, ok := run.Unit(workflow.UnitRef{Step: e.Step, Instance: e.Instance}); ok && !slices.Contains(changed, u) {
			p.unit(run.ID, u, at)
		}
	}
}

func (p *progress) total(id workflow.RunID, name string) *total {
	t := p.totals[id]
	if t == nil {
		t = &total{name: name}
		p.totals[id] = t
	}
	return t
}

// queued tells what a run waits for that has not started; "" when it waits no more.
func (p *progress) queued(id workflow.RunID, name, text string) {
	if p.quiet {
		return // nobody looks, and a server drives very many runs
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.totals[id]
	if text == "" && t == nil {
		return
	}
	if t = p.total(id, name); t.queued == text {
		return
	}
	t.queued = text
	if text != "" && !p.out.Terminal() {
		p.add(p.stamp(time.Now(), console.State("queued"), console.Say(pad("queued", 12)+"  "+shortID(id)+"  "+text)))
	}
}

// above are the steps for which a run was started, if they are shown here.
func (p *progress) above(run *workflow.Run) string {
	parent := run.Created.Parent
	if parent == nil || p.totals[parent.Run] == nil {
		return ""
	}
	return p.totals[parent.Run].above + parent.Unit().String() + " › "
}

// fromParent reports whether a cancel is but the consequence of another.
func fromParent(run *workflow.Run, c *workflow.CancelRequested) bool {
	return run.Created.Parent != nil && c.By == "run "+string(run.Created.Parent.Run)
}

// label is how an instance is named among the others that are shown.
func (p *progress) label(key unitKey) string {
	if t := p.totals[key.run]; t != nil {
		return t.above + key.unit.String()
	}
	return key.unit.String()
}

func countUnits(run *workflow.Run) (done, all int) {
	for _, s := range run.Steps {
		all += len(s.Units)
		for _, state := range workflow.States() {
			if state.Done() {
				done += s.Count(state)
			}
		}
	}
	return done, all
}

// unit notes what became of an instance and prints it if it is news.
func (p *progress) unit(run workflow.RunID, u *workflow.Unit, at time.Time) {
	key := unitKey{run, u.Ref()}
	if u.State.Done() {
		delete(p.active, key)
		p.add(p.finished(at, key, u))
		return
	}
	if u.State != workflow.Running && u.State != workflow.Waiting {
		return
	}
	attempt := u.Attempt()
	now := p.active[key]
	if now == nil || now.attempt != attempt.Number {
		now = &activity{order: u.Step.Step.Index, attempt: attempt.Number, since: attempt.StartedAt}
		p.active[key] = now
		if !p.out.Terminal() {
			p.add(p.line(at, key, console.State("running"), attemptNote(attempt.Number)))
		}
	}
	now.symbol, now.passing = console.Symbol(string(u.State)), ""
	if job := attempt.Job; job != nil && job.Active {
		now.symbol = console.Symbol("running") // the instance waits; what a person waits for runs
	}
	text := doing(u)
	if u.State == workflow.Waiting && u.Wait.Reason == workflow.WaitApproval {
		text += ": " + approveWith(p.refer(run), u.Ref())
	}
	if text == "" || text == now.text {
		return
	}
	now.text = text
	if !p.out.Terminal() || u.State == workflow.Waiting && loud(u.Wait.Reason) {
		p.add(p.line(at, key, console.State(string(u.State)), text))
	}
}

// loud are the waits that a person should see even when they pass.
func loud(reason workflow.WaitReason) bool {
	return reason.Person() || reason == workflow.WaitBackoff || reason == workflow.WaitOutage
}

func attemptNote(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf("attempt %d", n)
}

// doing says in a few words what an instance that is under way does.
func doing(u *workflow.Unit) string {
	a := u.Attempt()
	job := jobWords(a)
	if u.State == workflow.Running {
		if a.Job != nil && a.Job.Terminal {
			return "" // its end comes in a moment
		}
		return job
	}
	switch w := u.Wait; w.Reason {
	case workflow.WaitJob:
		if job == "" || a.Job != nil && a.Job.Terminal && w.Message != "" {
			return w.Message
		}
		return job
	case workflow.WaitApproval:
		return fmt.Sprintf("%q wants an answer", w.Message)
	case workflow.WaitBackoff:
		return fmt.Sprintf("attempt %d failed: %s; next one at %s", a.Number, failureWords(a), w.Until.Local().Format(time.TimeOnly))
	case workflow.WaitTimer:
		if w.Message != "" {
			return w.Message
		}
		return "until " + w.Until.Local().Format(time.DateTime)
	default:
		return strings.TrimSuffix(fmt.Sprintf("%s: %s", w.Reason, w.Message), ": ")
	}
}

// jobWords reads "job 12 on daint PENDING (Priority)": of the job that owns the
// token of the attempt, once that is known.
func jobWords(a *workflow.Attempt) string {
	text := ""
	if s := a.Submission; s != nil && s.JobID != "" {
		text = fmt.Sprintf("job %s on %s", s.JobID, a.System)
	}
	if j := a.Job; j != nil && (a.Submission == nil || a.Submission.JobID == j.JobID) {
		text = fmt.Sprintf("job %s on %s %s", j.JobID, a.System, j.State)
		if j.Reason != "" && j.Reason != "None" {
			text += fmt.Sprintf(" (%s)", j.Reason)
		}
	}
	return text
}

func failureWords(a *workflow.Attempt) string {
	if a.End == nil {
		return "interrupted"
	}
	return strings.TrimSuffix(fmt.Sprintf("%s: %s", a.End.Cause, firstLine(a.End.Message)), ": ")
}

// finished is the line of an instance that is done.
func (p *progress) finished(at time.Time, key unitKey, u *workflow.Unit) console.Line {
	var facts []string
	if a := u.Attempt(); a != nil && !a.EndedAt.IsZero() {
		facts = append(facts, console.Duration(a.EndedAt.Sub(a.StartedAt)))
	}
	if u.Cause != "" {
		facts = append(facts, strings.TrimSuffix(fmt.Sprintf("%s: %s", u.Cause, firstLine(u.Message)), ": "))
	}
	return p.line(at, key, console.State(string(u.State)), strings.Join(facts, "  "))
}

func (p *progress) line(at time.Time, key unitKey, state console.Text, text string) console.Line {
	line := []console.Text{state, console.Say(pad(state.S, 12) + "  "), {S: p.label(key), Style: console.Bold}}
	if text != "" {
		line = append(line, console.Say("  "+text))
	}
	return p.stamp(at, line...)
}

// stamp puts the time in front where lines are kept, such as in a log file.
func (p *progress) stamp(at time.Time, rest ...console.Text) console.Line {
	if p.out.Terminal() {
		return rest
	}
	return append(console.Line{{S: at.Local().Format(time.TimeOnly) + "  ", Style: console.Dim}}, rest...)
}

// pad is what is missing to a width.
func pad(s string, width int) string { return strings.Repeat(" ", max(0, width-console.Width(s))) }

// passing is told of facts that are gone with the process, from any goroutine.
func (p *progress) passing(run workflow.RunID, unit workflow.UnitRef, fact engine.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.active[unitKey{run, unit}]
	if now == nil {
		return
	}
	now.passing = fact.Text
	switch {
	case fact.Total > 0:
		now.passing = strings.TrimSpace(fmt.Sprintf("%s %s of %s", fact.Text, console.Bytes(fact.Done), console.Bytes(fact.Total)))
	case fact.Done > 0:
		now.passing = strings.TrimSpace(fact.Text + " " + console.Bytes(fact.Done))
	}
}

// region is what a terminal shows of now.
func (p *progress) region(now time.Time) []console.Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(p.active), func(a, b unitKey) int {
		if a.run != b.run {
			return strings.Compare(string(a.run), string(b.run))
		}
		if x, y := p.active[a].order, p.active[b].order; x != y {
			return x - y
		}
		return strings.Compare(a.unit.Instance, b.unit.Instance)
	})
	_, height := p.out.Size()
	room := max(1, height-4-len(p.totals))
	var lines []console.Line
	for i, key := range keys {
		if i == room && len(keys) > room+1 {
			lines = append(lines, console.Line{{S: fmt.Sprintf("  … and %d more", len(keys)-room), Style: console.Dim}})
			break
		}
		lines = append(lines, p.activeLine(key, now))
	}
	for _, id := range slices.Sorted(maps.Keys(p.totals)) {
		if t := p.totals[id]; !t.ended && t.above == "" {
			if t.queued != "" {
				lines = append(lines, console.Line{console.State("queued"), {S: fmt.Sprintf("  %s %s  %s", t.name, shortID(id), t.queued), Style: console.Dim}})
				continue
			}
			elapsed := ""
			if !t.started.IsZero() {
				elapsed = " · " + console.Duration(now.Sub(t.started))
			}
			lines = append(lines, console.Line{{
				S: fmt.Sprintf("%s %s  %d of %d done%s", t.name, shortID(id), t.done, t.units, elapsed), Style: console.Dim,
			}})
		}
	}
	return lines
}

func (p *progress) activeLine(key unitKey, now time.Time) console.Line {
	a := p.active[key]
	text := a.text
	if a.passing != "" {
		text = a.passing
	}
	if note := attemptNote(a.attempt); note != "" {
		text = strings.TrimSuffix(note+", "+text, ", ")
	}
	ref := p.label(key)
	return console.Line{
		a.symbol, console.Say(" "), {S: ref, Style: console.Bold},
		console.Say(pad(ref, 16) + "  " + fmt.Sprintf("%7s", console.Duration(now.Sub(a.since))) + "  "), {S: text, Style: console.Dim},
	}
}
