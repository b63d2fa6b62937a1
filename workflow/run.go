package workflow

import (
	"slices"
	"time"
)

// Run is the folded state of one execution of a workflow. [Apply] is the only
// thing that changes it; beside the state it keeps the counters, queues and
// timers that let a decision be made without looking at every unit.
type Run struct {
	ID       RunID
	Workflow *Workflow
	Created  RunCreated

	State   RunState
	Cause   Cause
	Message string
	// Result is what the run will end as, fixed when the last unit of `steps` is
	// done; "" before.
	Result  RunState
	Outputs Body
	// Round counts how often the run was begun: once, and again with each reset of
	// one that had ended.
	Round int

	Seq       int64
	Epoch     int64
	CreatedAt time.Time
	// QueuedAt is when it was created or last begun again.
	QueuedAt  time.Time
	StartedAt time.Time
	EndedAt   time.Time

	Sites          map[string]RunBound
	CancelRequests int
	CancelledBy    string
	TimedOut       bool
	// Requests are those to FirecREST that attempts have made, by operation.
	Requests map[string]int

	Steps []*StepRun // by Step.Index
	byID  map[string]*StepRun

	// Replans counts how often it went on with another workflow.
	Replans    int
	definition []byte                      // that comes next, as far as it is on record
	gone       map[string]map[string]*Unit // of steps that the workflow has no more, by step and key

	controls map[string]bool // control directories that tokens were to be claimed in

	roundAt     time.Time // when this round was started
	openMain    int       // steps of `steps` that are not done
	openFinally int
	running     int
	jobs        map[string]int // by system: units that hold a place in its queue
	inputs      map[string]any // decoded once
	failedSteps []string       // in order of failure
	sources     []RunID        // in which imported units were done
	badMain     bool
	badFinally  bool
	cancelled   bool // a unit of `steps` is cancelled

	expand queue[*StepRun] // instances can be told, and are not on record
	judge  queue[*Unit]    // dependencies met, condition not judged
	ring   queue[*StepRun] // steps with ready units, round robin
	wakes  queue[wake]
	timers timers

	changed []*Unit
}

// StepRun is a step within a run.
type StepRun struct {
	Step  *Step
	Units []*Unit
	byKey map[string]*Unit

	expanded   bool // has all its units
	dimensions []string
	items      []any      // of its list, as far as they are on record
	planned    *expansion // computed once
	instances  []any      // as expressions see them, once the step is done
	pairs      []*StepRun // steps that go through its units
	// former are the units it had before its instances were told anew, by key.
	former map[string]*Unit

	counts     map[State]int
	backoff    int // of the waiting ones
	open       int // units that are not done
	unmet      int // barriers that are not done
	dependents []*StepRun
	ready      queue[turn]
	inRing     bool
	bad        int
	badRoot    *Unit // root cause of the first bad unit
	badNotStop int   // bad units whose root cause is not a cancellation
}

// Unit is one instance of a step; a step without fan-out has one, with the
// empty key.
type Unit struct {
	Step     *StepRun
	Instance string

	State State
	Since time.Time
	// Cause and Message say why the unit is done; in backoff and while it is ready
	// again, why its last attempt failed.
	Cause    Cause
	Message  string
	Good     bool // meaningful when done
	Root     *Unit
	Wait     AttemptWaiting // meaningful while waiting
	Attempts []*Attempt
	Outputs  Body

	place  int   // within its step
	values []any // of the dimensions of the step, or the item of its list
	source *Unit // that it is paired with

	// Imported is set while it stands as it ended in another run.
	Imported   *UnitImported
	before     int  // attempts before the last reset
	kept       bool // was done, or under way, when the workflow was replaced; nobody has taken it yet
	gen        int  // rises with each move; older timers and wakes are void
	unobserved bool
	system     string
	systemErr  error
	outputs    map[string]any // decoded once, when first read
}

// Attempt is one try of a unit.
type Attempt struct {
	Number    int
	StartedAt time.Time
	EndedAt   time.Time
	With      Body
	System    string
	Deadline  time.Time
	// SpecVersion is the version of the step type, 0 for the first.
	SpecVersion int
	// Expired is the cause once a deadline has passed.
	Expired Cause
	// QueuedAt is when its job became known: accepted, or first seen if another
	// step submitted it. queue_timeout counts from it until LeftQueue, which
	// stays, also when the job is queued again.
	QueuedAt    time.Time
	LeftQueue   bool
	Checkpoints map[string]Body
	Submission  *Submission
	Job         *JobObserved
	Approval    *Approval // the answer of a person
	End         *AttemptFinished

	unheard bool // a person said what became of its submission while it ran
}

// turn is that of a unit in the queue of its step; void once the unit has moved on,
// also if it comes back.
type turn struct {
	unit *Unit
	gen  int
}

func (t turn) void() bool { return t.unit.gen != t.gen || t.unit.State != Ready }

type wake struct {
	unit *Unit
	gen  int
	why  WakeReason
}

// NewRun returns the state before the first event of a run of w.
func NewRun(w *Workflow) *Run {
	all := w.AllSteps()
	r := &Run{
		Workflow: w, State: RunQueued, Round: 1, Sites: map[string]RunBound{}, jobs: map[string]int{}, controls: map[string]bool{},
		Steps: make([]*StepRun, len(all)), byID: make(map[string]*StepRun, len(all)),
	}
	for i, s := range all {
		r.Steps[i] = &StepRun{
			Step: s, byKey: map[string]*Unit{}, counts: make(map[State]int, 4), unmet: len(s.Barriers),
		}
		r.byID[s.ID] = r.Steps[i]
		if s.Finally {
			r.Steps[i].unmet++ // all of `steps`
			r.openFinally++
		} else {
			r.openMain++
		}
	}
	for i, s := range all {
		for _, b := range s.Barriers {
			r.Steps[b].dependents = append(r.Steps[b].dependents, r.Steps[i])
		}
		if s.Pair != nil {
			source := r.Steps[s.Pair.Index]
			source.pairs = append(source.pairs, r.Steps[i])
		}
	}
	return r
}

// Ref names the unit.
func (u *Unit) Ref() UnitRef { return UnitRef{Step: u.Step.Step.ID, Instance: u.Instance} }

// Attempt returns the newest attempt; nil before the first.
func (u *Unit) Attempt() *Attempt {
	if len(u.Attempts) == 0 {
		return nil
	}
	return u.Attempts[len(u.Attempts)-1]
}

// Step finds a step by id.
func (r *Run) Step(id string) (*StepRun, bool) {
	s, ok := r.byID[id]
	return s, ok
}

// Unit finds a unit by name.
func (r *Run) Unit(ref UnitRef) (*Unit, bool) {
	s, ok := r.byID[ref.Step]
	if !ok {
		return nil, false
	}
	return s.Unit(ref.Instance)
}

// Unit finds an instance of the step by its key; "" is the only unit of a step
// without fan-out.
func (s *StepRun) Unit(instance string) (*Unit, bool) {
	u, ok := s.byKey[instance]
	return u, ok
}

// State of a step: of its only unit, or what its instances come to.
func (s *StepRun) State() State {
	if len(s.Units) == 1 && s.Units[0].Instance == "" {
		return s.Units[0].State
	}
	switch {
	case !s.expanded:
		return Pending
	case s.counts[Running] > 0:
		return Running
	case s.open > 0 && s.counts[Waiting] > 0:
		return Waiting
	case s.open > 0 && s.counts[Ready] > 0:
		return Ready
	case s.open > 0:
		return Pending
	case len(s.Units) > 0 && s.counts[Skipped] == len(s.Units):
		return Skipped
	case s.bad == 0:
		return Succeeded
	case s.bad == s.counts[Cancelled]:
		return Cancelled
	}
	return Failed
}

// Count returns how many of the step's units are in a state.
func (s *StepRun) Count(state State) int { return s.counts[state] }

// InQueue is how many of the step's units count against max_parallel: running,
// or waiting for anything but the next attempt.
func (s *StepRun) InQueue() int { return s.counts[Running] + s.counts[Waiting] - s.backoff }

// Cancelling reports whether units of that part of the workflow are being
// cancelled: `steps` after one request or the run's timeout, `finally` after a
// second request, all of a run that has not started after one.
func (r *Run) Cancelling(s *Step) bool {
	if s.Finally && r.State != RunQueued {
		return r.CancelRequests > 1
	}
	return r.CancelRequests > 0 || r.TimedOut
}

// Finishable reports whether every unit is done, so that the run can end. A run
// that has not started ends only by a cancel.
func (r *Run) Finishable() bool {
	begun := r.State == RunRunning || r.State == RunQueued && r.CancelRequests > 0
	return begun && r.openMain == 0 && r.openFinally == 0
}

// End is the state the run ends in, with its cause.
func (r *Run) End() (RunState, Cause) {
	if r.State == RunQueued {
		return RunCancelled, ""
	}
	state, cause := r.Result, Cause("")
	if r.TimedOut && state == RunFailed {
		cause = CauseTimedOut
	}
	if state == RunSucceeded && r.badFinally {
		state = RunFailed
	}
	return state, cause
}

// Running is how many units are running.
func (r *Run) Running() int { return r.running }

// JobsOn is how many units of a system hold a place in its queue.
func (r *Run) JobsOn(system string) int { return r.jobs[system] }

// SystemOf evaluates which system the next attempt of a remote unit runs on,
// once; "" for a unit that is not remote.
func (r *Run) SystemOf(u *Unit, blobs BlobReader) (string, error) {
	if u.system == "" && u.systemErr == nil {
		u.system, u.systemErr = r.evalSystem(u, blobs)
	}
	return u.system, u.systemErr
}

// TakeChanged returns the units that moved since the last call, each once.
func (r *Run) TakeChanged() []*Unit {
	seen := make(map[*Unit]bool, len(r.changed))
	changed := slices.DeleteFunc(r.changed, func(u *Unit) bool {
		before := seen[u]
		seen[u] = true
		return before
	})
	r.changed = nil
	return changed
}

// Blocked returns the root cause of a bad dependency; nil if none is bad.
func (r *Run) Blocked(u *Unit) *Unit {
	if root := r.blockedBy(u.Step); root != nil {
		return root
	}
	if u.source != nil && !u.source.Good {
		return u.source.Root
	}
	return nil
}

// blockedBy looks at the barriers of a step.
func (r *Run) blockedBy(s *StepRun) *Unit {
	for _, b := range s.Step.Barriers {
		if dep := r.Steps[b]; dep.bad > 0 {
			return dep.badRoot
		}
	}
	return nil
}

// MissingValue returns the first unit whose outputs u needs and that did not
// succeed; nil if there is none.
func (r *Run) MissingValue(u *Unit) *Unit {
	if source := r.firstMissing(u.Step.Step.Values); source != nil {
		return source
	}
	if u.needsSource() && u.source.State != Succeeded {
		return u.source
	}
	return nil
}

// firstMissing looks at steps that a step takes values of; none of them fans out.
func (r *Run) firstMissing(steps []int) *Unit {
	for _, v := range steps {
		for _, source := range r.Steps[v].Units {
			if source.State != Succeeded {
				return source
			}
		}
	}
	return nil
}

// needsSource reports whether the unit cannot run unless the one that it is
// paired with has succeeded.
func (u *Unit) needsSource() bool { return u.source != nil && u.Step.Step.PairValue }

// valuesGood reports whether every missing value comes from a good unit.
func (r *Run) valuesGood(u *Unit) bool {
	for _, v := range u.Step.Step.Values {
		for _, source := range r.Steps[v].Units {
			if source.State != Succeeded && !source.Good {
				return false
			}
		}
	}
	return !u.needsSource() || u.source.Good
}

// holdsJobPlace reports whether a unit counts against the jobs of its system.
func (u *Unit) holdsJobPlace() bool {
	if !u.live() {
		return false
	}
	spec := u.Step.Step.Spec()
	return spec != nil && spec.Job
}

// ToJudge yields units whose dependencies are met and whose condition must be
// judged, oldest first.
func (r *Run) ToJudge(yield func(*Unit) bool) {
	r.judge.each(func(u *Unit) bool { return u.State != Pending || yield(u) })
}

// ReadySteps yields the steps that have ready units, in round-robin order.
func (r *Run) ReadySteps(yield func(*StepRun) bool) {
	r.ring.each(func(s *StepRun) bool { return s.counts[Ready] == 0 || yield(s) })
}

// HasReady reports whether a unit could start if there were room for it.
func (r *Run) HasReady() bool { return r.ring.len() > 0 }

// ReadyUnits yields a step's ready units, oldest first.
func (s *StepRun) ReadyUnits(yield func(*Unit) bool) {
	s.ready.each(func(t turn) bool { return t.void() || yield(t.unit) })
}

// ToWake yields waiting units that must be entered again, with the reason.
func (r *Run) ToWake(yield func(*Unit, WakeReason) bool) {
	r.wakes.each(func(w wake) bool { return w.void() || yield(w.unit, w.why) })
}

// live reports whether an attempt of the unit is under way.
func (u *Unit) live() bool {
	return u.State == Running || u.State == Waiting && u.Wait.Reason != WaitBackoff
}

func (w wake) void() bool { return w.unit.gen != w.gen || w.unit.State != Waiting }

// countRequests adds what an attempt has asked FirecREST for.
func (r *Run) countRequests(made map[string]int) {
	if len(made) == 0 {
		return
	}
	if r.Requests == nil {
		r.Requests = map[string]int{}
	}
	for operation, n := range made {
		r.Requests[operation] += n
	}
}
