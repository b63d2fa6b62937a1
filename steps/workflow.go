package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

type subWorkflowIn struct {
	File   string                     `json:"file" is:"required,local,literal,source" doc:"Workflow file; relative to the directory of this one."`
	Inputs map[string]json.RawMessage `json:"inputs" doc:"Its inputs, by name. Those that have a default there may be left out."`
}

type subWorkflowOut struct {
	RunID string `json:"run_id" doc:"Id of the run."`
}

func subWorkflow() stepType {
	return define[subWorkflowIn, subWorkflowOut](workflow.StepSpec{
		Name: "workflow", Group: groupControl,
		Summary: "Runs another workflow as a step",
		Doc: `The other workflow has a run and a history of its own. Its inputs and outputs are checked
together with this file; its outputs are outputs of the step, beside ` + "`run_id`" + `. The run executes
the text that the file had when the run of this workflow was created. While it lasts, the step
waits and takes no slot.

It is cancelled with this run. If it fails, somebody cancels it, or its history cannot be read
any more, the step fails with ` + "`child`" + `. Another attempt of the step is another run. Its steps
run on the system of this workflow's defaults, unless it names its own; its concurrency group does
not count.`,
		SubWorkflow: true,
		Idempotent:  true,
		Resumable:   true,
		Causes:      []workflow.Cause{workflow.CauseChild},
		Example: `- id: preprocess
  uses: workflow
  with: { file: preprocess.yaml, inputs: { levels: 40 } }
`,
	}, runChild)
}

// runChild is entered at the start, whenever something is heard of the run, and
// to end it. Where the run stands is always asked anew.
func runChild(ctx context.Context, c *call, in subWorkflowIn) engine.Outcome {
	if c.Stopping() {
		run, err := c.StopChild(ctx)
		if errors.Is(err, workflow.ErrNotFound) {
			return engine.Ended("its run had not begun")
		}
		return c.childOutcome(run, err)
	}
	if c.Child() == nil {
		return engine.Failure(workflow.CauseChild, fmt.Sprintf("the run does not hold the text of %s", in.File))
	}
	dir := filepath.Dir(c.localPath(in.File))
	inputs, problems := c.Child().BindValues(in.Inputs, workflow.BindOptions{WorkflowDir: dir, CallerDir: c.Run.Dir})
	if len(problems) > 0 {
		return engine.Failure(workflow.CauseChild, fmt.Sprintf("%s: %v", in.File, problems))
	}
	return c.childOutcome(c.StartChild(ctx, workflow.RunCreated{Inputs: inputs, Dir: dir, OutputDir: c.childResults()}))
}

// childOutcome is what a run that was started means for the attempt.
func (c *call) childOutcome(run *engine.ChildRun, err error) engine.Outcome {
	again := engine.Wait{Reason: workflow.WaitChild, Topic: engine.ChildTopic(c.ChildID()), Message: c.childWords()}
	switch {
	case errors.Is(err, engine.ErrChildRefused):
		return engine.Failure(workflow.CauseChild, err.Error())
	case err != nil: // it may be there, and go on
		again.Topic, again.Until = "", time.Now().Add(c.library.outages.first)
		again.Message += fmt.Sprintf(": %v", err)
		return engine.Suspend(again)
	case !run.Over():
		return engine.Suspend(again)
	case run.State == workflow.RunSucceeded:
		return childSuccess(run)
	case run.State == workflow.RunCancelled && c.Stopping():
		return engine.Ended(run.Message)
	}
	return engine.Failure(workflow.CauseChild, run.Message)
}

func childSuccess(run *engine.ChildRun) engine.Outcome {
	outputs := map[string]json.RawMessage{}
	if len(run.Outputs) > 0 {
		if err := json.Unmarshal(run.Outputs, &outputs); err != nil {
			return engine.Failure(workflow.CauseChild, fmt.Sprintf("the outputs of run %s: %v", run.ID, err))
		}
	}
	outputs["run_id"] = json.RawMessage(fmt.Sprintf("%q", run.ID))
	return engine.Success(outputs).WithEvidence(run.Message)
}

// childWords reads "run K3X9QZ of preprocess".
func (c *call) childWords() string {
	id, name := string(c.ChildID()), "another workflow"
	if w := c.Child(); w != nil {
		name = w.Name
	}
	return fmt.Sprintf("run %s of %s", id[max(0, len(id)-6):], name)
}

// childResults is where downloads of the run go: below those of the parent, each
// attempt by itself.
func (c *call) childResults() string {
	name := c.Unit.Step
	if c.Unit.Instance != "" {
		name += "-" + workflow.NewBlob([]byte(c.Unit.Instance)).Digest[:12]
	}
	if c.Attempt > 1 {
		name += fmt.Sprintf(".%d", c.Attempt)
	}
	return filepath.Join(c.Run.OutputDir, name)
}
