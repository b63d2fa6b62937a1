package crate

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/workflow"
)

var update = flag.Bool("update", false, "rewrite testdata/ro-crate-metadata.json; read every change before you commit it")

const flow = `version: 1
name: heat
description: One bar, many time steps.
inputs:
  dt: { type: float, default: 0.5, description: time step }
  mesh: { type: file, default: mesh.txt }
  parts: { type: list<file>, default: [] }
secrets: [TOKEN]
steps:
  - id: prepare
    uses: run
    with: { script: "echo ready", env: { TOKEN: "${{ secrets.TOKEN }}" } }
  - id: send
    uses: upload
    with: { system: daint, from: "${{ inputs.mesh }}", to: in/ }
  - id: simulate
    needs: [prepare, send]
    uses: job
    matrix: { dt: [30, 60], name: [a b] }
    with: { system: daint, resources: { time: 1h }, script: "#!/bin/sh\ntrue\n" }
    retry: [{ cause: walltime, max: 3 }]
  - id: fetch
    needs: [simulate]
    uses: download
    with: { system: daint, from: /scratch/out.txt }
  - id: never
    if: false
    uses: sleep
    with: { duration: 1s }
outputs:
  error: ${{ 0.001 }}
`

// story is a run that is told event by event.
type story struct {
	t     testing.TB
	run   *workflow.Run
	at    time.Time
	blobs map[string][]byte
}

// tell begins a story with a run that has started and is bound to a system.
func tell(t testing.TB) *story {
	t.Helper()
	w, problems := workflow.Load("flow.yaml", []byte(flow), steps.Catalogue(), workflow.CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := &story{t: t, run: workflow.NewRun(w), at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), blobs: map[string][]byte{}}
	mesh := workflow.FileFacts{Path: "/home/ada/w/mesh.txt", SizeBytes: 1 << 30, ModifiedAt: s.at.Add(-time.Hour)}
	part := workflow.FileFacts{Path: "/home/ada/w/a b.nc", SizeBytes: 3, ModifiedAt: s.at.Add(-time.Hour), SHA256: workflow.NewBlob([]byte("abc")).Digest}
	s.add("", 0, &workflow.RunCreated{
		ID: "01M81FVVSTZGYFF2F1YSMGE9EJ", Workflow: "heat", Definition: workflow.NewBlob([]byte(flow)).Digest, Nonce: "n",
		Inputs: map[string]json.RawMessage{
			"dt": []byte("0.5"), "mesh": []byte(`"/home/ada/w/mesh.txt"`), "parts": []byte(`["/home/ada/w/a b.nc"]`),
		},
		Files: map[string]workflow.FileFacts{"mesh": mesh, "parts[0]": part},
		Dir:   "/home/ada/w", OutputDir: "/home/ada/w/results/R", By: "ada@login1", Version: "v1.0.0",
		Profile: workflow.Profile{URL: "https://alps.example/firecrest/v2", System: "daint"},
	})
	s.add("", 0, &workflow.RunStarted{})
	simulate, _ := s.run.Step("simulate")
	instances, _ := s.run.Expand(simulate, 0, s.blob)
	for _, p := range instances {
		s.add("simulate", 0, p)
	}
	s.add("", 0, &workflow.RunBound{
		System: "daint", User: "ada", RemoteDir: "/scratch/ada/heat", Version: "2.5.6", Scheduler: "slurm", SchedulerVersion: "24.11.0",
	})
	return s
}

// add appends an event, a second after the one before.
func (s *story) add(unit string, attempt int, p workflow.Payload) {
	s.t.Helper()
	s.at = s.at.Add(time.Second)
	step, key, _ := strings.Cut(unit, "/")
	e := workflow.Event{Seq: s.run.Seq + 1, At: s.at, Epoch: s.run.Epoch, Step: step, Instance: key, Attempt: attempt, Data: p}
	if err := workflow.Apply(s.run, &e); err != nil {
		s.t.Fatal(err)
	}
}

func body(text string) workflow.Body { return workflow.Body{JSON: json.RawMessage(text)} }

// script stores the text of a job, as an owner does beside the intent.
func (s *story) script(text string) string {
	b := workflow.NewBlob([]byte(text))
	s.blobs[b.Digest] = b.Bytes
	return b.Digest
}

func (s *story) blob(digest string) ([]byte, error) {
	if b, ok := s.blobs[digest]; ok {
		return b, nil
	}
	return nil, workflow.ErrNotFound
}

// The instances of simulate.
const (
	first  = `simulate/dt=30,name="a b"`
	second = `simulate/dt=60,name="a b"`
)

// job is an attempt of an instance.
func (s *story) job(step string, attempt int, id string, end *workflow.AttemptFinished) {
	s.t.Helper()
	s.add(step, attempt, &workflow.AttemptStarted{System: "daint", With: body(
		`{"env":{"KEY":{"secret":"TOKEN"},"DT":"0.5"},"resources":{"time":"1h0m0s","nodes":2},"script":"#!/bin/sh\ntrue\n","account":null}`)})
	s.add(step, attempt, &workflow.SubmissionIntent{
		Token: "t" + id, JobName: "t" + id + "-simulate", System: "daint", WorkDir: "/scratch/ada/heat",
		Script: s.script("#!/bin/bash\n#SBATCH --time=01:00:00\n# t" + id + "\n"),
	})
	s.add(step, attempt, &workflow.SubmissionSending{K: 1})
	s.add(step, attempt, &workflow.SubmissionOutcome{K: 1, Class: workflow.Accepted, JobID: id})
	began := s.at
	s.add(step, attempt, &workflow.JobObserved{
		JobID: id, State: "COMPLETED", Active: true, Terminal: true, ExitCode: new(int), Nodes: 2, ElapsedMS: 61200,
		StartedAt: began, EndedAt: began.Add(61200 * time.Millisecond),
	})
	s.add(step, attempt, end)
}

// whole tells a run with every kind of thing in it, to its end.
func whole(t testing.TB) *story {
	t.Helper()
	s := tell(t)
	s.add("never", 0, &workflow.UnitSkipped{Cause: workflow.CauseConditionFalse})
	s.add("prepare", 1, &workflow.AttemptStarted{With: body(`{"env":{"TOKEN":{"secret":"TOKEN"}},"script":"echo ready","workdir":"."}`)})
	s.add("send", 1, &workflow.AttemptStarted{System: "daint", With: body(`{"from":"/home/ada/w/mesh.txt","to":"in/"}`)})
	s.add("prepare", 1, &workflow.AttemptFinished{State: workflow.Succeeded, Outputs: body(`{"exit_code":0,"stdout":"ready <&>"}`)})
	s.add("send", 1, &workflow.AttemptFinished{State: workflow.Succeeded, Outputs: body(
		`{"path":"/scratch/ada/heat/in/mesh.txt","sha256":"` + workflow.NewBlob([]byte("mesh")).Digest + `","size_bytes":1073741824,"files":1}`)})
	s.job(first, 1, "41", &workflow.AttemptFinished{
		State: workflow.Failed, Cause: workflow.CauseWalltime, Message: "job 41 on daint ran into its time limit",
		Evidence: "the scheduler says TIMEOUT", Retry: &workflow.Retry{At: s.at.Add(time.Minute)},
	})
	s.add(first, 0, &workflow.BackoffEnded{})
	s.job(second, 1, "42", &workflow.AttemptFinished{State: workflow.Succeeded, Outputs: body(`{"job_id":"42","error":2e-4,"levels":[40,60]}`)})
	s.job(first, 2, "43", &workflow.AttemptFinished{State: workflow.Succeeded, Outputs: body(`{"job_id":"43","error":1e-4,"levels":[40,60]}`)})
	s.add("fetch", 1, &workflow.AttemptStarted{System: "daint", With: body(`{"from":"/scratch/out.txt"}`)})
	s.add("fetch", 1, &workflow.AttemptFinished{State: workflow.Succeeded, Outputs: body(
		`{"path":"/home/ada/w/results/R/out.txt","sha256":"` + workflow.NewBlob([]byte("out")).Digest + `","size_bytes":3,"files":1}`)})
	s.add("", 0, &workflow.RunFinished{State: workflow.RunSucceeded, Outputs: body(`{"error":0.001}`)})
	return s
}

// fanOut gives simulate many instances, all with the attempts of the first.
func (s *story) fanOut(keys ...string) {
	step, _ := s.run.Step("simulate")
	first := step.Units[0]
	step.Units = nil
	for _, key := range keys {
		step.Units = append(step.Units, &workflow.Unit{Step: step, Instance: key, State: first.State, Attempts: first.Attempts})
	}
}

// crate writes the crate of a story.
func (s *story) crate(change func(*Source)) (map[string]string, error) {
	source := &Source{Run: s.run, Definition: []byte(flow), Versions: []string{"v1.0.0", "v1.1.0"}, Blobs: s.blob}
	if change != nil {
		change(source)
	}
	files := map[string]string{}
	err := Write(source, func(path string, content io.Reader) error {
		if _, twice := files[path]; twice {
			s.t.Errorf("%s is put twice", path)
		}
		text, err := io.ReadAll(content)
		files[path] = string(text)
		return err
	})
	return files, err
}

func (s *story) written(change func(*Source)) map[string]string {
	s.t.Helper()
	files, err := s.crate(change)
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

func text(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// TestGolden: the crate of a run with instances, an attempt that failed, a secret,
// files of both sides and a step that did not run, twice the same.
func TestGolden(t *testing.T) {
	t.Parallel()
	logs := func(s *Source) {
		s.Logs = func(u workflow.UnitRef, attempt int) []Log {
			if u.Step != "prepare" {
				return nil
			}
			return []Log{{Name: "log", Open: text("ready\n")}}
		}
	}
	files := whole(t).written(logs)
	got := files[metadataName]
	file := filepath.Join("testdata", metadataName)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !json.Valid([]byte(got)) {
		t.Error("the metadata is no JSON")
	}
	folder := "scripts/simulate/dt=30,name=_a_b_-" + workflow.NewBlob([]byte(`dt=30,name="a b"`)).Digest[:8]
	wantFiles := []string{
		"README.md", "logs/prepare.1.log", metadataName, "scripts/prepare.1.sh", folder + ".1.sh", folder + ".2.sh",
		"scripts/simulate/" + safe(`dt=60,name="a b"`) + ".1.sh", "workflow.yaml",
	}
	if diff := cmp.Diff(wantFiles, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Errorf("files, -want +got:\n%s", diff)
	}
	if files[workflowName] != flow || !strings.Contains(files[folder+".2.sh"], "# t43\n") {
		t.Error("the workflow or a script is not the one that ran")
	}
	if again := whole(t).written(logs); !maps.Equal(files, again) {
		t.Error("the same run made another crate")
	}
}

// graphOf decodes the metadata of a crate by id.
func graphOf(t *testing.T, files map[string]string) map[string]map[string]any {
	t.Helper()
	var document struct {
		Graph []map[string]any `json:"@graph"`
	}
	if err := json.Unmarshal([]byte(files[metadataName]), &document); err != nil {
		t.Fatal(err)
	}
	byID := map[string]map[string]any{}
	for _, e := range document.Graph {
		id := e["@id"].(string)
		if byID[id] != nil {
			t.Errorf("%s is described twice", id)
		}
		byID[id] = e
	}
	return byID
}

// TestReferences: whatever is pointed to is described, but for what others
// publish, and whatever is described as a file of the crate is in it.
func TestReferences(t *testing.T) {
	t.Parallel()
	files := whole(t).written(nil)
	entities := graphOf(t, files)
	var look func(from string, v any)
	look = func(from string, v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				look(from, item)
			}
		case map[string]any:
			id := v["@id"].(string)
			if entities[id] == nil && !strings.HasPrefix(id, "https://w3id.org/ro/crate/") {
				t.Errorf("%s points to %s, which is not described", from, id)
			}
		}
	}
	for id, e := range entities {
		for member, v := range e {
			if member != "@id" {
				look(id, v)
			}
		}
		if e["contentSize"] == nil || strings.HasPrefix(id, "#") {
			continue
		}
		if size, _ := strconv.Atoi(e["contentSize"].(string)); size != len(files[id]) || e["sha256"] != workflow.NewBlob([]byte(files[id])).Digest {
			t.Errorf("%s is described as another file: %v", id, e)
		}
	}
}

// TestInputs: files that were inputs are named, and copied if that is wanted,
// unless they are not what they were.
func TestInputs(t *testing.T) {
	t.Parallel()
	s := whole(t)
	named := graphOf(t, s.written(nil))
	if e := named["#file/input/mesh"]; e["sha256"] != workflow.NewBlob([]byte("mesh")).Digest {
		t.Errorf("the digest of a large input is not that of its upload: %v", e)
	}
	if e := named["#file/input/parts%5B0%5D"]; e["sha256"] != workflow.NewBlob([]byte("abc")).Digest || e["alternateName"] != "/home/ada/w/a b.nc" {
		t.Errorf("an input of a list: %v", e)
	}
	s.run.Created.Files["mesh"] = workflow.FileFacts{Path: "/home/ada/w/mesh.txt", SizeBytes: 4}
	content := map[string]string{"/home/ada/w/mesh.txt": "mesh", "/home/ada/w/a b.nc": "abc"}
	copying := func(c *Source) {
		c.Open = func(f workflow.FileFacts) (io.ReadCloser, error) { return text(content[f.Path])() }
	}
	files := s.written(copying)
	parts := "inputs/parts_0_-" + workflow.NewBlob([]byte("parts[0]")).Digest[:8] + "/a_b.nc-" + workflow.NewBlob([]byte("a b.nc")).Digest[:8]
	if files["inputs/mesh/mesh.txt"] != "mesh" || files[parts] != "abc" {
		t.Errorf("copied: %q", slices.Sorted(maps.Keys(files)))
	}
	if e := graphOf(t, files)[parts]; e["alternateName"] != "/home/ada/w/a b.nc" {
		t.Errorf("a copied input: %v", e)
	}
	content["/home/ada/w/a b.nc"] = "abd"
	if _, err := s.crate(copying); err == nil || !strings.Contains(err.Error(), `input "parts[0]": /home/ada/w/a b.nc has changed`) {
		t.Errorf("another file was copied: %v", err)
	}
}

// TestFailed: a run that failed says so, and one in which nothing ran does not
// claim to tell of its steps.
func TestFailed(t *testing.T) {
	t.Parallel()
	s := tell(t)
	for _, step := range []string{"prepare", "send"} {
		s.add(step, 0, &workflow.UnitFailed{Cause: workflow.CauseExpression, Message: "no such key"})
	}
	for _, step := range []string{first, second, "fetch", "never"} {
		s.add(step, 0, &workflow.UnitSkipped{Cause: workflow.CauseUpstreamFailed})
	}
	if _, err := s.crate(nil); err == nil || !strings.Contains(err.Error(), "is running") {
		t.Errorf("a run that is not over: %v", err)
	}
	s.add("", 0, &workflow.RunFinished{State: workflow.RunFailed, Cause: workflow.CauseTimedOut, Message: "after 1h"})
	files := s.written(func(c *Source) { c.License = "CC-BY-4.0" })
	e := graphOf(t, files)["#01M81FVVSTZGYFF2F1YSMGE9EJ"]
	if e["actionStatus"] != failed || e["error"] != "timed_out: after 1h" || e["@type"] != "ActivateAction" {
		t.Errorf("the run: %v", e)
	}
	if strings.Contains(files[metadataName], "wfrun/provenance") || strings.Contains(files[metadataName], "OrganizeAction") {
		t.Error("a run without attempts claims to tell of its steps")
	}
	if graphOf(t, files)["https://spdx.org/licenses/CC-BY-4.0"] == nil {
		t.Error("the license is not described")
	}
}

// TestMissing: a crate is whole or there is an error.
func TestMissing(t *testing.T) {
	t.Parallel()
	s := whole(t)
	clear(s.blobs)
	if _, err := s.crate(nil); !errors.Is(err, workflow.ErrNotFound) || !strings.Contains(err.Error(), first+", attempt 1: its script") {
		t.Errorf("without its scripts: %v", err)
	}
	broken := errors.New("disk full")
	err := Write(&Source{Run: whole(t).run, Blobs: whole(t).blob}, func(string, io.Reader) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("nothing can be stored: %v", err)
	}
}

func TestSafe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dt=30,levels=40", "a.nc", "x+y"} {
		if got := safe(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
	seen := map[string]string{}
	for _, name := range []string{"", ".", "..", ".hidden", "a/b", "a b", `a"b`, "a\x00b", "ä", "../../etc/passwd", strings.Repeat("x", 300), strings.Repeat("x", 301)} {
		got := safe(name)
		if got == "" || got[0] == '.' || len(got) > longest+9 || strings.ContainsAny(got, "/\\ \"\x00") || !filepath.IsLocal(got) {
			t.Errorf("%q became %q", name, got)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%q and %q both became %q", name, other, got)
		}
		seen[got] = name
	}
}

// TestMany: the work grows with the number of instances, not faster.
func TestMany(t *testing.T) {
	t.Parallel()
	size := func(n int) int {
		s := whole(t)
		var keys []string
		for i := range n {
			keys = append(keys, "i="+strconv.Itoa(i))
		}
		s.fanOut(keys...)
		var b bytes.Buffer
		for _, text := range s.written(nil) {
			b.WriteString(text)
		}
		return b.Len()
	}
	small, large := size(100), size(10_000)
	if large > 110*small {
		t.Errorf("100 instances take %d bytes, 10,000 take %d", small, large)
	}
}

// TestImported: what was done in another run has an action that says so, with
// what it was given and delivered, and nothing of when and where.
func TestImported(t *testing.T) {
	t.Parallel()
	s := whole(t)
	u, _ := s.run.Unit(workflow.UnitRef{Step: "prepare"})
	a := u.Attempt()
	u.Attempts = nil
	u.Imported = &workflow.UnitImported{Run: "OLD", State: workflow.Succeeded, With: a.With, Outputs: a.End.Outputs}
	skipped, _ := s.run.Unit(workflow.UnitRef{Step: "never"})
	skipped.Imported = &workflow.UnitImported{Run: "OLD", State: workflow.Skipped}
	entities := graphOf(t, s.written(nil))
	id := "#01M81FVVSTZGYFF2F1YSMGE9EJ/prepare/imported"
	action := entities[id]
	if action == nil || action["name"] != "prepare, imported from run OLD" || action["@type"] != "CreateAction" || action["actionStatus"] != completed ||
		action["object"] == nil || action["result"] == nil || action["startTime"] != nil || action["agent"] != nil {
		t.Errorf("the action is %v", action)
	}
	if control := entities[id+"/control"]; control == nil || control["@type"] != "ControlAction" {
		t.Errorf("its control is %v", control)
	}
	for other := range entities {
		if strings.Contains(other, "/never/") {
			t.Errorf("what was skipped has %s", other)
		}
	}
}
