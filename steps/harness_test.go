package steps

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// patience bounds every test that waits for real processes.
const patience = 60 * time.Second

// site is a sandbox that listens, a client of it, and what a run leaves behind
// on this machine.
type site struct {
	t       *testing.T
	library *Library
	client  *firecrest.Client
	objects datatransfer.StoreConfig // the object store of the sandbox
	root    string                   // of the sandbox
	store   *memory.Store
	dir     string // of the workflow file
	output  string
	logs    string
	private string

	mu       sync.Mutex
	fault    func(op string, r *http.Request) *sandbox.Fault
	observer func(*workflow.Run)
}

const system = "one"

func newSite(t *testing.T, change ...func(*sandbox.Config)) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), output: filepath.Join(t.TempDir(), "out"), logs: t.TempDir(), private: t.TempDir(), store: memory.New()}
	config := sandbox.Config{Root: t.TempDir(), Systems: []string{system}, Observe: answers.Answer, Fault: func(op string, r *http.Request) *sandbox.Fault {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fault == nil {
			return nil
		}
		return s.fault(op, r)
	}}
	for _, f := range change {
		f(&config)
	}
	server, err := sandbox.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	s.root = server.Root()
	listener := httptest.NewServer(server.Handler())
	credentials := server.Credentials()
	s.objects = datatransfer.StoreConfig{
		Endpoint: listener.URL + sandbox.StorePath, PathStyle: true, Backoff: 10 * time.Millisecond,
		AccessKey: credentials.AccessKey, SecretKey: firecrest.Secret(credentials.SecretKey),
	}
	s.client, err = firecrest.New(listener.URL, firecrest.WithTokenSource(firecrest.ClientCredentials{
		TokenURL: listener.URL + credentials.TokenPath, ClientID: credentials.ClientID, ClientSecret: firecrest.Secret(credentials.ClientSecret),
	}), firecrest.WithRetry(firecrest.RetryPolicy{MaxAttempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	s.restart()
	t.Cleanup(func() {
		s.library.Close()
		s.endJobs()
		s.client.Close()
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// endJobs cancels what still runs and waits for its end: jobs outlive a sandbox.
func (s *site) endJobs() {
	s.mu.Lock()
	s.fault = nil
	s.mu.Unlock()
	ctx := context.Background() // that of the test has ended
	until(s.t, "the jobs are over", func() bool {
		jobs, err := s.client.Compute.List(ctx, system, nil)
		if err != nil {
			s.t.Error(err)
			return true
		}
		alive := 0
		for _, j := range jobs {
			if !j.Status.State.IsTerminal() {
				alive++
				_ = s.client.Compute.Cancel(ctx, system, j.ID) // again, if need be
			}
		}
		return alive == 0
	})
}

// restart forgets what this process knows, as the end of fcflow does.
func (s *site) restart() {
	if s.library != nil {
		s.library.Close()
	}
	s.library = New(Config{
		Client: s.client, ObjectStore: &s.objects, Transfer: datatransfer.Settings{Backoff: 10 * time.Millisecond},
		Poll: firecrest.PollSettings{
			First: []time.Duration{20 * time.Millisecond}, Min: 50 * time.Millisecond, Max: 100 * time.Millisecond,
			LookupEvery: 100 * time.Millisecond, LookupsPerMinute: 1000, Grace: 300 * time.Millisecond,
		},
		Fence: FenceSettings{
			Quiet: 300 * time.Millisecond, Between: 50 * time.Millisecond, Visible: time.Second, Confirm: 200 * time.Millisecond,
			Margin: time.Second, Limit: time.Second,
		},
	})
	s.library.outages = backoff{10 * time.Millisecond, 50 * time.Millisecond}
	s.library.limits = backoff{10 * time.Millisecond, 50 * time.Millisecond}
	s.library.killGrace = time.Second
}

// faults lets requests of one operation misbehave: f gets their number, from 1.
func (s *site) faults(op string, f func(n int) *sandbox.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	s.fault = func(got string, _ *http.Request) *sandbox.Fault {
		if !strings.HasSuffix(got, op) {
			return nil
		}
		n++
		return f(n)
	}
}

// file writes a file beside the workflow.
func (s *site) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// filesIn reads workflow files in a directory.
func filesIn(dir string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) }
}

// engine executes with the site's library.
func (s *site) engine() *engine.Engine {
	return engine.New(engine.Config{
		Library: s.library, Binder: s.library.Binder(), Watcher: s.library.Watcher(),
		Children:   engine.Children{Store: s.store},
		LogDir:     func(workflow.RunID) string { return s.logs },
		PrivateDir: func(workflow.RunID) string { return s.private },
		Observe: func(r *workflow.Run, _ []workflow.Event, _ []*workflow.Unit) {
			s.mu.Lock()
			f := s.observer
			s.mu.Unlock()
			if f != nil {
				f(r)
			}
		},
	})
}

func (s *site) observe(f func(*workflow.Run)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = f
}

// load reads the steps of a workflow, written with tabs for the indentation of
// the test.
func (s *site) load(steps string) *workflow.Workflow {
	s.t.Helper()
	text := "version: 1\nname: test\nsteps:\n" + indent(strings.Trim(strings.ReplaceAll(steps, "\t", ""), "\n"))
	w, problems := workflow.Load("test.yaml", []byte(text), s.library, workflow.CheckOptions{DefaultSystem: system})
	if len(problems) > 0 {
		var b strings.Builder
		problems.Print(&b, "test.yaml", []byte(text))
		s.t.Fatal(b.String())
	}
	return w
}

// create makes a run of a workflow.
func (s *site) create(w *workflow.Workflow) *engine.Execution {
	s.t.Helper()
	inputs, problems := w.BindInputs(nil, workflow.BindOptions{WorkflowDir: s.dir, CallerDir: s.dir})
	if len(problems) > 0 {
		s.t.Fatal(problems)
	}
	x, err := s.engine().Create(s.t.Context(), s.store, w, workflow.RunCreated{
		Dir: s.dir, OutputDir: s.output, Profile: workflow.Profile{System: system}, Version: "test", Inputs: inputs,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

// run executes steps to the end.
func (s *site) run(steps string) *workflow.Run {
	s.t.Helper()
	return s.drive(s.create(s.load(steps)))
}

func (s *site) drive(x *engine.Execution) *workflow.Run {
	s.t.Helper()
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), patience, errors.New("the test has no more patience"))
	defer cancel()
	if err := x.Drive(ctx); err != nil {
		s.t.Fatalf("%v\n%s", err, states(x.Run()))
	}
	if err := x.Close(); err != nil {
		s.t.Fatal(err)
	}
	return x.Run()
}

// driveUntil drives a run until it is in a state, and stops like a process that
// is told to end.
func (s *site) driveUntil(x *engine.Execution, reached func(*workflow.Run) bool) {
	s.t.Helper()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(s.t.Context())
	defer cancel(nil)
	stop := time.AfterFunc(patience, func() { cancel(errors.New("the test has no more patience")) })
	defer stop.Stop()
	s.observe(func(r *workflow.Run) {
		if reached(r) {
			cancel(enough)
		}
	})
	err := x.Drive(ctx)
	s.observe(nil)
	if !errors.Is(err, enough) {
		s.t.Fatalf("%v\n%s", err, states(x.Run()))
	}
	if err := x.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// interrupt drives a run until a channel is closed, and stops like a process that
// is told to end.
func (s *site) interrupt(x *engine.Execution, when <-chan struct{}) {
	s.t.Helper()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(s.t.Context())
	defer cancel(nil)
	stop := time.AfterFunc(patience, func() { cancel(errors.New("the test has no more patience")) })
	defer stop.Stop()
	go func() {
		<-when
		cancel(enough)
	}()
	if err := x.Drive(ctx); !errors.Is(err, enough) {
		s.t.Fatalf("%v\n%s", err, states(x.Run()))
	}
	if err := x.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// reopen takes a run over, as another process would.
func (s *site) reopen(x *engine.Execution) *engine.Execution {
	s.t.Helper()
	s.restart()
	h, err := s.store.Open(s.t.Context(), x.ID())
	if err != nil {
		s.t.Fatal(err)
	}
	again, err := s.engine().Open(s.t.Context(), h, x.Run().Workflow, workflow.Owner{Host: "test"}, "test")
	if err != nil {
		s.t.Fatal(err)
	}
	return again
}

// waiting is a condition for driveUntil: the step x waits for something.
func waiting(reason workflow.WaitReason) func(*workflow.Run) bool {
	return func(r *workflow.Run) bool {
		u := r.Steps[0].Units[0]
		return u.State == workflow.Waiting && u.Wait.Reason == reason
	}
}

// jobRuns is a condition for driveUntil: the job of the first step is seen
// running.
func jobRuns(r *workflow.Run) bool {
	a := r.Steps[0].Units[0].Attempt()
	return a != nil && a.Job != nil && a.Job.Active && r.Steps[0].Units[0].State == workflow.Waiting
}

func states(r *workflow.Run) string {
	var b strings.Builder
	for _, step := range r.Steps {
		for _, u := range step.Units {
			b.WriteString(u.Ref().String() + ": " + string(u.State) + " " + string(u.Cause) + " " + u.Message + u.Wait.Message + "\n")
		}
	}
	return b.String()
}

// unit is the only unit of a step.
func unit(t *testing.T, r *workflow.Run, step string) *workflow.Unit {
	t.Helper()
	s, ok := r.Step(step)
	if !ok || len(s.Units) != 1 {
		t.Fatalf("no step %q with one unit", step)
	}
	return s.Units[0]
}

// outputs are those of a step that must have succeeded.
func (s *site) outputs(r *workflow.Run, step string) map[string]any {
	s.t.Helper()
	u := unit(s.t, r, step)
	if u.State != workflow.Succeeded {
		s.t.Fatalf("%s is %s\n%s", step, u.State, states(r))
	}
	h, err := s.store.Open(s.t.Context(), r.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	defer h.Close()
	text, err := u.Outputs.Load(func(digest string) ([]byte, error) { return h.Blob(s.t.Context(), digest) })
	if err != nil {
		s.t.Fatal(err)
	}
	var values map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &values); err != nil {
			s.t.Fatal(err)
		}
	}
	return values
}

// until polls a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
