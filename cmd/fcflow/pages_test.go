package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

// page reads a page that is written by hand.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// TestReadmeShowsTheQuickstart: the file that everybody reads first is the one
// that `make demo` runs.
func TestReadmeShowsTheQuickstart(t *testing.T) {
	t.Parallel()
	_, file, _ := strings.Cut(page(t, "examples/workflows/quickstart.yaml"), "version: 1\n")
	if shown := blocks(page(t, "README.md"), "yaml"); len(shown) != 1 || shown[0] != "version: 1\n"+file {
		t.Errorf("README.md shows another file than quickstart.yaml: %q", shown)
	}
}

// TestPagesShowValidWorkflows: what a reader copies passes the checker.
func TestPagesShowValidWorkflows(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t)
	whole := 0
	for _, text := range blocks(page(t, "docs/workflows.md"), "yaml") {
		if !strings.Contains(text, "version: 1\n") {
			continue
		}
		whole++
		file := filepath.Join(t.TempDir(), "flow.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := a.loadWorkflow(file, ""); err != nil {
			invalid := new(problemsError)
			errors.As(err, &invalid)
			t.Errorf("%v: %v", err, invalid.problems)
		}
	}
	if whole == 0 {
		t.Error("docs/workflows.md shows no workflow")
	}
}

// TestPageOfJSON: what docs/json.md shows is JSON, of known members.
func TestPageOfJSON(t *testing.T) {
	t.Parallel()
	known := map[string]any{
		"fcflow systems list": &[]shownSystem{}, "fcflow systems show": &shownSite{}, "fcflow plan": &shownPlan{},
		"fcflow doctor": &diagnosis{}, "fcflow config show": &shownConfig{},
		"fcflow run": &shownRun{}, "fcflow runs list": &[]listedRun{}, "fcflow check": &[]checkedRun{}, "fcflow validate": &[]validated{},
		"fcflow steps show": &stepType{}, "fcflow version": &versionInfo{}, "fcflow runs show": &errorJSON{}, "fcflow runs events": &map[string]any{},
		"fcflow runs why":       &explained{},
		"fcflow schedules next": &[]nextSlots{}, "fcflow schedules list": &[]workflow.ScheduleView{},
	}
	for _, text := range blocks(page(t, "docs/json.md"), "") {
		command, shown, ok := strings.Cut(strings.TrimPrefix(text, "$ "), "\n")
		if !ok || !strings.HasPrefix(text, "$ ") {
			continue
		}
		for prefix, form := range known {
			if !strings.HasPrefix(command, prefix+" ") {
				continue
			}
			decoder := json.NewDecoder(strings.NewReader(shown))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(form); err != nil {
				t.Errorf("%s: %v", command, err)
			}
			delete(known, prefix)
			break
		}
	}
	for prefix := range known {
		t.Errorf("docs/json.md shows nothing of %s", prefix)
	}
}

// TestPageOfCauses: what may be written in a retry rule is explained.
func TestPageOfCauses(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(page(t, "docs/workflows.md"), "| cause | |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, cause := range workflow.FailureCauses() {
		if !strings.Contains(table, fmt.Sprintf("`%s`", cause)) {
			t.Errorf("docs/workflows.md does not say what %s means", cause)
		}
	}
}

// TestPageOfGuarantees: the page lists every rule as `runs why` explains it, and
// is where people look for it.
func TestPageOfGuarantees(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(page(t, "docs/guarantees.md"), "## The rules\n")
	var rows []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, rule := range workflow.Rules() {
		want = append(want, fmt.Sprintf("| `%s` | %s |", rule, rule.Sentence()))
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rules of docs/guarantees.md (-want +got):\n%s", diff)
	}
	for file, link := range map[string]string{
		"README.md": "(docs/guarantees.md)", "docs/workflows.md": "(guarantees.md)", "docs/semantics.md": "(guarantees.md)", "docs/architecture.md": "(guarantees.md)",
	} {
		if !strings.Contains(page(t, file), link) {
			t.Errorf("%s does not lead to docs/guarantees.md", file)
		}
	}
}

// TestPageOfSettings: the page lists every setting with what it is called
// elsewhere and its default.
func TestPageOfSettings(t *testing.T) {
	t.Parallel()
	text := page(t, "docs/profiles.md")
	for _, s := range settings.All() {
		row := ""
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "| `"+s.Key+"`") || strings.Contains(line, ", `"+s.Key+"` |") {
				row = line
			}
		}
		for _, want := range []string{s.Env, s.Flag, s.Default} {
			if row == "" || !strings.Contains(row, want) {
				t.Errorf("docs/profiles.md lacks %s with %q", s.Key, want)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(blocks(text, "yaml")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, profile := range []string{"alps", "test"} {
		if _, err := settings.Load(settings.Sources{Flags: map[string]string{"profile": profile}, Getenv: func(string) string { return "" }, ConfigFile: file}); err != nil {
			t.Errorf("the profile %s that it shows: %v", profile, err)
		}
	}
}
