package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// site is a binder and a watcher: a system whose answers a test decides.
type site struct {
	answers []error // of Bind, in order; the last repeats
	verify  error

	mu      sync.Mutex
	binds   int
	watches map[string]func()
}

func (s *site) Bind(_ context.Context, system, _ string, run workflow.RunCreated) (*workflow.RunBound, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.binds++
	if err := s.answers[min(s.binds, len(s.answers))-1]; err != nil {
		return nil, err
	}
	return &workflow.RunBound{System: system, User: "demo", RemoteDir: "/home/demo/" + run.Workflow}, nil
}

func (s *site) Verify(context.Context, workflow.RunBound) error { return s.verify }

func (s *site) Watch(topic string, _ time.Time, fire func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches[topic] = fire
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches, topic)
	}
}

func (s *site) fire(topic string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	fire, ok := s.watches[topic]
	if ok {
		fire()
	}
	return ok
}

// remoteInput is what the remote step type of these tests takes.
type remoteInput struct {
	System string `json:"system"`
	Dir    string `json:"dir"`
	Key    string `json:"key"`
}

// remoteLibrary adds a remote step type, which waits for its topic once.
func remoteLibrary(seen *[]remoteInput) *scripted {
	lib := newScripted()
	text := workflow.Type{Kind: workflow.String}
	lib.steps["remote"] = &Step{
		StepSpec: workflow.StepSpec{
			Name: "remote", Remote: true, Fenced: true, Job: true,
			Inputs: []workflow.Field{
				{Name: "system", Type: text, FromDefaults: true},
				{Name: "dir", Type: text},
				{Name: "key", Type: text, Secret: true},
			},
			Decode: func(text json.RawMessage) (any, error) {
				in := &remoteInput{}
				return in, json.Unmarshal(text, in)
			},
		},
		Run: func(_ context.Context, inv *Invocation, with any) Outcome {
			*seen = append(*seen, *with.(*remoteInput))
			if inv.Reason == workflow.WakeStart {
				return Suspend(Wait{Reason: workflow.WaitJob, Topic: "job:" + inv.Token})
			}
			return Success(nil)
		},
	}
	return lib
}

const remoteWorkflow = `
	secrets: [KEY]
	steps:
	  - { id: a, uses: remote, with: { system: daint, dir: "${{ run.remote_dir }}", key: "${{ secrets.KEY }}" } }`

// TestBind: a remote step starts once its system is bound, sees run.remote_dir
// and its secret, waits for its topic, and no secret is in the history.
func TestBind(t *testing.T) {
	t.Parallel()
	var seen []remoteInput
	lib := remoteLibrary(&seen)
	w := load(t, lib, remoteWorkflow)
	synctest.Test(t, func(t *testing.T) {
		s := &site{answers: []error{fmt.Errorf("dial: %w", ErrUnavailable), nil}, watches: map[string]func(){}}
		store := memory.New()
		x, err := New(Config{
			Library: lib, Binder: s, Watcher: s,
			Secrets: func(name string) (string, error) { return "value of " + name, nil },
		}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			synctest.Wait()
			time.Sleep(time.Minute) // virtual
			token := workflow.Token("n", workflow.UnitRef{Step: "a"}, 1)
			if !s.fire("job:" + token) {
				t.Error("nobody watches the topic")
			}
		}()
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=succeeded" {
			t.Error(got)
		}
		if len(seen) != 2 || seen[0] != seen[1] || seen[0] != (remoteInput{"daint", "/home/demo/test", "value of KEY"}) {
			t.Errorf("the step saw %+v", seen)
		}
		with := string(x.Run().Steps[0].Units[0].Attempt().With.JSON)
		if want := `{"dir":"/home/demo/test","key":{"secret":"KEY"},"system":"daint"}`; with != want {
			t.Errorf("recorded %s, want %s", with, want)
		}
	})
}

// TestBindRefused: what ends the drive leaves the run for later; what can never
// be served fails the step.
func TestBindRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer error
		want   error
		units  string
		after  time.Duration
	}{
		{ErrLogin, ErrLogin, "a=ready", 0},
		{ErrConflict, ErrConflict, "a=ready", 0},
		{ErrUnavailable, ErrUnavailable, "a=ready", 15 * time.Second},
		{errors.New("no such system"), nil, "a=failed(rejected)", 0},
	} {
		t.Run(c.answer.Error(), func(t *testing.T) {
			t.Parallel()
			var seen []remoteInput
			lib := remoteLibrary(&seen)
			w := load(t, lib, remoteWorkflow)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := &site{answers: []error{c.answer}}
				run, err := drive(t, Config{Library: lib, Binder: s}, w)
				if asked := !errors.Is(c.answer, ErrUnavailable); asked && s.binds != 1 {
					t.Errorf("asked %d times", s.binds)
				}
				if !errors.Is(err, c.want) || states(run) != c.units || len(seen) > 0 {
					t.Errorf("error %v, units %s, entries %v", err, states(run), seen)
				}
				if took := time.Since(began); took < c.after || took > 30*time.Second {
					t.Errorf("gave up after %s", took)
				}
			})
		})
	}
}

// TestVerify: a run that was bound as somebody else is not continued.
func TestVerify(t *testing.T) {
	t.Parallel()
	var seen []remoteInput
	lib := remoteLibrary(&seen)
	w := load(t, lib, remoteWorkflow)
	synctest.Test(t, func(t *testing.T) {
		s := &site{answers: []error{nil}, watches: map[string]func(){}}
		store := memory.New()
		engine := New(Config{Library: lib, Binder: s, Watcher: s, Secrets: func(string) (string, error) { return "", nil }})
		x, err := engine.Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := x.Drive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		h, err := store.Open(t.Context(), x.ID())
		if err != nil {
			t.Fatal(err)
		}
		if x, err = engine.Open(t.Context(), h, w, workflow.Owner{}, "test"); err != nil {
			t.Fatal(err)
		}
		s.verify = fmt.Errorf("bound as demo, now eve: %w", ErrConflict)
		if err := x.Drive(t.Context()); !errors.Is(err, ErrConflict) {
			t.Errorf("drive ended with %v", err)
		}
	})
}

// TestWatchAfterReopen: a wait that nothing remote stands behind is not entered
// by the next owner, but watched again.
func TestWatchAfterReopen(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	withText(lib, func(_ context.Context, inv *Invocation) Outcome {
		if inv.Reason == workflow.WakeStart {
			return Suspend(Wait{Reason: workflow.WaitApproval, Topic: "nod"})
		}
		return Success(map[string]string{"text": string(inv.Reason)})
	})
	w := load(t, lib, `
		steps:
		  - { id: a, uses: text }`)
	synctest.Test(t, func(t *testing.T) {
		s := &site{watches: map[string]func(){}}
		time.AfterFunc(5*time.Minute, func() {
			if !s.fire("nod") {
				t.Error("nobody watches the topic")
			}
		})
		run := interrupted(t, New(Config{Library: lib, Watcher: s}), memory.New(), w, time.Minute, time.Minute)
		if got := string(run.Steps[0].Units[0].Outputs.JSON); got != `{"text":"woken"}` {
			t.Error(got, states(run))
		}
	})
}

// TestRemoteDirWithoutRemoteStep: what names run.remote_dir outside a remote step
// waits until the run is bound to the default system.
func TestRemoteDirWithoutRemoteStep(t *testing.T) {
	t.Parallel()
	var seen []remoteInput
	lib := remoteLibrary(&seen)
	w := load(t, lib, `
		inputs: { where: { type: string, default: daint } }
		defaults: { system: "${{ inputs.where }}" }
		steps:
		  - { id: a, uses: act, if: "${{ run.remote_dir == '/home/demo/test' }}" }
		  - { id: b, uses: act, with: { do: ["${{ run.remote_dir == '' ? 'fail exit(1)' : 'ok' }}"] } }
		finally:
		  - { id: f, uses: act, with: { do: ["${{ run.remote_dir == '' ? 'fail exit(1)' : 'ok' }}"] } }
		outputs:
		  dir: ${{ run.remote_dir }}`)
	synctest.Test(t, func(t *testing.T) {
		s := &site{answers: []error{fmt.Errorf("dial: %w", ErrUnavailable), nil}}
		x, err := New(Config{Library: lib, Binder: s}).Create(t.Context(), memory.New(), w, workflow.RunCreated{
			Inputs: map[string]json.RawMessage{"where": json.RawMessage(`"daint"`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		run := x.Run()
		if got := states(run); got != "a=succeeded b=succeeded f=succeeded" || string(run.Outputs.JSON) != `{"dir":"/home/demo/test"}` {
			t.Errorf("%s, outputs %s", got, run.Outputs.JSON)
		}
		if s.binds != 2 {
			t.Errorf("bound %d times", s.binds)
		}
	})
}
