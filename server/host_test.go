package server

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
	"sync"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// diary is a host that has one of everything, with every member set, and writes
// down what it is asked.
type diary struct {
	mu    sync.Mutex
	asked []string
	run   *history
	news  News
}

func newDiary() *diary { return &diary{run: newHistory("A", &workflow.RunCreated{ID: "A"})} }

func (d *diary) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, what)
}

// take returns what was asked since the last time.
func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	d.run.mu.Lock()
	defer d.run.mu.Unlock()
	for range len(d.run.cancels) + len(d.run.words) + len(d.run.retries) + len(d.run.answers) {
		asked = append(asked, "change")
	}
	d.run.cancels, d.run.words, d.run.retries, d.run.answers = nil, nil, nil, nil
	return asked
}

// sample is a value with every member set.
func sample[T any]() (v T) {
	fill(reflect.ValueOf(&v).Elem(), 0)
	return v
}

func fill(v reflect.Value, depth int) {
	switch {
	case depth > 9:
		return
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
		return
	case v.Type() == reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`{"a":[1]}`))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("secret-of-the-run")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"a": "secret-of-the-run"}))
	}
}

func (d *diary) List(context.Context) ([]workflow.Summary, error) {
	d.note("list")
	return sample[[]workflow.Summary](), nil
}

func (d *diary) Find(context.Context, workflow.RunID) (Run, error) {
	d.note("find")
	return d.run, nil
}

func (d *diary) Search(context.Context, RunQuery) (RunPage, error) {
	d.note("search")
	return sample[RunPage](), nil
}

func (d *diary) Show(context.Context, workflow.RunID) (ShownRun, error) {
	d.note("show")
	run := sample[ShownRun]()
	run.Steps[0].ID = "A"
	return run, nil
}

func (d *diary) Graph(context.Context, workflow.RunID) (Graph, error) {
	d.note("graph")
	return sample[Graph](), nil
}

func (d *diary) Unit(context.Context, workflow.RunID, string) (workflow.UnitView, error) {
	d.note("unit")
	return sample[workflow.UnitView](), nil
}

func (d *diary) Why(context.Context, workflow.RunID, string) (any, error) {
	d.note("why")
	return sample[diaryChain](), nil
}

func (d *diary) Script(context.Context, workflow.RunID, string, int) ([]byte, error) {
	d.note("script")
	return []byte("secret-of-the-run"), nil
}

func (d *diary) Log(_ context.Context, _ workflow.RunID, q LogQuery) (LogPart, error) {
	d.note("log")
	text := "secret-of-the-run"[min(int(q.From), 17):]
	return LogPart{Text: []byte(text), Next: 17, Over: true}, nil
}

func (d *diary) Results(context.Context, workflow.RunID, string) (any, error) {
	d.note("results")
	return sample[diaryTable](), nil
}

func (d *diary) CSV(context.Context, workflow.RunID, string, io.Writer) error {
	d.note("csv")
	return nil
}

func (d *diary) Start(context.Context, StartRequest) (workflow.RunID, error) {
	d.note("start")
	return "B", nil
}

func (d *diary) Rerun(context.Context, workflow.RunID, RerunRequest) (workflow.RunID, error) {
	d.note("rerun")
	return "B", nil
}

func (d *diary) Resume(context.Context, workflow.RunID, ResumeRequest) (Resumed, error) {
	d.note("resume")
	return sample[Resumed](), nil
}

func (d *diary) Workflows(context.Context) ([]WorkflowInfo, error) {
	d.note("workflows")
	return sample[[]WorkflowInfo](), nil
}

func (d *diary) Workflow(context.Context, string) (WorkflowInfo, error) {
	d.note("workflow")
	return sample[WorkflowInfo](), nil
}

func (d *diary) Schedules(context.Context) ([]workflow.ScheduleView, error) {
	d.note("schedules")
	return sample[[]workflow.ScheduleView](), nil
}

func (d *diary) Slots(context.Context, string, string) ([]workflow.SlotRecord, error) {
	d.note("slots")
	return sample[[]workflow.SlotRecord](), nil
}

func (d *diary) PauseSchedule(context.Context, string, string, string, string) error {
	d.note("pause")
	return nil
}

func (d *diary) ResumeSchedule(context.Context, string, string) error {
	d.note("resume")
	return nil
}

func (d *diary) RunSchedule(context.Context, string, string, string) (workflow.RunID, error) {
	d.note("run")
	return "B", nil
}

func (d *diary) Fillable(context.Context, string, string, time.Time, time.Time) (workflow.Fillable, error) {
	d.note("fillable")
	return sample[workflow.Fillable](), nil
}

func (d *diary) Backfill(context.Context, string, string, time.Time, time.Time) (workflow.Backfilled, error) {
	d.note("backfill")
	return sample[workflow.Backfilled](), nil
}

func (d *diary) Systems(context.Context) (any, error) {
	d.note("systems")
	return sample[[]diarySystem](), nil
}

func (d *diary) System(context.Context, string) (any, error) {
	d.note("system")
	return sample[diarySite](), nil
}

func (d *diary) Metrics(_ context.Context, w io.Writer) error {
	d.note("metrics")
	_, err := io.WriteString(w, "secret-of-the-run")
	return err
}

// What the diary answers in its own types.
type (
	diaryChain struct {
		Facts []string `json:"facts"`
	}
	diaryTable struct {
		Rows []diaryTable `json:"rows,omitempty"`
		Name string       `json:"name"`
	}
	diarySystem struct {
		Name string `json:"name"`
	}
	diarySite struct {
		diarySystem
		Nodes map[string]int `json:"nodes"`
	}
)

func diaryForms() Forms {
	return Forms{Why: diaryChain{}, Results: diaryTable{}, Systems: []diarySystem{}, System: diarySite{}}
}

func (d *diary) Forms() Forms { return diaryForms() }

func (d *diary) Identity() (version, user string) { return "secret-of-the-run", "me" }

func (d *diary) Changes() *News {
	d.note("changes")
	return &d.news
}
