package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// errDisk is what a commit fails with.
var errDisk = errors.New("no space left on device")

// failing is a store one commit of which fails, counted over all its runs. It may be
// stored all the same: an error of fsync leaves that open.
type failing struct {
	workflow.Store
	at   int  // 0 = none
	kept bool // it is stored all the same

	mu      sync.Mutex
	counted int
}

func (s *failing) commit(do func() error) error {
	s.mu.Lock()
	s.counted++
	here := s.counted == s.at
	s.mu.Unlock()
	if here && !s.kept {
		return errDisk
	}
	err := do()
	if here {
		return errors.Join(errDisk, err)
	}
	return err
}

func (s *failing) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (h workflow.History, err error) {
	err = s.commit(func() error {
		h, err = s.Store.Create(ctx, id, frozen, first, blobs)
		return err
	})
	if err != nil && h != nil {
		err = errors.Join(err, h.Close())
	}
	return failingHistory{h, s}, err
}

func (s *failing) Open(ctx context.Context, id workflow.RunID) (workflow.History, error) {
	h, err := s.Store.Open(ctx, id)
	return failingHistory{h, s}, err
}

type failingHistory struct {
	workflow.History
	store *failing
}

func (h failingHistory) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	return h.store.commit(func() error { return h.History.Append(ctx, after, events, blobs...) })
}

// TestSubWorkflowCommitFails: whichever commit of a run or of one that it started
// fails, nobody is told more than is stored, and who takes the runs over ends them
// right.
func TestSubWorkflowCommitFails(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored all the same %v", kept), func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				hit := true
				synctest.Test(t, func(t *testing.T) { hit = commitFails(t, &failing{Store: memory.New(), at: at, kept: kept}) })
				if !hit {
					t.Logf("%d commits", at-1)
					break
				}
			}
		})
	}
}

// commitFails reports whether there were enough commits.
func commitFails(t *testing.T, s *failing) (hit bool) {
	n := newNest(t, map[string]string{
		"main.yaml": "steps:\n  - { id: a, uses: workflow, with: { file: nap.yaml } }\noutputs: { slept: \"${{ steps.a.outputs.slept }}\" }\n",
		"nap.yaml":  napping,
	})
	n.store = s
	x, err := n.engine().Create(t.Context(), s, n.load("main.yaml"), workflow.RunCreated{Dir: "/flows", OutputDir: "/results"})
	if err != nil {
		if !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		return true // there is no run
	}
	err = x.Drive(t.Context())
	hit = s.counted >= s.at
	if err != nil && !errors.Is(err, errDisk) || err == nil && x.State() != workflow.RunSucceeded {
		t.Errorf("commit %d: driven to %s: %v", s.at, x.State(), err)
	}
	told := append([]*engine.Execution{x}, n.children...)
	for _, x := range told {
		stored := n.stored(x)
		if got := x.State(); got.Terminal() && got != stored.State {
			t.Errorf("commit %d: %s run %s is %s in its history", s.at, got, x.Run().Workflow.Name, stored.State)
		}
		if view, err := x.View(t.Context()); err == nil && view.Seq > stored.Seq {
			t.Errorf("commit %d: event %d of %s is shown, the last one stored is %d", s.at, view.Seq, view.Workflow, stored.Seq)
		}
		if x.Stored() && x.Run().Seq != stored.Seq {
			t.Errorf("commit %d: event %d of %s is not stored", s.at, x.Run().Seq, x.Run().Workflow.Name)
		}
	}
	if unit(t, n.stored(x), "a").State == workflow.Succeeded && n.stored(n.driven()).State != workflow.RunSucceeded {
		t.Errorf("commit %d: the parent has it that its child succeeded, and the child has not ended", s.at)
	}
	r := n.drive(n.reopen(x))
	if string(r.Outputs.JSON) != `{"slept":"1h0m0s"}` || n.child(1).State != workflow.RunSucceeded {
		t.Errorf("commit %d: taken over it ends %s with %s", s.at, r.State, r.Outputs.JSON)
	}
	return hit
}

// stored is a run as its history has it, which x may have closed.
func (n *nest) stored(x *engine.Execution) *workflow.Run {
	n.t.Helper()
	var events engine.EventReader = reader(x.Events)
	switch h, err := n.store.Open(n.t.Context(), x.ID()); {
	case err == nil:
		defer h.Close()
		events = h
	case !errors.Is(err, workflow.ErrOwned):
		n.t.Fatal(err)
	}
	run, err := engine.Fold(n.t.Context(), x.Run().Workflow, events)
	if err != nil {
		n.t.Fatal(err)
	}
	return run
}

type reader func(ctx context.Context, from int64, f func(workflow.Event) error) error

func (r reader) Read(ctx context.Context, from int64, f func(workflow.Event) error) error {
	return r(ctx, from, f)
}

// unreadable is a store of which the runs that others started cannot be read.
type unreadable struct {
	workflow.Store
	parent workflow.RunID
	err    error
}

func (s unreadable) Open(ctx context.Context, id workflow.RunID) (workflow.History, error) {
	if id != s.parent {
		return nil, fmt.Errorf("run %s: %w", id, s.err)
	}
	return s.Store.Open(ctx, id)
}

// TestSubWorkflowUnreadable: a run whose history cannot be read any more fails its
// step, which nothing else would end; a cancel ends it, too.
func TestSubWorkflowUnreadable(t *testing.T) {
	t.Parallel()
	for _, wrong := range []error{workflow.ErrCorrupt, workflow.ErrNewer} {
		for _, cancelled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v cancelled %v", wrong, cancelled), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					n := newNest(t, map[string]string{
						"main.yaml": "steps:\n  - { id: a, uses: workflow, with: { file: nap.yaml } }\n",
						"nap.yaml":  napping,
					})
					x := n.create("main.yaml")
					ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
					defer stop()
					if err := x.Drive(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Fatal(err)
					}
					n.store = unreadable{n.store, x.ID(), wrong}
					x = n.reopen(x)
					if cancelled {
						if err := x.LeaveCancel(t.Context(), "me"); err != nil {
							t.Fatal(err)
						}
					}
					ctx, stop = context.WithTimeout(t.Context(), time.Hour)
					defer stop()
					if err := x.Drive(ctx); err != nil {
						t.Fatal(err)
					}
					u := unit(t, x.Run(), "a")
					if ends(x.Run()) != "a=failed(child)" || !strings.Contains(u.Message, wrong.Error()) {
						t.Errorf("%s: %s", ends(x.Run()), u.Message)
					}
				})
			})
		}
	}
}
