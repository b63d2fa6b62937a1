package firecrest

import (
	"encoding/json"
	"testing"
	"time"
)

func TestJobStates(t *testing.T) {
	t.Parallel()
	for want, states := range map[phase][]JobState{
		phasePending:  {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "Q", "H", "W", "T", "M", "pending", " PENDING (x)"},
		phaseActive:   {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING", "R", "E", "B", "S", "U"},
		phaseTerminal: {"COMPLETED", "CANCELLED", "CANCELLED by 1000", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL", "F", "X"},
		phaseUnknown:  {"", "?", "FAIL", "COMPLETED,COMPLETING", "CANCELLED+", "EXPEDITING", "Z", "UNKNOWN", "C"},
	} {
		for _, s := range states {
			if s.IsPending() != (want == phasePending) || s.IsActive() != (want == phaseActive) || s.IsTerminal() != (want == phaseTerminal) || s.IsKnown() != (want != phaseUnknown) {
				t.Errorf("%q: pending %t, active %t, terminal %t, known %t", s, s.IsPending(), s.IsActive(), s.IsTerminal(), s.IsKnown())
			}
		}
	}
}

func TestJobStateList(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]JobState{
		`"RUNNING"`: "RUNNING", `["RUNNING"]`: "RUNNING", `["COMPLETED","COMPLETING"]`: "COMPLETING", `["COMPLETING","COMPLETED"]`: "COMPLETING",
		`["FAILED","REVOKED"]`: "FAILED", `["COMPLETED","NEW_FLAG"]`: "NEW_FLAG", `[]`: "", `null`: "", `"CANCELLED by 7"`: "CANCELLED by 7",
	} {
		var s JobState
		if err := json.Unmarshal([]byte(body), &s); err != nil || s != want {
			t.Errorf("%s: got %q, %v", body, s, err)
		}
	}
}

func TestJobIDBase(t *testing.T) {
	t.Parallel()
	for id, want := range map[JobID]JobID{"123": "123", "123_4": "123", "123_[5-9%2]": "123", "200+0": "200", "123.batch": "123", "123.pbs01": "123", "123[]": "123", "": "", "_1": "_1"} {
		if got := id.Base(); got != want {
			t.Errorf("%q: got %q", id, got)
		}
	}
}

func TestJobSucceeded(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{"status":{"state":"COMPLETED","exitCode":0,"interruptSignal":0}}`:    true,
		`{"status":{"state":"COMPLETED","exitCode":0,"interruptSignal":null}}`: true,
		`{"status":{"state":"COMPLETED","exitCode":"0"}}`:                      true,
		`{"status":{"state":"COMPLETED","exitCode":null}}`:                     false,
		`{"status":{"state":"COMPLETED","exitCode":1}}`:                        false,
		`{"status":{"state":"COMPLETED","exitCode":0,"interruptSignal":9}}`:    false,
		`{"status":{"state":"TIMEOUT","exitCode":0,"interruptSignal":0}}`:      false,
		`{"status":{"state":"F","exitCode":0}}`:                                false,
		`{"status":{"state":"RUNNING","exitCode":0}}`:                          false,
		`{}`: false,
	} {
		var j Job
		if err := json.Unmarshal([]byte(body), &j); err != nil || j.Succeeded() != want {
			t.Errorf("%s: got %t, %v", body, j.Succeeded(), err)
		}
	}
}

func TestJobTimes(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string]time.Duration{"900": 15 * time.Minute, "null": 0, "4294967295": 0, "-1": 0, "9e18": 0} {
		var j Job
		if err := json.Unmarshal([]byte(`{"jobId":"1","tasks":null,"priority":null,"time":{"elapsed":90,"start":1795331777,"end":null,"suspended":0,"limit":`+limit+`}}`), &j); err != nil {
			t.Fatal(err)
		}
		if j.Time.Limit != want || j.Time.Elapsed != 90*time.Second || j.Time.Start.Unix() != 1795331777 || !j.Time.End.IsZero() || j.Priority != nil || j.Tasks != nil {
			t.Errorf("%s: got %+v", limit, j)
		}
	}
}

func row(id JobID, state JobState, exit int64) Job {
	return Job{ID: id, Name: "T-x", Status: JobStatus{State: state, ExitCode: &exit}}
}

func TestAggregate(t *testing.T) {
	t.Parallel()
	if _, ok := Aggregate(nil); ok {
		t.Error("no rows made a job")
	}
	for name, test := range map[string]struct {
		rows  []Job
		state JobState
		exit  int64
	}{
		"plain":                  {[]Job{row("7", "RUNNING", 0)}, "RUNNING", 0},
		"all done":               {[]Job{row("7_0", "COMPLETED", 0), row("7_1", "COMPLETED", 0)}, "COMPLETED", 0},
		"one failed":             {[]Job{row("7_0", "COMPLETED", 0), row("7_1", "FAILED", 3), row("7_2", "TIMEOUT", 0)}, "FAILED", 3},
		"one completed with 1":   {[]Job{row("7_0", "COMPLETED", 0), row("7_1", "COMPLETED", 1)}, "COMPLETED", 1},
		"failed, others wait":    {[]Job{row("7_0", "FAILED", 3), row("7_[1-5]", "PENDING", 0)}, "PENDING", 0},
		"waiting, others active": {[]Job{row("7_[2-5]", "PENDING", 0), row("7_1", "RUNNING", 0), row("7_0", "COMPLETED", 0)}, "RUNNING", 0},
		"unknown state":          {[]Job{row("7+0", "COMPLETED", 0), row("7+1", "NOVEL", 0)}, "NOVEL", 0},
	} {
		job, ok := Aggregate(test.rows)
		if !ok || job.ID != "7" || job.Status.State != test.state || *job.Status.ExitCode != test.exit {
			t.Errorf("%s: got %+v", name, job)
		}
	}
}

func FuzzJob(f *testing.F) {
	for _, answers := range recordings(f) {
		for _, name := range []string{"get-completed", "get-array-running", "get-pending-held", "list-all"} {
			f.Add([]byte(answers[name].Body))
		}
	}
	f.Add([]byte(`{"jobs":[{"jobId":1e99,"status":{"state":["COMPLETED",7]},"time":{"limit":"x"}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var rows []Job
		if json.Unmarshal(body, &member{"jobs", &rows}) != nil {
			return
		}
		job, ok := Aggregate(rows)
		if ok != (len(rows) > 0) {
			t.Fatalf("%d rows, %t", len(rows), ok)
		}
		for _, r := range rows {
			if ok && job.Status.State.IsTerminal() && !r.Status.State.IsTerminal() {
				t.Errorf("%q is over, but a row is %q", job.Status.State, r.Status.State)
			}
			if ok && job.Succeeded() && !r.Succeeded() {
				t.Errorf("succeeded, but a row did not: %+v", r)
			}
			if r.Time.Limit < 0 || r.Time.Elapsed < 0 {
				t.Errorf("times %+v", r.Time)
			}
		}
	})
}
