package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load reads the steps of a workflow; the indentation of the test is removed.
func load(t *testing.T, lib workflow.Catalogue, text string) *workflow.Workflow {
	t.Helper()
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	indent := len(lines[0]) - len(strings.TrimLeft(lines[0], "\t"))
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, strings.Repeat("\t", indent))
	}
	source := "version: 1\nname: test\n" + strings.Join(lines, "\n") + "\n"
	w, problems := workflow.Load("test.yaml", []byte(source), lib, workflow.CheckOptions{})
	if len(problems) > 0 {
		var b strings.Builder
		problems.Print(&b, "test.yaml", []byte(source))
		t.Fatal(b.String())
	}
	return w
}

// drive runs a workflow to its end in virtual time.
func drive(t *testing.T, cfg Config, w *workflow.Workflow) (*workflow.Run, error) {
	t.Helper()
	x, err := New(cfg).Create(t.Context(), memory.New(), w, workflow.RunCreated{Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	err = x.Drive(t.Context())
	return x.Run(), err
}

// states prints the units as "id=state(cause)".
func states(r *workflow.Run) string {
	var list []string
	for _, s := range r.Steps {
		for _, u := range s.Units {
			text := fmt.Sprintf("%s=%s", u.Ref(), u.State)
			if u.Cause != "" {
				text += "(" + string(u.Cause) + ")"
			}
			list = append(list, text)
		}
	}
	return strings.Join(list, " ")
}

// TestSemantics has a case for each rule of docs/semantics.md about one run
// without fan-out.
func TestSemantics(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text string
		run        workflow.RunState
		units      string
	}{
		{
			"outputs flow along references", `
			steps:
			  - { id: a, uses: act, with: { n: 2 } }
			  - { id: b, uses: act, with: { n: 3, from: ["${{ steps.a.outputs.n }}"] } }
			  - { id: c, uses: act, if: "${{ steps.b.outputs.n == 5 }}" }`,
			workflow.RunSucceeded, "a=succeeded b=succeeded c=succeeded",
		},
		{
			"failure touches only what depends on it", `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit(3)] } }
			  - { id: b, uses: act, needs: a }
			  - { id: c, uses: act, needs: b }
			  - { id: d, uses: act }`,
			workflow.RunFailed, "a=failed(exit(3)) b=skipped(upstream_failed) c=skipped(upstream_failed) d=succeeded",
		},
		{
			"a false condition is good", `
			steps:
			  - { id: a, uses: act, if: "${{ false }}" }
			  - { id: b, uses: act, needs: a }`,
			workflow.RunSucceeded, "a=skipped(condition_false) b=succeeded",
		},
		{
			"a missing value skips its reader; good if its producer is", `
			steps:
			  - { id: a, uses: act, if: "${{ false }}" }
			  - { id: b, uses: act, with: { from: ["${{ steps.a.outputs.n }}"] } }
			  - { id: c, uses: act, needs: b }`,
			workflow.RunSucceeded, "a=skipped(condition_false) b=skipped(source_missing) c=succeeded",
		},
		{
			"always reads a failed step but not its outputs", `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit(1)] } }
			  - { id: b, uses: act, needs: a, if: "${{ always() }}" }
			  - { id: c, uses: act, if: "${{ always() }}", with: { from: ["${{ steps.a.outputs.n }}"] } }`,
			workflow.RunFailed, "a=failed(exit(1)) b=succeeded c=skipped(source_missing)",
		},
		{
			"failure() after a failure, skipped otherwise", `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit(1)] }, continue_on_error: true }
			  - { id: b, uses: act, with: { do: [fail exit(1)] } }
			  - { id: c, uses: act, needs: a, if: "${{ failure() }}" }
			  - { id: d, uses: act, needs: b, if: "${{ failure() }}" }`,
			workflow.RunFailed, "a=failed(exit(1)) b=failed(exit(1)) c=skipped(condition_false) d=succeeded",
		},
		{
			"a condition without status function is and-ed with success()", `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit(1)] } }
			  - { id: b, uses: act, needs: a, if: "${{ true }}" }`,
			workflow.RunFailed, "a=failed(exit(1)) b=skipped(upstream_failed)",
		},
		{
			"continue_on_error is good and does not fail the run", `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit(1)] }, continue_on_error: true }
			  - { id: b, uses: act, needs: a }`,
			workflow.RunSucceeded, "a=failed(exit(1)) b=succeeded",
		},
		{
			"finally runs after a failure and may read steps", `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit(1)] } }
			finally:
			  - { id: f, uses: act, if: "${{ steps.a.state == 'failed' }}" }
			  - { id: g, uses: act, if: "${{ success() }}" }`,
			workflow.RunFailed, "a=failed(exit(1)) f=succeeded g=skipped(condition_false)",
		},
		{
			"a bad finally step fails the run", `
			steps:
			  - { id: a, uses: act }
			finally:
			  - { id: f, uses: act, with: { do: [fail exit(1)] } }
			  - { id: g, uses: act, needs: f }`,
			workflow.RunFailed, "a=succeeded f=failed(exit(1)) g=succeeded",
		},
		{
			"the first rule that names the cause applies, max times", `
			steps:
			  - id: a
			    uses: act
			    with: { do: [fail exit(75), fail exit(75), ok] }
			    retry: [{ cause: exit(75), max: 2 }]
			  - id: b
			    uses: act
			    with: { do: [fail exit(75), fail exit(75), ok] }
			    retry: [{ cause: [node_fail, exit], max: 1 }, { cause: api, max: 5 }]`,
			workflow.RunFailed, "a=succeeded b=failed(exit(75))",
		},
		{
			"api and transfer are retried by themselves, for idempotent types", `
			steps:
			  - { id: a, uses: act, with: { do: [fail api, fail transfer, fail api, ok] } }
			  - { id: b, uses: act, with: { do: [fail api, fail api, fail api, fail api, ok] } }
			  - { id: c, uses: once, with: { do: [fail api, ok] } }`,
			workflow.RunFailed, "a=succeeded b=failed(api) c=failed(api)",
		},
		{
			"a panic is a failure of its step", `
			steps:
			  - { id: a, uses: act, with: { do: [panic] } }
			  - { id: b, uses: act }`,
			workflow.RunFailed, "a=failed(panic) b=succeeded",
		},
		{
			"a timeout counts waiting, and ends what was begun", `
			steps:
			  - { id: a, uses: act, timeout: 1m, with: { do: [job 10m ok] } }
			  - { id: b, uses: act, timeout: 1m, with: { do: [block] } }
			  - { id: c, uses: act, timeout: 1m, with: { do: [wait 10m ok] } }
			  - { id: d, uses: act, timeout: 1m, with: { do: [job 59s ok] } }`,
			workflow.RunFailed, "a=failed(timed_out) b=failed(timed_out) c=failed(timed_out) d=succeeded",
		},
		{
			"the workflow's timeout cancels the units and fails the run", `
			timeout: 1m
			steps:
			  - { id: a, uses: act, with: { do: [job 10m ok] } }
			  - { id: b, uses: act, needs: a }
			finally:
			  - { id: f, uses: act }`,
			workflow.RunFailed, "a=cancelled b=cancelled f=succeeded",
		},
		{
			"an error in an expression of with is final", `
			steps:
			  - id: a
			    uses: act
			    with: { from: ["${{ [1][5] }}"] }
			    retry: [{ cause: exit, max: 3 }]`,
			workflow.RunFailed, "a=failed(expression)",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			w := load(t, lib, c.text)
			synctest.Test(t, func(t *testing.T) {
				run, err := drive(t, Config{Library: lib}, w)
				if err != nil {
					t.Fatal(err)
				}
				if got := states(run); run.State != c.run || got != c.units {
					t.Errorf("run %s: %s\nwant %s: %s", run.State, got, c.run, c.units)
				}
			})
		})
	}
}

// TestStop: when the process ends, the run stays as it is, and the next owner
// ends it.
func TestStop(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [block] } }
		  - { id: b, uses: act, with: { do: [job 10m ok] } }
		  - { id: c, uses: once, with: { do: [block] } }
		  - { id: d, uses: once, needs: b }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		engine := New(Config{Library: lib})
		x, err := engine.Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		stop := errors.New("signal")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, stop)
		defer cancel()
		if err := x.Drive(ctx); !errors.Is(err, stop) {
			t.Fatalf("drive ended with %v", err)
		}
		if got := states(x.Run()); got != "a=running b=waiting c=running d=pending" {
			t.Fatal(got)
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
		go func() {
			time.Sleep(time.Hour) // virtual
			if err := x.Cancel(t.Context(), "test"); err != nil {
				t.Error(err)
			}
		}()
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=cancelled b=succeeded c=failed(interrupted) d=succeeded" {
			t.Error(got)
		}
		var reasons []string
		for _, e := range lib.Entries() {
			reasons = append(reasons, fmt.Sprintf("%s %s", e.Unit, e.Reason))
		}
		slices.Sort(reasons)
		want := []string{"a reopened", "a start", "b due", "b reopened", "b start", "c start", "d start"}
		if diff := cmp.Diff(want, reasons); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSlots: no more attempts run at once than there are slots, and a waiting
// attempt takes none.
func TestSlots(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	var b strings.Builder
	b.WriteString("steps:\n")
	for i := range 10 {
		fmt.Fprintf(&b, "  - { id: w%d, uses: act, with: { do: [job 1h ok] } }\n", i)
		fmt.Fprintf(&b, "  - { id: a%d, uses: act }\n", i)
	}
	w := load(t, lib, b.String())
	synctest.Test(t, func(t *testing.T) {
		most := 0
		cfg := Config{Library: lib, Slots: 3, Observe: func(r *workflow.Run, _ []workflow.Event, _ []*workflow.Unit) {
			most = max(most, r.Running())
		}}
		run, err := drive(t, cfg, w)
		if err != nil || run.State != workflow.RunSucceeded || most != 3 {
			t.Errorf("run %s, error %v, at most %d running; want 3", run.State, err, most)
		}
	})
}
