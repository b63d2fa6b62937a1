package jobscript

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random tests")
	update = flag.Bool("update", false, "write the scripts in testdata")
)

// shells are those a script must run under; the text asks for the first.
var shells = []string{"bash", "sh"}

// script makes a job whose directories lie in a temporary one.
func script(t *testing.T, payload string) Script {
	t.Helper()
	dir := t.TempDir()
	control := filepath.Join(dir, "control dir")
	if err := os.Mkdir(control, 0o700); err != nil {
		t.Fatal(err)
	}
	return Script{
		Payload: []byte(payload), Control: control, Token: "ftoken", Fence: FenceClaim, WorkDir: filepath.Join(dir, "it's", "here"),
	}
}

func render(t *testing.T, s Script) []byte {
	t.Helper()
	text, err := Render(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// start runs a text under a shell, as Slurm would: from a file, with the id of a
// job.
func start(t *testing.T, shell string, text []byte, out io.Writer) *exec.Cmd {
	t.Helper()
	return startAs(t, "SLURM_JOB_ID=101", shell, text, out)
}

func startAs(t *testing.T, id, shell string, text []byte, out io.Writer) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "slurm_script")
	if err := os.WriteFile(file, text, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell, file)
	cmd.Env = append(os.Environ(), id)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return cmd
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestRender(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Script){
		"claim": func(s *Script) { s.Fence = FenceClaim },
		"blind": func(s *Script) { s.Fence, s.Requeue = FenceBlind, true },
		"off":   func(s *Script) { s.Fence = FenceOff },
		"pbs":   func(s *Script) { s.Fence, s.PBS, s.Options = FenceClaim, true, []string{"-l select=4"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Script{
				Payload: []byte("#!/bin/bash\n\n#SBATCH --gres=gpu:2   # two\n# a comment\n#PBS -m abe\nsrun ./model\n#SBATCH --nodes=9\n"),
				Control: "/scratch/it's/.fcflow/000", Token: "ftoken", WorkDir: "/scratch/it's",
				Env: map[string]string{"B": "two", "A": "it's"}, Options: []string{"--nodes=4"},
			}
			change(&s)
			golden(t, filepath.Join("testdata", name+".sh"), render(t, s))
		})
	}
}

// golden compares a text with a file, which -update writes.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	good := Script{Payload: []byte("#!/bin/sh\n"), Control: "/c", Token: "f", Fence: FenceClaim, WorkDir: "/w"}
	for name, change := range map[string]func(*Script){
		"no interpreter":    func(s *Script) { s.Payload = []byte("echo\n") },
		"NUL in payload":    func(s *Script) { s.Payload = []byte("#!/bin/sh\n\x00") },
		"over the limit":    func(s *Script) { s.Payload = append([]byte("#!/bin/sh\n#"), bytes.Repeat([]byte("x"), MaxSize)...) },
		"no fence":          func(s *Script) { s.Fence = "" },
		"unknown fence":     func(s *Script) { s.Fence = "on" },
		"relative control":  func(s *Script) { s.Control = "c" },
		"token with slash":  func(s *Script) { s.Token = "../f" },
		"line break in dir": func(s *Script) { s.WorkDir = "/w\nrm -rf /" },
		"no directory":      func(s *Script) { s.WorkDir = "" },
		"break in option":   func(s *Script) { s.Options = []string{"--nodes=1\nrm"} },
		"odd name":          func(s *Script) { s.Env = map[string]string{"A B": ""} },
		"name of the shell": func(s *Script) { s.Env = map[string]string{"UID": "0"} },
		"NUL in value":      func(s *Script) { s.Env = map[string]string{"A": "\x00"} },
	} {
		s := good
		change(&s)
		if _, err := Render(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Render(good); err != nil {
		t.Error(err)
	}
}

func TestPayloadRuns(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			s := script(t, "#!/bin/sh\npwd; echo \"$0\"; printf 'no $expansion `here` \\\\ '; exit 3")
			var out bytes.Buffer
			err := start(t, shell, render(t, s), &out).Wait()
			want := s.WorkDir + "\n" + s.Control + "/ftoken.sh\nno $expansion `here` \\ "
			if out.String() != want || exitCode(err) != 3 {
				t.Errorf("exit %d, output:\n%s\nwant 3 and\n%s", exitCode(err), out.String(), want)
			}
		})
	}
}

func TestDirectoriesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for name, spoil := range map[string]func(*Script){
			"control": func(s *Script) { s.Control += "/missing" },
			"workdir": func(s *Script) { s.WorkDir = "/dev/null/x" },
		} {
			s := script(t, "#!/bin/sh\necho ran\n")
			spoil(&s)
			var out bytes.Buffer
			err := start(t, shell, render(t, s), &out).Wait()
			if exitCode(err) != 78 || strings.Contains(out.String(), "ran") {
				t.Errorf("%s, no %s: exit %d, output %q", shell, name, exitCode(err), out.String())
			}
		}
	}
}

// TestEnvironment exports random bytes and compares what the payload got.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	t.Logf("replay with -seed=%d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	values := map[string]string{
		"ALL":   string(allBytes()),
		"EMPTY": "", "QUOTES": `'"'"''`, "LINES": "a\n\nb\n", "TRICK": "$(touch x) `id` \\ !! ; exit", "IFS": "x", "PATH": "/nowhere", "LC_ALL": "C",
		"fcflow_pid": "1", "POSIXLY_CORRECT": "1",
	}
	for i := range 200 {
		value := make([]byte, random.IntN(300))
		for j := range value {
			value[j] = byte(1 + random.IntN(255))
			if random.IntN(4) == 0 {
				value[j] = "'\"\\$`\n \x01\x7f\xff"[random.IntN(10)]
			}
		}
		values[fmt.Sprintf("V%d", i)] = string(value)
	}
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			s := script(t, "#!/bin/cat /proc/self/environ\n")
			if _, err := os.Stat("/proc/self/environ"); err != nil {
				t.Skip("this system does not show the environment of a process byte by byte")
			}
			s.Env = values
			var out bytes.Buffer
			if err := start(t, shell, render(t, s), &out).Wait(); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for entry := range strings.SplitSeq(out.String(), "\x00") {
				name, value, _ := strings.Cut(entry, "=")
				got[name] = value
			}
			for name, value := range values {
				if got[name] != value {
					t.Errorf("%s: sent %q, payload got %q", name, value, got[name])
				}
			}
		})
	}
}

// TestNothingExported compares the environment of the payload with that of the
// job.
func TestNothingExported(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		s := script(t, "#!/bin/sh\nexec env\n")
		s.Env = map[string]string{"ADDED": "1"}
		var out bytes.Buffer
		cmd := startAs(t, "SLURM_JOB_ID=101", shell, render(t, s), &out)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		before := append(cmd.Env, "ADDED=", "PWD=", "OLDPWD=", "SHLVL=", "_=") // the last four are the shell's own
		names := map[string]bool{}
		for _, entry := range before {
			name, _, _ := strings.Cut(entry, "=")
			names[name] = true
		}
		for entry := range strings.Lines(out.String()) {
			if name, _, _ := strings.Cut(entry, "="); !names[name] {
				t.Errorf("%s exported %s", shell, entry)
			}
		}
		if !strings.Contains(out.String(), "ADDED=1\n") {
			t.Errorf("%s: %s", shell, &out)
		}
	}
}

func allBytes() []byte {
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	return all
}

// TestTruncated cuts the text at every byte: nothing may run, not even a part.
// The last byte is a line break, without which the text is still whole.
// Once commands have begun, the job must not look as if it had succeeded.
func TestTruncated(t *testing.T) {
	t.Parallel()
	s := script(t, "#!/bin/sh\necho one >>\"$MARK\"\necho two >>\"$MARK\"\n")
	mark := filepath.Join(t.TempDir(), "mark")
	s.Fence, s.Control, s.Env = FenceBlind, filepath.Join(s.Control, "c"), map[string]string{"MARK": mark}
	whole := render(t, s)
	run := func(shell string, text []byte) error {
		cmd := exec.Command(shell)
		cmd.Env = append(os.Environ(), "SLURM_JOB_ID=101")
		cmd.Stdin = bytes.NewReader(text)
		return cmd.Run()
	}
	var running sync.WaitGroup
	for _, shell := range shells {
		running.Go(func() {
			for cut := range len(whole) - 1 {
				err := run(shell, whole[:cut])
				if err == nil && cut > bytes.IndexByte(whole, '{') {
					t.Errorf("%s ends well with the first %d of %d bytes", shell, cut, len(whole))
				}
				for _, path := range []string{mark, s.Control, s.WorkDir} {
					if _, err := os.Lstat(path); err == nil {
						t.Errorf("%s made %s from the first %d of %d bytes", shell, path, cut, len(whole))
						return
					}
				}
			}
		})
	}
	running.Wait()
	if err := run("bash", whole); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(mark); err != nil || string(got) != "one\ntwo\n" || s.link("ftoken") != ".o-101" {
		t.Errorf("the whole text: %q, %v, claim %q", got, err, s.link("ftoken"))
	}
}

// TestSignals sends signals to the batch shell alone, as --signal=B: does.
func TestSignals(t *testing.T) {
	t.Parallel()
	const payload = `#!/bin/bash
for s in TERM INT USR1 USR2; do trap "echo got $s" $s; done
echo ready
until [ -e stop ]; do sleep 0.02; done
exit 5
`
	for _, shell := range shells {
		s := script(t, payload)
		cmd, lines := startLines(t, shell, render(t, s))
		expect(t, lines, "ready")
		for _, signal := range []struct {
			name   string
			number syscall.Signal
		}{
			{"USR1", syscall.SIGUSR1},
			{"USR2", syscall.SIGUSR2},
			{"INT", syscall.SIGINT},
			{"TERM", syscall.SIGTERM},
			{"USR1", syscall.SIGUSR1},
		} {
			if signal.name == "INT" && shell != "bash" {
				continue // dash cannot give it back to a background command
			}
			if err := cmd.Process.Signal(signal.number); err != nil {
				t.Fatal(err)
			}
			expect(t, lines, "got "+signal.name)
		}
		if err := os.WriteFile(filepath.Join(s.WorkDir, "stop"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(cmd.Wait()); code != 5 {
			t.Errorf("%s: the payload exited with 5, the job with %d", shell, code)
		}
	}
}

// TestSignalsTogether sends signals at the same moment, as Slurm does: with its
// warning to the batch shell comes CONT, so that a stopped one sees it. The
// payload must get each, and its own exit code be that of the job.
func TestSignalsTogether(t *testing.T) {
	t.Parallel()
	const payload = `#!/bin/bash
trap 'echo saved; exit 6' USR1 TERM
echo ready
sleep 600 & wait
`
	for _, shell := range shells {
		for _, signals := range [][]syscall.Signal{
			{syscall.SIGUSR1, syscall.SIGCONT},
			{syscall.SIGCONT, syscall.SIGUSR1},
			{syscall.SIGTERM, syscall.SIGCONT},
			{syscall.SIGCONT, syscall.SIGTERM},
		} {
			t.Run(fmt.Sprint(shell, signals), func(t *testing.T) {
				t.Parallel()
				s := script(t, payload)
				for round := range 10 {
					s.Token = fmt.Sprintf("f%d", round)
					cmd, lines := startLines(t, shell, render(t, s))
					expect(t, lines, "ready")
					for _, signal := range signals {
						if err := cmd.Process.Signal(signal); err != nil {
							t.Fatal(err)
						}
					}
					expect(t, lines, "saved")
					if code := exitCode(cmd.Wait()); code != 6 || s.link(s.Token+".x") != "x-6.101" {
						t.Fatalf("round %d: the payload exited with 6, the job with %d, marker %q\n%s", round, code, s.link(s.Token+".x"), rest(lines))
					}
				}
			})
		}
	}
}

// TestSignalsInHandlers sends so many signals that handlers are interrupted by
// others. None of it may look like the order to end, after which a job that may be
// run again leaves no marker.
func TestSignalsInHandlers(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			enough := filepath.Join(t.TempDir(), "enough")
			s := script(t, "#!/bin/bash\ntrap '' USR1 USR2\necho ready\nuntil [ -e "+enough+" ]; do sleep 0.01; done\nsleep 0.5\nexit 6\n")
			s.Requeue = true // and its end comes when all are handled, since bash can forget the code otherwise
			cmd, lines := startLines(t, shell, render(t, s))
			expect(t, lines, "ready")
			for range 3000 {
				for _, signal := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
					if err := cmd.Process.Signal(signal); err != nil {
						t.Fatal(err, rest(lines))
					}
				}
			}
			if err := os.WriteFile(enough, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if code := exitCode(cmd.Wait()); code != 6 || s.link(s.Token+".x") != "x-6.101" {
				t.Errorf("the payload exited with 6, the job with %d, marker %q\n%s", code, s.link(s.Token+".x"), rest(lines))
			}
		})
	}
}

// TestSignalEndsPayload shows that a payload that dies of a signal makes the
// job end the way shells report it.
func TestSignalEndsPayload(t *testing.T) {
	t.Parallel()
	cmd, lines := startLines(t, "bash", render(t, script(t, "#!/bin/bash\necho ready\nexec sleep 60\n")))
	expect(t, lines, "ready")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(cmd.Wait()); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
}

// startLines runs a text and reads its output, for at most half a minute.
func startLines(t *testing.T, shell string, text []byte) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return start(t, shell, text, w), bufio.NewScanner(r)
}

func expect(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	var before []string
	for lines.Scan() {
		if lines.Text() == want {
			return
		}
		before = append(before, lines.Text())
	}
	t.Fatalf("waiting for %q: %v; there was %q", want, lines.Err(), before)
}

// rest is what else was printed.
func rest(lines *bufio.Scanner) string {
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
	}
	return strings.Join(all, "\n")
}

// TestSignalAtAnyMoment signals jobs around the moment their payload starts:
// every process of the job, as a scheduler that cancels it, or the batch shell
// alone, as one that is asked to warn it. None may miss it, and a job that ends
// by itself leaves its exit code.
func TestSignalAtAnyMoment(t *testing.T) {
	t.Parallel()
	t.Logf("replay with -seed=%d", *seed)
	random := rand.New(rand.NewPCG(*seed, 2))
	s := script(t, "#!/bin/bash\nsleep 600\n")
	var early, marked atomic.Int64
	for round := range 10 {
		var jobs sync.WaitGroup
		for i := range 10 { // together, so that they are in each other's way
			s := s
			s.Token = fmt.Sprintf("f%d", 10*round+i)
			text := render(t, s)
			delay := time.Duration(random.Int64N(int64(200 * time.Millisecond)))
			jobs.Go(func() {
				cmd := start(t, "bash", text, nil)
				if round%2 == 0 {
					signalAfter(t, delay, -cmd.Process.Pid, syscall.SIGTERM)
				} else {
					signalAfter(t, delay, cmd.Process.Pid, syscall.SIGUSR1)
				}
				missed := time.AfterFunc(7*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
				code := exitCode(cmd.Wait())
				switch marker := s.link(s.Token + ".x"); {
				case !missed.Stop():
					t.Errorf("a job did not end when it was signalled after %v", delay)
				case code < 0: // the shell did not catch signals yet
					early.Add(1)
				case code <= 128 || marker != fmt.Sprintf("x-%d.101", code):
					t.Errorf("signalled after %v, a job ended with %d and marker %q", delay, code, marker)
				default:
					marked.Add(1)
				}
			})
		}
		jobs.Wait()
	}
	t.Logf("%d jobs were ended before they caught signals, %d left their exit code", early.Load(), marked.Load())
}

func signalAfter(t *testing.T, delay time.Duration, pid int, signal syscall.Signal) {
	<-time.After(delay)
	if err := syscall.Kill(pid, signal); err != nil {
		t.Error(err)
	}
}

// TestSecretsAreRemoved: a job removes its secrets when the payload has ended,
// unless it may run again. One that does not own the token touches nothing.
func TestSecretsAreRemoved(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		requeue bool
		owner   string // that has claimed the token before
		code    int
		stays   bool
	}{
		"ended":    {false, "", 3, false},
		"requeue":  {true, "", 3, true},
		"too late": {false, ".o-7", 79, true},
	} {
		for _, shell := range shells {
			t.Run(name+" "+shell, func(t *testing.T) {
				t.Parallel()
				s := script(t, "#!/bin/sh\ncat \"$KEY_FILE\"\nexit 3\n")
				s.Requeue = test.requeue
				s.Secrets = filepath.Join(s.Control, "it's.secrets")
				s.Env = map[string]string{"KEY_FILE": filepath.Join(s.Secrets, "KEY")}
				if err := os.Mkdir(s.Secrets, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(s.Env["KEY_FILE"], []byte("k4n4ri"), 0o600); err != nil {
					t.Fatal(err)
				}
				if test.owner != "" {
					if err := os.Symlink(test.owner, filepath.Join(s.Control, s.Token)); err != nil {
						t.Fatal(err)
					}
				}
				var out bytes.Buffer
				code := exitCode(start(t, shell, render(t, s), &out).Wait())
				if code != test.code || strings.Contains(out.String(), "k4n4ri") != (test.code == 3) {
					t.Errorf("exit %d: %s", code, out.String())
				}
				if _, err := os.Stat(s.Secrets); (err == nil) != test.stays {
					t.Errorf("the secrets stay: %v, want %v", err == nil, test.stays)
				}
			})
		}
	}
}
