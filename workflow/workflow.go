package workflow

import "time"

// Pos is a place in a workflow file. Line and Column count from 1, columns
// count characters, not bytes. The zero Pos means "no place known".
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Workflow is one parsed and checked workflow file. Everything in it is
// immutable after [Parse] and [Check]; one value may serve many runs.
type Workflow struct {
	// File is the name the caller gave, used in messages; Source is the text.
	File   string
	Source []byte

	Name        string
	Description string
	Requires    string // oldest version that will do, such as ">=0.3"; "" = any
	RequiresPos Pos

	Inputs      []*Input
	Secrets     []*Secret
	Defaults    *Defaults
	Schedules   []*Schedule
	Concurrency *Concurrency
	Retention   *Retention // nil = runs are kept

	// Timeout bounds the whole run, FinallyTimeout what may follow a cancel.
	Timeout        time.Duration // 0 = none
	FinallyTimeout time.Duration // default 10 min

	Steps   []*Step
	Finally []*Step
	Outputs []*NamedValue

	index *index // filled by Check
	base  string // filled by Check: the name of the file within its directory
}

// Input is a declared input of a workflow.
type Input struct {
	Name        string
	Type        Type
	Description string
	Default     *Value // nil = required
	Pos         Pos
}

// Secret is the declared name of a secret; its value never enters a Workflow.
type Secret struct {
	Name string
	Pos  Pos
}

// Defaults are values for the inputs of the same name of every step type that
// has them: system, account, workdir, remote_root.
type Defaults struct {
	Values []*NamedValue
	Pos    Pos
}

// NamedValue is a key of a mapping with its value.
type NamedValue struct {
	Name  string
	Value *Value
	Pos   Pos
}

// Schedule is one cron line of a workflow. The scheduler package checks it.
type Schedule struct {
	ID       string // default "default"
	Cron     string
	Timezone string // IANA name; "" = UTC
	DST      string // once (default) or skip
	Overlap  string // skip (default), queue, cancel_running, allow
	Catchup  Catchup
	Jitter   time.Duration
	Inputs   []*NamedValue
	// PauseAfter failures in a row the schedule pauses itself; 0 = never.
	PauseAfter int
	Pos        Pos
	CronPos    Pos
	ZonePos    Pos
}

// Catchup says what happens to slots missed while nothing was running.
type Catchup struct {
	Window time.Duration
	Keep   string // none (default), latest, all
	Pos    Pos
}

// Concurrency is the group a run belongs to.
type Concurrency struct {
	Group      *Value
	Limit      int    // default 1
	OnConflict string // queue (default), skip, cancel_running
	Pos        Pos
}

// Retention says which runs of a workflow are kept that went well.
type Retention struct {
	Runs int           // this many of the newest, whatever their age
	Age  time.Duration // those that ended no longer ago, however many
	Pos  Pos
}

// Step is a node of a workflow.
type Step struct {
	ID      string
	Name    string // for people; "" = ID
	Uses    string
	Index   int  // position in Workflow.AllSteps
	Finally bool // belongs to Workflow.Finally
	Pos     Pos
	UsesPos Pos

	Needs []Reference
	If    *Value // nil = the default condition
	With  *Value // a mapping; nil = empty

	Matrix      *Matrix
	ForEach     *ForEach
	MaxParallel int // 0 = no limit of its own
	FailFast    bool

	ContinueOnError bool
	Retry           []*RetryRule
	MaxAttempts     int // default 10
	Timeout         time.Duration
	QueueTimeout    time.Duration
	GiveUpAfter     time.Duration // 0 = unlimited patience with an API that is down

	// Derived by Check. Barriers and Values are indexes into AllSteps, sorted,
	// without duplicates. Every value is also a barrier, but for what a step of
	// finally reads of Steps, which is done before it starts.
	Barriers []int
	Values   []int
	// ListValues are those of Values that the list of for_each needs.
	ListValues []int
	// Pair is the step whose instances this one goes through. It is no barrier: a
	// unit waits for its own source. PairValue: that must have succeeded.
	Pair      *Step
	PairValue bool
	// StatusIf is true when If names a status function.
	StatusIf bool

	// Written is the mapping as it stands in the file, for the places of its keys.
	Written *Value

	spec  *StepSpec // filled by Check
	plan  *plan     // filled by Check
	child *Workflow // filled by Check
}

// Reference is an id written in a list such as needs.
type Reference struct {
	ID  string
	Pos Pos
}

// Matrix is the fan-out over a product of dimensions.
type Matrix struct {
	Dimensions []*NamedValue
	Include    *Value
	Exclude    *Value
	Pos        Pos
}

// ForEach is the fan-out over another step's instances (Step != "") or over a
// list (List != nil).
type ForEach struct {
	Step string
	List *Value
	Pos  Pos
}

// RetryRule says what to do after a failure with one of its causes.
type RetryRule struct {
	Causes []Cause
	Max    int                // how often this rule may be used
	Grow   map[string]float64 // resource key → factor
	Until  map[string]*Value  // resource key → upper bound
	Pos    Pos

	// Written is the mapping as it stands in the file, for the places of its keys.
	Written *Value
}

// AllSteps lists Steps, then Finally; Step.Index is the position in it.
func (w *Workflow) AllSteps() []*Step {
	all := make([]*Step, 0, len(w.Steps)+len(w.Finally))
	return append(append(all, w.Steps...), w.Finally...)
}
