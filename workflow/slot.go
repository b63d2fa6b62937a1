package workflow

import "time"

// SlotOutcome says what became of an instant at which a schedule was due.
type SlotOutcome string

const (
	SlotRun     SlotOutcome = "run"     // a run was started for it
	SlotSkipped SlotOutcome = "skipped" // the schedule was paused, or overlap forbade it
	SlotMissed  SlotOutcome = "missed"  // nothing was running, or the run could not be started
)

// SlotRecord is what became of a slot, or of several in a row with the same
// outcome, none of which began a run. Its JSON form is a contract that only
// grows.
type SlotRecord struct {
	// Slot is the instant, without jitter; of several, the first.
	Slot time.Time `json:"slot"`
	// To and N are the last of several and how many there are.
	To      time.Time   `json:"to,omitzero"`
	N       int         `json:"n,omitempty"`
	Outcome SlotOutcome `json:"outcome"`
	Reason  string      `json:"reason,omitempty"`
	Run     RunID       `json:"run,omitempty"`
	BeganBy Trigger     `json:"began_by,omitempty"`
	// Pending: it is decided that the run is started, and not known that it was. Reason
	// then says why it could not be yet; it is tried again.
	Pending bool `json:"pending,omitempty"`
	// State is how the run ended, as soon as it has.
	State RunState `json:"state,omitempty"`
	// At is when the outcome was decided.
	At time.Time `json:"at"`
}

// Count is how many slots the record stands for.
func (r *SlotRecord) Count() int { return max(r.N, 1) }

// SchedulePause says who paused a schedule, when and why.
type SchedulePause struct {
	By  string    `json:"by"`
	At  time.Time `json:"at"`
	Why string    `json:"why,omitempty"`
}

// String says who paused it and why: "paused by anna: maintenance".
func (p *SchedulePause) String() string {
	text := "paused by " + p.By
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}

// ScheduleView is a schedule as listings show it. Its JSON form is a contract
// that only grows.
type ScheduleView struct {
	Workflow string `json:"workflow"`
	ID       string `json:"id"`
	Cron     string `json:"cron"`
	Timezone string `json:"timezone"`
	DST      string `json:"dst"`
	Overlap  string `json:"overlap"`
	Catchup  string `json:"catchup"`
	// Window bounds catching up, Jitter is how much later than its slot a run
	// starts: durations such as 24h.
	Window     string `json:"window,omitempty"`
	Jitter     string `json:"jitter,omitempty"`
	PauseAfter int    `json:"pause_after,omitempty"`
	// Active: a file has the schedule. Otherwise the book remembers it.
	Active bool `json:"active"`
	// FileError is what is wrong with the file now, whose version before is in use.
	FileError string `json:"file_error,omitempty"`
	// Next is the next slot, NextLocal the same on the clock of the time zone;
	// StartsAt is Next with the jitter.
	Next      time.Time      `json:"next,omitzero"`
	NextLocal string         `json:"next_local,omitempty"`
	StartsAt  time.Time      `json:"starts_at,omitzero"`
	Last      *SlotRecord    `json:"last,omitempty"`
	Paused    *SchedulePause `json:"paused,omitempty"`
	Failures  int            `json:"failures"`
	// Running are the runs of the schedule that were started and have not ended.
	Running []RunID `json:"running,omitempty"`
}

// Fillable is what a request would come to that runs be started for the slots of a
// span of time.
type Fillable struct {
	// Slots would get a run, oldest first; Already have run before.
	Slots   []time.Time `json:"slots"`
	Already int         `json:"already"`
}

// Backfilled is what a request came to that runs be started for the slots of a
// span of time. Its JSON form is a contract that only grows.
type Backfilled struct {
	// Runs are started, oldest slot first; Already have run before.
	Runs    []SlotRecord `json:"runs"`
	Already int          `json:"already"`
}
