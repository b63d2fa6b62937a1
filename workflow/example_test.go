package workflow_test

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fcflow/fcflow/workflow"
)

// catalogue has one step type.
type catalogue struct{}

func (catalogue) Names() []string { return []string{"greet"} }

func (catalogue) Step(uses string) (workflow.StepSpec, bool) {
	return workflow.StepSpec{Name: "greet", Inputs: []workflow.Field{
		{Name: "whom", Type: workflow.Type{Kind: workflow.String}, Required: true},
		{Name: "times", Type: workflow.Type{Kind: workflow.Int}, Default: json.RawMessage("1")},
	}}, uses == "greet"
}

func ExampleLoad() {
	source := []byte("version: 1\nname: hello\nsteps:\n  - { id: a, uses: greet, with: { whom: world, tims: 2 } }\n")
	_, problems := workflow.Load("hello.yaml", source, catalogue{}, workflow.CheckOptions{})
	if err := problems.Print(os.Stdout, "hello.yaml", source); err != nil {
		fmt.Println(err)
	}
	// Output:
	// hello.yaml:4:48: greet has no input "tims"
	//       - { id: a, uses: greet, with: { whom: world, tims: 2 } }
	//                                                    ^
	//     hint: did you mean "times"?
}

func ExampleWorkflow_EvalWith() {
	source := []byte("version: 1\nname: hello\ninputs: { whom: { type: string } }\nsteps:\n  - { id: a, uses: greet, with: { whom: 'dear ${{ inputs.whom }}' } }\n")
	w, problems := workflow.Load("hello.yaml", source, catalogue{}, workflow.CheckOptions{})
	if len(problems) > 0 {
		fmt.Println(problems)
		return
	}
	with, err := w.EvalWith(w.Steps[0], &workflow.Scope{Inputs: map[string]any{"whom": "reader"}})
	fmt.Println(string(with), err)
	// Output: {"times":1,"whom":"dear reader"} <nil>
}
