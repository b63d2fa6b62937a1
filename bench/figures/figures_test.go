package figures

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goals = `
memory: { what: peak memory, goal: 100, unit: MiB }
speed:  { what: "times as fast", least: 4, unit: × }
`

func TestReport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		got  Figures
		want []string // parts of the lines after the head, in order
	}{
		{"on the goal", Figures{"memory": 100, "speed": 4}, []string{"≤ 100 MiB  100  90         reached", "≥ 4 ×      4    -          reached"}},
		{"better", Figures{"memory": 1, "speed": 8}, []string{" reached", " reached"}},
		{"worse", Figures{"memory": 101, "speed": 3.9}, []string{"NOT REACHED", "NOT REACHED"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := test.got.Report(&out, []byte(goals), Figures{"memory": 90}); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")[1:]
			if len(lines) != len(test.want) {
				t.Fatalf("%d lines:\n%s", len(lines), out.String())
			}
			for i, want := range test.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %q lacks %q", lines[i], want)
				}
			}
		})
	}
}

func TestReportOfWhatWasNotMeasured(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := (Figures{"memory": 1}).Report(&out, []byte(goals), nil); err == nil || !strings.Contains(err.Error(), "nothing measures speed") {
		t.Errorf("error %v", err)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "figures.json")
	if f, err := Read(file); err != nil || len(f) != 0 {
		t.Fatalf("of no file: %v, %v", f, err)
	}
	want := Figures{"speed": 7.5}
	if err := want.Keep(file); err != nil {
		t.Fatal(err)
	}
	got, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
