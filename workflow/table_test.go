package workflow

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// history builds runs by applying events, the way an owner does.
type history struct {
	t   *testing.T
	run *Run
	now time.Time
}

// newHistory starts a run of three steps: a, b that needs a, and c without
// anything before it, which the rows of the table are tried on.
func newHistory(t *testing.T) *history {
	t.Helper()
	steps := []*Step{
		{ID: "a", Index: 0, MaxAttempts: 10},
		{ID: "b", Index: 1, MaxAttempts: 10, Barriers: []int{0}},
		{ID: "c", Index: 2, MaxAttempts: 10},
	}
	h := &history{
		t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		run: NewRun(&Workflow{Name: "w", Steps: steps, FinallyTimeout: time.Minute}),
	}
	h.must("", 0, &RunCreated{ID: "r", Nonce: "n"})
	h.must("", 0, &RunStarted{})
	return h
}

func (h *history) apply(step string, attempt int, p Payload) error {
	h.now = h.now.Add(time.Second)
	epoch := max(h.run.Epoch, 1)
	if _, ok := p.(*RunOpened); ok {
		epoch++
	}
	return Apply(h.run, &Event{Seq: h.run.Seq + 1, At: h.now, Epoch: epoch, Step: step, Attempt: attempt, Data: p})
}

func (h *history) must(step string, attempt int, p Payload) {
	h.t.Helper()
	if err := h.apply(step, attempt, p); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) unit(step string) *Unit {
	h.t.Helper()
	u, ok := h.run.Unit(UnitRef{Step: step})
	if !ok {
		h.t.Fatalf("no unit %s", step)
	}
	return u
}

// rows brings the unit under test into each row of the table.
var rows = map[row]func(*history) *Unit{
	rowPending: func(h *history) *Unit { return h.unit("b") },
	rowReady:   func(h *history) *Unit { return h.unit("c") },
	rowRunning: func(h *history) *Unit {
		h.must("c", 1, &AttemptStarted{})
		return h.unit("c")
	},
	rowRemote: func(h *history) *Unit {
		h.must("c", 1, &AttemptStarted{})
		h.must("c", 1, &AttemptWaiting{Reason: WaitJob, Topic: "job:x"})
		return h.unit("c")
	},
	rowLocal: func(h *history) *Unit {
		h.must("c", 1, &AttemptStarted{})
		h.must("c", 1, &AttemptWaiting{Reason: WaitApproval})
		return h.unit("c")
	},
	rowBackoff: func(h *history) *Unit {
		h.must("c", 1, &AttemptStarted{})
		h.must("c", 1, &AttemptFinished{State: Failed, Cause: CauseAPI, Retry: &Retry{At: h.now.Add(time.Hour), Rule: -1}})
		return h.unit("c")
	},
	rowDone: func(h *history) *Unit {
		h.must("c", 1, &AttemptStarted{})
		h.must("c", 1, &AttemptFinished{State: Succeeded})
		return h.unit("c")
	},
}

// stimuli are the ways each column can happen, by the state it should lead to.
// Fail fast has no event yet.
var stimuli = map[stimulus]map[State]func(h *history, u *Unit) error{
	onMet: {
		Ready: func(h *history, u *Unit) error { return h.apply(u.Step.Step.ID, 0, &UnitReady{}) },
		Skipped: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, 0, &UnitSkipped{Cause: CauseConditionFalse})
		},
		Failed: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, 0, &UnitFailed{Cause: CauseExpression})
		},
	},
	onStart: {
		Running: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, len(u.Attempts)+1, &AttemptStarted{})
		},
		Failed: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, 0, &UnitFailed{Cause: CauseExpression})
		},
	},
	onSuccess: {
		Succeeded: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, len(u.Attempts), &AttemptFinished{State: Succeeded})
		},
	},
	onFailure: {
		Failed: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, len(u.Attempts), &AttemptFinished{State: Failed, Cause: CauseExit})
		},
		Cancelled: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, len(u.Attempts), &AttemptFinished{State: Cancelled})
		},
		Waiting: func(h *history, u *Unit) error {
			retry := &Retry{At: h.now.Add(time.Minute), Rule: -1}
			return h.apply(u.Step.Step.ID, len(u.Attempts), &AttemptFinished{State: Failed, Cause: CauseAPI, Retry: retry})
		},
	},
	onWait: {
		Waiting: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, len(u.Attempts), &AttemptWaiting{Reason: WaitJob})
		},
	},
	onWake: {
		Running: func(h *history, u *Unit) error {
			return h.apply(u.Step.Step.ID, len(u.Attempts), &AttemptWoken{Why: WakeTopic})
		},
		Ready: func(h *history, u *Unit) error { return h.apply(u.Step.Step.ID, 0, &BackoffEnded{}) },
	},
	onCancel: {
		Cancelled: func(h *history, _ *Unit) error { return h.apply("", 0, &CancelRequested{By: "test"}) },
	},
	onImported: {
		Succeeded: func(h *history, u *Unit) error { return imported(h, u, &UnitImported{State: Succeeded}) },
		Failed:    func(h *history, u *Unit) error { return imported(h, u, &UnitImported{State: Failed, Cause: CauseExit}) },
		Skipped: func(h *history, u *Unit) error {
			return imported(h, u, &UnitImported{State: Skipped, Cause: CauseConditionFalse})
		},
	},
	onReset: {
		Pending: func(h *history, u *Unit) error {
			u.Step.Step.If = &Value{}      // so that it does not become ready at once
			exact := u.row() == rowBackoff // that only a new workflow resets
			return h.apply("", 0, &UnitsReset{Units: []UnitRef{u.Ref()}, Force: true, Exact: exact, By: "test"})
		},
	},
	onReopened: {
		Pending: func(h *history, _ *Unit) error { return h.apply("", 0, &RunOpened{}) },
	},
}

// imported applies an import, which comes before the run is started.
func imported(h *history, u *Unit, p *UnitImported) error {
	h.run.State, u.Step.Step.ContinueOnError = RunQueued, true
	return h.apply(u.Step.Step.ID, 0, p)
}

// TestTransitionTable walks every cell: a stimulus leads where the table says,
// and is refused where the table has no cell.
func TestTransitionTable(t *testing.T) {
	t.Parallel()
	for r, bring := range rows {
		for on, ways := range stimuli {
			for to, way := range ways {
				// One event says that a unit failed without an attempt; the state it was
				// in tells whether it was judged or about to start.
				if to == Failed && (r == rowReady && on == onMet || r == rowPending && on == onStart) {
					continue
				}
				t.Run(strings.Join([]string{string(r), string(on), string(to)}, "/"), func(t *testing.T) {
					t.Parallel()
					h := newHistory(t)
					u := bring(h)
					if u.row() != r {
						t.Fatalf("the unit is in row %q", u.row())
					}
					before, err := u.State, way(h, u)
					checkCell(t, table[r], on, to, u, before, err)
				})
			}
		}
	}
}

func checkCell(t *testing.T, cells map[stimulus]cell, on stimulus, to State, u *Unit, before State, err error) {
	t.Helper()
	c, known := cells[on]
	switch {
	case known && slices.Contains(c.to, to):
		if err != nil || u.State != to {
			t.Errorf("state %s, error %v; want %s", u.State, err, to)
		}
	case known && c.same:
		if err != nil || u.State != before {
			t.Errorf("state %s, error %v; want %s unchanged", u.State, err, before)
		}
	default:
		if err == nil || u.State != before {
			t.Errorf("state %s, error %v; want a refusal", u.State, err)
		}
	}
}

// TestTableIsComplete: every row and every column of the documentation is in
// the table, and each cell that is allowed is tried by TestTransitionTable.
func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	if len(table) != len(rows) {
		t.Errorf("%d rows in the table, %d tried", len(table), len(rows))
	}
	later := map[stimulus]bool{onFailFast: true}
	for r, cells := range table {
		for on, c := range cells {
			if later[on] {
				continue
			}
			for _, to := range c.to {
				if stimuli[on][to] == nil {
					t.Errorf("%s: nothing tries %q leading to %s", r, on, to)
				}
			}
		}
	}
}
