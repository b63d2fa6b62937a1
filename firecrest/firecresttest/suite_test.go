package firecresttest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

func TestDescription(t *testing.T) {
	t.Parallel()
	d, err := openDescription()
	if err != nil {
		t.Fatal(err)
	}
	const jobs, ls = "/compute/alps/jobs", "/filesystem/alps/ops/ls"
	for name, test := range map[string]struct {
		method, path string
		status       int
		body         string
		complaint    string // "" is none
	}{
		"good list":          {"GET", ls, 200, `{"output":[]}`, ""},
		"capitals":           {"GET", "/FILESYSTEM/alps/ops/LS", 200, `{"output":3}`, "got number"},
		"good submission":    {"POST", jobs, 201, `{"jobId":"7"}`, ""},
		"number for an id":   {"POST", jobs, 201, `{"jobId":7.5}`, "jobId"},
		"member is missing":  {"GET", ls, 200, `{"output":[{"name":"x"}]}`, "missing properties"},
		"wrong success":      {"POST", jobs, 200, `{"jobId":"7"}`, "no such answer"},
		"wrong method":       {"PUT", ls, 200, `{}`, "no such answer"},
		"no JSON":            {"GET", ls, 200, `<html>`, "invalid character"},
		"body of no content": {"DELETE", jobs + "/7", 204, `{}`, "there is a body"},
		"no content":         {"DELETE", jobs + "/7", 204, ``, ""},
		"good error":         {"DELETE", jobs + "/7", 500, `{"message":"x"}`, ""},
		"error unlike ours":  {"GET", jobs + "/7", 404, `{"detail":"x"}`, "message"},
		"redirect":           {"GET", jobs, 307, ``, ""},
		"not described":      {"GET", "/openapi.json", 200, `{}`, ""},
		"bytes":              {"GET", "/filesystem/alps/ops/download", 200, "\xff", ""},
		"not a date":         {"GET", "/status/systems", 200, `{"systems":[{"lastHealthCheck":"today"}]}`, "date-time"},
	} {
		err := d.check(test.method, test.path, test.status, []byte(test.body))
		switch {
		case test.complaint == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.complaint != "" && (err == nil || !strings.Contains(err.Error(), test.complaint)):
			t.Errorf("%s: got %v, want %q", name, err, test.complaint)
		}
	}
}

// Every operation of the API is described, and nothing else is.
func TestOperationsAreDescribed(t *testing.T) {
	t.Parallel()
	d, err := openDescription()
	if err != nil {
		t.Fatal(err)
	}
	operations, err := Operations("..")
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, op := range d.operations {
		described = append(described, op.method+" "+strings.Join(op.segments, "/"))
	}
	slices.Sort(operations)
	slices.Sort(described)
	if diff := cmp.Diff(operations, described); diff != "" {
		t.Errorf("operations (-of the API +described):\n%s", diff)
	}
}

func TestCoverageGaps(t *testing.T) {
	t.Parallel()
	var c Coverage
	c.Answer("both", 200)
	c.Answer("both", 404)
	c.Answer("good", 204)
	c.Answer("bad", 500)
	c.Request(firecrest.RequestInfo{Operation: "unanswered"})
	c.Answer("redirected", 307)
	got := c.Gaps([]string{"both", "good", "bad", "unanswered", "redirected", "never"})
	want := []string{
		"good: 1 good answers, 0 errors", "bad: 0 good answers, 1 errors",
		"unanswered: 0 good answers, 0 errors", "redirected: 0 good answers, 0 errors", "never: 0 good answers, 0 errors",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Operations(t.TempDir()); err == nil {
		t.Error("a directory without the list gives no error")
	}
}

func TestKnownDifferences(t *testing.T) {
	t.Parallel()
	probed := &firecrest.System{Health: []firecrest.ServiceHealth{{Service: "ssh"}}}
	rest := &firecrest.System{Health: probed.Health, Scheduler: firecrest.Scheduler{ConnectionMode: "rest"}}
	pbs := &firecrest.System{Scheduler: firecrest.Scheduler{Type: "pbs"}}
	for name, test := range map[string]struct {
		release string
		system  *firecrest.System
		want    []Difference
	}{
		"newest":      {"2.5.7", probed, nil},
		"two digits":  {"2.10.0", probed, nil},
		"development": {"2.x.x", probed, nil},
		"current":     {"2.5.6", probed, []Difference{IgnoresJobFilters}},
		"older":       {"2.5.4", probed, []Difference{IgnoresJobFilters, LetsForeignPathsPass, OmitsCauses, MergesLimits}},
		"REST":        {"2.x.x", rest, []Difference{IgnoresAttach}},
		"PBS":         {"2.x.x", pbs, []Difference{LetsForeignPathsPass, LacksScripts, HidesPartitions}},
	} {
		if got := KnownDifferences(test.release, test.system); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// The numbers of points stay as they are, and each point is shown.
func TestPoints(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, group := range (&suite{}).groups() {
		for _, sub := range group.subtests {
			named[group.name+"/"+sub.name] = true
		}
	}
	for i, p := range points {
		if p.number != i+1 || p.text == "" || len(p.shown) == 0 {
			t.Errorf("point %d is %+v", i+1, p)
		}
		for _, name := range p.shown {
			if !named[name] {
				t.Errorf("point %d: there is no subtest %q", p.number, name)
			}
		}
	}
	if len(points) != 88 {
		t.Errorf("%d points, want 88", len(points))
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var r Report
	for _, p := range points[1:] {
		for _, name := range p.shown {
			r.note(name, p.number == 3, "the target is a stone")
		}
	}
	first, third := points[0].shown[0], points[2].shown[0]
	want := []string{
		fmt.Sprintf("1, %s: %q: it did not run", points[0].text, first),
		fmt.Sprintf("3, %s: %q: the target is a stone", points[2].text, third),
	}
	if diff := cmp.Diff(want, r.Unshown()); diff != "" {
		t.Errorf("unshown (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{third + ": the target is a stone"}, r.Skipped()); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}
