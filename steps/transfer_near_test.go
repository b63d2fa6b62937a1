package steps

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestObjectsOnTheNearSide: from an object to a system, and from there to an
// object.
func TestObjectsOnTheNearSide(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(nil))
	s.file("large.bin", large(7))
	r := s.run(`
	- { id: put, uses: s3_put, with: { from: large.bin, to: "s3://demo/near/in.bin" } }
	- { id: there, uses: upload, needs: put, with: { from: "s3://demo/near/in.bin", to: dir/ } }
	- { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}", to: "s3://demo/near/" } }
	- { id: same, uses: download, needs: back, with: { from: "${{ steps.there.outputs.path }}", to: "s3://demo/near/in.bin" } }
	- { id: get, uses: s3_get, needs: back, with: { from: "s3://demo/near/in.bin", to: came.bin } }
	- { id: none, uses: upload, needs: put, with: { from: "s3://demo/near/none" } }`)
	if u := unit(t, r, "none"); u.Cause != workflow.CauseRejected {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	if got := s.outputs(r, "back"); got["path"] != "s3://demo/near/in.bin" || got["verified"] != "sha256" || got["skipped"] != true {
		t.Errorf("%v", got)
	}
	want := large(7)
	if got, err := os.ReadFile(filepath.Join(s.output, "came.bin")); err != nil || string(got) != want {
		t.Errorf("what came is not what went (%v)", err)
	}
	s.noTraces()
}

// TestVerifyByJob: where a request cannot compute the digest, a job can.
func TestVerifyByJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("a b.txt", "notes\n")
	r := s.run(`
	- { id: there, uses: upload, with: { from: a b.txt, verify: job } }
	- { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}", verify: job } }`)
	for _, step := range []string{"there", "back"} {
		if got := s.outputs(r, step)["verified"]; got != "sha256" {
			t.Errorf("%s is verified by %v", step, got)
		}
	}
}

// TestSlowDirect: a file that does not get through one request in time goes by
// the way for large ones.
func TestSlowDirect(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "notes\n")
	s.faults("ops/upload", func(int) *sandbox.Fault {
		return signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded.")
	})
	if got := s.outputs(s.run("- { id: x, uses: upload, with: { from: notes.txt } }"), "x"); got["method"] != "s3" {
		t.Errorf("%v", got)
	}
}

// TestEmptyFiles: servers cannot answer an upload of nothing, and the file is
// there all the same.
func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("empty", "")
	r := s.run(`
	- { id: there, uses: upload, with: { from: empty, method: s3 } }
	- { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}", method: s3 } }`)
	for _, step := range []string{"there", "back"} {
		if got := s.outputs(r, step); got["method"] != "direct" || got["size_bytes"] != 0.0 {
			t.Errorf("%s: %v", step, got)
		}
	}
}

// TestStreamer: files that go to the job itself.
func TestStreamer(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(func(c *sandbox.TransferConfig) { c.Method = "streamer" }))
	s.file("large.bin", large(8))
	r := s.run(thereAndBack + `
	- { id: over, uses: upload, needs: back, with: { from: large.bin, on_exists: replace } }
	- { id: other, uses: upload, with: { from: large.bin, to: x, method: s3 } }`)
	s.checkBack(r, "streamer")
	s.outputs(r, "over")
	if u := unit(t, r, "other"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "by streamer, not by s3") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

// TestTruncatedDirect: an answer that is whole in itself, and too short.
func TestTruncatedDirect(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "notes\n")
	s.faults("ops/download", func(int) *sandbox.Fault {
		return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: "no"}
	})
	r := s.run(`
	- { id: there, uses: upload, with: { from: notes.txt } }
	- { id: back, uses: download, max_attempts: 1, with: { from: "${{ steps.there.outputs.path }}" } }`)
	if u := unit(t, r, "back"); u.Cause != workflow.CauseTransfer {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	if left, err := os.ReadDir(s.output); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestPlacement: where mv and cp put things.
func TestPlacement(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("data/a.txt", "a")
	r := s.run(`
	- { id: send, uses: upload, with: { from: data } }
	- { id: copy, needs: send, uses: cp, with: { source: data, target: copy } }
	- { id: into, needs: copy, uses: cp, with: { source: data/a.txt, target: new/dir/ } }
	- { id: merge, needs: into, uses: cp, with: { source: data, target: new/ } }
	- { id: merged, needs: merge, uses: cp, with: { source: data, target: new } }
	- { id: twice, needs: merged, uses: mv, with: { source: data, target: new } }
	- { id: moved, needs: merged, uses: mv, with: { source: data/a.txt, target: copy } }
	- { id: self, needs: merged, uses: mv, with: { source: copy, target: . } }`)
	home := r.Sites[system].RemoteDir
	for step, want := range map[string]string{"copy": "copy", "into": "new/dir/a.txt", "merge": "new/data", "merged": "new/data", "moved": "copy/a.txt"} {
		if got := s.outputs(r, step)["target"]; got != filepath.Join(home, want) {
			t.Errorf("%s: %v, want %s", step, got, want)
		}
	}
	for step, want := range map[string]string{"twice": "is a directory already", "self": "are the same"} {
		if u := unit(t, r, step); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, want) {
			t.Errorf("%s: %s: %s", step, u.Cause, u.Message)
		}
	}
	if text, err := os.ReadFile(filepath.Join(home, "new/data/a.txt")); err != nil || !bytes.Equal(text, []byte("a")) {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(home, "new/data/data")); err == nil {
		t.Error("a copy went into itself")
	}
}

// TestRefusedNames: a name that the way of a file would mangle is refused before
// anything is changed; the others are right.
func TestRefusedNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	names := []string{"a b.txt", "a&b.txt", `say "hi".txt`, "größe.txt", "$HOME.txt", "a\\b.txt", "<x>.txt", "-n.txt", "a;b.txt", "a*b.txt", "`id`.txt", "it's.txt"}
	var steps strings.Builder
	for i, name := range names {
		s.file(name, name)
		for _, method := range []string{"direct", "s3"} {
			fmt.Fprintf(&steps, "- { id: %s%d, uses: upload, with: { from: %q, to: %s/, method: %s } }\n", method, i, s.dir+"/"+escape(name), method, method)
		}
	}
	r := s.run(steps.String())
	home := r.Sites[system].RemoteDir
	for i, name := range names {
		for _, method := range []string{"direct", "s3"} {
			u := unit(t, r, fmt.Sprint(method, i))
			got, err := os.ReadFile(filepath.Join(home, method, name))
			switch {
			case u.State == workflow.Succeeded && string(got) == name:
			case u.State == workflow.Failed && u.Cause == workflow.CauseRejected && err != nil:
			default:
				t.Errorf("%q by %s: %s %s %s, there is %q", name, method, u.State, u.Cause, u.Message, got)
			}
			t.Logf("%-16q by %-6s: %s", name, method, u.State)
		}
	}
}

// escape writes a name as a pattern that matches it alone.
func escape(name string) string { return strings.NewReplacer("*", `\*`, `\`, `\\`).Replace(name) }
