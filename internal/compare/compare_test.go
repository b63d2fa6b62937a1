package compare_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/compare"
	"github.com/fcflow/fcflow/workflow"
)

const frozen = `version: 1
name: sweep
steps:
  - id: simulate
    uses: job
    matrix: { dt: [30, 60] }
    with:
      resources: { nodes: 2 }
      script: |
        #!/bin/sh
  - id: fetch
    for_each: simulate
    uses: download
    with: { from: "${{ each.outputs.stdout }}" }
`

// side is a run of two jobs, with everything in it that differs between any two
// runs.
func side(number int) *compare.Side {
	id := fmt.Sprintf("%026d", number)
	remote := "/scratch/ada/fcflow/sweep/" + id
	began := time.Date(2026, 3, number, 10, 0, 0, 0, time.UTC)
	unit := func(i int, key string) workflow.UnitView {
		token := strings.Repeat(string(rune('a'+number)), 19) + string(rune('a'+i))
		jobID := fmt.Sprint(100*number + i)
		return workflow.UnitView{
			Step: "simulate", Instance: key, State: workflow.Succeeded,
			Outputs: json.RawMessage(fmt.Sprintf(`{"elapsed":"%ds","energy":1.5,"job_id":%q,"stdout":"%s/.fcflow/000/%s.out.%s"}`, number, jobID, remote, token, jobID)),
			Attempts: []workflow.AttemptView{{
				StartedAt: began, EndedAt: began.Add(time.Duration(number) * time.Minute), Token: token, JobID: jobID,
				With: json.RawMessage(fmt.Sprintf(`{"resources":{"nodes":2},"workdir":%q,"env":{"IDS":["a",%q]}}`, remote, "for "+id)),
				Job:  &workflow.JobObserved{JobID: jobID, Nodes: 2, ElapsedMS: int64(number) * 3600_000},
			}},
		}
	}
	fetch := workflow.UnitView{
		Step: "fetch", Instance: "dt=30", State: workflow.Succeeded,
		Outputs: json.RawMessage(`{"path":"/home/ada/results/` + id + `/x"}`),
		Attempts: []workflow.AttemptView{{
			StartedAt: began, EndedAt: began.Add(time.Second), With: json.RawMessage(fmt.Sprintf(`{"job_id":"%d"}`, 100*number)),
		}},
	}
	childID, below := workflow.RunID(fmt.Sprintf("%026d", 70+number)), unit(5, "")
	child := workflow.UnitView{
		Step: "child", State: workflow.Succeeded,
		Outputs: json.RawMessage(fmt.Sprintf(`{"run_id":%q,"restart":"/scratch/ada/fcflow/one/%s/restart.nc","job_id":%q,"file":"%s.out.7"}`,
			childID, childID, below.Attempts[0].JobID, below.Attempts[0].Token)),
		Attempts: []workflow.AttemptView{{StartedAt: began, EndedAt: began.Add(time.Second), Child: childID}},
	}
	sure := workflow.UnitView{
		Step: "sure", State: workflow.Succeeded,
		Outputs:  json.RawMessage(fmt.Sprintf(`{"at":%q,"by":"ada@login","note":"fine"}`, began.Format(time.RFC3339))),
		Attempts: []workflow.AttemptView{{StartedAt: began, EndedAt: began.Add(time.Second)}},
	}
	return &compare.Side{
		Frozen: []byte(frozen), Versions: []string{"v1"},
		Children: map[workflow.RunID]*workflow.RunView{
			childID: {Steps: []workflow.StepView{{ID: "simulate", Uses: "job", Instances: []workflow.UnitView{below}}}},
		},
		Created: workflow.RunCreated{
			Inputs:  map[string]json.RawMessage{"mesh": json.RawMessage(`"/home/ada/mesh.nc"`), "levels": json.RawMessage(`[40,60]`)},
			Files:   map[string]workflow.FileFacts{"mesh": {Path: "/home/ada/mesh.nc", SizeBytes: 10, ModifiedAt: time.Unix(5, 0)}},
			Profile: workflow.Profile{URL: "https://alps.example"},
		},
		View: workflow.RunView{
			Summary: workflow.Summary{ID: workflow.RunID(id), Workflow: "sweep", State: workflow.RunSucceeded, StartedAt: began, EndedAt: began.Add(time.Hour)},
			Sites:   []workflow.RunBound{{System: "daint", User: "ada", RemoteDir: remote, Version: "2.5.6"}}, OutputDir: "/home/ada/results/" + id,
			Outputs: json.RawMessage(`{"energies":[1.5,1.5]}`),
			Steps: []workflow.StepView{
				{ID: "simulate", Uses: "job", Instances: []workflow.UnitView{unit(0, "dt=30"), unit(1, "dt=60")}},
				{ID: "fetch", Uses: "download", Instances: []workflow.UnitView{fetch}},
				{ID: "child", Uses: "workflow", Instances: []workflow.UnitView{child}},
				{ID: "sure", Uses: "approve", Instances: []workflow.UnitView{sure}},
				{ID: "sum", Uses: "run", Instances: []workflow.UnitView{{
					Step: "sum", State: workflow.Succeeded, Outputs: json.RawMessage(`{"at":"Zermatt","elapsed":"5s","run_id":"7"}`),
				}}},
			},
		},
	}
}

// TestSame: what differs between any two runs is no difference, and what they took
// is told.
func TestSame(t *testing.T) {
	t.Parallel()
	d := compare.Runs(side(1), side(2))
	if text, err := json.MarshalIndent(d, "", "  "); !d.Same || err != nil || len(d.Instances) > 0 {
		t.Fatalf("two runs of the same differ: %s, %v", text, err)
	}
	if a, b := d.Steps[0].A, d.Steps[0].B; *a.Seconds != 120 || *b.Seconds != 240 || *a.NodeHours != 4 || *b.NodeHours != 8 {
		t.Errorf("took %v and %v s, %v and %v node-hours", *a.Seconds, *b.Seconds, *a.NodeHours, *b.NodeHours)
	}
}

// TestDifferences: each thing that is another on one side is found, by its name,
// and alone; also with the sides the other way round.
func TestDifferences(t *testing.T) {
	t.Parallel()
	text := func(old, new string) func(*compare.Side) {
		return func(s *compare.Side) { s.Frozen = []byte(strings.Replace(string(s.Frozen), old, new, 1)) }
	}
	simulate := func(s *compare.Side) *workflow.UnitView { return &s.View.Steps[0].Instances[1] }
	for want, change := range map[string]func(*compare.Side){
		"definition steps.simulate.with.resources.nodes": text("nodes: 2", "nodes: 4"),
		"definition steps.simulate.with.script":          text("#!/bin/sh\n", "#!/bin/bash\n"),
		"definition steps.simulate.matrix.dt":            text("[30, 60]", "[30, 60, 90]"),
		"definition steps.pack": func(s *compare.Side) {
			s.Frozen = append(s.Frozen, "  - { id: pack, uses: mkdir, with: { path: x } }\n"...)
		},
		"definition timeout": text("name: sweep\n", "name: sweep\ntimeout: 2h\n"),
		"definition file":    func(s *compare.Side) { s.Frozen = []byte("\t") },
		"inputs levels":      func(s *compare.Side) { s.Created.Inputs["levels"] = json.RawMessage(`[40]`) },
		"inputs mesh.size_bytes": func(s *compare.Side) {
			s.Created.Files["mesh"] = workflow.FileFacts{SizeBytes: 11, ModifiedAt: time.Unix(5, 0)}
		},
		"inputs mesh.modified_at": func(s *compare.Side) {
			s.Created.Files["mesh"] = workflow.FileFacts{SizeBytes: 10, ModifiedAt: time.Unix(6, 0)}
		},
		"inputs more":                         func(s *compare.Side) { s.Created.Inputs["more"] = json.RawMessage(`1`) },
		"run state":                           func(s *compare.Side) { s.View.State = workflow.RunFailed },
		"outputs energies[1]":                 func(s *compare.Side) { s.View.Outputs = json.RawMessage(`{"energies":[1.5,1.6]}`) },
		"service url":                         func(s *compare.Side) { s.Created.Profile.URL = "https://other.example" },
		"service versions.fcflow":             func(s *compare.Side) { s.Versions = append(s.Versions, "v2") },
		"service systems.daint.version":       func(s *compare.Side) { s.View.Sites[0].Version = "2.6.0" },
		"service systems.eiger":               func(s *compare.Side) { s.View.Sites = append(s.View.Sites, workflow.RunBound{System: "eiger"}) },
		"simulate/dt=60 state":                func(s *compare.Side) { simulate(s).State = workflow.Failed },
		"simulate/dt=60 cause":                func(s *compare.Side) { simulate(s).Cause = "exit(3)" },
		"simulate/dt=60 outputs.energy":       func(s *compare.Side) { replace(&simulate(s).Outputs, "1.5", "1.6") },
		"simulate/dt=60 outputs":              func(s *compare.Side) { simulate(s).Outputs = nil },
		"simulate/dt=60 with.resources.nodes": func(s *compare.Side) { replace(&simulate(s).Attempts[0].With, `"nodes":2`, `"nodes":4`) },
		"simulate/dt=60 with.env.IDS[0]":      func(s *compare.Side) { replace(&simulate(s).Attempts[0].With, `"a"`, `"b"`) },
		"fetch/dt=30 with.job_id":             func(s *compare.Side) { replace(&s.View.Steps[1].Instances[0].Attempts[0].With, `00"`, `01"`) },
		"child outputs.restart":               func(s *compare.Side) { replace(&s.View.Steps[2].Instances[0].Outputs, "restart.nc", "start.nc") },
		"sure outputs.by":                     func(s *compare.Side) { replace(&s.View.Steps[3].Instances[0].Outputs, "ada", "bob") },
		"sum outputs.at":                      func(s *compare.Side) { replace(&s.View.Steps[4].Instances[0].Outputs, "Zermatt", "Davos") },
		"sum outputs.elapsed":                 func(s *compare.Side) { replace(&s.View.Steps[4].Instances[0].Outputs, "5s", "6s") },
		"simulate/dt=90 only": func(s *compare.Side) {
			s.View.Steps[0].Instances = append(s.View.Steps[0].Instances, workflow.UnitView{Step: "simulate", Instance: "dt=90"})
		},
		"pack only": func(s *compare.Side) {
			s.View.Steps = append(s.View.Steps, workflow.StepView{ID: "pack", Instances: []workflow.UnitView{{Step: "pack"}}})
		},
	} {
		a, b := side(1), side(2)
		change(b)
		for _, d := range []*compare.Difference{compare.Runs(a, b), compare.Runs(b, a)} {
			if got := names(d); d.Same || !slices.Equal(got, []string{want}) {
				t.Errorf("%s: found %q, same %v", want, got, d.Same)
			}
		}
	}
}

func replace(text *json.RawMessage, old, new string) {
	*text = json.RawMessage(strings.Replace(string(*text), old, new, 1))
}

// names lists everything that differs.
func names(d *compare.Difference) []string {
	var all []string
	add := func(of string, changes []compare.Change) {
		for _, c := range changes {
			all = append(all, of+" "+c.Name)
		}
	}
	add("run", d.Run)
	if d.Definition != nil {
		for _, key := range d.Definition.Changed {
			all = append(all, "definition "+key)
		}
	}
	add("inputs", d.Inputs)
	add("service", d.Service)
	add("outputs", d.Outputs)
	for _, u := range d.Instances {
		ref := workflow.UnitRef{Step: u.Step, Instance: u.Instance}.String()
		add(ref, u.Changes)
		if u.Only != "" {
			all = append(all, ref+" only")
		}
	}
	return all
}

// TestLayout: comments and layout are shown, and are no difference; neither is the
// order of members. The order of steps is.
func TestLayout(t *testing.T) {
	t.Parallel()
	a, b := side(1), side(2)
	b.Frozen = []byte("# nightly\n" + strings.Replace(frozen, `"${{ each.outputs.stdout }}"`, `'${{ each.outputs.stdout }}'`, 1))
	d := compare.Runs(a, b)
	if !d.Same || d.Definition == nil || !strings.Contains(d.Definition.Text, "\n+# nightly\n") {
		t.Errorf("same %v, %+v", d.Same, d.Definition)
	}
	i, j := strings.Index(frozen, "  - id: simulate"), strings.Index(frozen, "  - id: fetch")
	b.Frozen = []byte(frozen[:i] + frozen[j:] + frozen[i:j])
	if diff := cmp.Diff([]string{"steps"}, compare.Runs(a, b).Definition.Changed); diff != "" {
		t.Errorf("steps in another order:\n%s", diff)
	}
}

// TestFilesBelow: a difference in a file that a step runs is named with the file.
func TestFilesBelow(t *testing.T) {
	t.Parallel()
	const head = "# fcflow: workflow files, each under a line with its size in bytes and its path\n"
	with := func(child string) []byte {
		return fmt.Appendf(nil, "%s# %d \"main.yaml\"\n%s\n# %d \"sub/one.yaml\"\n%s\n", head, len(frozen), frozen, len(child), child)
	}
	a, b := side(1), side(2)
	a.Frozen, b.Frozen = with("name: one\ntimeout: 1h\n"), with("name: one\ntimeout: 2h\n")
	if diff := cmp.Diff([]string{"sub/one.yaml timeout"}, compare.Runs(a, b).Definition.Changed); diff != "" {
		t.Error(diff)
	}
}

// TestFileDigests: of a file with a digest in both runs that counts, and not when it
// was last written.
func TestFileDigests(t *testing.T) {
	t.Parallel()
	mesh := func(digest string, at int64) *compare.Side {
		s := side(1)
		s.Created.Files["mesh"] = workflow.FileFacts{SizeBytes: 10, SHA256: digest, ModifiedAt: time.Unix(at, 0)}
		return s
	}
	for _, c := range []struct {
		a, b *compare.Side
		want []string
	}{
		{mesh("aa", 5), mesh("aa", 6), nil},
		{mesh("aa", 5), mesh("bb", 5), []string{"inputs mesh.sha256"}},
		{mesh("aa", 5), mesh("", 5), nil},
		{mesh("aa", 5), mesh("", 6), []string{"inputs mesh.modified_at"}},
	} {
		if diff := cmp.Diff(c.want, names(compare.Runs(c.a, c.b))); diff != "" {
			t.Errorf("%+v and %+v:\n%s", c.a.Created.Files, c.b.Created.Files, diff)
		}
	}
}

// TestLive: a run that is driven has taken what it took so far, and one that is
// interrupted nothing that is known.
func TestLive(t *testing.T) {
	t.Parallel()
	a, b := side(1), side(1)
	for _, s := range []*compare.Side{a, b} {
		s.View.State, s.View.EndedAt = workflow.RunRunning, time.Time{}
	}
	b.Now = b.View.StartedAt.Add(30 * time.Second)
	d := compare.Runs(a, b)
	if d.A.Seconds != nil || d.B.Seconds == nil || *d.B.Seconds != 30 {
		t.Errorf("seconds %v and %v", d.A.Seconds, d.B.Seconds)
	}
}

// TestForeignJobs: that a job was submitted by somebody else makes its id a value
// like any other, also where a step of the run waits for it.
func TestForeignJobs(t *testing.T) {
	t.Parallel()
	a, b := side(1), side(2)
	for s, id := range map[*compare.Side]string{a: "998", b: "999"} {
		u := &s.View.Steps[1].Instances[0]
		u.Attempts[0].JobID, u.Attempts[0].With = id, json.RawMessage(`{"job_id":"`+id+`"}`)
	}
	if diff := cmp.Diff([]string{"fetch/dt=30 with.job_id"}, names(compare.Runs(a, b))); diff != "" {
		t.Error(diff)
	}
}
