package crashtest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// result is how a kill came out.
type result string

const (
	endedWell result = "ended like a run that was never killed"
	notBegun  result = "came before there was a run"
	tooLate   result = "came when the process had ended"
	wrong     result = "ended wrong"
)

var results = []result{endedWell, notBegun, tooLate, wrong}

// clean is what a run looks like that nobody disturbs.
type clean struct {
	took    time.Duration
	commits []commit
	outputs map[string]any
	files   map[string]string
	jobs    map[string]bool // by name in the ledger: whether the payload is in a job
}

// undisturbed runs the workflow once.
func undisturbed(t *testing.T) *clean {
	t.Helper()
	l := newLab(t)
	began := time.Now()
	l.run(l.everything()...)
	c := &clean{took: time.Since(began), commits: l.commits(), outputs: l.show("last").Outputs, files: l.downloaded(), jobs: map[string]bool{}}
	for _, s := range l.ledger() {
		if _, twice := c.jobs[s.name]; twice {
			t.Fatalf("%s was started twice: %v", s.name, l.ledger())
		}
		c.jobs[s.name] = s.job != ""
	}
	if d := cmp.Diff(map[string]any{"text": "heat 6", "queued": "COMPLETED", "never": "skipped", "digest": c.outputs["digest"]}, c.outputs); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff(map[string]string{"heat.txt": "heat 6\n"}, c.files); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff(map[string]bool{"note": false, "heat": true, "cool": true, "queue": true, "read": false, "tidy": false}, c.jobs); d != "" {
		t.Fatal(d)
	}
	return c
}

// kinds lists the kinds of events of the run.
func (c *clean) kinds() []string {
	var kinds []string
	for _, commit := range c.commits {
		kinds = append(kinds, commit.Kinds...)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// holding counts the commits that hold an event of a kind.
func (c *clean) holding(kind string) int {
	n := 0
	for _, commit := range c.commits {
		if slices.Contains(commit.Kinds, kind) {
			n++
		}
	}
	return n
}

// judge compares how a run ended with the clean one. p is the process that
// brought it to its end; stored is the history at each kill before.
func (c *clean) judge(l *lab, p *process, stored ...[]event) result {
	l.t.Helper()
	if code := p.exit(); code != 0 {
		l.t.Errorf("%s exits with %d", p.cmd, code)
	}
	if d := cmp.Diff(c.outputs, l.show("last").Outputs); d != "" {
		l.t.Errorf("outputs: %s", d)
	}
	if d := cmp.Diff(c.files, l.downloaded()); d != "" {
		l.t.Errorf("files: %s", d)
	}
	history := l.events("last")
	for _, before := range stored {
		judgeHistory(l.t, before, history)
	}
	c.judgePayloads(l, stored)
	judgeBatch(l, c)
	if l.t.Failed() {
		for _, e := range history {
			l.t.Log(e.original)
		}
		return wrong
	}
	return endedWell
}

// judgeHistory checks that what was stored at a kill is still there, and that
// nothing happened to a step after it was done.
func judgeHistory(t *testing.T, before, history []event) {
	t.Helper()
	if len(history) < len(before) {
		t.Fatalf("%d events are left of %d", len(history), len(before))
	}
	for i, e := range before {
		if history[i].original != e.original {
			t.Errorf("event %d was %sand is %s", i+1, e.original, history[i].original)
		}
	}
	done := map[string]bool{}
	for i, e := range history {
		if e.Seq != int64(i+1) {
			t.Errorf("event %d has number %d", i+1, e.Seq)
		}
		if e.Step != "" && done[e.Step] {
			t.Errorf("step %s goes on after its end: %s", e.Step, e.original)
		}
		if e.Kind == "attempt.finished" {
			done[e.Step] = true
			if e.Data.State != "succeeded" || e.Attempt != 1 {
				t.Errorf("an attempt did not simply succeed: %s", e.original)
			}
		}
	}
}

// judgePayloads counts what really ran. Jobs run once; so does a local command,
// unless a kill came while it ran, for it may run again by its own word.
func (c *clean) judgePayloads(l *lab, stored [][]event) {
	l.t.Helper()
	starts := map[string]int{}
	for _, s := range l.ledger() {
		starts[s.name]++
	}
	for name, n := range starts {
		if _, known := c.jobs[name]; !known {
			l.t.Errorf("%s was started %d times, in the clean run never", name, n)
		}
	}
	for name, job := range c.jobs {
		most := 1
		for _, before := range stored {
			if !job && running(before, name) {
				most++
			}
		}
		if n := starts[name]; n < 1 || n > most {
			l.t.Errorf("%s was started %d times, want 1 to %d", name, n, most)
		}
	}
}

// running reports whether an attempt of a step was under way.
func running(stored []event, step string) bool {
	under := false
	for _, e := range stored {
		if e.Step == step {
			switch e.Kind {
			case "attempt.started":
				under = true
			case "attempt.finished":
				under = false
			}
		}
	}
	return under
}

// judgeBatch compares the account of the batch system with that of the
// payloads.
func judgeBatch(l *lab, c *clean) {
	l.t.Helper()
	accepted, begun := map[string]int{}, map[string]int{}
	for _, b := range l.batch() {
		switch b.Event {
		case "accepted":
			accepted[b.Name]++
		case "started":
			begun[b.ID]++
		}
	}
	for name, n := range accepted {
		if n != 1 {
			l.t.Errorf("job %s was accepted %d times", name, n)
		}
	}
	want := map[string]int{}
	for _, s := range l.ledger() {
		if s.job != "" {
			want[s.job]++
		}
	}
	if d := cmp.Diff(want, begun); d != "" {
		l.t.Errorf("jobs as their payloads tell and as the batch system tells: %s", d)
	}
	jobs := 0
	for _, job := range c.jobs {
		if job {
			jobs++
		}
	}
	if len(accepted) != jobs {
		l.t.Errorf("%d jobs were accepted, want %d", len(accepted), jobs)
	}
}
