package workflow

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// samples has an event of each kind, as stored. A new kind fails
// TestEventSamples until it has one.
var samples = map[EventKind]string{
	"run.created":          `{"id":"01","workflow":"w","definition":"d","nonce":"n","trigger":"manual","parent":{"run":"00","step":"p","instance":"i","attempt":2},"rerun_of":"00","inputs":{"n":3},"files":{"f":{"path":"/f","size_bytes":1,"modified_at":"2026-01-02T03:04:05Z"}},"dir":"/d","output_dir":"/o","profile":{"url":"https://x","insecure":true},"concurrency":[{"group":"icon","limit":1,"on_conflict":"queue"}],"by":"me@here","version":"1"}`,
	"run.files":            `{"files":{"f[0]":{"path":"/f","size_bytes":1,"modified_at":"2026-01-02T03:04:05Z","sha256":"d"}}}`,
	"run.opened":           `{"owner":{"host":"h","boot_id":"b","pid":1,"started_at":"2026-01-02T03:04:05Z","epoch":2,"socket":"/s"},"version":"1"}`,
	"run.started":          ``,
	"run.bound":            `{"system":"daint","user":"me","remote_dir":"/r","version":"2.5.6","scheduler":"slurm","scheduler_version":"22.05","fence":"claim","submit_dir":"/home/me"}`,
	"run.cancel_requested": `{"by":"me@here"}`,
	"run.timed_out":        ``,
	"run.finished":         `{"state":"failed","cause":"timed_out","message":"m","outputs":{"json":{"a":1}}}`,
	"step.items":           `{"items":[1,"a"]}`,
	"step.expanded":        `{"count":1,"digest":"d","alone":true,"cause":"expression","message":"m"}`,
	"run.reopened":         `{"round":2}`,
	"run.definition":       `{"from":3,"text":"version: 1"}`,
	"run.replanned":        `{"definition":"d","inputs":{"n":3},"files":{"f":{"path":"/f","size_bytes":1,"modified_at":"2026-01-02T03:04:05Z"}},"dir":"/d","by":"me@here"}`,
	"units.reset":          `{"units":[{"step":"a","instance":"n=1"}],"force":true,"exact":true,"by":"me@here"}`,
	"unit.imported":        `{"run":"00","state":"succeeded","cause":"exit","message":"m","with":{"json":{"a":1}},"started_at":"2026-01-02T03:04:05Z","spec_version":2,"outputs":{"blob":"abc"}}`,
	"unit.ready":           ``,
	"unit.skipped":         `{"cause":"upstream_failed","root":{"step":"a","instance":"{}"},"message":"m"}`,
	"unit.failed":          `{"cause":"expression","message":"m"}`,
	"attempt.started":      `{"with":{"json":{"a":1}},"system":"daint","deadline":"2026-01-02T03:04:05Z","spec_version":2}`,
	"attempt.waiting":      `{"reason":"job","topic":"t","until":"2026-01-02T03:04:05Z","message":"m","requests":{"GET /status/systems":2}}`,
	"attempt.woken":        `{"why":"due"}`,
	"attempt.expired":      `{"cause":"timed_out"}`,
	"attempt.checkpoint":   `{"key":"k","value":{"blob":"abc"}}`,
	"attempt.finished":     `{"state":"failed","cause":"exit(3)","message":"m","outputs":{"json":{}},"evidence":"e","rule":"marker","tail":"t","retry":{"at":"2026-01-02T03:04:05Z","rule":1,"grow":{"time":"2h0m0s"}},"requests":{"GET /status/systems":2}}`,
	"backoff.ended":        ``,
	"submission.intent":    `{"token":"t","job_name":"t-x","system":"daint","work_dir":"/w","control":"/r/.fcflow/000","fence":"claim","script":"abc","remote_script":"/s","account":"a","limit_ms":60000,"requeue":true,"secret_files":true}`,
	"submission.sending":   `{"k":1}`,
	"submission.outcome":   `{"k":1,"class":"accepted","job_id":"7","status":201,"message":"m","request_id":"r"}`,
	"submission.looked":    `{"jobs":["7"],"vote":true,"witness":true,"calls":[{"operation":"GET /compute/daint/jobs","at":"2026-01-02T03:04:05Z","status":200,"request_id":"r","said":"3 jobs"}]}`,
	"submission.absent":    `{"k":1,"votes":3}`,
	"submission.owner":     `{"job_id":"7","rule":"claim","evidence":"e","calls":[{"operation":"GET /filesystem/daint/ops/ls","at":"2026-01-02T03:04:05Z"}]}`,
	"submission.resolved":  `{"as":"job","job_id":"7","by":"me@here"}`,
	"approval.given":       `{"by":"me@here","note":"n","rejected":true}`,
	"job.observed":         `{"job_id":"7","state":"RUNNING","active":true,"terminal":true,"reason":"None","exit_code":0,"signal":9,"nodes":2,"elapsed_ms":3000,"started_at":"2026-01-02T03:04:05Z","ended_at":"2026-01-02T03:04:06Z","asked_at":"2026-01-02T03:04:07Z","stdout":"/o","stderr":"/e"}`,
}

func storedEvent(kind EventKind, data string) string {
	text := `{"seq":7,"at":"2026-01-02T03:04:05Z","epoch":2,"kind":"` + string(kind) + `","v":1,"step":"s","instance":"i","attempt":1`
	if data != "" {
		text += `,"data":` + data
	}
	return text + "}"
}

// TestEventSamples: every kind is read into its type, keeps every field, and is
// written as it was.
func TestEventSamples(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		data, ok := samples[kind]
		if !ok {
			t.Errorf("no sample of kind %s", kind)
			continue
		}
		text := storedEvent(kind, data)
		var e Event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if e.Data.Kind() != kind {
			t.Errorf("%s is read as %s", kind, e.Data.Kind())
		}
		for v, i := reflect.ValueOf(e.Data).Elem(), 0; i < v.NumField(); i++ {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "ScheduledAt" {
				t.Errorf("the sample of %s lacks field %s", kind, name)
			}
		}
		written, err := json.Marshal(e)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(decoded(t, text), decoded(t, string(written))); diff != "" {
			t.Errorf("%s is written otherwise (-stored +written):\n%s", kind, diff)
		}
	}
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestUnknownEvent: what a newer fcflow wrote can be read and shown, unchanged,
// but not folded.
func TestUnknownEvent(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		storedEvent("unit.paused", `{"by":"x"}`),
		strings.Replace(storedEvent("attempt.woken", `{"why":"due"}`), `"v":1`, `"v":2`, 1),
	} {
		var e Event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if _, ok := e.Data.(Unknown); !ok {
			t.Errorf("%s is read as %T", text, e.Data)
		}
		r := NewRun(&Workflow{})
		r.Seq, r.Epoch = 6, 2
		if err := Apply(r, &e); !errors.Is(err, ErrNewer) {
			t.Errorf("folding it gives %v", err)
		}
	}
}

// TestApplyRefuses: an event that does not continue the history is refused.
func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.must("c", 1, &AttemptStarted{})
	for _, c := range []struct {
		name string
		e    Event
		want error
	}{
		{"gap", Event{Seq: h.run.Seq + 2, Epoch: 1, Data: &RunTimedOut{}}, ErrCorrupt},
		{"repeat", Event{Seq: h.run.Seq, Epoch: 1, Data: &RunTimedOut{}}, ErrCorrupt},
		{"older epoch", Event{Seq: h.run.Seq + 1, Epoch: 0, Data: &RunTimedOut{}}, ErrStale},
		{"same epoch opened", Event{Seq: h.run.Seq + 1, Epoch: 1, Data: &RunOpened{}}, ErrStale},
		{"unknown step", Event{Seq: h.run.Seq + 1, Epoch: 1, Step: "x", Data: &UnitReady{}}, nil},
		{"older attempt", Event{Seq: h.run.Seq + 1, Epoch: 1, Step: "c", Attempt: 2, Data: &AttemptWoken{}}, nil},
		{"outcome without intent", Event{Seq: h.run.Seq + 1, Epoch: 1, Step: "c", Attempt: 1, Data: &SubmissionOutcome{K: 1}}, nil},
		{"end with open units", Event{Seq: h.run.Seq + 1, Epoch: 1, Data: &RunFinished{State: RunSucceeded}}, nil},
		{"second start", Event{Seq: h.run.Seq + 1, Epoch: 1, Data: &RunStarted{}}, nil},
	} {
		before := h.run.Summarize()
		err := Apply(h.run, &c.e)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(before, h.run.Summarize()); diff != "" {
			t.Errorf("%s changed the run:\n%s", c.name, diff)
		}
	}
}

// TestSubmissionFold: the protocol of a submission leaves what a resume needs.
func TestSubmissionFold(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.must("c", 1, &AttemptStarted{})
	h.must("c", 1, &SubmissionIntent{Token: "t", JobName: "t-c", Fence: FenceClaim})
	h.must("c", 1, &SubmissionSending{K: 1})
	s := h.unit("c").Attempt().Submission
	if !s.InFlight() {
		t.Error("a request without an outcome is not in flight")
	}
	if err := h.apply("c", 1, &SubmissionSending{K: 3}); err == nil {
		t.Error("request 3 after request 1 was accepted")
	}
	h.must("c", 1, &SubmissionOutcome{K: 1, Class: Accepted, JobID: "7"})
	if s.InFlight() || s.JobID != "7" || !s.AcceptedAt.Equal(h.now) {
		t.Errorf("accepted as %+v", s)
	}
	h.must("c", 1, &SubmissionLooked{Jobs: []string{"8", "7"}})
	if s.JobID != "7" || len(s.Candidates) != 2 || s.Over() || s.MaySend() {
		t.Errorf("after another job of the name: %+v", s)
	}
	h.must("c", 1, &SubmissionOwner{JobID: "8", Rule: RuleClaim})
	if s.JobID != "8" || !s.Over() {
		t.Errorf("after job 8 was seen to own the token: %+v", s)
	}
	if err := h.apply("c", 1, &SubmissionOwner{JobID: "7", Rule: RuleClaim}); err == nil {
		t.Error("a token got a second owner")
	}
}

// TestSubmissionRules: another request, and another token, only when the fate of
// those before allows it.
func TestSubmissionRules(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tests := []struct {
		name                 string
		facts                []SubmissionFact
		maySend, over, doubt bool
	}{
		{"nothing", nil, true, true, false},
		{"in flight", []SubmissionFact{&SubmissionSending{K: 1}}, false, false, true},
		{"not sent", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: NotSent}}, true, true, false},
		{"not sent on", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: NotSent, Status: 429}}, true, false, true},
		{"rejected", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Rejected, Status: 500}}, true, false, true},
		{"accepted", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Accepted, JobID: "7"}}, false, false, false},
		{"ambiguous", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Ambiguous}}, false, false, true},
		{
			"absent", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Ambiguous}, &SubmissionLooked{Vote: true}, &SubmissionAbsent{K: 1, Votes: 1}},
			true, false, true,
		},
		{
			"absent, then rejected", []SubmissionFact{
				&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Ambiguous}, &SubmissionAbsent{K: 1},
				&SubmissionSending{K: 2}, &SubmissionOutcome{K: 2, Class: Rejected},
			}, true, false, true,
		},
		{
			"fenced off", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Ambiguous}, &SubmissionOwner{Rule: RuleTombstone}},
			false, true, false,
		},
		{
			"a person says that it failed", []SubmissionFact{&SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Ambiguous}, &SubmissionResolved{As: ResolvedFailed, By: "me"}},
			false, true, true,
		},
	}
	for _, test := range tests {
		s := &Submission{Intent: SubmissionIntent{Token: "t", Fence: FenceClaim}}
		for _, f := range test.facts {
			if err := s.Note(f, now); err != nil {
				t.Errorf("%s: %s: %v", test.name, f.Kind(), err)
			}
		}
		if s.MaySend() != test.maySend || s.Over() != test.over || s.Doubtful() != test.doubt {
			t.Errorf("%s: may send %v, over %v, doubtful %v", test.name, s.MaySend(), s.Over(), s.Doubtful())
		}
		if err := s.Note(&SubmissionSending{K: s.Sent + 1}, now); (err == nil) != test.maySend {
			t.Errorf("%s: another request: %v", test.name, err)
		}
	}
	s := &Submission{}
	for _, f := range []SubmissionFact{
		&SubmissionOutcome{K: 1, Class: NotSent}, &SubmissionAbsent{K: 1}, &SubmissionSending{K: 2},
	} {
		if s.Note(f, now) == nil {
			t.Errorf("%s was taken before anything was sent", f.Kind())
		}
	}
}

// TestToken: it depends on each part, and on nothing else.
func TestToken(t *testing.T) {
	t.Parallel()
	base := Token("n", UnitRef{Step: "s", Instance: "i"}, 1)
	if len(base) != tokenLength || base != Token("n", UnitRef{Step: "s", Instance: "i"}, 1) {
		t.Errorf("token %q", base)
	}
	seen := map[string]bool{base: true}
	for _, other := range []string{
		Token("m", UnitRef{Step: "s", Instance: "i"}, 1),
		Token("n", UnitRef{Step: "si"}, 1),
		Token("n", UnitRef{Step: "", Instance: "si"}, 1),
		Token("n", UnitRef{Step: "s", Instance: "i"}, 2),
	} {
		if seen[other] {
			t.Errorf("token %q occurs twice", other)
		}
		seen[other] = true
	}
	name := JobName(base, strings.Repeat("größe/dt=30|", 10))
	if !strings.HasPrefix(name, base+"-") || len(name) > 64 || strings.ContainsAny(name, "|/=ö,") {
		t.Errorf("job name %q", name)
	}
}

// FuzzEvent: stored bytes are read without panic, and what is read is written
// so that it reads the same.
func FuzzEvent(f *testing.F) {
	for kind, data := range samples {
		f.Add(storedEvent(kind, data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var e Event
		if json.Unmarshal([]byte(text), &e) != nil {
			return
		}
		written, err := json.Marshal(e)
		if err != nil {
			t.Skip("a time that JSON cannot hold") // year above 9999
		}
		var again Event
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if rewritten, err := json.Marshal(again); err != nil || string(rewritten) != string(written) {
			t.Fatalf("written as %s, then as %s (%v)", written, rewritten, err)
		}
		r := NewRun(&Workflow{})
		r.Seq, r.Epoch = e.Seq-1, e.Epoch
		_ = Apply(r, &e) // whatever it holds, it must not panic
	})
}
