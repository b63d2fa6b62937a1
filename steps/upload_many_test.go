package steps

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestIntoLargeDirectory: files go into a directory that holds more than can be
// listed, and what lies in their way is judged as everywhere.
func TestIntoLargeDirectory(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*sandbox.Fault{
		"too large": signed(http.StatusRequestEntityTooLarge, "Command output exceeded buffer limit."),
		"too slow":  timeLimit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.file("new/a.nml", "a")
			s.file("new/sub/b.nml", "b")
			s.file("same/same.nml", "same")
			s.file("other/other.nml", "here")
			for i := range maxCompared + 1 {
				s.file(fmt.Sprintf("many/%d.nml", i), "x")
			}
			dir := filepath.Dir(s.onSystem("dir/same.nml", "same"))
			s.onSystem("dir/other.nml", "else")
			s.misbehave(map[string]*sandbox.Fault{"ops/ls": fault})
			r := s.run(strings.ReplaceAll(`
			- { id: new, uses: upload, with: { from: "new/**/*.nml", to: DIR } }
			- { id: same, uses: upload, with: { from: "same/*.nml", to: DIR } }
			- { id: other, uses: upload, with: { from: "other/*.nml", to: DIR } }
			- { id: there, uses: upload, with: { from: "same/*.nml", to: DIR, on_exists: fail } }
			- { id: many, uses: upload, with: { from: "many/*.nml", to: DIR } }
			- { id: over, uses: upload, with: { from: "many/*.nml", to: DIR, on_exists: replace } }`, "DIR", dir))
			for step, skipped := range map[string]bool{"new": false, "same": true, "over": false} {
				if got := s.outputs(r, step)["skipped"]; got != skipped {
					t.Errorf("%s: skipped %v", step, got)
				}
			}
			for step, want := range map[string]string{
				"other": "other.nml exists and is not known to be the same", "there": "same.nml exists",
				"many": "101 files are too many to be looked for there one by one",
			} {
				if u := unit(t, r, step); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, want) {
					t.Errorf("%s: %s %s %s", step, u.State, u.Cause, u.Message)
				}
			}
			if got, err := os.ReadFile(filepath.Join(dir, "sub/b.nml")); err != nil || string(got) != "b" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// TestOddNames: a file whose name a listing shows in another form is in the way all
// the same.
func TestOddNames(t *testing.T) {
	t.Parallel()
	for name, forms := range map[string][2]string{
		"käse.txt": {"käse.txt", `k\303\244se.txt`}, "a\tb\x01.txt": {`a\tb\001.txt`, `a\tb\001.txt`}, "\xff.txt": {`\377.txt`, `\377.txt`}, "a b": {"a b", "a b"},
	} {
		if got := [2]string{escapedName(name, unicode.MaxRune), escapedName(name, unicode.MaxASCII)}; got != forms {
			t.Errorf("%q is listed as %q, want %q", name, got, forms)
		}
	}
	s := newSite(t)
	s.file("dir/tab\t.txt", "new")
	target := s.onSystem("there/tab\t.txt", "old")
	r := s.run("- { id: x, uses: upload, with: { from: dir, to: " + filepath.Dir(target) + " } }")
	if u := unit(t, r, "x"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "exists and is not known to be the same") {
		t.Errorf("%s %s", u.Cause, u.Message)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
}
