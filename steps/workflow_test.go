package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// nest executes workflow files that run each other, in virtual time and with no
// system.
type nest struct {
	t       *testing.T
	library *Library
	binder  engine.Binder
	store   workflow.Store
	files   map[string]string

	mu       sync.Mutex
	runs     map[workflow.RunID]*workflow.Run // as last observed
	order    []workflow.RunID                 // of creation
	children []*engine.Execution              // that were driven
}

func newNest(t *testing.T, files map[string]string) *nest {
	t.Helper()
	n := &nest{t: t, library: New(Config{}), store: memory.New(), files: files, runs: map[workflow.RunID]*workflow.Run{}}
	t.Cleanup(n.library.Close)
	return n
}

func (n *nest) engine() *engine.Engine {
	return engine.New(engine.Config{
		Library: n.library, Binder: n.binder,
		Children: engine.Children{Store: n.store, Version: "test", Drive: func(ctx context.Context, x *engine.Execution) error {
			n.mu.Lock()
			n.children = append(n.children, x)
			n.mu.Unlock()
			return x.Drive(ctx)
		}},
		Observe: func(r *workflow.Run, _ []workflow.Event, _ []*workflow.Unit) { n.note(r) },
	})
}

func (n *nest) note(r *workflow.Run) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.runs[r.ID] == nil {
		n.order = append(n.order, r.ID)
	}
	n.runs[r.ID] = r
}

// driven is the newest run that another one started, under way.
func (n *nest) driven() *engine.Execution {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.children[len(n.children)-1]
}

func (n *nest) load(name string) *workflow.Workflow {
	n.t.Helper()
	text := func(name string) []byte {
		return []byte("version: 1\nname: " + strings.TrimSuffix(name, ".yaml") + "\n" + n.files[name])
	}
	w, problems := workflow.Load(name, text(name), n.library, workflow.CheckOptions{DefaultSystem: "one", ReadFile: func(p string) ([]byte, error) {
		if _, ok := n.files[p]; !ok {
			return nil, fs.ErrNotExist
		}
		return text(p), nil
	}})
	if len(problems) > 0 {
		n.t.Fatal(problems)
	}
	return w
}

func (n *nest) create(name string) *engine.Execution {
	n.t.Helper()
	x, err := n.engine().Create(n.t.Context(), n.store, n.load(name), workflow.RunCreated{
		Dir: "/flows", OutputDir: "/results", By: "me@here", Profile: workflow.Profile{Name: "p", System: "one"},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.note(x.Run())
	return x
}

// reopen takes a run over, as another process does.
func (n *nest) reopen(x *engine.Execution) *engine.Execution {
	n.t.Helper()
	if err := x.Close(); err != nil {
		n.t.Fatal(err)
	}
	h, err := n.store.Open(n.t.Context(), x.ID())
	if err != nil {
		n.t.Fatal(err)
	}
	next, err := n.engine().Open(n.t.Context(), h, x.Run().Workflow, workflow.Owner{}, "test")
	if err != nil {
		n.t.Fatal(err)
	}
	return next
}

func (n *nest) drive(x *engine.Execution) *workflow.Run {
	n.t.Helper()
	if err := x.Drive(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	return x.Run()
}

// child is the nth run that others started.
func (n *nest) child(nth int) *workflow.Run {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range n.order {
		if r := n.runs[id]; r.Created.Parent != nil {
			if nth--; nth == 0 {
				return r
			}
		}
	}
	n.t.Fatalf("there are %d runs", len(n.order))
	return nil
}

// ends prints how units of a run ended, as "a=failed(child)".
func ends(r *workflow.Run) string {
	var list []string
	for _, s := range r.Steps {
		for _, u := range s.Units {
			text := fmt.Sprintf("%s=%s", u.Ref(), u.State)
			if u.Cause != "" {
				text += fmt.Sprintf("(%s)", u.Cause)
			}
			list = append(list, text)
		}
	}
	return strings.Join(list, " ")
}

const napping = `inputs:
  time: { type: duration, default: 1h }
steps:
  - { id: nap, uses: sleep, with: { duration: "${{ inputs.time }}" } }
finally:
  - { id: tidy, uses: sleep, with: { duration: 1m } }
outputs:
  slept: ${{ inputs.time }}
  again: ${{ inputs.time + duration("1h") }}
`

// TestSubWorkflow: a child has a run of its own, in the directory of its file, and
// its outputs are the step's, with their types.
func TestSubWorkflow(t *testing.T) {
	t.Parallel()
	n := newNest(t, map[string]string{
		"main.yaml": `defaults: { system: two }
steps:
  - { id: a, uses: workflow, with: { file: nap.yaml, inputs: { time: 5m } } }
  - { id: b, uses: workflow, with: { file: deep.yaml, inputs: { time: "${{ steps.a.outputs.again }}" } } }
outputs:
  again: ${{ steps.b.outputs.again }}
  same: ${{ steps.a.outputs.run_id != steps.b.outputs.run_id }}
`,
		"deep.yaml": `inputs:
  time: { type: duration }
steps:
  - { id: c, uses: workflow, with: { file: nap.yaml, inputs: { time: "${{ inputs.time }}" } } }
outputs:
  again: ${{ steps.c.outputs.again }}
`,
		"nap.yaml": napping,
	})
	synctest.Test(t, func(t *testing.T) {
		n.t = t
		began := time.Now()
		r := n.drive(n.create("main.yaml"))
		if got := string(r.Outputs.JSON); r.State != workflow.RunSucceeded || got != `{"again":"2h5m0s","same":true}` {
			t.Errorf("%s, outputs %s\n%s", r.State, got, states(r))
		}
		if took := time.Since(began); took.Round(time.Minute) != 72*time.Minute {
			t.Errorf("took %s", took)
		}
		first := n.child(1).Created
		want := workflow.ParentRef{Run: r.ID, Step: "a", Attempt: 1}
		if *first.Parent != want || first.Trigger != workflow.TriggerParent || first.By != "me@here" || first.Version != "test" {
			t.Errorf("the child was created as %+v", first)
		}
		if first.Dir != "/flows" || first.OutputDir != "/results/a" || first.Profile != (workflow.Profile{Name: "p", System: "two"}) {
			t.Errorf("the child was created as %+v", first)
		}
		if third := n.child(3).Created; third.Parent.Run != n.child(2).ID || third.OutputDir != "/results/b/c" || third.Profile.System != "two" {
			t.Errorf("the grandchild was created as %+v", third)
		}
		if child := r.Describe().Steps[0].Instances[0].Attempts[0].Child; child != n.child(1).ID {
			t.Errorf("the view names run %s", child)
		}
	})
}

// TestSubWorkflowFails: the step says which run failed, and why; another attempt
// is another run.
func TestSubWorkflowFails(t *testing.T) {
	t.Parallel()
	n := newNest(t, map[string]string{
		"main.yaml": `steps:
  - { id: a, uses: workflow, with: { file: fails.yaml }, retry: [{ cause: child, max: 1 }] }
  - { id: b, uses: sleep, needs: a, with: { duration: 1s } }
`,
		"fails.yaml": `steps:
  - { id: x, uses: sleep, with: { duration: "${{ [1][5] }}s" } }
`,
	})
	synctest.Test(t, func(t *testing.T) {
		n.t = t
		r := n.drive(n.create("main.yaml"))
		u := unit(t, r, "a")
		if ends(r) != "a=failed(child) b=skipped(upstream_failed)" || len(u.Attempts) != 2 || len(n.order) != 3 {
			t.Fatalf("%s after %d attempts, %d runs", ends(r), len(u.Attempts), len(n.order))
		}
		for i, a := range u.Attempts {
			want := fmt.Sprintf("run %s of fails failed: x expression: ", n.child(i+1).ID)
			if !strings.HasPrefix(a.End.Message, want) {
				t.Errorf("attempt %d: %q, want %q…", a.Number, a.End.Message, want)
			}
		}
		if dir := n.child(2).Created.OutputDir; dir != "/results/a.2" {
			t.Errorf("the second run puts files into %s", dir)
		}
	})
}

// TestSubWorkflowStops: a cancel and a deadline go down, once each, and the step
// ends by how the child ended.
func TestSubWorkflowStops(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, step string
		stop       func(x, child *engine.Execution)
		cancels    int           // of the child
		took       time.Duration // with or without the child's finally
		want       string
	}{
		{
			"cancel", "", func(x, _ *engine.Execution) { _ = x.Cancel(context.Background(), "me") },
			1, 11 * time.Minute, "a=cancelled",
		},
		{
			"cancel twice", "", func(x, _ *engine.Execution) {
				_ = x.Cancel(context.Background(), "me")
				_ = x.Cancel(context.Background(), "me")
			}, 2, 10 * time.Minute, "a=cancelled",
		},
		{"timeout", "timeout: 10m, ", func(_, _ *engine.Execution) {}, 1, 11 * time.Minute, "a=failed(timed_out)"},
		{
			"by hand", "", func(_, child *engine.Execution) { _ = child.Cancel(context.Background(), "you@there") },
			1, 11 * time.Minute, "a=failed(child)",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newNest(t, map[string]string{
				"main.yaml": "steps:\n  - { id: a, uses: workflow, " + test.step + "with: { file: nap.yaml } }\n",
				"nap.yaml":  napping,
			})
			synctest.Test(t, func(t *testing.T) {
				n.t = t
				began := time.Now()
				x := n.create("main.yaml")
				go func() {
					time.Sleep(10 * time.Minute)
					test.stop(x, n.driven())
				}()
				r := n.drive(x)
				child := n.child(1)
				if ends(r) != test.want || child.State != workflow.RunCancelled || child.CancelRequests != test.cancels {
					t.Errorf("%s, the child is %s after %d requests; want %s", ends(r), child.State, child.CancelRequests, test.want)
				}
				if took := time.Since(began).Round(time.Minute); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if m := unit(t, r, "a").Message; test.name == "by hand" && m != fmt.Sprintf("run %s of nap was cancelled by you@there", child.ID) {
					t.Error(m)
				}
			})
		})
	}
}

// TestSubWorkflowTakenOver: whoever takes the parent over takes the child over, and
// starts no other. One that has ended meanwhile is read.
func TestSubWorkflowTakenOver(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprintf("ended by itself %v", alone), func(t *testing.T) {
			t.Parallel()
			n := newNest(t, map[string]string{
				"main.yaml": "steps:\n  - { id: a, uses: workflow, with: { file: nap.yaml } }\noutputs: { slept: \"${{ steps.a.outputs.slept }}\" }\n",
				"nap.yaml":  napping,
			})
			synctest.Test(t, func(t *testing.T) {
				n.t = t
				began := time.Now()
				x := n.create("main.yaml")
				stop := errors.New("stop")
				ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Minute, stop)
				defer cancel()
				if err := x.Drive(ctx); !errors.Is(err, stop) {
					t.Fatal(err)
				}
				if alone { // somebody resumes the child
					h, err := n.store.Open(t.Context(), n.child(1).ID)
					if err != nil {
						t.Fatal(err)
					}
					child, err := n.engine().Open(t.Context(), h, n.child(1).Workflow, workflow.Owner{}, "test")
					if err != nil {
						t.Fatal(err)
					}
					n.drive(child)
					if err := child.Close(); err != nil {
						t.Fatal(err)
					}
				}
				r := n.drive(n.reopen(x))
				if string(r.Outputs.JSON) != `{"slept":"1h0m0s"}` || len(n.order) != 2 || n.child(1).Epoch != 2 {
					t.Errorf("%s with %s, %d runs, epoch %d of the child", r.State, r.Outputs.JSON, len(n.order), n.child(1).Epoch)
				}
				if took := time.Since(began).Round(time.Minute); took != 61*time.Minute {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// noLogin is a service that knows nobody.
type noLogin struct{}

func (noLogin) Bind(context.Context, string, string, workflow.RunCreated) (*workflow.RunBound, error) {
	return nil, engine.ErrLogin
}

func (noLogin) Verify(context.Context, workflow.RunBound) error { return engine.ErrLogin }

// TestSubWorkflowCannotGoOn: what keeps a child from going on in this process ends
// the drive of its parent, and leaves both as they are.
func TestSubWorkflowCannotGoOn(t *testing.T) {
	t.Parallel()
	n := newNest(t, map[string]string{
		"main.yaml":   "steps:\n  - { id: a, uses: workflow, with: { file: remote.yaml } }\n  - { id: b, uses: sleep, with: { duration: 1h } }\n",
		"remote.yaml": "steps:\n  - { id: x, uses: mkdir, with: { path: y } }\n",
	})
	n.binder = noLogin{}
	synctest.Test(t, func(t *testing.T) {
		n.t = t
		x := n.create("main.yaml")
		began := time.Now()
		err := x.Drive(t.Context())
		if !errors.Is(err, engine.ErrLogin) || !strings.Contains(err.Error(), string(n.child(1).ID)) {
			t.Errorf("ended with %v", err)
		}
		if got := ends(x.Run()); got != "a=waiting b=waiting" || n.child(1).State != workflow.RunRunning {
			t.Errorf("%s, the child is %s", got, n.child(1).State)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("after %s", took)
		}
		for _, id := range n.order[1:] { // it let go of it
			if h, err := n.store.Open(t.Context(), id); err != nil || h.Close() != nil {
				t.Error(err)
			}
		}
	})
}
