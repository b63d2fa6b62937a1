package main

import (
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// TestJudgeWord: a job of another name is not the one; and where there is no
// fence, the word that nothing runs is not taken while a job of the token lives.
func TestJudgeWord(t *testing.T) {
	t.Parallel()
	unit := func(fence workflow.Fence) *workflow.Unit {
		step := &workflow.StepRun{Step: &workflow.Step{ID: "simulate"}}
		return &workflow.Unit{Step: step, Attempts: []*workflow.Attempt{{Submission: &workflow.Submission{
			Intent: workflow.SubmissionIntent{Token: "ftoken", JobName: "ftoken-simulate", System: "daint", Fence: fence}, Candidates: []string{"12"},
		}}}}
	}
	row := func(name, state string) firecrest.Job {
		return firecrest.Job{ID: "12", Name: name, Status: firecrest.JobStatus{State: firecrest.JobState(state)}}
	}
	job := workflow.SubmissionResolved{As: workflow.ResolvedJob, JobID: "12"}
	never := workflow.SubmissionResolved{As: workflow.ResolvedNeverRan}
	for _, c := range []struct {
		name string
		word workflow.SubmissionResolved
		rows []firecrest.Job
		want string
	}{
		{"the job", job, []firecrest.Job{row("ftoken-simulate", "RUNNING")}, ""},
		{"the job, its id used before", job, []firecrest.Job{row("other", "COMPLETED"), row("ftoken-simulate", "RUNNING")}, ""},
		{"no name to be seen", job, []firecrest.Job{row("", "RUNNING")}, ""},
		{"another job", job, []firecrest.Job{row("other", "RUNNING")}, `called "other", which does not begin with the token`},
		{"never ran, and it runs", never, []firecrest.Job{row("ftoken-simulate", "RUNNING")}, "job 12 on daint is that of simulate, and it is RUNNING"},
		{"never ran, and it waits", never, []firecrest.Job{row("ftoken-simulate", "PENDING")}, "is PENDING"},
		{"never ran, and it is over", never, []firecrest.Job{row("ftoken-simulate", "CANCELLED")}, ""},
		{"never ran, and another has its id", never, []firecrest.Job{row("other", "RUNNING")}, ""},
	} {
		err := judgeWord(c.rows, unit(workflow.FenceOff), c.word, "12")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestEffect: what happens before the word is on record, or before the attempt
// can know of it, is not its effect.
func TestEffect(t *testing.T) {
	t.Parallel()
	said := &workflow.SubmissionResolved{As: workflow.ResolvedNeverRan, By: "ada"}
	attention, job := &workflow.AttemptWaiting{Reason: workflow.WaitAttention}, &workflow.AttemptWaiting{Reason: workflow.WaitJob}
	outage, woken := &workflow.AttemptWaiting{Reason: workflow.WaitOutage}, &workflow.AttemptWoken{}
	for _, c := range []struct {
		name   string
		events []workflow.Payload
		done   bool
	}{
		{"nothing", nil, false},
		{"waits, not told", []workflow.Payload{woken, attention}, false},
		{"told", []workflow.Payload{attention, said}, false},
		{"told while it looked", []workflow.Payload{woken, said, attention}, false},
		{"entered", []workflow.Payload{said, attention, woken}, false},
		{"cannot tell", []workflow.Payload{said, woken, attention}, true},
		{"follows", []workflow.Payload{said, woken, job}, true},
		{"cannot act", []workflow.Payload{said, woken, outage}, false},
		{"fenced off", []workflow.Payload{said, woken, &workflow.SubmissionOwner{}}, false},
		{"claimed", []workflow.Payload{said, woken, &workflow.SubmissionOwner{JobID: "12"}}, true},
		{"over", []workflow.Payload{said, woken, &workflow.SubmissionOwner{}, &workflow.AttemptFinished{}}, true},
		{"another word", []workflow.Payload{&workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "ada"}, woken, attention}, false},
	} {
		unit := &workflow.Unit{Step: &workflow.StepRun{Step: &workflow.Step{ID: "simulate"}}, Attempts: make([]*workflow.Attempt, 2)}
		f := newEffect("R", unit, *said)
		for _, p := range c.events {
			f.note(workflow.Event{Step: "simulate", Attempt: 2, Data: p})
			f.note(workflow.Event{Step: "other", Attempt: 2, Data: &workflow.AttemptFinished{}})
			f.note(workflow.Event{Step: "simulate", Attempt: 1, Data: &workflow.AttemptFinished{}})
		}
		if got := f.done(); got != c.done {
			t.Errorf("%s: in effect %v", c.name, got)
		}
	}
}

// TestWordOfFlags: exactly one of three.
func TestWordOfFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    resolveOptions
		job  bool
		as   workflow.Resolution
		id   string
		fail bool
	}{
		{resolveOptions{job: "12"}, true, workflow.ResolvedJob, "12", false},
		{resolveOptions{job: "12.pbs01"}, true, workflow.ResolvedJob, "12", false},
		{resolveOptions{neverRan: true}, false, workflow.ResolvedNeverRan, "", false},
		{resolveOptions{failed: true}, false, workflow.ResolvedFailed, "", false},
		{resolveOptions{}, false, "", "", true},
		{resolveOptions{neverRan: true, failed: true}, false, "", "", true},
		{resolveOptions{failed: true}, true, "", "", true},
		{resolveOptions{job: "last"}, true, "", "", true},
		{resolveOptions{job: ""}, true, "", "", true},
	} {
		word, err := c.o.word(c.job)
		if (err != nil) != c.fail || err == nil && (word.As != c.as || word.JobID != c.id || word.By == "") {
			t.Errorf("%+v: %+v, %v", c.o, word, err)
		}
	}
}
