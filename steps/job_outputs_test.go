package steps

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/workflow"
)

func TestExtract(t *testing.T) {
	t.Parallel()
	const document = `{"energy":{"total":[1.5,-2e3],"unit":"eV"},"ok":true,"none":null,"n":12345678901234567890}`
	const table = "step, energy\n1,10\n2, \"20\"\n"
	tests := []struct {
		o    outputIn
		text string
		want any // nil = an error that has err in it
		err  string
	}{
		{outputIn{Regex: `E=(\S+)`}, "E=1\nE=2\n", "2", ""},
		{outputIn{Regex: `E=\S+`}, "E=1\nE=2\n", "E=2", ""},
		{outputIn{Regex: `E=(\S+)`, Type: "float"}, "E=1e-3 ", 1e-3, ""},
		{outputIn{Regex: `n=(.*)`, Type: "int"}, "n= 42 ", int64(42), ""},
		{outputIn{Regex: `E=(\S+)`, Type: "float"}, "E=NaN", nil, "not a number"},
		{outputIn{Regex: `E=(\S+)`, Type: "int"}, "E=1.5", nil, "not a whole number"},
		{outputIn{Regex: `E=(\S+)`, Type: "bool"}, "E=yes", nil, "neither true nor false"},
		{outputIn{Regex: `E=(\S+)`}, "nothing", nil, "nothing matches"},
		{outputIn{JSON: "energy.total[1]", Type: "float"}, document, -2000.0, ""},
		{outputIn{JSON: "energy.unit"}, document, "eV", ""},
		{outputIn{JSON: "ok", Type: "bool"}, document, true, ""},
		{outputIn{JSON: "n"}, document, "12345678901234567890", ""},
		{outputIn{JSON: "[1][0]", Type: "int"}, `[[1],[2]]`, int64(2), ""},
		{outputIn{JSON: "energy.total[2]"}, document, nil, "has no energy.total[2]"},
		{outputIn{JSON: "energy.x"}, document, nil, "has no energy.x"},
		{outputIn{JSON: "energy"}, document, nil, "not a text"},
		{outputIn{JSON: "none"}, document, nil, "not a text"},
		{outputIn{JSON: "a"}, "no JSON", nil, "not JSON"},
		{outputIn{JSON: "e"}, "{\"e\":1}\n{\"e\":2}\n", nil, "more than one JSON document"},
		{outputIn{JSON: "e"}, "{\"e\":1}\nsrun: done\n", "1", ""},
		{outputIn{JSON: "e"}, strings.Repeat(" ", maxOutputFile) + `{"e":1}`, "1", ""},
		{outputIn{JSON: "e"}, strings.Repeat(" ", maxOutputFile) + `{"e":1},"f":2}`, nil, "not one JSON document in the last 1 MiB"},
		{outputIn{JSON: "e"}, strings.Repeat(" ", maxOutputFile) + `ue"}`, nil, "not one JSON document in the last 1 MiB"},
		{outputIn{CSV: "energy", Type: "float"}, table, 20.0, ""},
		{outputIn{CSV: "Energy"}, table, nil, "no column"},
		{outputIn{CSV: "step"}, "step,energy\n", nil, "no rows"},
		{outputIn{CSV: "step"}, "", nil, "no header row"},
		{outputIn{CSV: "step"}, "step\n1,2\n", nil, "wrong number of fields"},
	}
	for _, test := range tests {
		got, err := test.o.extract(test.text)
		if test.want == nil {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%+v: %v, %v; want %q", test.o, got, err, test.err)
			}
			continue
		}
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%+v: %v, -want +got:\n%s", test.o, err, diff)
		}
	}
}

func TestJSONPath(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"a..b", "a[", "a[x]", "a[1]b", "a[-1]", ".a", "a.", "[]", "a.[1]"} {
		if got, err := jsonPath(bad); err == nil {
			t.Errorf("%q reads as %v", bad, got)
		}
	}
}

func FuzzExtract(f *testing.F) {
	f.Add("energy.total[0]", `{"energy":{"total":[1]}}`)
	f.Fuzz(func(t *testing.T, path, text string) {
		for _, o := range []outputIn{{JSON: path}, {CSV: path}, {Regex: path}} {
			if value, err := o.extract(text); err == nil && value == nil {
				t.Errorf("%+v: neither value nor error", o)
			}
		}
	})
}

// TestJobOutputsFromFiles reads what a job wrote, one request for each file.
func TestJobOutputsFromFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(`
	- id: x
	  uses: job
	  with:
	    workdir: run
	    script: |
	      #!/bin/bash
	      echo "energy = -1.5"
	      echo '{"steps": 12, "done": true}' > out.json
	      printf 'step,drift\n1,0.1\n2,0.2\n' > out.csv
	    outputs:
	      energy: { regex: 'energy = (\S+)', type: float }
	      count: { from: out.json, json: steps, type: int }
	      done: { from: out.json, json: done, type: bool }
	      drift: { from: out.csv, csv: drift }
	- id: y
	  uses: run
	  with: { command: [echo, "${{ steps.x.outputs.count + 1 }}", "${{ steps.x.outputs.drift }}"] }`)
	out := s.outputs(r, "x")
	for name, want := range map[string]any{"energy": -1.5, "count": 12.0, "done": true, "drift": "0.2", "exit_code": 0.0, "state": "COMPLETED"} {
		if out[name] != want {
			t.Errorf("%s is %v, want %v", name, out[name], want)
		}
	}
	if got := s.outputs(r, "y")["stdout"]; got != "13 0.2" {
		t.Errorf("y: %v", got)
	}
}

// TestJobOutputsOfLargeTables: of a table that is too large to be read, the header
// and the last row are read all the same.
func TestJobOutputsOfLargeTables(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(`
	- id: x
	  uses: job
	  with:
	    workdir: run
	    script: |
	      #!/bin/bash
	      { echo 'step, "total drift"'; seq -f '%.0f,0.5' 1 200000; echo '200001,0.25'; } > out.csv
	      { echo step; head -c 1200000 /dev/zero | tr '\0' 1; } > row.csv
	    outputs:
	      drift: { from: out.csv, csv: total drift, type: float }
	      step: { from: out.csv, csv: step, type: int }
	- id: row
	  uses: job
	  needs: x
	  with:
	    workdir: run
	    script: "#!/bin/bash"
	    outputs: { step: { from: row.csv, csv: step } }`)
	if got := s.outputs(r, "x"); got["drift"] != 0.25 || got["step"] != 200001.0 {
		t.Errorf("%v", got)
	}
	if u := unit(t, r, "row"); u.Cause != workflow.CauseOutputMissing || !strings.Contains(u.Message, "no rows") {
		t.Errorf("%s %s %s", u.State, u.Cause, u.Message)
	}
}
