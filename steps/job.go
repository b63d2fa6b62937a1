package steps

import (
	"context"
	"reflect"
	"slices"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type jobIn struct {
	batchIn
	Outputs    map[string]outputIn `json:"outputs" is:"literal" doc:"Outputs of the step that are read from what the job printed or wrote, by name."`
	KeepOutput string              `json:"keep_output" enum:"failed always never" default:"failed" doc:"When to fetch the end of the job's output into the log of the step: after a failure, after any end, or not at all."`
}

type jobOut struct {
	JobID    string   `json:"job_id" doc:"Id of the job."`
	State    string   `json:"state" doc:"State it ended in, in the scheduler's words."`
	ExitCode int64    `json:"exit_code" doc:"Always 0: any other fails the step."`
	Workdir  string   `json:"workdir" doc:"Full path of the directory it ran in."`
	Stdout   string   `json:"stdout" doc:"Full path of what it printed, on the system."`
	Elapsed  duration `json:"elapsed" doc:"How long it ran."`
	Nodes    int64    `json:"nodes" unit:"nodes" doc:"How many nodes it had."`
}

func job() stepType {
	return define[jobIn, jobOut](workflow.StepSpec{
		Name: "job", Group: groupJobs,
		Summary: "Submits a batch job and waits for its end",
		Doc: "The script is sent as part of a batch script that makes `workdir`, exports `env`, runs the script by its own interpreter, " +
			"passes TERM, INT, USR1 and USR2 on to it and ends with its exit code; 78 also says that the directory could not be used. " +
			"A remote script is submitted as it is, in `workdir`, without a fence.\n\n" +
			"The script runs at most once for each attempt, whatever fails. The first thing a job does is to claim the attempt's token in the " +
			"run's remote directory, which only one can: a job that comes second ends with 79 and runs nothing. If nobody knows whether a submission " +
			"was accepted, the job is looked for until that is known. What is promised when: docs/guarantees.md. " +
			"While it waits the step takes no slot. A cancelled run cancels its jobs.",
		Remote:         true,
		Fenced:         true,
		Job:            true,
		CheckWith:      checkJob,
		DynamicOutputs: declaredOutputs,
		Causes:         slices.Concat(submitCauses, endCauses, []workflow.Cause{workflow.CauseOutputMissing}),
		Example: `- id: simulate
  uses: job
  with:
    workdir: out
    resources: { nodes: 1, time: 5m }
    env: { NOTES: "${{ steps.send.outputs.path }}" }
    script: |
      #!/bin/bash
      tr -cs '[:alpha:]' '\n' < "$NOTES" | sort | uniq -c | sort -rn > words.txt
`,
	}, submitAndWait)
}

func submitAndWait(ctx context.Context, c *call, in jobIn) engine.Outcome {
	out := c.wholeJob(ctx, in)
	return c.clear(ctx, c.Submission(), out)
}

func (c *call) wholeJob(ctx context.Context, in jobIn) engine.Outcome {
	job, end, out := c.runJob(ctx, in.batchIn)
	if out != nil {
		return *out
	}
	stdout := jobOutput(c.Submission().Intent.Control, c.Token, string(job.ID))
	asked := end.cause == workflow.CauseKilled && c.cancelled()
	var tail string
	if in.KeepOutput == "always" || in.KeepOutput == "failed" && end.cause != "" && !asked {
		tail = c.fetchLog(ctx, stdout, "job.log")
	}
	switch {
	case asked:
		return engine.Ended(end.evidence).WithRule(end.rule)
	case end.cause != "":
		return engine.Failure(end.cause, end.message).WithEvidence(end.evidence).WithRule(end.rule).WithTail(tail)
	}
	return c.jobSuccess(ctx, in, job, stdout, end)
}

// runJob submits the job of the attempt and follows whichever job comes to own
// its token to its end. An outcome says how the attempt goes on until then, or
// ends without one.
func (c *call) runJob(ctx context.Context, in batchIn) (*firecrest.Job, *jobEnd, *engine.Outcome) {
	var next firecrest.JobID // to follow instead of the one that is known best
	for {
		id, out := c.submitted(ctx, in)
		if id == "" {
			return nil, nil, &out
		}
		if next != "" && c.Submission().Owner == nil {
			id = next
		}
		w := watched{id: id, token: c.Token, submission: c.Submission()}
		seen, out := c.follow(ctx, w)
		switch {
		case seen == nil && out.IsZero():
			next = ""
			continue // another job owns the token
		case seen == nil:
			return nil, nil, &out
		}
		v := c.settle(ctx, ending{
			submission: c.Submission(), job: seen.Job, at: seen.At, requeue: in.Requeue,
			record: func(owner *workflow.SubmissionOwner) error { return c.Note(ctx, owner) },
		})
		switch {
		case v.follow != "":
			next = v.follow
			continue
		case v.wait != nil:
			return nil, nil, v.wait
		}
		c.library.jobs.forget(jobTopic(c.system(), c.Token, id))
		return &seen.Job, v.end, nil
	}
}

// jobSuccess delivers the outputs, those that the step declares included.
func (c *call) jobSuccess(ctx context.Context, in jobIn, job *firecrest.Job, stdout string, end *jobEnd) engine.Outcome {
	workdir := c.Submission().Intent.WorkDir
	outputs, err := c.readOutputs(ctx, in, stdout, workdir)
	if err != nil {
		return c.failed(ctx, err)
	}
	fixed := reflect.ValueOf(jobOut{
		JobID: string(job.ID), State: string(job.Status.State), ExitCode: end.code, Workdir: workdir,
		Stdout: stdout, Elapsed: duration(job.Time.Elapsed), Nodes: job.AllocationNodes,
	})
	for i, f := range jobOutputs() {
		outputs[f.Name] = fixed.Field(i).Interface()
	}
	return engine.Success(outputs).WithEvidence(end.evidence).WithRule(end.rule)
}

// jobOutputs are the outputs of every job, in the order of jobOut.
func jobOutputs() []workflow.Field { return fields(reflect.TypeFor[jobOut]()) }
