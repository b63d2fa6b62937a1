package jobscript

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
