package steps

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestRefusedContent: what a directory holds that cannot be fetched is refused
// once, and before anything is packed where it can be listed.
func TestRefusedContent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		listed     bool
		plant      func(dir string) error
	}{
		{"absolute link", "leads out of the directory, to \"/scratch/inputs/x\"", true, func(dir string) error { return os.Symlink("/scratch/inputs/x", filepath.Join(dir, "x")) }},
		{"outward link", "leads out of the directory, to \"../../../x\"", true, func(dir string) error { return os.Symlink("../../../x", filepath.Join(dir, "x")) }},
		{"absolute link in a large directory", "leads out of the directory", false, func(dir string) error { return os.Symlink("/scratch/inputs/x", filepath.Join(dir, "x")) }},
		{"pipe", "data/x is a pipe", true, func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "x"), 0o600) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			dir := filepath.Dir(s.onSystem("data/a.txt", "a"))
			if err := test.plant(dir); err != nil {
				t.Fatal(err)
			}
			packed := 0
			s.mu.Lock()
			s.fault = func(op string, _ *http.Request) *sandbox.Fault {
				switch {
				case strings.HasSuffix(op, "ops/compress"):
					packed++
				case strings.HasSuffix(op, "ops/ls") && !test.listed:
					return signed(http.StatusRequestEntityTooLarge, "Command output exceeded buffer limit.")
				}
				return nil
			}
			s.mu.Unlock()
			r := s.run("- { id: x, uses: download, with: { from: " + dir + " } }")
			u := unit(t, r, "x")
			if u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, test.want) {
				t.Errorf("%s %s %s", u.State, u.Cause, u.Message)
			}
			if n := len(u.Attempts); n != 1 || (packed == 0) != test.listed {
				t.Errorf("%d attempts, packed %d times", n, packed)
			}
			s.noTraces()
		})
	}
}

// TestInwardLinks: links that stay inside come along.
func TestInwardLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := filepath.Dir(s.onSystem("data/a.txt", "a"))
	s.onSystem("data/sub/b.txt", "b")
	if err := os.Symlink("../a.txt", filepath.Join(dir, "sub", "up")); err != nil {
		t.Fatal(err)
	}
	s.outputs(s.run("- { id: x, uses: download, with: { from: "+dir+" } }"), "x")
	if got, err := os.ReadFile(filepath.Join(s.output, "data/sub/up")); err != nil || string(got) != "a" {
		t.Errorf("%q, %v", got, err)
	}
}
