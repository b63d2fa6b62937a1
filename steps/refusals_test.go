package steps

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestRefusals shows, for every step type, how its main error ends it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "notes\n")
	s.file("dir/x", "")
	s.file("crlf.sh", "#!/bin/bash\r\necho\r\n")
	s.file("plain.sh", "echo no interpreter\n")
	tests := []struct{ name, with, cause, message string }{
		{"list_files", `{ path: nowhere }`, "rejected", "No such file or directory"},
		{"stat", `{ path: nowhere }`, "rejected", "No such file or directory"},
		{"mkdir", `{ path: "a/b/c", parents: false }`, "rejected", "No such file or directory"},
		{"mkdir", `{ path: .fcflow, parents: false }`, "rejected", "File exists"},
		{"symlink", `{ target: x, path: .fcflow/000/a/b }`, "rejected", "No such file or directory"},
		{"view", `{ path: nowhere }`, "rejected", "No such file or directory"},
		{"head", `{ path: . }`, "rejected", "Is a directory"},
		{"tail", `{ path: nowhere }`, "rejected", "No such file or directory"},
		{"checksum", `{ path: . }`, "rejected", "Is a directory"},
		{"checksum", `{ path: a b }`, "rejected", "white space"},
		{"file_type", `{ path: nowhere }`, "rejected", "No such file or directory"},
		{"file_type", `{ path: /etc }`, "rejected", "does not match any of the defined filesystem paths"},
		{"chmod", `{ path: nowhere, mode: "640" }`, "rejected", "No such file or directory"},
		{"chmod", `{ path: ., mode: rw-r--r-- }`, "rejected", "neither octal"},
		{"chown", `{ path: ., group: root }`, "rejected", "Operation not permitted"},
		{"chown", `{ path: ., owner: nosuch }`, "rejected", "invalid spec: 'nosuch:'"},
		{"compress", `{ source: nowhere, target: x.tar.gz }`, "rejected", "No such file or directory"},
		{"extract", `{ source: nowhere.tar.gz, target: . }`, "rejected", "No such file or directory"},
		{"rm", `{ path: nowhere }`, "rejected", "No such file or directory"},
		{"rm", `{ path: . }`, "rejected", "what fcflow keeps of this run"},
		{"rm", `{ path: .. }`, "rejected", "what fcflow keeps of this run"},
		{"rm", `{ path: .fcflow/000 }`, "rejected", "what fcflow keeps of this run"},
		{"list_files", `{ path: /etc }`, "rejected", "does not match any of the defined filesystem paths"},
		{"upload", `{ from: nowhere.txt }`, "rejected", "nowhere.txt does not exist"},
		{"upload", `{ from: "*.none" }`, "rejected", "matches nothing"},
		{"upload", `{ from: notes.txt, method: streamer }`, "rejected", "moves large files by s3, not by streamer"},
		{"upload", `{ from: notes.txt, method: wormhole }`, "rejected", "moves large files by s3, not by wormhole"},
		{"upload", `{ from: notes.txt, to: "a&b.txt", method: s3 }`, "rejected", "which the server mangles"},
		{"upload", `{ from: notes.txt, to: "$a.txt", method: s3 }`, "rejected", "which the shell of this kind of transfer job expands"},
		{"upload", `{ from: notes.txt, to: .fcflow }`, "rejected", "end `to` with a slash"},
		{"download", `{ from: nowhere.txt }`, "rejected", "No such file or directory"},
		{"download", `{ from: "*.none" }`, "rejected", "no file matches"},
		{"mv", `{ source: nowhere, target: x }`, "rejected", "No such file or directory"},
		{"mv", `{ source: .fcflow, target: x }`, "rejected", "what fcflow keeps of this run"},
		{"mv", `{ source: "a&b", target: x }`, "rejected", "No such file or directory"},
		{"cp", `{ source: nowhere, target: x }`, "rejected", "No such file or directory"},
		{"cp", `{ source: .fcflow, target: .fcflow }`, "rejected", "into itself"},
		{"download", `{ from: x, to: ../x }`, "rejected", "leaves the output directory"},
		{"download", `{ from: x, to: /tmp/x }`, "rejected", "leaves the output directory"},
		{"job", `{ script_file: nowhere.sh }`, "rejected", "nowhere.sh does not exist"},
		{"job", `{ script_file: crlf.sh }`, "rejected", "CR LF"},
		{"submit", `{ script_file: plain.sh }`, "rejected", "#!"},
		{"submit", `{ remote_script: nowhere.sh }`, "rejected", "Unable to open file"},
		{"job", `{ script: "#!/bin/sh\nexit 9" }`, "exit(9)", "exit code 9"},
		{"job", `{ script: "#!/bin/sh\nkill -9 $$" }`, "exit(137)", "exit code 137"},
		{"job", `{ script: "#!/no/such/shell\n" }`, "exit(127)", "exit code 127"},
		{"job", `{ script: "#!/bin/sh\n", workdir: /proc/nothing }`, "exit(78)", "exit code 78"},
		{"job", `{ script: "#!/bin/sh\nsleep 60", resources: { time: 1s } }`, "walltime", "TIMEOUT"},
		{"job", `{ script: "#!/bin/sh\necho 1", outputs: { e: { regex: "E=(.*)" } } }`, "output_missing", "nothing matches"},
		{"job", `{ script: "#!/bin/sh\necho x", outputs: { e: { from: x.json, json: a } } }`, "output_missing", "left no file"},
		{"job_info", `{ job_id: "99999999" }`, "rejected", "Job not found"},
		{"wait_for_job", `{ job_id: 1_2 }`, "rejected", "not the id of a job"},
		{"job_metadata", `{ job_id: "99999999" }`, "rejected", "Job not found"},
		{"attach_to_job", `{ job_id: 1_2, command: "true" }`, "rejected", "not the id of a job"},
		{"attach_to_job", `{ job_id: "99999999", command: "true" }`, "rejected", "does not know job 99999999"},
		{"cancel_job", `{ job_id: 1_2 }`, "rejected", "not the id of a job"},
		{"run", `{ script: "echo out; echo err >&2; exit 3" }`, "exit(3)", "exited with 3"},
		{"run", `{ command: [no-such-program] }`, "rejected", "no-such-program"},
		{"run", `{ script: "kill -9 $$" }`, "killed", "signal 9"},
		{"run", `{ script: ls, workdir: nowhere }`, "rejected", "nowhere"},
	}
	for _, test := range tests {
		t.Run(test.name+"/"+test.with, func(t *testing.T) {
			t.Parallel()
			r := s.run("- id: x\n  uses: " + test.name + "\n  with: " + test.with)
			u := unit(t, r, "x")
			if u.State != workflow.Failed || string(u.Cause) != test.cause || !strings.Contains(u.Message, test.message) {
				t.Errorf("%s %s: %s\nwant %s: %s", u.State, u.Cause, u.Message, test.cause, test.message)
			}
		})
	}
}

// TestStatusRefused: the types that ask for nothing of their own.
func TestStatusRefused(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]string{
		"liveness": "GET /status/liveness/", "systems": "GET /status/systems", "server_version": "GET /status/systems", "userinfo": "userinfo",
		"nodes": "nodes", "reservations": "reservations", "partitions": "partitions",
	} {
		s := newSite(t)
		first := 1
		if name == "userinfo" {
			first = 2 // the run is bound with the first
		}
		s.faults(op, func(n int) *sandbox.Fault {
			if n < first {
				return nil
			}
			return signed(http.StatusForbidden, "not for you")
		})
		if u := unit(t, s.run("- id: x\n  uses: "+name), "x"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "not for you") {
			t.Errorf("%s: %s: %s", name, u.Cause, u.Message)
		}
	}
}

func TestUserinfoOfUnhealthySystem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.faults("userinfo", func(n int) *sandbox.Fault {
		if n == 1 || n > 3 {
			return nil // the run is bound with the first
		}
		return &sandbox.Fault{Status: http.StatusServiceUnavailable}
	})
	r := s.run("- id: x\n  uses: userinfo")
	if got := s.outputs(r, "x")["user"]; got != "demo" {
		t.Errorf("user %v", got)
	}
	if n := waits(t, s, r, workflow.WaitOutage); n != 2 {
		t.Errorf("%d outages, want 2", n)
	}
}

// waits counts the waits of a run with a reason.
func waits(t *testing.T, s *site, r *workflow.Run, reason workflow.WaitReason) int {
	t.Helper()
	n := 0
	for _, e := range events(t, s, r) {
		if w, ok := e.Data.(*workflow.AttemptWaiting); ok && w.Reason == reason {
			n++
		}
	}
	return n
}

func events(t *testing.T, s *site, r *workflow.Run) []workflow.Event {
	t.Helper()
	h, err := s.store.Open(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var list []workflow.Event
	if err := h.Read(t.Context(), 1, func(e workflow.Event) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOutage: whatever is wrong with the service, the step waits, and goes on
// when it is well again.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"gateway":           {Status: http.StatusBadGateway, Body: "<html>"},
		"unavailable":       {Status: http.StatusServiceUnavailable},
		"too many requests": {Status: http.StatusTooManyRequests},
		"login node":        *signed(http.StatusFailedDependency, "SSH connection Reset."),
		"token":             *signed(http.StatusUnauthorized, "Invalid token"),
		"slow file system":  *signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded."),
		"lost answer":       {DropReply: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.faults("ops/ls", func(n int) *sandbox.Fault {
				if n > 2 { // a refused token is tried twice
					return nil
				}
				return &fault
			})
			r := s.run("- id: x\n  uses: list_files")
			s.outputs(r, "x")
			if waits(t, s, r, workflow.WaitOutage) == 0 {
				t.Error("no outage on record")
			}
		})
	}
}

func TestOutageEndsWithPatience(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.faults("ops/ls", func(int) *sandbox.Fault { return &sandbox.Fault{Status: http.StatusBadGateway} })
	r := s.run(`
	- id: x
	  uses: list_files
	  give_up_after: 150ms
	  max_attempts: 1`)
	u := unit(t, r, "x")
	if u.Cause != workflow.CauseAPI || !strings.Contains(u.Message, "no usable answer for 150ms") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

// TestTooSlow: what takes longer than one request may is done by a job.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	for op, steps := range map[string]string{
		"ops/compress": `
			- { id: x, uses: compress, with: { source: dir, target: x.tar.gz } }
			- { id: y, uses: extract, with: { source: "${{ steps.x.outputs.target }}", target: . } }`,
		"ops/extract": `
			- { id: w, uses: compress, needs: send, with: { source: dir, target: x.tar.gz } }
			- { id: x, uses: extract, with: { source: "${{ steps.w.outputs.target }}", target: . } }`,
		"ops/rm": `
			- { id: x, uses: rm, with: { path: dir } }`,
	} {
		for _, message := range []string{"Command execution timeout limit exceeded.", "Remote process failed with exit status:124"} {
			s := newSite(t)
			s.file("dir/a.txt", "a")
			status := http.StatusRequestTimeout
			if strings.Contains(message, "124") {
				status = http.StatusInternalServerError
			}
			s.faults(op, func(int) *sandbox.Fault { return signed(status, message) })
			r := s.run("- { id: send, uses: upload, with: { from: dir } }\n" + strings.ReplaceAll(steps, "id: x", "id: x, needs: send"))
			if r.State != workflow.RunSucceeded {
				t.Errorf("%s, %s: %s\n%s", op, message, r.State, states(r))
			}
		}
	}
}

func TestDiskQuota(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.faults("ops/mkdir", func(n int) *sandbox.Fault {
		if n == 1 {
			return nil // the run's own directory
		}
		return &sandbox.Fault{
			Status: http.StatusInternalServerError, Header: http.Header{"F7T-AppVersion": {"2.5.6"}},
			Body: `{"errorType":"error","message":"Remote process failed with exit status:1 and error message:mkdir: cannot create directory 'x': Disk quota exceeded","causedBy":["x"]}`,
		}
	})
	r := s.run("- id: x\n  uses: mkdir\n  with: { path: x }")
	if u := unit(t, r, "x"); u.Cause != workflow.CauseDiskQuota {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

// TestLostAnswers: the effect is there and the answer is not. What must not be
// done twice is looked at first.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ op, step string }{
		{"ops/mkdir", `{ path: x, parents: false }`},
		{"ops/mkdir", `{ path: x/y }`},
		{"ops/symlink", `{ target: .fcflow, path: x }`},
		{"ops/rm", `{ path: there }`},
		{"ops/compress", `{ source: there, target: x.tar.gz }`},
		{"ops/extract", `{ source: there.tar.gz, target: there }`},
	} {
		t.Run(test.op+test.step, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			x := s.create(s.load(`
	- id: there
	  uses: mkdir
	  with: { path: there }
	- id: pack
	  uses: compress
	  with: { source: there, target: there.tar.gz }
	  needs: [there]
	- id: go
	  uses: sleep
	  with: { duration: 1ms }
	  needs: [pack]
	- id: x
	  uses: ` + strings.TrimPrefix(test.op, "ops/") + `
	  with: ` + test.step + `
	  needs: [go]`))
			skip := map[string]int{"ops/mkdir": 2, "ops/compress": 1}[test.op]
			s.faults(test.op, func(n int) *sandbox.Fault {
				if n == skip+1 {
					return &sandbox.Fault{DropReply: true}
				}
				return nil
			})
			if r := s.drive(x); r.State != workflow.RunSucceeded {
				t.Error(states(r))
			}
		})
	}
}

// TestLostAnswerAndNothingToRead: the effect is there, and neither the answer
// nor a look at it is to be had. The next entry looks first.
func TestLostAnswerAndNothingToRead(t *testing.T) {
	t.Parallel()
	for step, read := range map[string]string{
		"mkdir\n  with: { path: x, parents: false }":    "ops/stat",
		"symlink\n  with: { target: .fcflow, path: x }": "ops/ls",
		"rm\n  with: { path: there }":                   "ops/stat",
	} {
		s := newSite(t)
		x := s.create(s.load("- id: there\n  uses: mkdir\n  with: { path: there }\n- id: x\n  needs: [there]\n  uses: " + step))
		name, _, _ := strings.Cut(step, "\n")
		changes, reads := 0, 0
		s.mu.Lock()
		s.fault = func(op string, _ *http.Request) *sandbox.Fault {
			switch {
			case strings.HasSuffix(op, "ops/"+name):
				if changes++; changes == map[string]int{"mkdir": 3, "symlink": 2, "rm": 1}[name] { // after those of the run
					return &sandbox.Fault{DropReply: true}
				}
			case strings.HasSuffix(op, read):
				if reads++; reads == 1 {
					return &sandbox.Fault{Status: http.StatusBadGateway}
				}
			}
			return nil
		}
		s.mu.Unlock()
		if r := s.drive(x); r.State != workflow.RunSucceeded || reads != 2 {
			t.Errorf("%s: %d reads\n%s", name, reads, states(r))
		}
	}
}

func TestTextsAreCut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := strings.Repeat("0123456789abcde\n", 8<<10) // 128 KiB
	s.file("big.txt", text)
	r := s.run(`
	- id: send
	  uses: upload
	  with: { from: big.txt }
	- id: all
	  uses: view
	  with: { path: "${{ steps.send.outputs.path }}" }
	- id: rest
	  uses: view
	  with: { path: "${{ steps.send.outputs.path }}", offset: 131056 }
	- id: start
	  uses: head
	  with: { path: "${{ steps.send.outputs.path }}", lines: 8192 }
	- id: end
	  uses: tail
	  with: { path: "${{ steps.send.outputs.path }}", bytes: 100000 }
	- id: skip
	  uses: tail
	  with: { path: "${{ steps.send.outputs.path }}", lines: 8192, skip: true }`)
	for step, want := range map[string]struct {
		whole     string
		has       func(whole, part string) bool
		truncated bool
	}{
		"all": {text, strings.HasPrefix, true}, "start": {text, strings.HasPrefix, true}, "end": {text, strings.HasSuffix, true},
		"rest": {"0123456789abcde\n", strings.EqualFold, false}, "skip": {"0123456789abcde\n", strings.EqualFold, false},
	} {
		out := s.outputs(r, step)
		content := out["content"].(string)
		if !want.has(want.whole, content) || out["truncated"] != want.truncated || want.truncated && len(content) < maxText*9/10 {
			t.Errorf("%s: %d bytes, truncated %v", step, len(content), out["truncated"])
		}
	}
}

func TestCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a", "ä", "\n", "\x01", "\U0001F600", "a\n\"ü"} {
		text := strings.Repeat(unit, maxText)
		first, cutFirst := firstPart(text)
		last, cutLast := lastPart(text)
		if !cutFirst || !cutLast || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
			t.Errorf("%q: not the beginning and the end", unit)
		}
		for _, part := range []string{first, last} {
			if n := storedSize(part); n > maxText || n < maxText-4*maxEscape || !utf8.ValidString(part) {
				t.Errorf("%q: %d of %d bytes", unit, n, maxText)
			}
		}
	}
	if got, cut := lastPart("a\xff"); got != "a\uFFFD" || cut {
		t.Errorf("%q, %v", got, cut)
	}
}

// TestPaths: relative paths start from the workdir, and that from the run's
// directory.
func TestPaths(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(`
	- id: deep
	  uses: mkdir
	  with: { path: b/../c/, workdir: a }
	- id: up
	  uses: list_files
	  with: { path: "..", workdir: a/c }
	  needs: [deep]`)
	home := r.Sites[system].RemoteDir
	if got := s.outputs(r, "deep")["path"]; got != home+"/a/c" {
		t.Errorf("deep: %v", got)
	}
	if got := s.outputs(r, "up"); got["path"] != home+"/a" || cmp.Diff([]any{"c"}, got["names"]) != "" {
		t.Errorf("up: %v", got)
	}
}

func TestDownloadLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "notes\n")
	s.faults("ops/checksum", func(n int) *sandbox.Fault {
		if n == 1 {
			return nil // of the upload
		}
		return &sandbox.Fault{
			Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}},
			Body: `{"output":{"algorithm":"SHA256","checksum":"` + strings.Repeat("0", 64) + `"}}`,
		}
	})
	r := s.run(`
	- id: send
	  uses: upload
	  with: { from: notes.txt }
	- id: fetch
	  uses: download
	  with: { from: "${{ steps.send.outputs.path }}" }
	  max_attempts: 1`)
	u := unit(t, r, "fetch")
	if u.Cause != workflow.CauseTransfer || !strings.Contains(u.Message, "SHA-256") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	if left, err := os.ReadDir(s.output); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestDownloadOfUnreadableFile: a file that the user may not read fails the step
// with the server's reason.
func TestDownloadOfUnreadableFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.WriteFile(filepath.Join(s.root, "home", "demo", "closed"), []byte("x\n"), 0o000); err != nil {
		t.Fatal(err)
	}
	r := s.run("- id: fetch\n  uses: download\n  with: { from: " + s.root + "/home/demo/closed }")
	if u := unit(t, r, "fetch"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "Permission denied") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

// TestDownloadOfGrownFile: a file that has grown over the server's limit since it
// was looked at is refused by the server.
func TestDownloadOfGrownFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "notes\n")
	s.faults("ops/download", func(int) *sandbox.Fault {
		return &sandbox.Fault{
			Status: http.StatusRequestEntityTooLarge, Header: http.Header{"F7T-AppVersion": {"2.5.6"}},
			Body: `{"errorType":"error","message":"Command output exceeded buffer limit.","causedBy":null,"data":null,"user":"demo"}`,
		}
	})
	r := s.run(`
	- id: send
	  uses: upload
	  with: { from: notes.txt }
	- id: fetch
	  uses: download
	  with: { from: "${{ steps.send.outputs.path }}" }`)
	if u := unit(t, r, "fetch"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "buffer limit") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	if left, err := os.ReadDir(s.output); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestOnExists walks what upload and download do with a file that is there.
func TestOnExists(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ same, other string }{
		"skip_same": {"skipped", "rejected"}, "fail": {"rejected", "rejected"}, "replace": {"done", "done"},
	} {
		for _, same := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.file("a.txt", "same\n")
				s.file("b.txt", map[bool]string{true: "same\n", false: "other\n"}[same])
				r := s.run(`
	- { id: first, uses: upload, with: { from: a.txt, to: x } }
	- { id: there, uses: upload, with: { from: b.txt, to: x, on_exists: ` + name + ` }, needs: [first] }
	- { id: again, uses: upload, with: { from: b.txt, to: y } }
	- { id: apart, uses: upload, with: { from: a.txt, to: w } }
	- { id: here, uses: download, with: { from: w, to: z/x }, needs: [apart] }
	- { id: back, uses: download, with: { from: y, to: z/x, on_exists: ` + name + ` }, needs: [here, again] }`)
				expected := want.other
				if same {
					expected = want.same
				}
				for _, step := range []string{"there", "back"} {
					u := unit(t, r, step)
					got := string(u.Cause)
					if u.State == workflow.Succeeded {
						got = "done"
						var out transferOut
						if err := json.Unmarshal(u.Outputs.JSON, &out); err != nil {
							t.Fatal(err)
						}
						if out.Skipped {
							got = "skipped"
						}
					}
					if got != expected {
						t.Errorf("%s of the same file (%v): %s, want %s: %s", step, same, got, expected, u.Message)
					}
				}
				content, err := os.ReadFile(filepath.Join(s.output, "z", "x"))
				if err != nil || expected == "done" && string(content) != map[bool]string{true: "same\n", false: "other\n"}[same] {
					t.Errorf("z/x holds %q, %v", content, err)
				}
			})
		}
	}
}
