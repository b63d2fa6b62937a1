package server

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Host is what a process offers beside the runs that it drives: those that are
// stored, and workflows, schedules and systems. Runs that it finds need not be
// driven by anybody; what is asked of one of these takes it over.
type Host interface {
	Runs
	// Search lists stored runs, newest first.
	Search(ctx context.Context, q RunQuery) (RunPage, error)
	// Show is a run as a page shows it.
	Show(ctx context.Context, id workflow.RunID) (ShownRun, error)
	// Graph says where the steps of a run are drawn.
	Graph(ctx context.Context, id workflow.RunID) (Graph, error)
	// Unit is an instance, with the values that are kept apart.
	Unit(ctx context.Context, id workflow.RunID, name string) (workflow.UnitView, error)
	// Why is the chain of evidence of an instance.
	Why(ctx context.Context, id workflow.RunID, name string) (any, error)
	// Script is the text of the job of an attempt; 0 is the newest.
	Script(ctx context.Context, id workflow.RunID, name string, attempt int) ([]byte, error)
	// Log writes what an attempt has printed from a byte on, and says whether more
	// may come and where to go on.
	Log(ctx context.Context, id workflow.RunID, q LogQuery) (LogPart, error)
	// Results are the tables of a run; CSV is one of them, written to w.
	Results(ctx context.Context, id workflow.RunID, step string) (any, error)
	CSV(ctx context.Context, id workflow.RunID, step string, w io.Writer) error
	// Start makes a run durable and has it driven.
	Start(ctx context.Context, r StartRequest) (workflow.RunID, error)
	// Rerun makes a run of the workflow of another one.
	Rerun(ctx context.Context, id workflow.RunID, r RerunRequest) (workflow.RunID, error)
	// Resume has a run go on that nobody drives, or any with another workflow.
	Resume(ctx context.Context, id workflow.RunID, r ResumeRequest) (Resumed, error)

	Workflows(ctx context.Context) ([]WorkflowInfo, error)
	Workflow(ctx context.Context, name string) (WorkflowInfo, error)

	Schedules(ctx context.Context) ([]workflow.ScheduleView, error)
	Slots(ctx context.Context, workflow, id string) ([]workflow.SlotRecord, error)
	PauseSchedule(ctx context.Context, workflow, id, by, why string) error
	ResumeSchedule(ctx context.Context, workflow, id string) error
	RunSchedule(ctx context.Context, workflow, id, by string) (workflow.RunID, error)
	Fillable(ctx context.Context, workflow, id string, from, to time.Time) (workflow.Fillable, error)
	Backfill(ctx context.Context, workflow, id string, from, to time.Time) (workflow.Backfilled, error)

	// Systems and System are what the service tells, a little old.
	Systems(ctx context.Context) (any, error)
	System(ctx context.Context, name string) (any, error)

	// Metrics writes the text form of Prometheus.
	Metrics(ctx context.Context, w io.Writer) error
	// Forms are what some of these answers look like.
	Forms() Forms
	// Identity is the version and who the process belongs to.
	Identity() (version, user string)
	// Changes is where the host tells of what changes.
	Changes() *News
}

// Forms are the answers of a host whose types belong to others: a value of each, of
// which only the type counts.
type Forms struct{ Why, Results, Systems, System any }

// RunQuery chooses runs.
type RunQuery struct {
	Workflow, State, BeganBy, Text string
	Limit                          int
	Before                         workflow.RunID
}

// RunPage is a part of a list of runs.
type RunPage struct {
	Runs []ListedRun `json:"runs"`
	// Next is where the next page begins: the parameter before.
	Next workflow.RunID `json:"next,omitempty"`
}

// ListedRun is a run in a list.
type ListedRun struct {
	workflow.Summary
	Live        bool      `json:"live"`
	Interrupted bool      `json:"interrupted"`
	Error       string    `json:"error,omitempty"` // why the rest is not known
	WaitsFor    *WaitsFor `json:"waits_for,omitempty"`
}

// WaitsFor is the concurrency group in which a queued run waits for a place.
type WaitsFor struct {
	Group  string       `json:"group"`
	Limit  int          `json:"limit"`
	HeldBy []GroupPlace `json:"held_by"`
}

// GroupPlace is a place in a group that a run has.
type GroupPlace struct {
	Run  workflow.RunID `json:"run"`
	Live bool           `json:"live"`
	Host string         `json:"host,omitempty"`
}

// ShownRun is the full picture of a run.
type ShownRun struct {
	workflow.RunView
	Live        bool      `json:"live"`
	Interrupted bool      `json:"interrupted"`
	NodeHours   *float64  `json:"node_hours,omitempty"`
	WaitsFor    *WaitsFor `json:"waits_for,omitempty"`
}

// Graph is a drawing of steps: boxes, and lines between them, in pixels.
type Graph struct {
	Nodes  []GraphNode `json:"nodes"`
	Edges  []GraphEdge `json:"edges"`
	Width  float64     `json:"width"`
	Height float64     `json:"height"`
}

// GraphNode is the box of a step.
type GraphNode struct {
	ID      string  `json:"id"`
	Uses    string  `json:"uses"`
	Finally bool    `json:"finally,omitempty"`
	X       float64 `json:"x"`
	Y       float64 `json:"y"`
	W       float64 `json:"w"`
	H       float64 `json:"h"`
}

// GraphEdge leads from a step to one that waits for it, through points.
type GraphEdge struct {
	From   string       `json:"from"`
	To     string       `json:"to"`
	Points [][2]float64 `json:"points,omitempty"`
}

// LogQuery chooses a part of what an attempt printed.
type LogQuery struct {
	Unit    string
	Attempt int    // 0 = the newest
	Stream  string // stdout or stderr
	From    int64  // byte
	Follow  bool   // the same is asked again and again: what is on a system is read at a pace
}

// LogPart is a part of what an attempt printed.
type LogPart struct {
	Text []byte
	Next int64
	All  bool // the text goes to where the log ends now
	Over bool // nothing is printed any more: the attempt has ended
}

// StartRequest asks for a run of a workflow that the server knows by name, or of
// the text of one.
type StartRequest struct {
	Workflow string `json:"workflow,omitempty"`
	Source   string `json:"source,omitempty"`
	// File is a workflow file on the machine of the server, Dir where relative paths
	// of inputs begin, OutputDir where downloads go; only the socket takes them.
	File   string                     `json:"file,omitempty"`
	Dir    string                     `json:"dir,omitempty"`
	Inputs map[string]json.RawMessage `json:"inputs,omitempty"`
	// Texts are inputs as a command line has them.
	Texts     map[string]string `json:"texts,omitempty"`
	OutputDir string            `json:"output_dir,omitempty"`
	By        string            `json:"by,omitempty"`
	// Key makes it safe to send the request again: the same request with the same key
	// makes one run, whose id is the answer each time.
	Key string `json:"key,omitempty"`
}

// RerunRequest asks for a run of the workflow of another one.
type RerunRequest struct {
	From   string            `json:"from,omitempty"` // a step
	Inputs map[string]string `json:"inputs,omitempty"`
	By     string            `json:"by,omitempty"`
	// Key is that of [StartRequest].
	Key string `json:"key,omitempty"`
}

// Started is the answer to both.
type Started struct {
	ID workflow.RunID `json:"id"`
}

// ResumeRequest asks for a run to go on: one that nobody drives, or, with a
// workflow, any.
type ResumeRequest struct {
	// Source is the text of another workflow of the same name. File is one on the
	// machine of the server, Dir where relative paths of inputs begin; only the socket
	// takes them.
	Source string `json:"source,omitempty"`
	File   string `json:"file,omitempty"`
	Dir    string `json:"dir,omitempty"`
	// Inputs are those that change, Texts the same as a command line has them.
	Inputs map[string]json.RawMessage `json:"inputs,omitempty"`
	Texts  map[string]string          `json:"texts,omitempty"`
	// DryRun only makes the plan.
	DryRun bool `json:"dry_run,omitempty"`
	// CancelRunning first ends what is under way and not as the workflow has it.
	CancelRunning bool   `json:"cancel_running,omitempty"`
	By            string `json:"by,omitempty"`
}

// Plan is what another workflow comes to for a run. Its JSON form is a contract
// that only grows.
type Plan struct {
	Run      workflow.RunID         `json:"run"`
	Workflow string                 `json:"workflow"`
	Plan     int                    `json:"plan"` // the first change of the run is 1
	PlanFile string                 `json:"plan_file,omitempty"`
	Steps    []workflow.PlannedStep `json:"steps"`
	// Units are what is done, in the order of the workflow, then what is dropped.
	Units []workflow.PlannedUnit `json:"units"`
}

// Resumed is the answer: the plan, which is empty without another workflow.
type Resumed struct {
	Plan
	// InFlight is what is under way and in the way of the workflow.
	InFlight []workflow.UnitRef `json:"in_flight,omitempty"`
	// Ended says that the run stays as it ended: nothing is to be done again.
	Ended workflow.RunState `json:"ended,omitempty"`
}

// WorkflowInfo is a workflow that the server knows.
type WorkflowInfo struct {
	Name        string `json:"name"`
	File        string `json:"file"`
	Description string `json:"description,omitempty"`
	// Error says what is wrong with the file now; the version before is in use, if
	// there is one.
	Error      string                  `json:"error,omitempty"`
	ErrorSince time.Time               `json:"error_since,omitzero"`
	Inputs     []InputInfo             `json:"inputs"`
	Schedules  []workflow.ScheduleView `json:"schedules"`
	LastRun    *ListedRun              `json:"last_run,omitempty"`
	Source     string                  `json:"source,omitempty"`
	Graph      *Graph                  `json:"graph,omitempty"`
}

// InputInfo is a declared input.
type InputInfo struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Default  json.RawMessage `json:"default,omitempty"`
	Required bool            `json:"required"`
	Doc      string          `json:"doc,omitempty"`
}

// What a change may be about.
const (
	ChangedRun      = "run"
	ChangedWorkflow = "workflow"
	ChangedSchedule = "schedule"
)

// Change is something that has changed.
type Change struct {
	Kind     string            `json:"-"`
	Run      workflow.RunID    `json:"run,omitempty"`
	Seq      int64             `json:"seq,omitempty"`
	State    workflow.RunState `json:"state,omitempty"`
	Workflow string            `json:"workflow,omitempty"`
	Schedule string            `json:"schedule,omitempty"`
}
