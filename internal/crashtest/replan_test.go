package crashtest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// edited copies the campaign and its program into the lab, with some texts replaced.
func (l *lab) edited(texts ...string) {
	l.t.Helper()
	for name, to := range map[string]string{"campaign.yaml": "campaign.yaml", "heat.awk": "heat.awk"} {
		text, err := os.ReadFile(filepath.Join("../../examples/workflows", name))
		if err != nil {
			l.t.Fatal(err)
		}
		changed := string(text)
		if name == "campaign.yaml" {
			changed = strings.NewReplacer(texts...).Replace(changed)
			if len(texts) > 0 && changed == string(text) {
				l.t.Fatalf("%s has none of %q", name, texts)
			}
		}
		l.write(to, changed)
	}
}

// startedAfter lists the instances that attempts were started of after an event.
func (l *lab) startedAfter(run string, seq int64) []string {
	l.t.Helper()
	units := map[string]bool{}
	for _, e := range l.events(run) {
		if e.Kind == "attempt.started" && e.Seq > seq {
			units[e.Step+"/"+e.Instance] = true
		}
	}
	return slices.Sorted(maps.Keys(units))
}

// planned lists the instances that a plan has done.
func (l *lab) planned(name string) []string {
	l.t.Helper()
	files, err := filepath.Glob(l.path("state/runs/*/" + name))
	if err != nil || len(files) != 1 {
		l.t.Fatalf("there is no %s, or more than one: %v %v", name, files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		l.t.Fatal(err)
	}
	var plan struct {
		Units []struct{ Step, Instance, What string } `json:"units"`
	}
	if err := json.Unmarshal(text, &plan); err != nil {
		l.t.Fatal(err)
	}
	units := []string{}
	for _, u := range plan.Units {
		if u.What != "dropped" {
			units = append(units, u.Step+"/"+u.Instance)
		}
	}
	slices.Sort(units)
	return units
}

// TestReplan edits one step of a finished campaign and has the run go on with that,
// killed in the middle and resumed: the plan, which is written before anything
// starts, names the instances that attempts are started of afterwards, which are
// those of the step and of what depends on it. Then nothing is edited, and nothing
// done.
func TestReplan(t *testing.T) {
	t.Parallel()
	random := random(t)
	l := newLab(t)
	l.edited()
	l.start(nil, "sandbox", "--root", l.path("sandbox"))
	l.eventually("a sandbox serves", func() bool { return l.servedBy() != 0 })
	l.run("run", "campaign.yaml", "--sandbox="+l.path("sandbox"), "--output-dir", l.path("results"))
	all := l.events("last")
	end := all[len(all)-1].Seq

	l.edited("max_parallel: 4 ", "max_parallel: 12", "awk -f ../heat.awk", "nice awk -f ../heat.awk")
	p := l.start(nil, "resume", "last", "--workflow", "campaign.yaml")
	at := 10 + random.IntN(80)
	l.eventually("the run is in the middle of it", func() bool {
		files, _ := filepath.Glob(l.path("state/runs/*/plan.1.json"))
		if len(files) == 0 {
			return false
		}
		started := 0
		for _, line := range l.lines("commits") {
			started += strings.Count(line, "attempt.started")
		}
		return started >= 121+1+at // those of the first round, one of them twice
	})
	p.kill()
	planned := l.planned("plan.1.json")
	if p = l.resume(); p.exit() != 0 {
		t.Fatalf("%s exits with %d\n%s", p.cmd, p.exit(), p.stderr())
	}
	started := l.startedAfter("last", end)
	if diff := cmp.Diff(planned, started); diff != "" {
		t.Errorf("other instances were started than planned (-planned +started):\n%s", diff)
	}
	var want []string
	for _, step := range []string{"fetch", "simulate"} {
		for _, i := range l.instances("last", step) {
			want = append(want, step+"/"+i.Instance)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, planned); diff != "" || len(want) != 120 {
		t.Errorf("the plan has other instances than the step and what depends on it (-want +got):\n%s", diff)
	}
	if out := l.show("last").Outputs; out["profiles"] != 60.0 {
		t.Errorf("outputs are %v, want 60 profiles", out)
	}

	all = l.events("last")
	end = all[len(all)-1].Seq
	l.run("resume", "last", "--workflow", "campaign.yaml")
	if again := l.events("last"); again[len(again)-1].Seq != end {
		t.Errorf("nothing was edited, and %v followed", again[end:])
	}
	t.Logf("killed after %d attempts; %d instances planned and started", at, len(started))
}
