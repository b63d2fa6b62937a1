package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

// TestQuestions: what asks is listed, without what was answered or waits for
// something else, and the command names all of it.
func TestQuestions(t *testing.T) {
	t.Parallel()
	asking := func(step, key string) workflow.UnitView {
		return workflow.UnitView{
			Step: step, Instance: key, State: workflow.Waiting, Attempts: []workflow.AttemptView{{Attempt: 1}},
			Wait: &workflow.WaitView{Reason: workflow.WaitApproval, Message: "Go on with " + key + "?"},
		}
	}
	answered, busy := asking("many", "dt=0"), asking("busy", "dt=0")
	answered.Attempts[0].Approval = &workflow.Approval{}
	busy.Wait.Reason = workflow.WaitJob
	many := []workflow.UnitView{answered}
	for i := range 12 {
		many = append(many, asking("many", fmt.Sprintf("dt=%d", i+1)))
	}
	v := shownRun{RunView: workflow.RunView{Summary: workflow.Summary{ID: "01JTESTTESTTESTTESTTESTABC"}, Steps: []workflow.StepView{
		{ID: "busy", Instances: []workflow.UnitView{busy}},
		{ID: "one", Instances: []workflow.UnitView{asking("one", "a b")}},
		{ID: "many", Instances: many},
	}}}
	var out bytes.Buffer
	a := newApp(console.Plain(nil, &out, &out), func(string) string { return "" })
	a.printQuestions(&v)
	want := `
? one/a b  Go on with a b?
    yes        fcflow approve ESTABC 'one/a b'
    no         fcflow approve ESTABC 'one/a b' --reject

? many  12 instances ask: Go on with dt=1? …
    many/dt=1  Go on with dt=1?
`
	for i := 2; i <= shownQuestions; i++ {
		want += fmt.Sprintf("    many/dt=%d  Go on with dt=%d?\n", i, i)
	}
	want += `    … and 2 more
    yes        fcflow approve ESTABC many
    no         fcflow approve ESTABC many --reject
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
