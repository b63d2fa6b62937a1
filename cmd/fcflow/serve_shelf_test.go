package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// testShelf is a directory of workflow files, with what a server makes of it.
type testShelf struct {
	*shelf
	t *testing.T
}

func newTestShelf(t *testing.T) testShelf {
	t.Helper()
	a, _, _ := testApp(t)
	return testShelf{newShelf(a, t.TempDir(), sandboxSystem, t.TempDir()), t}
}

func (s testShelf) write(file, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s testShelf) remove(file string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, file)); err != nil {
		s.t.Fatal(err)
	}
}

// stands looks at the files and checks what each comes to: the workflow that it has,
// and how what is wrong with it begins.
func (s testShelf) stands(want ...string) {
	s.t.Helper()
	if err := s.read(); err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, b := range s.all() {
		line := filepath.Base(b.file) + ":"
		if b.workflow != nil {
			line += " " + b.workflow.Name
		}
		if b.wrong != "" {
			words, _, _ := strings.Cut(b.wrong, ";")
			line += " (" + words + ")"
		}
		if (b.wrong == "") != b.since.IsZero() {
			s.t.Errorf("%s has been wrong since %s", line, b.since)
		}
		got = append(got, line)
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		s.t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// flowText is a file with a workflow of a name.
func flowText(name string) string {
	return fmt.Sprintf("version: 1\nname: %s\nsteps:\n  - { id: a, uses: run, with: { command: [\"true\"] } }\n", name)
}

const (
	brokenText  = "version: 1\nname: sweep\nnonsense: true\nsteps: []\n"
	brokenWords = ` (line 3: unknown key "nonsense" in a workflow)`
)

// TestTwoFilesOfOneName: the first has the name, and when it is gone the other.
func TestTwoFilesOfOneName(t *testing.T) {
	t.Parallel()
	s := newTestShelf(t)
	s.write("sweep.yaml", flowText("sweep"))
	s.write("zsweep.yaml", flowText("sweep"))
	const twice = "zsweep.yaml: (sweep.yaml has a workflow of the name sweep already)"
	s.stands("sweep.yaml: sweep", twice)
	since := s.all()[1].since.Add(-time.Hour)
	s.all()[1].since = since
	s.stands("sweep.yaml: sweep", twice)
	if got := s.all()[1].since; !got.Equal(since) {
		t.Errorf("wrong since %s, not %s", got, since)
	}
	s.remove("sweep.yaml")
	s.stands("zsweep.yaml: sweep")

	// The last good version of the other is kept while it cannot have the name.
	s.write("zsweep.yaml", brokenText)
	s.stands("zsweep.yaml: sweep" + brokenWords)
	s.write("sweep.yaml", flowText("sweep"))
	s.stands("sweep.yaml: sweep", twice)
	s.remove("sweep.yaml")
	s.stands("zsweep.yaml: sweep" + brokenWords)
}

// TestBrokenFileTakesNoName: a file without a workflow keeps no other from the name
// that the file has.
func TestBrokenFileTakesNoName(t *testing.T) {
	t.Parallel()
	s := newTestShelf(t)
	s.write("nightly.yaml", flowText("icon"))
	s.stands("nightly.yaml: icon")
	s.write("icon.yaml", brokenText)
	s.stands("icon.yaml:"+brokenWords, "nightly.yaml: icon")
	if b, err := s.find("icon"); err != nil || filepath.Base(b.file) != "nightly.yaml" {
		t.Errorf("icon is %+v, %v", b, err)
	}
	s.write("icon.yaml", flowText("icon"))
	s.stands("icon.yaml: icon", "nightly.yaml: (icon.yaml has a workflow of the name icon already)")
	s.remove("icon.yaml")
	s.stands("nightly.yaml: icon")
}

// TestFileReadAgain: a file that could not be read for a moment is right again without
// a change of its text.
func TestFileReadAgain(t *testing.T) {
	t.Parallel()
	s := newTestShelf(t)
	s.write("sweep.yaml", flowText("sweep"))
	s.stands("sweep.yaml: sweep")
	s.remove("sweep.yaml")
	if err := os.Mkdir(filepath.Join(s.dir, "sweep.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.read(); err != nil {
		t.Fatal(err)
	}
	if b := s.all()[0]; b.workflow == nil || b.wrong == "" || b.since.IsZero() {
		t.Errorf("while it cannot be read: %+v", b)
	}
	s.remove("sweep.yaml")
	s.write("sweep.yaml", flowText("sweep"))
	s.stands("sweep.yaml: sweep")
}

// TestChangedChild: a change of a file that another runs is one of the shelf.
func TestChangedChild(t *testing.T) {
	t.Parallel()
	s := newTestShelf(t)
	if err := os.Mkdir(filepath.Join(s.dir, "lib"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("lib/child.yaml", flowText("child"))
	s.write("sweep.yaml", "version: 1\nname: sweep\nsteps:\n  - { id: a, uses: workflow, with: { file: lib/child.yaml } }\n")
	s.stands("sweep.yaml: sweep")
	before := s.fingerprint()
	if s.stands("sweep.yaml: sweep"); s.fingerprint() != before {
		t.Error("a look at files that are the same is a change")
	}
	s.write("lib/child.yaml", flowText("child")+"  - { id: b, uses: sleep, with: { duration: 1s } }\n")
	if s.stands("sweep.yaml: sweep"); s.fingerprint() == before {
		t.Error("the change is not seen")
	}
}

// TestShownWorkflow: the page of a name is that of the workflow that can be run, and
// without one that of the file.
func TestShownWorkflow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, text := range map[string]string{"a.yaml": flowText("icon"), "icon.yaml": brokenText, "other.yaml": brokenText} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := openTestHost(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	for name, file := range map[string]string{"icon": "a.yaml", "other": "other.yaml"} {
		info, err := h.Workflow(t.Context(), name)
		if err != nil || filepath.Base(info.File) != file || (info.Error == "") != (file == "a.yaml") {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	if _, err := h.Workflow(t.Context(), "none"); !errors.Is(err, workflow.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}
