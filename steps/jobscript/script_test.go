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
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random tests")

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
	return Script{Payload: []byte(payload), Control: control, Token: "ftoken", WorkDir: filepath.Join(dir, "it's", "here")}
}

func render(t *testing.T, s Script) []byte {
	t.Helper()
	text, err := Render(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// start runs a text under a shell, as a batch system would: from a file.
func start(t *testing.T, shell string, text []byte, out io.Writer) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "slurm_script")
	if err := os.WriteFile(file, text, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell, file)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
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
	s := Script{
		Payload: []byte("#!/bin/bash\n\n#SBATCH --gres=gpu:2   # two\n# a comment\nsrun ./model\n#SBATCH --nodes=9\n"),
		Control: "/scratch/run/.fcflow/000", Token: "ftoken", WorkDir: "/scratch/run/it's",
		Env: map[string]string{"B": "two", "A": "it's"}, Options: []string{"--nodes=4"},
	}
	want := `#!/bin/bash
#SBATCH --gres=gpu:2   # two
#SBATCH --no-requeue
#SBATCH --nodes=4
fcflow_job() {
cat >'/scratch/run/.fcflow/000/ftoken.sh' <<'END_6027cd81de8b7b6e92280f64c67a4b5a' || return 78
#!/bin/bash

#SBATCH --gres=gpu:2   # two
# a comment
srun ./model
#SBATCH --nodes=9
END_6027cd81de8b7b6e92280f64c67a4b5a
chmod u+x '/scratch/run/.fcflow/000/ftoken.sh' || return 78
mkdir -p -- '/scratch/run/it'\''s' && cd -- '/scratch/run/it'\''s' || return 78
fcflow_pid= fcflow_signal=
for fcflow_name in TERM INT USR1 USR2 CONT; do
trap "fcflow_signal=$fcflow_name; [ -z \"\$fcflow_pid\" ] || kill -s $fcflow_name \"\$fcflow_pid\" 2>/dev/null" "$fcflow_name"
done
(
trap - TERM INT QUIT USR1 USR2 CONT
export A='it'\''s'
export B='two'
exec '/scratch/run/.fcflow/000/ftoken.sh'
) &
fcflow_pid=$!
[ -z "$fcflow_signal" ] || kill -s "$fcflow_signal" "$fcflow_pid" 2>/dev/null
while :; do
fcflow_signal=
wait "$fcflow_pid"
fcflow_code=$?
[ -n "$fcflow_signal" ] || return "$fcflow_code"
done
}
{ fcflow_job; exit; }
`
	if diff := cmp.Diff(want, string(render(t, s))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	good := Script{Payload: []byte("#!/bin/sh\n"), Control: "/c", Token: "f", WorkDir: "/w"}
	for name, change := range map[string]func(*Script){
		"no interpreter":    func(s *Script) { s.Payload = []byte("echo\n") },
		"NUL in payload":    func(s *Script) { s.Payload = []byte("#!/bin/sh\n\x00") },
		"over the limit":    func(s *Script) { s.Payload = append([]byte("#!/bin/sh\n#"), bytes.Repeat([]byte("x"), MaxSize)...) },
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

func allBytes() []byte {
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	return all
}

// TestTruncated cuts the text at every byte: nothing may run, not even a part.
// The last byte is a line break, without which the text is still whole.
func TestTruncated(t *testing.T) {
	t.Parallel()
	s := script(t, "#!/bin/sh\necho one >>\"$MARK\"\necho two >>\"$MARK\"\n")
	mark := filepath.Join(t.TempDir(), "mark")
	s.Env = map[string]string{"MARK": mark}
	whole := render(t, s)
	for _, shell := range shells {
		for cut := range len(whole) - 1 {
			cmd := exec.Command(shell)
			cmd.Stdin = bytes.NewReader(whole[:cut])
			_ = cmd.Run()
			if _, err := os.Stat(mark); err == nil {
				t.Fatalf("%s ran the payload from the first %d of %d bytes", shell, cut, len(whole))
			}
		}
	}
	if err := exec.Command("bash", "-c", string(whole)).Run(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(mark); err != nil || string(got) != "one\ntwo\n" {
		t.Errorf("the whole text: %q, %v", got, err)
	}
}

// TestSignals sends signals to the batch shell alone, as --signal=B: does.
func TestSignals(t *testing.T) {
	t.Parallel()
	const payload = `#!/bin/bash
for s in TERM INT USR1 USR2 CONT; do trap "echo got $s" $s; done
echo ready
until [ -e stop ]; do sleep 0.02; done
exit 5
`
	for _, shell := range []string{"bash"} { // what the first line asks for
		s := script(t, payload)
		cmd, lines := startLines(t, shell, render(t, s))
		expect(t, lines, "ready")
		for _, signal := range []syscall.Signal{
			syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCONT, syscall.SIGUSR1,
		} {
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			name := map[syscall.Signal]string{
				syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2", syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGCONT: "CONT",
			}[signal]
			expect(t, lines, "got "+name)
		}
		if err := os.WriteFile(filepath.Join(s.WorkDir, "stop"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(cmd.Wait()); code != 5 {
			t.Errorf("%s: the payload exited with 5, the job with %d", shell, code)
		}
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
	for lines.Scan() {
		if lines.Text() == want {
			return
		}
	}
	t.Fatalf("waiting for %q: %v", want, lines.Err())
}

// TestSignalAtAnyMoment cancels jobs around the moment their payload starts, as
// a scheduler does: every process of the job gets the signal. None may miss it.
func TestSignalAtAnyMoment(t *testing.T) {
	t.Parallel()
	t.Logf("replay with -seed=%d", *seed)
	random := rand.New(rand.NewPCG(*seed, 2))
	text := render(t, script(t, "#!/bin/bash\nsleep 600\n"))
	file := filepath.Join(t.TempDir(), "slurm_script")
	if err := os.WriteFile(file, text, 0o700); err != nil {
		t.Fatal(err)
	}
	var jobs sync.WaitGroup
	for range 10 {
		delays := make([]time.Duration, 10)
		for i := range delays {
			delays[i] = time.Duration(random.Int64N(int64(60 * time.Millisecond)))
		}
		for _, delay := range delays { // together, so that they are in each other's way
			jobs.Go(func() { cancelAfter(t, file, delay) })
		}
		jobs.Wait()
	}
}

func cancelAfter(t *testing.T, file string, delay time.Duration) {
	cmd := exec.Command("bash", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	<-time.After(delay)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	missed := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	_ = cmd.Wait()
	if !missed.Stop() {
		t.Errorf("a job did not end when it was cancelled after %v", delay)
	}
}
