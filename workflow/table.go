package workflow

import "fmt"

// stimulus is a column of the transition table: what can happen to a unit.
type stimulus string

const (
	onMet      stimulus = "dependencies met"
	onStart    stimulus = "may start"
	onSuccess  stimulus = "success"
	onFailure  stimulus = "failure"
	onWait     stimulus = "wait"
	onWake     stimulus = "wake or due"
	onCancel   stimulus = "cancel asked"
	onFailFast stimulus = "fail fast"
	onReopened stimulus = "reopened"
	onReset    stimulus = "reset"
	onImported stimulus = "imported"
)

// row is a line of the transition table: a state, with waiting split by what is
// waited for, and the four final states taken together.
type row string

const (
	rowPending row = "pending"
	rowReady   row = "ready"
	rowRunning row = "running"
	rowRemote  row = "waiting(job outage attention child)"
	rowLocal   row = "waiting(approval timer)"
	rowBackoff row = "waiting(backoff)"
	rowDone    row = "succeeded failed skipped cancelled"
)

// cell says what a stimulus may do to a unit in a row. An absent cell is a
// programming error: Apply returns it and the owner stops.
type cell struct {
	to   []State // states it may move to
	same bool    // may leave it as it is
}

// table is the whole of what units do. The rules for choosing within a cell are
// in docs/semantics.md.
var table = map[row]map[stimulus]cell{
	rowPending: {
		onMet:      {to: []State{Ready, Skipped, Failed}},
		onCancel:   {to: []State{Cancelled}},
		onFailFast: {to: []State{Skipped}},
		onReopened: {same: true},
		onReset:    {same: true},
		onImported: {to: []State{Succeeded, Failed, Skipped}}, // before the run is started
	},
	rowReady: {
		onStart:    {to: []State{Running, Failed}},
		onCancel:   {to: []State{Cancelled}},
		onFailFast: {to: []State{Skipped}},
		onReopened: {same: true},
		onReset:    {to: []State{Pending}},
	},
	rowRunning: {
		onSuccess:  {to: []State{Succeeded}},
		onFailure:  {to: []State{Waiting, Failed, Cancelled}},
		onWait:     {to: []State{Waiting}},
		onCancel:   {same: true}, // evidence ends it: success or failure
		onFailFast: {same: true},
		onReopened: {same: true}, // the same attempt again, or failure(interrupted)
	},
	rowRemote: {
		onWake:     {to: []State{Running}},
		onCancel:   {same: true},
		onFailFast: {same: true},
		onReopened: {same: true}, // observed before anything else
	},
	rowLocal: {
		onWake:     {to: []State{Running}},
		onCancel:   {to: []State{Cancelled}},
		onFailFast: {same: true},
		onReopened: {same: true},
	},
	rowBackoff: {
		onWake:     {to: []State{Ready}},
		onCancel:   {to: []State{Cancelled}},
		onFailFast: {same: true},
		onReopened: {same: true},
		onReset:    {to: []State{Pending}}, // for a new workflow only
	},
	rowDone: {
		onSuccess:  {same: true}, // noted as late
		onFailure:  {same: true},
		onCancel:   {same: true},
		onFailFast: {same: true},
		onReopened: {same: true},
		onReset:    {to: []State{Pending}},
	},
}

// row returns the unit's line in the table.
func (u *Unit) row() row {
	switch u.State {
	case Pending:
		return rowPending
	case Ready:
		return rowReady
	case Running:
		return rowRunning
	case Waiting:
		switch {
		case u.Wait.Reason == WaitBackoff:
			return rowBackoff
		case u.Wait.Reason.Remote(), u.Attempt().Submission.Doubtful():
			return rowRemote // a cancel must be told
		}
		return rowLocal
	}
	return rowDone
}

// moves checks a stimulus against the table. It reports whether the unit is to
// move to the given state, false when it stays.
func (u *Unit) moves(on stimulus, to State) (bool, error) {
	c, known := table[u.row()][on]
	if known {
		for _, s := range c.to {
			if s == to {
				return true, nil
			}
		}
		if c.same {
			return false, nil
		}
	}
	return false, fmt.Errorf("unit %s: %s in %s cannot lead to %s", u.Ref(), on, u.row(), to)
}
