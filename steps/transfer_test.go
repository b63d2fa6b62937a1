package steps

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestLimits: a file of exactly the limit goes in one request. One byte more is
// refused if that was asked for, before anything of it is sent, and else takes
// the way for large files.
func TestLimits(t *testing.T) {
	t.Parallel()
	const limit = 12000 // of which a download can have 8997
	s := newSite(t, func(c *sandbox.Config) { c.MaxOpsFileSize = limit })
	s.file("fits.bin", strings.Repeat("x", limit))
	s.file("over.bin", strings.Repeat("x", limit+1))
	s.file("back.bin", strings.Repeat("x", 8997))
	s.file("over_back.bin", strings.Repeat("x", 8998))
	s.file("empty.bin", "")
	uploads, downloads := 0, 0
	s.mu.Lock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		switch {
		case strings.HasSuffix(op, "ops/upload"):
			uploads++
		case strings.HasSuffix(op, "ops/download"):
			downloads++
		}
		return nil
	}
	s.mu.Unlock()
	r := s.run(`
	- { id: fits, uses: upload, with: { from: fits.bin } }
	- { id: over, uses: upload, with: { from: over.bin, method: direct } }
	- { id: large, uses: upload, with: { from: over.bin } }
	- { id: send, uses: upload, with: { from: back.bin } }
	- { id: send_over, uses: upload, with: { from: over_back.bin } }
	- { id: back, uses: download, with: { from: "${{ steps.send.outputs.path }}" } }
	- { id: over_back, uses: download, with: { from: "${{ steps.send_over.outputs.path }}", method: direct } }
	- { id: large_back, uses: download, with: { from: "${{ steps.send_over.outputs.path }}" } }`)
	for step, want := range map[string]string{"fits": "direct", "back": "direct", "large": "s3", "large_back": "s3"} {
		if got := s.outputs(r, step); got["method"] != want || got["verified"] != "sha256" {
			t.Errorf("%s: %v", step, got)
		}
	}
	for step, want := range map[string]string{"over": "12001 bytes; one moves at most 12000", "over_back": "8998 bytes; one moves at most 8997"} {
		if u := unit(t, r, step); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, want) {
			t.Errorf("%s: %s: %s", step, u.Cause, u.Message)
		}
	}
	if uploads != 3 || downloads != 1 {
		t.Errorf("%d uploads, %d downloads", uploads, downloads)
	}
	info, err := os.Stat(filepath.Join(s.output, "back.bin"))
	if err != nil || info.Size() != 8997 || info.Mode().Perm()&^0o022 != 0o644 && info.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestVerifiedBySize: a path that the server cannot compute a digest for.
func TestVerifiedBySize(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("a b.txt", "notes\n")
	r := s.run(`
	- { id: there, uses: upload, with: { from: a b.txt } }
	- { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}" } }`)
	for _, step := range []string{"there", "back"} {
		if got := s.outputs(r, step)["verified"]; got != "size" {
			t.Errorf("%s is verified by %v", step, got)
		}
	}
}

// TestDamagedUpload: the server has other bytes than were sent.
func TestDamagedUpload(t *testing.T) {
	t.Parallel()
	for op, body := range map[string]string{
		"ops/checksum": `{"output":{"algorithm":"SHA256","checksum":"` + strings.Repeat("0", 64) + `"}}`,
		"ops/stat":     `{"output":{"mode":33188,"size":3}}`,
	} {
		s := newSite(t)
		s.file("notes.txt", "notes\n")
		s.faults(op, func(int) *sandbox.Fault {
			return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: body}
		})
		r := s.run("- id: x\n  uses: upload\n  with: { from: notes.txt, on_exists: replace }\n  max_attempts: 1")
		if u := unit(t, r, "x"); u.Cause != workflow.CauseTransfer {
			t.Errorf("%s: %s: %s", op, u.Cause, u.Message)
		}
	}
}

// TestRepeatedTransfer: the answer to the upload is lost, and the server holds
// something of it. What the attempt began is replaced, whatever on_exists says.
func TestRepeatedTransfer(t *testing.T) {
	t.Parallel()
	for _, onExists := range []string{"skip_same", "fail", "replace"} {
		s := newSite(t)
		s.file("notes.txt", "notes\n")
		s.faults("ops/upload", func(n int) *sandbox.Fault {
			if n == 1 {
				return &sandbox.Fault{DropReply: true}
			}
			return nil
		})
		r := s.run("- id: x\n  uses: upload\n  with: { from: notes.txt, on_exists: " + onExists + " }")
		s.outputs(r, "x")
	}
}

func TestChangedInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := s.file("notes.txt", "notes\n")
	w := s.load("- id: x\n  uses: upload\n  with: { from: notes.txt }")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{info.Size(), 1} {
		x, err := s.engine().Create(t.Context(), s.store, w, workflow.RunCreated{
			Dir: s.dir, OutputDir: s.output, Profile: workflow.Profile{System: system}, Version: "test",
			Inputs: map[string]json.RawMessage{},
			Files:  map[string]workflow.FileFacts{"notes": {Path: file, SizeBytes: size, ModifiedAt: info.ModTime()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		u := unit(t, s.drive(x), "x")
		if changed := size != info.Size(); changed != (u.Cause == workflow.CauseInputChanged) {
			t.Errorf("changed %v: %s %s: %s", changed, u.State, u.Cause, u.Message)
		}
	}
}

// TestOutputDirectoryIsAFence: links in the output directory lead nowhere else.
func TestOutputDirectoryIsAFence(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "notes\n")
	outside := t.TempDir()
	if err := os.MkdirAll(s.output, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(s.output, "link")); err != nil {
		t.Fatal(err)
	}
	r := s.run(`
	- { id: there, uses: upload, with: { from: notes.txt } }
	- { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}", to: link/notes.txt } }`)
	if u := unit(t, r, "back"); u.Cause != workflow.CauseRejected {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"in/": "in//x", "in": "in", ".": "./x", "./": ".//x", "a/..": "a/../x", "a/.": "a/./x", "": "/x", "a/b.txt": "a/b.txt", "a/...": "a/...",
	} {
		if got := target(to, "x"); got != want {
			t.Errorf("%q: %q, want %q", to, got, want)
		}
	}
}
