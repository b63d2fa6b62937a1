package scheduler

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/workflow"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cron, zone string
		want       workflow.ProblemCode // "" = fine
	}{
		{"30 2 * * *", "Europe/Zurich", ""},
		{"0 30 2 * * *", "", ""},
		{"*/15 8-18 * * MON-FRI", "UTC", ""},
		{"0 0 29 2 *", "", ""},
		{"@daily", "America/New_York", ""},
		{"@every 90m", "", ""},
		{"@every 1s", "", ""},

		{"", "", ""}, // the reader reports the missing key
		{" ", "", CodeCron},
		{"2 * * *", "", CodeCron},
		{"0 0 0 2 * * *", "", CodeCron},
		{"60 2 * * *", "", CodeCron},
		{"* 24 * * *", "", CodeCron},
		{"*/0 * * * *", "", CodeCron},
		{", * * * *", "", CodeCron},
		{"30 2 * * * , ", "", CodeCron},
		{"30 2 * * FUN", "", CodeCron},
		{"TZ=0", "", CodeCron},
		{"CRON_TZ=UTC", "", CodeCron},
		{"TZ=UTC 30 2 * * *", "", CodeCron},
		{"CRON_TZ=UTC @daily", "", CodeCron},
		{"@every 0s", "", CodeCron},
		{"@every -1h", "", CodeCron},
		{"@every 500ms", "", CodeCron},
		{"@every 1500ms", "", CodeCron},
		{"@every", "", CodeCron},
		{"@every 1h 2h", "", CodeCron},
		{"@reboot", "", CodeCron},
		{strings.Repeat("1,", 200) + "1 * * * *", "", CodeCron},
		{"0 0 31 2 *", "", CodeNeverDue},
		{"0 0 30 2 *", "Europe/Zurich", CodeNeverDue},
		{"30 2 * * *", "Europe/Zuerich", CodeTimezone},
		{"30 2 * * *", "Local", CodeTimezone},
		{"30 2 * * *", "../../etc/passwd", CodeTimezone},
	}
	for _, test := range tests {
		t.Run(test.cron+" "+test.zone, func(t *testing.T) {
			t.Parallel()
			cronPos, zonePos := workflow.Pos{Line: 3, Column: 9}, workflow.Pos{Line: 4, Column: 13}
			problems := Check(&workflow.Workflow{Schedules: []*workflow.Schedule{
				{ID: "nightly", Cron: test.cron, Timezone: test.zone, CronPos: cronPos, ZonePos: zonePos},
			}})
			if test.want == "" {
				if len(problems) > 0 {
					t.Fatalf("unexpected problems: %v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Code != test.want {
				t.Fatalf("problems = %v, want one of code %s", problems, test.want)
			}
			pos := cronPos
			if test.want == CodeTimezone {
				pos = zonePos
			}
			if problems[0].Pos != pos || problems[0].Hint == "" {
				t.Errorf("problem at %v with hint %q, want it at %v with a hint", problems[0].Pos, problems[0].Hint, pos)
			}
		})
	}
}

func TestCheckReportsEveryProblem(t *testing.T) {
	t.Parallel()
	problems := Check(&workflow.Workflow{Schedules: []*workflow.Schedule{
		{ID: "a", Cron: "61 * * * *", Timezone: "Mars/Olympus"},
		{ID: "b", Cron: "0 0 30 2 *"},
	}})
	var codes []workflow.ProblemCode
	for _, p := range problems {
		codes = append(codes, p.Code)
	}
	if diff := cmp.Diff([]workflow.ProblemCode{CodeTimezone, CodeCron, CodeNeverDue}, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

func TestSixFieldsMeanSeconds(t *testing.T) {
	t.Parallel()
	due, err := NewCalendar(&workflow.Schedule{Cron: "15 30 2 * * *"})
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	if got, want := due.Next(from), time.Date(2026, 5, 1, 2, 30, 15, 0, time.UTC); !got.Equal(want) {
		t.Errorf("next = %v, want %v", got, want)
	}
}

func TestZoneIsUsed(t *testing.T) {
	t.Parallel()
	due, err := NewCalendar(&workflow.Schedule{Cron: "30 2 * * *", Timezone: "Europe/Zurich"})
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	if got, want := due.Next(from), time.Date(2026, 7, 1, 0, 30, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("next = %v, want %v", got.UTC(), want)
	}
}

// FuzzCron feeds Check any line: it must neither panic nor take long, and a
// line it accepts must be due some time.
func FuzzCron(f *testing.F) {
	for _, seed := range []string{"30 2 * * *", "0 0 30 2 *", "@every 0s", "TZ=0", "CRON_TZ=UTC", ", , , , ,", "1-5/2 * ? * *"} {
		f.Add(seed, "Europe/Zurich")
	}
	f.Fuzz(func(t *testing.T, line, zone string) {
		began := cpu(t)
		problems := Check(&workflow.Workflow{Schedules: []*workflow.Schedule{{Cron: line, Timezone: zone}}})
		if took := cpu(t) - began; took > time.Second {
			t.Fatalf("cron %q took %v", line, took)
		}
		if line == "" || len(problems) > 0 {
			return
		}
		due, err := NewCalendar(&workflow.Schedule{Cron: line, Timezone: zone})
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); !due.Next(now).After(now) {
			t.Fatalf("cron %q in %q: next %v is not after now", line, zone, due.Next(now))
		}
	})
}

var update = flag.Bool("update", false, "rewrite what is expected of the files")

// TestFiles: each file of testdata/invalid has the one mistake that its name
// says, told as the .want file beside it, and no code is without a file.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[workflow.ProblemCode]bool{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w, problems := workflow.Parse(filepath.Base(file), source)
		if len(problems) > 0 {
			t.Fatalf("%s: %v", file, problems)
		}
		problems = Check(w)
		if len(problems) != 1 || !strings.HasPrefix(filepath.Base(file), string(problems[0].Code)) {
			t.Errorf("%s: problems %v", file, problems)
			continue
		}
		seen[problems[0].Code] = true
		var got strings.Builder
		if err := problems.Print(&got, filepath.Base(file), source); err != nil {
			t.Fatal(err)
		}
		wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
		if *update {
			if err := os.WriteFile(wantFile, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(wantFile)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	for _, code := range ProblemCodes() {
		if !seen[code] {
			t.Errorf("no file shows %s", code)
		}
	}
}
