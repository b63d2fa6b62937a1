package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/why"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

const foldedFlow = `version: 1
name: flow
steps:
  - id: many
    uses: run
    matrix: { n: [1, 2, 3] }
    with: { script: "exit 0" }
  - id: sure
    needs: [many]
    uses: approve
    with: { message: "Go on?" }
  - id: last
    needs: [sure]
    uses: run
    with: { script: "exit 1" }
`

// foldedHost is a server with a run of a workflow.
func foldedHost(t *testing.T, source string) (*host, workflow.RunID) {
	t.Helper()
	h, err := openTestHost(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	h.begin(ctx)
	t.Cleanup(func() {
		stop()
		h.driving.wait()
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	return h, startOn(t, h, source)
}

func startOn(t *testing.T, h *host, source string) workflow.RunID {
	t.Helper()
	id, err := h.Start(t.Context(), server.StartRequest{Source: source, By: "me@here"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// untilState waits until an instance of a run is in a state.
func untilState(t *testing.T, h *host, id workflow.RunID, name string, want workflow.State) {
	t.Helper()
	var u workflow.UnitView
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if u, err = h.Unit(t.Context(), id, name); err == nil && u.State == want {
			return
		}
	}
	t.Fatalf("%s is %s, not %s: %v", name, u.State, want, err)
}

// wholeChain explains an instance from the whole history.
func wholeChain(t *testing.T, h *host, id workflow.RunID, ref workflow.UnitRef) why.Chain {
	t.Helper()
	source, err := h.session.store.Frozen(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	witness := why.NewWitness(ref)
	events := reading(func(ctx context.Context, from int64, f func(workflow.Event) error) error {
		_, err := h.events(ctx, id, from, f)
		return err
	})
	run, err := h.session.app.fold(t.Context(), source, telling(events, witness.Note))
	if err != nil {
		t.Fatal(err)
	}
	u, _ := run.Unit(ref)
	return witness.Explain(run, u)
}

// checkChains compares what the server says of each instance with what the whole
// history says.
func checkChains(t *testing.T, h *host, id workflow.RunID) {
	t.Helper()
	run, err := h.Show(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range run.Steps {
		for i := range s.Instances {
			ref := unitRef(&s.Instances[i])
			x, err := h.Why(t.Context(), id, ref.String())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wholeChain(t, h, id, ref), x.(explained).Chain); diff != "" {
				t.Errorf("%s (-whole history +kept):\n%s", ref, diff)
			}
			u, err := h.Unit(t.Context(), id, ref.String())
			if diff := cmp.Diff(s.Instances[i], u); err != nil || diff != "" {
				t.Errorf("%s (-picture +kept): %v\n%s", ref, err, diff)
			}
		}
	}
}

// TestFoldsGoOn: the state that is kept follows the run, whoever drives it, and
// nothing is folded twice.
func TestFoldsGoOn(t *testing.T) {
	t.Parallel()
	h, id := foldedHost(t, foldedFlow)
	untilState(t, h, id, "sure", workflow.Waiting)
	checkChains(t, h, id)
	kept := h.folds.get(id).run
	run, err := h.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Approve(t.Context(), workflow.UnitRef{Step: "sure"}, workflow.ApprovalGiven{By: "me@here"}); err != nil {
		t.Fatal(err)
	}
	untilState(t, h, id, "last", workflow.Failed)
	checkChains(t, h, id)
	h.driving.wait() // from now on nobody drives it
	checkChains(t, h, id)
	shown, err := h.results(t.Context(), id, "many")
	if err != nil || shown.Live || shown.Interrupted || shown.State != workflow.RunFailed || len(shown.Tables) != 1 || len(shown.Tables[0].Rows) != 3 {
		t.Errorf("results: %+v, %v", shown, err)
	}
	if h.folds.get(id).run != kept {
		t.Error("the run was folded anew")
	}
}

// TestFoldsOfWhatIsGone: a run that was removed is not shown, and one that has come
// in its place is.
func TestFoldsOfWhatIsGone(t *testing.T) {
	t.Parallel()
	h, id := foldedHost(t, "version: 1\nname: flow\nsteps:\n  - id: one\n    uses: run\n    with: { script: exit 0 }\n")
	untilState(t, h, id, "one", workflow.Succeeded)
	h.driving.wait()
	st := h.session.store
	var later []workflow.Event
	_, err := h.events(t.Context(), id, 1, func(e workflow.Event) error {
		e.At = e.At.Add(time.Second)
		later = append(later, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before, err := h.Unit(t.Context(), id, "one")
	if err != nil {
		t.Fatal(err)
	}
	frozen, err := st.Frozen(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Why(t.Context(), id, "one"); !errors.Is(err, workflow.ErrNotFound) || len(h.folds.kept) != 0 {
		t.Errorf("a run that is gone: %v, %d are kept", err, len(h.folds.kept))
	}
	made, err := st.Create(t.Context(), id, frozen, later, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := h.Unit(t.Context(), id, "one")
	if err != nil || !after.Since.Equal(before.Since.Add(time.Second)) {
		t.Errorf("since %s, then %s, %v", before.Since, after.Since, err)
	}
	checkChains(t, h, id)
}

// TestFoldsAreReplaced: what is kept is thrown away when another history stands in
// its place, even if nobody asked while there was none.
func TestFoldsAreReplaced(t *testing.T) {
	t.Parallel()
	h, id := foldedHost(t, "version: 1\nname: flow\nsteps:\n  - id: one\n    uses: run\n    with: { script: exit 0 }\n")
	untilState(t, h, id, "one", workflow.Succeeded)
	h.driving.wait()
	f := h.folds.get(id)
	for name, spoil := range map[string]func(){
		"another time":  func() { f.last.At = f.last.At.Add(-time.Millisecond) },
		"another owner": func() { f.last.Epoch++ },
		"a longer one": func() {
			f.last.Seq += 100
			f.index = why.Index{}
			f.index.Note(&f.last)
		},
	} {
		before := f.run
		spoil()
		checkChains(t, h, id)
		if f.run == before {
			t.Errorf("%s: the state of the history before is kept", name)
		}
	}
}

func TestFoldsAreFewAndGoWhenIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k folds
		kept := func() map[workflow.RunID]*folded {
			k.mu.Lock()
			defer k.mu.Unlock()
			return maps.Clone(k.kept)
		}
		for i := range 2 * maxFolds {
			k.get(workflow.RunID(fmt.Sprint(i)))
			k.get("often")
			time.Sleep(time.Second)
		}
		often := kept()["often"]
		if len(kept()) != maxFolds || often == nil || kept()[workflow.RunID(fmt.Sprint(2*maxFolds-1))] == nil {
			t.Errorf("kept are %d: %v", len(kept()), kept())
		}
		time.Sleep(foldIdle - 2*time.Second)
		if k.get("often") != often {
			t.Error("one that was asked for is forgotten")
		}
		time.Sleep(foldIdle - time.Second)
		synctest.Wait()
		if len(kept()) != 1 {
			t.Errorf("%d are kept, want the one that was asked for last", len(kept()))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(kept()) != 0 {
			t.Errorf("%d are kept that nobody asks for", len(kept()))
		}
	})
}

// TestFoldsForManyReaders: what readers were given stays as it was while the run
// goes on.
func TestFoldsForManyReaders(t *testing.T) {
	t.Parallel()
	h, id := foldedHost(t, "version: 1\nname: flow\nsteps:\n  - id: many\n    uses: run\n    matrix: { n: \"${{ 1..100 }}\" }\n    with: { script: exit 0 }\n")
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			name := fmt.Sprintf("many/n=%d", 1+25*i)
			for over := false; !over && t.Context().Err() == nil; {
				shown, err := h.results(t.Context(), id, "many")
				if err != nil {
					t.Error(err)
					return
				}
				over = shown.State.Terminal()
				x, err := h.Why(t.Context(), id, name)
				if err != nil {
					t.Error(err)
					return
				}
				u, err := h.Unit(t.Context(), id, name)
				if err != nil {
					t.Error(err)
					return
				}
				for range 2 {
					if _, err := json.Marshal([]any{shown, x, u}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	readers.Wait()
	checkChains(t, h, id)
}

// TestPick: events are found by their numbers, however far apart.
func TestPick(t *testing.T) {
	t.Parallel()
	h, id := foldedHost(t, "version: 1\nname: flow\nsteps:\n  - id: many\n    uses: run\n    matrix: { n: \"${{ 1..200 }}\" }\n    with: { script: exit 0 }\n")
	untilState(t, h, id, "many/n=200", workflow.Succeeded)
	h.driving.wait()
	for _, seqs := range [][]int64{nil, {1}, {1, 2, 3}, {5, 300, 301}, {2, 9, 270, 400}} {
		var got []int64
		if err := h.pick(t.Context(), id, seqs, func(e workflow.Event) { got = append(got, e.Seq) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(seqs, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if err := h.pick(t.Context(), id, []int64{1, 1_000_000}, func(workflow.Event) {}); !errors.Is(err, workflow.ErrCorrupt) {
		t.Errorf("an event that is not there: %v", err)
	}
}
