package plan_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/plan"
	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/workflow"
)

// planOf plans the steps of a workflow file.
func planOf(t *testing.T, text string, o plan.Options) *plan.Plan {
	t.Helper()
	if o.System == "" {
		o.System = "daint"
	}
	o.Dir = "/w"
	return plan.Make(workflowOf(t, text, o.System), o)
}

func workflowOf(t testing.TB, text, system string) *workflow.Workflow {
	t.Helper()
	w, problems := workflow.Load("w.yaml", []byte("version: 1\nname: w\n"+text), steps.Catalogue(), workflow.CheckOptions{DefaultSystem: system})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return w
}

// said lists findings as "severity code step input: message".
func said(p *plan.Plan) []string {
	lines := []string{}
	for _, f := range p.Findings {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", f.Severity, f.Code, f.Step, f.Input)))
	}
	return lines
}

func TestOrder(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
steps:
  - { id: last, uses: run, needs: [two], with: { script: "true" } }
  - { id: two, uses: mkdir, needs: [one], with: { path: x } }
  - { id: one, uses: mkdir, if: "${{ 1 > 0 }}", with: { path: x, system: eiger } }
finally:
  - { id: tidy, uses: rm, with: { path: x } }
`, plan.Options{})
	var got []string
	for _, s := range p.Steps {
		got = append(got, fmt.Sprintf("%s %s on %q after %v if %q finally %v", s.ID, s.Uses, s.System, s.Needs, s.If, s.Finally))
	}
	want := []string{
		`one mkdir on "eiger" after [] if "1 > 0" finally false`,
		`two mkdir on "daint" after [one] if "" finally false`,
		`last run on "" after [two] if "" finally false`,
		`tidy rm on "daint" after [] if "" finally true`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"eiger", "daint"}, p.Systems()); diff != "" {
		t.Errorf("systems (-want +got):\n%s", diff)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	script := "        #!/bin/sh\n        true\n"
	tests := []struct {
		name, with string
		want       plan.Job
	}{
		{"nothing asked", "script: |\n" + script, plan.Job{Account: "profile"}},
		{
			"resources", "resources: { partition: normal, nodes: 4, time: 6h, account: mine, reservation: r, qos: q }\n      script: |\n" + script,
			plan.Job{Partition: "normal", Nodes: 4, Walltime: "6h", Account: "mine", Reservation: "r", QOS: "q"},
		},
		{"account beside them", "account: mine\n      script: |\n" + script, plan.Job{Account: "mine"}},
		{
			"directives of the script", "script: |\n        #!/bin/sh\n        #SBATCH -p debug -t 90 --account=theirs\n        true\n",
			plan.Job{Partition: "debug", Walltime: "1h30m", Account: "theirs"},
		},
		{
			"list of directives", "directives: [--partition=a, --time=1-00]\n      script: |\n" + script,
			plan.Job{Partition: "a", Walltime: "24h", Account: "profile"},
		},
		{
			"one of them at run time", "resources: { partition: normal, nodes: \"${{ steps.a.outputs.exit_code }}\", time: 30m }\n      script: |\n" + script,
			plan.Job{Partition: "normal", Walltime: "30m", Account: "profile"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := planOf(t, "steps:\n  - { id: a, uses: run, with: { script: \"true\" } }\n  - id: sim\n    uses: job\n    with:\n      "+test.with,
				plan.Options{Account: "profile"})
			got := p.Steps[len(p.Steps)-1].Job
			gotText, wantText := mustJSON(t, got), mustJSON(t, test.want)
			if diff := cmp.Diff(wantText, gotText); diff != "" {
				t.Errorf("job (-want +got):\n%s", diff)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLocalFiles(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
inputs: { mesh: { type: file, default: ./mesh.nc } }
steps:
  - { id: here, uses: upload, with: { from: here.txt } }
  - { id: input, uses: upload, with: { from: "${{ inputs.mesh }}" } }
  - { id: gone, uses: upload, with: { from: gone.txt } }
  - { id: make, uses: run, with: { script: "true" } }
  - { id: made, uses: upload, needs: [make], with: { from: gone.txt } }
  - { id: slept, uses: sleep, with: { duration: 1s } }
  - { id: still, uses: upload, needs: [slept], with: { from: gone.txt } }
  - { id: closed, uses: upload, with: { from: /closed } }
  - { id: store, uses: job, with: { script_file: here.txt } }
  - { id: later, uses: upload, with: { from: "${{ steps.make.outputs.stdout }}" } }
`, plan.Options{Inputs: map[string]json.RawMessage{"mesh": json.RawMessage(`"/in/mesh.nc"`)}})
	if diff := cmp.Diff([]string{"/w/here.txt", "/in/mesh.nc", "/w/gone.txt", "/closed"}, p.LocalSources()); diff != "" {
		t.Fatalf("sources (-want +got):\n%s", diff)
	}
	p.SeeLocal(map[string]plan.Seen{
		"/w/here.txt": {Exists: true, Files: 1, SizeBytes: 3}, "/in/mesh.nc": {Exists: true, Files: 1},
		"/w/gone.txt": {}, "/closed": {Exists: true, Problem: "permission denied"},
	})
	want := []string{
		"unknown at_run_time later from",
		"error local_missing gone from",
		"error local_unreadable closed from",
		"unknown local_missing made from",
		"error local_missing still from",
	}
	if diff := cmp.Diff(want, said(p)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if seen := p.Steps[0].Reads[0].Seen; seen == nil || seen.SizeBytes != 3 {
		t.Errorf("of %s was seen %v", p.Steps[0].ID, seen)
	}
}

// TestConditions: what an input turns off is not checked, and what only the run
// decides is a warning.
func TestConditions(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
inputs: { extra: { type: bool, default: false } }
steps:
  - { id: off, uses: upload, if: "${{ inputs.extra }}", with: { from: gone.txt } }
  - { id: on, uses: upload, if: "${{ !inputs.extra }}", with: { from: gone.txt } }
  - { id: first, uses: run, with: { script: "true", workdir: . } }
  - { id: depends, uses: upload, if: "${{ steps.first.outputs.exit_code == 0 }}", with: { from: gone.txt } }
  - { id: behind, uses: upload, needs: [off], with: { from: gone.txt } }
finally:
  - { id: told, uses: upload, if: "${{ failure() }}", with: { from: gone.txt } }
`, plan.Options{Inputs: map[string]json.RawMessage{"extra": json.RawMessage("false")}})
	p.SeeLocal(map[string]plan.Seen{"/w/gone.txt": {}})
	var runs []string
	for _, s := range p.Steps {
		runs = append(runs, s.ID+" "+string(s.Runs))
	}
	if diff := cmp.Diff([]string{"off no", "on yes", "first yes", "depends depends", "behind depends", "told depends"}, runs); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	want := []string{
		"error local_missing on from", "unknown local_missing depends from", "warning local_missing behind from", "unknown local_missing told from",
	}
	if diff := cmp.Diff(want, said(p)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestNoValue: what does not depend on the run and has no value is a mistake.
func TestNoValue(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
inputs: { names: { type: "list<string>", default: [a] } }
steps:
  - { id: a, uses: upload, with: { from: "${{ inputs.names[3] }}" } }
`, plan.Options{Inputs: map[string]json.RawMessage{"names": json.RawMessage(`["a"]`)}})
	if diff := cmp.Diff([]string{"error no_value a from"}, said(p)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func daint() *plan.Site {
	at := func(hours int) time.Time { return now.Add(time.Duration(hours) * time.Hour) }
	return &plan.Site{
		Name: "daint", FileSystems: []string{"/home", "/scratch/"}, User: "ada", Accounts: []string{"csstaff", "proj"},
		Partitions: []plan.Partition{{Name: "normal", Nodes: 4, Up: true, State: "UP"}, {Name: "debug", Nodes: 1, State: "DOWN"}, {Name: "large", Up: true}},
		Reservations: []plan.Reservation{
			{Name: "maint_may", Start: at(4), End: at(8)},
			{Name: "course", Start: at(-1), End: at(2)},
			{Name: "next", Start: at(1), End: at(5)},
			{Name: "maintenance_april", Start: at(-9), End: at(-1)},
		},
		MaxUpload: 100, MaxDownload: 75, Transfer: "s3", TransferTold: true,
	}
}

func see(p *plan.Plan, site *plan.Site, remote map[plan.RemotePath]plan.Seen) {
	p.SeeSites(plan.Sites{Offered: []string{"daint", "eiger"}, ByName: map[string]*plan.Site{"daint": site}, Remote: remote, Now: now})
}

func TestJobsOnSite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		resources string
		change    func(*plan.Site)
		want      []string
	}{
		{"{ partition: normal, nodes: 4, time: 1h, account: proj }", nil, []string{}},
		{"{ nodes: 4000 }", nil, []string{}},
		{"{ partition: nomral }", nil, []string{"error unknown_partition sim resources.partition"}},
		{`{ partition: "large,debug" }`, nil, []string{"warning partition_down sim resources.partition"}},
		{"{ partition: nomral, account: prjo, reservation: cuorse }", func(s *plan.Site) { s.Open = true }, []string{
			"unknown unknown_partition sim resources.partition", "unknown unknown_account sim resources.account",
			"unknown unknown_reservation sim resources.reservation",
		}},
		{"{ partition: normal, nodes: 5 }", nil, []string{"error partition_too_small sim resources.nodes"}},
		{`{ partition: "normal,large", nodes: 5 }`, nil, []string{"warning partition_too_small sim resources.nodes"}},
		{`{ partition: "normal,debug", nodes: 4 }`, nil, []string{
			"warning partition_down sim resources.partition", "warning partition_too_small sim resources.nodes",
		}},
		{`{ partition: "normal,debug", nodes: 5 }`, nil, []string{
			"warning partition_down sim resources.partition",
			"error partition_too_small sim resources.nodes", "error partition_too_small sim resources.nodes",
		}},
		{`{ partition: "normal,new", nodes: 5 }`, func(s *plan.Site) { s.Open = true }, []string{
			"unknown unknown_partition sim resources.partition", "warning partition_too_small sim resources.nodes",
		}},
		{`{ partition: "normal,new", nodes: 5 }`, nil, []string{
			"error unknown_partition sim resources.partition", "error partition_too_small sim resources.nodes",
		}},
		{"{ partition: nomral }", func(s *plan.Site) { s.Failed = map[string]string{"partitions": "time out"} }, []string{"unknown not_told"}},
		{"{ account: prjo }", nil, []string{"error unknown_account sim resources.account"}},
		{"{ account: prjo }", func(s *plan.Site) { s.Accounts = nil }, []string{}},
		{"{ time: 4h }", nil, []string{}},
		{"{ time: 5h }", nil, []string{"warning maintenance sim resources.time"}},
		{"{}", func(s *plan.Site) { s.Reservations[0].Start = now }, []string{"warning maintenance sim"}},
		{
			"{ time: 5h, reservation: maint_may }", func(s *plan.Site) { s.Reservations[0].End = now.Add(99 * time.Hour) },
			[]string{"warning reservation_later sim resources.reservation"},
		},
		{"{ time: 1h, reservation: course }", nil, []string{}},
		{"{ time: 3h, reservation: course }", nil, []string{"error reservation_over sim resources.reservation"}},
		{"{ time: 3h, reservation: next }", nil, []string{"warning reservation_later sim resources.reservation"}},
		{"{ reservation: cuorse }", nil, []string{"error unknown_reservation sim resources.reservation"}},
		{"{}", func(s *plan.Site) { s.Unhealthy = []plan.Unhealthy{{Service: "scheduler"}} }, []string{"warning unhealthy"}},
		{"{ partition: nomral }", func(s *plan.Site) { s.Scheduler = "lsf" }, []string{"error wrong_scheduler sim system"}},
	}
	for _, test := range tests {
		t.Run(test.resources, func(t *testing.T) {
			t.Parallel()
			p := planOf(t, "steps:\n  - id: sim\n    uses: job\n    with:\n      resources: "+test.resources+"\n      script: |\n        #!/bin/sh\n        true\n", plan.Options{})
			site := daint()
			if test.change != nil {
				test.change(site)
			}
			see(p, site, nil)
			want := append(test.want, "unknown not_told") // of limits and quotas
			if diff := cmp.Diff(want, said(p)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownSystem(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
steps:
  - { id: typo, uses: mkdir, with: { path: x, system: dainr } }
  - { id: where, uses: run, with: { script: "true" } }
  - { id: there, uses: mkdir, with: { path: x, system: "${{ steps.where.outputs.stdout }}" } }
`, plan.Options{})
	see(p, daint(), nil)
	if diff := cmp.Diff([]string{"error unknown_system typo system", "unknown system_at_run_time there system"}, said(p)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if f := p.Findings[0]; f.Hint != `did you mean "daint"?` || f.Pos == nil || f.Pos.Line != 5 {
		t.Errorf("the finding is %+v at %v", f, f.Pos)
	}
}

func TestRemoteFiles(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
steps:
  - { id: there, uses: view, with: { path: /home/ada/a } }
  - { id: gone, uses: view, with: { path: /scratch/gone } }
  - { id: outside, uses: view, with: { path: /scratchy/a } }
  - { id: fresh, uses: download, with: { from: out.nc } }
  - { id: workdir, uses: view, with: { path: a, workdir: /home/ada } }
  - { id: elsewhere, uses: mkdir, with: { path: /home/x, system: eiger } }
  - { id: after, uses: view, needs: [elsewhere], with: { path: /scratch/gone } }
  - { id: make, uses: mkdir, with: { path: /home/x } }
  - { id: made, uses: view, needs: [make], with: { path: /scratch/gone } }
  - { id: output, uses: download, needs: [make], with: { from: out.nc } }
  - { id: closed, uses: view, with: { path: /home/closed } }
`, plan.Options{})
	at := func(path string) plan.RemotePath { return plan.RemotePath{System: "daint", Path: path} }
	want := []plan.RemotePath{at("/home/ada/a"), at("/scratch/gone"), at("/scratchy/a"), at("/home/closed")}
	if diff := cmp.Diff(want, p.RemoteSources()); diff != "" {
		t.Fatalf("sources (-want +got):\n%s", diff)
	}
	p.SeeSites(plan.Sites{
		ByName: map[string]*plan.Site{"daint": daint(), "eiger": {Name: "eiger"}}, Now: now,
		Remote: map[plan.RemotePath]plan.Seen{
			at("/home/ada/a"): {Exists: true, Files: 1}, at("/scratch/gone"): {}, at("/home/closed"): {Problem: "permission denied"},
		},
	})
	wantSaid := []string{
		"error remote_missing gone path",
		"error outside_file_systems outside path",
		"warning remote_missing fresh from",
		"unknown remote_unreadable closed path",
		"error remote_missing after path",
		"unknown remote_missing made path",
	}
	if diff := cmp.Diff(wantSaid, said(p)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestTransfers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, step string
		size       int64
		change     func(*plan.Site)
		method     string
		want       []string
	}{
		{"small", "uses: upload, with: { from: f }", 100, nil, "direct", []string{}},
		{"large", "uses: upload, with: { from: f }", 101, nil, "s3", []string{}},
		{"back", "uses: download, with: { from: /home/f }", 76, nil, "s3", []string{}},
		{"small back", "uses: download, with: { from: /home/f }", 75, nil, "direct", []string{}},
		{"no way", "uses: upload, with: { from: f }", 101, func(s *plan.Site) { s.Transfer = "" }, "", []string{"error too_large a from"}},
		{"not told", "uses: upload, with: { from: f }", 101, func(s *plan.Site) { s.Transfer, s.TransferTold = "", false }, "", []string{}},
		{"account", "uses: upload, with: { from: f }", 101, func(s *plan.Site) { s.AccountRequired = true }, "s3", []string{"error account_required a account"}},
		{"no account for direct ones", "uses: upload, with: { from: f }", 1, func(s *plan.Site) { s.AccountRequired = true }, "direct", []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := planOf(t, "steps:\n  - { id: a, "+test.step+" }\n", plan.Options{})
			site := daint()
			if test.change != nil {
				test.change(site)
			}
			seen := plan.Seen{Exists: true, Files: 1, SizeBytes: test.size}
			p.SeeLocal(map[string]plan.Seen{"/w/f": seen})
			see(p, site, map[plan.RemotePath]plan.Seen{{System: "daint", Path: "/home/f"}: seen})
			if diff := cmp.Diff(test.want, said(p)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if got := p.Steps[0].Transfer.Method; got != test.method {
				t.Errorf("method %q, want %q", got, test.method)
			}
		})
	}
}

// TestCodes: the page about plans explains every code.
func TestCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/plan.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range plan.Codes() {
		if !strings.Contains(string(page), "| `"+string(code)+"` | ") {
			t.Errorf("docs/plan.md says nothing of %s", code)
		}
	}
}
