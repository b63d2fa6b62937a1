package jobscript

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// finish runs a text as the job of an id to its end.
func finish(t *testing.T, shell, id string, text []byte) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	return exitCode(startAs(t, "SLURM_JOB_ID="+id, shell, text, &out).Wait()), out.String()
}

// link returns the text of a link in the control directory, "" if there is
// none.
func (s Script) link(name string) string {
	text, _ := os.Readlink(filepath.Join(s.Control, name))
	return text
}

func (s Script) plant(t *testing.T, text, name string) {
	t.Helper()
	if err := os.Symlink(text, filepath.Join(s.Control, name)); err != nil {
		t.Fatal(err)
	}
}

// root is the directory that holds all that a job may touch.
func (s Script) root() string { return filepath.Dir(filepath.Dir(s.WorkDir)) }

// ran is how often the payload of counting has run.
func (s Script) ran(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root(), "ran"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// counting is a payload that notes each run, before other commands.
func counting(t *testing.T, commands string) Script {
	t.Helper()
	s := script(t, "")
	s.Payload = fmt.Appendf(nil, "#!/bin/sh\necho >>%s\n%s\n", quote(filepath.Join(s.root(), "ran")), commands)
	return s
}

// TestRace starts jobs of one token at once, again and again: one payload runs.
func TestRace(t *testing.T) {
	t.Parallel()
	const jobs, rounds = 8, 30
	for _, fence := range []Fence{FenceClaim, FenceBlind} {
		for _, shell := range shells {
			t.Run(string(fence)+" "+shell, func(t *testing.T) {
				t.Parallel()
				s := counting(t, "exit 3")
				s.Fence = fence
				control := s.Control
				for round := range rounds {
					s.Token, s.Control = fmt.Sprintf("ftoken%d", round), control
					if fence == FenceBlind {
						s.Control = filepath.Join(control, s.Token)
					}
					text := render(t, s)
					codes := make(chan string, jobs)
					for id := range jobs {
						var out bytes.Buffer
						cmd := startAs(t, fmt.Sprintf("SLURM_JOB_ID=%d", id), shell, text, &out)
						go func() { codes <- fmt.Sprintf("%d %d %s", exitCode(cmd.Wait()), id, &out) }()
					}
					owner := "nobody"
					for range jobs {
						code, rest, _ := strings.Cut(<-codes, " ")
						id, out, _ := strings.Cut(rest, " ")
						switch {
						case code == "3":
							owner = id
						case code != "79" || !strings.Contains(out, "nothing was run"):
							t.Errorf("round %d: exit %s: %s", round, code, out)
						}
					}
					if s.ran(t) != round+1 || s.link(s.Token) != ".o-"+owner || s.link(s.Token+".x") != "x-3."+owner {
						t.Fatalf("round %d: %d payloads ran so far, owner %s, claim %q, marker %q",
							round, s.ran(t), owner, s.link(s.Token), s.link(s.Token+".x"))
					}
				}
			})
		}
	}
}

// TestSecondJob runs a second job while the first is at work: it ends at once
// and leaves everything as it was.
func TestSecondJob(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		s := script(t, "#!/bin/sh\necho ready\nuntil [ -e stop ]; do sleep 0.02; done\necho done\n")
		first, lines := startLines(t, shell, render(t, s))
		expect(t, lines, "ready")
		before := tree(t, s.root())
		second := s
		second.Payload, second.WorkDir = []byte("#!/bin/sh\necho other\n"), s.WorkDir+"/deeper"
		began := time.Now()
		code, out := finish(t, shell, "102", render(t, second))
		if took := time.Since(began); code != 79 || out != "fcflow: this belongs to 101; nothing was run\n" || took > 5*time.Second {
			t.Errorf("%s: exit %d after %v, output %q", shell, code, took, out)
		}
		if after := tree(t, s.root()); after != before {
			t.Errorf("%s: the second job left\n%s\nbefore:\n%s", shell, after, before)
		}
		if err := os.WriteFile(filepath.Join(s.WorkDir, "stop"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, lines, "done")
		if err := first.Wait(); err != nil || s.link("ftoken.x") != "x-0.101" {
			t.Errorf("%s: the first job: %v, marker %q", shell, err, s.link("ftoken.x"))
		}
	}
}

// tree lists everything below a directory with its time and content.
func tree(t *testing.T, root string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&list, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// TestFound puts something where the claim or the marker goes before the job
// starts.
func TestFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare   func(t *testing.T, s *Script)
		code, ran int
		says      string
	}{
		"nothing":             {func(*testing.T, *Script) {}, 5, 1, ""},
		"own claim":           {func(t *testing.T, s *Script) { s.plant(t, ".o-101", "ftoken") }, 5, 1, ""},
		"claim of another":    {func(t *testing.T, s *Script) { s.plant(t, ".o-1011", "ftoken") }, 79, 0, "belongs to 1011"},
		"tombstone":           {func(t *testing.T, s *Script) { s.plant(t, s.Control+"/.o-tombstone-a1", "ftoken") }, 79, 0, "belongs to tombstone-a1"},
		"own marker":          {func(t *testing.T, s *Script) { s.plant(t, ".o-101", "ftoken"); s.plant(t, "x-143.101", "ftoken.x") }, 143, 0, ""},
		"marker of success":   {func(t *testing.T, s *Script) { s.plant(t, ".o-101", "ftoken"); s.plant(t, "x-0.101", "ftoken.x") }, 0, 0, ""},
		"marker alone":        {func(t *testing.T, s *Script) { s.plant(t, "x-0.101", "ftoken.x") }, 0, 0, ""},
		"marker of another":   {func(t *testing.T, s *Script) { s.plant(t, "x-0.1101", "ftoken.x") }, 79, 0, "job 1101 has done this"},
		"link to a directory": {func(t *testing.T, s *Script) { s.mkdir(t, "d"); s.plant(t, "d", "ftoken") }, 79, 0, "belongs to d"},
		"own id as directory": {func(t *testing.T, s *Script) { s.mkdir(t, ".o-101"); s.plant(t, ".o-101", "ftoken") }, 5, 1, ""},
		"directory":           {func(t *testing.T, s *Script) { s.mkdir(t, "ftoken") }, 78, 0, "cannot be claimed"},
		"file":                {func(t *testing.T, s *Script) { s.write(t, "ftoken") }, 78, 0, "cannot be claimed"},
		"purged":              {func(t *testing.T, s *Script) { s.Control += "/purged" }, 78, 0, "purged is gone"},
		"file for control":    {func(t *testing.T, s *Script) { s.write(t, "f"); s.Control += "/f" }, 78, 0, "is gone"},
		"not writable":        {func(_ *testing.T, s *Script) { s.Control = "/proc" }, 78, 0, "nothing was run"},
	}
	for _, shell := range shells {
		for name, test := range tests {
			t.Run(shell+" "+name, func(t *testing.T) {
				t.Parallel()
				s := counting(t, "exit 5")
				root := s.root()
				test.prepare(t, &s)
				before := tree(t, root)
				code, out := finish(t, shell, "101", render(t, s))
				if code != test.code || s.ran(t) != test.ran || !strings.Contains(out, test.says) || test.says == "" && out != "" {
					t.Errorf("exit %d, %d runs, output %q; want %d, %d, %q", code, s.ran(t), out, test.code, test.ran, test.says)
				}
				if after := tree(t, root); test.ran == 0 && after != before {
					t.Errorf("it left\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	}
}

func (s Script) mkdir(t *testing.T, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.Control, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (s Script) write(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Control, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMarker ends payloads in every way; what the job ends with is what it
// leaves.
func TestMarker(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for commands, want := range map[string]int{
			"exit 0": 0, "exit 7": 7, "exit 78": 78, "exit 79": 79, "exit 255": 255, "kill -KILL $$": 137, "kill -TERM $$": 143, "kill -USR1 $$": 138,
		} {
			s := counting(t, commands)
			code, out := finish(t, shell, "101", render(t, s))
			if marker := s.link("ftoken.x"); code != want || marker != fmt.Sprintf("x-%d.101", want) {
				t.Errorf("%s, %s: exit %d, marker %q: %s", shell, commands, code, marker, out)
			}
			again, _ := finish(t, shell, "101", render(t, s))
			if again != want || s.ran(t) != 1 {
				t.Errorf("%s, %s: run again: exit %d, %d runs", shell, commands, again, s.ran(t))
			}
			if other, _ := finish(t, shell, "102", render(t, s)); other != 79 || s.ran(t) != 1 {
				t.Errorf("%s, %s: another job: exit %d, %d runs", shell, commands, other, s.ran(t))
			}
		}
	}
}

// TestNoMarker takes the control directory away while the payload runs: for a
// moment, for good, and with something in the place of the marker.
func TestNoMarker(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for name, test := range map[string]struct{ commands, marker, says string }{
			"for a moment":   {`mv "$CONTROL" away; (sleep 0.5; mv away "$CONTROL") >/dev/null 2>&1 &`, "x-7.101", ""},
			"for good":       {`mv "$CONTROL" away`, "", "exit code 7 could not be left"},
			"another marker": {`ln -s x-0.101 "$CONTROL/ftoken.x"`, "x-0.101", ""},
			"a directory":    {`mkdir "$CONTROL/ftoken.x"`, "", "exit code 7 could not be left"},
		} {
			t.Run(shell+" "+name, func(t *testing.T) {
				t.Parallel()
				s := counting(t, test.commands+"\nexit 7")
				s.Env = map[string]string{"CONTROL": s.Control}
				code, out := finish(t, shell, "101", render(t, s))
				if marker := s.link("ftoken.x"); code != 7 || marker != test.marker || !strings.Contains(out, test.says) || test.says == "" && out != "" {
					t.Errorf("exit %d, marker %q, output %q; want 7, %q, %q", code, marker, out, test.marker, test.says)
				}
			})
		}
	}
}

// TestRequeue kills a job with all its processes, as the failure of a node
// does, and runs it again.
func TestRequeue(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		s := counting(t, "[ -e again ] || { touch again; echo ready; exec sleep 600; }\nexit 4")
		text := render(t, s)
		cmd, lines := startLines(t, shell, text)
		expect(t, lines, "ready")
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if s.link("ftoken") != ".o-101" || s.link("ftoken.x") != "" {
			t.Fatalf("%s: claim %q, marker %q", shell, s.link("ftoken"), s.link("ftoken.x"))
		}
		if code, out := finish(t, shell, "102", text); code != 79 {
			t.Errorf("%s: another job: exit %d: %s", shell, code, out)
		}
		if code, out := finish(t, shell, "101", text); code != 4 || s.ran(t) != 2 || s.link("ftoken.x") != "x-4.101" {
			t.Errorf("%s: exit %d, %d runs, marker %q: %s", shell, code, s.ran(t), s.link("ftoken.x"), out)
		}
	}
}

// TestRequeueByTerm asks a job to end before it is run again, as Slurm does when a
// person requeues it or it is preempted: however it ends then is no end.
func TestRequeueByTerm(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for name, first := range map[string]string{
			"dies":     "exec sleep 600",
			"saves":    "trap 'exit 0' TERM; sleep 600 & wait",
			"gives up": "trap 'exit 9' TERM; sleep 600 & wait",
		} {
			t.Run(shell+" "+name, func(t *testing.T) {
				t.Parallel()
				s := counting(t, "[ -e again ] || { touch again; echo ready; "+first+"; }\nexit 4")
				s.Requeue = true
				text := render(t, s)
				cmd, lines := startLines(t, shell, text)
				expect(t, lines, "ready")
				if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				if s.link("ftoken") != ".o-101" || s.link("ftoken.x") != "" {
					t.Fatalf("claim %q, marker %q", s.link("ftoken"), s.link("ftoken.x"))
				}
				for range 2 { // once more after its own end
					if code, out := finish(t, shell, "101", text); code != 4 || s.ran(t) != 2 || s.link("ftoken.x") != "x-4.101" {
						t.Errorf("exit %d, %d runs, marker %q: %s", code, s.ran(t), s.link("ftoken.x"), out)
					}
				}
			})
		}
	}
}

// TestBlind makes the directory that is not there.
func TestBlind(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		s := counting(t, "exit 6")
		s.Fence, s.Control = FenceBlind, s.Control+"/a/b"
		code, out := finish(t, shell, "101", render(t, s))
		if code != 6 || s.ran(t) != 1 || s.link("ftoken") != ".o-101" || s.link("ftoken.x") != "x-6.101" {
			t.Errorf("%s: exit %d, %d runs, claim %q, marker %q: %s", shell, code, s.ran(t), s.link("ftoken"), s.link("ftoken.x"), out)
		}
		s.write(t, "f")
		s.Control += "/f"
		if code, out := finish(t, shell, "101", render(t, s)); code != 78 || s.ran(t) != 1 || out == "" {
			t.Errorf("%s, in a file: exit %d, %d runs: %s", shell, code, s.ran(t), out)
		}
	}
}

// TestOff runs whoever comes, and leaves nothing but the payload.
func TestOff(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		s := counting(t, "exit 6")
		s.Fence = FenceOff
		for runs, id := range []string{"101", "102"} {
			if code, out := finish(t, shell, id, render(t, s)); code != 6 || s.ran(t) != runs+1 {
				t.Errorf("%s: exit %d, %d runs: %s", shell, code, s.ran(t), out)
			}
		}
		if left, err := filepath.Glob(s.Control + "/*"); err != nil || len(left) != 1 {
			t.Errorf("%s: left %v, %v", shell, left, err)
		}
	}
}

// TestByHand runs the script as no scheduler does.
func TestByHand(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for _, fence := range []Fence{FenceClaim, FenceBlind, FenceOff} {
			for _, id := range []string{"SLURM_JOB_ID", "SLURM_JOB_ID=", "SLURM_JOB_ID=12[3]", "SLURM_JOB_ID=../1", "PBS_JOBID=12.server"} {
				s := counting(t, "")
				s.Fence = fence
				before := tree(t, s.root())
				var out bytes.Buffer
				code := exitCode(startAs(t, id, shell, render(t, s), &out).Wait())
				if code != 78 || s.ran(t) != 0 || !strings.Contains(out.String(), "submitted") || tree(t, s.root()) != before {
					t.Errorf("%s, %s, %s: exit %d, %d runs: %s", shell, fence, id, code, s.ran(t), &out)
				}
			}
		}
	}
}

// TestMarkerIsWhole looks at the exit marker after each link that the job makes, as
// a reader may at any moment.
func TestMarkerIsWhole(t *testing.T) {
	t.Parallel()
	real, err := exec.LookPath("ln")
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range shells {
		s := counting(t, "exit 5")
		seen, bin := filepath.Join(s.root(), "seen"), filepath.Join(s.root(), "bin")
		if err := os.Mkdir(bin, 0o700); err != nil {
			t.Fatal(err)
		}
		ln := fmt.Sprintf("#!/bin/sh\n%s \"$@\"\ncode=$?\nreadlink %s >>%s\nexit $code\n", real, quote(filepath.Join(s.Control, "ftoken.x")), quote(seen))
		if err := os.WriteFile(filepath.Join(bin, "ln"), []byte(ln), 0o700); err != nil {
			t.Fatal(err)
		}
		code, out := finish(t, shell, "101", fmt.Appendf(nil, "PATH=%s:$PATH\n%s", quote(bin), render(t, s)))
		looks, err := os.ReadFile(seen)
		if code != 5 || err != nil || string(looks) != "x-5.101\n" {
			t.Errorf("%s: exit %d, after each link the marker was %q, error %v; output %q", shell, code, looks, err, out)
		}
	}
}
