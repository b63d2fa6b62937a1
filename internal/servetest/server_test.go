package servetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fcflow/fcflow/internal/program"
)

// shared is a directory for this test process: for the program, and for the
// sockets of runs, whose paths must be short.
var shared string

func TestMain(m *testing.M) { program.Main(m, &shared) }

// bin is the path of fcflow, which is built once.
var bin = sync.OnceValues(func() (string, error) { return program.Build(shared) })

// patience is how long the server may take to answer, and its runs to end.
const patience = 10 * time.Minute

// site is a state directory with the workflows that servers work on, one after
// another.
type site struct {
	t   *testing.T
	dir string
	log *os.File

	process *exec.Cmd
	done    chan struct{}
	url     string
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "fcflow-serve-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir}
	s.write("workflows/none.txt", "")
	if s.log, err = os.Create(s.path("log")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(s.path(name)), 0o700), os.WriteFile(s.path(name), []byte(text), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// start starts a server and waits until it answers.
func (s *site) start() {
	s.t.Helper()
	fcflow, err := bin()
	if err != nil {
		s.t.Fatal(err)
	}
	_ = os.Remove(s.path("state/serve/server.json")) // of the one that was killed
	s.process = exec.Command(fcflow, "serve", "--state-dir", s.path("state"), "--sandbox", "--workflows", s.path("workflows"), "--listen", "127.0.0.1:0")
	s.process.Dir = s.dir
	s.process.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_RUNTIME_DIR=" + shared, "TMPDIR=" + os.TempDir()}
	s.process.Stdout, s.process.Stderr = s.log, s.log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	s.done = done
	go func() {
		_ = s.process.Wait() // it is killed, or judged by what it left
		close(done)
	}()
	s.until("the server answers", func() bool {
		var at struct{ URL string }
		text, err := os.ReadFile(s.path("state/serve/server.json"))
		if err != nil || json.Unmarshal(text, &at) != nil {
			return false
		}
		s.url = strings.TrimSuffix(at.URL, "/")
		return s.ask(http.MethodGet, "/v1/session", nil, nil) == nil
	})
}

// stop sends a signal and waits for the end.
func (s *site) stop(signal os.Signal) {
	s.t.Helper()
	_ = s.process.Process.Signal(signal) // it may have ended, which shows next
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("the server does not end on %s", signal)
	}
}

// ask asks the server.
func (s *site) ask(method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(method, s.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	var tokens struct{ Full string }
	file, err := os.ReadFile(s.path("state/serve/tokens.json"))
	if err == nil {
		err = json.Unmarshal(file, &tokens)
	}
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+tokens.Full)
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err = io.ReadAll(got.Body)
	switch {
	case err != nil:
		return err
	case got.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", method, path, got.Status, text)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(text, answer)
}

func (s *site) until(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.done:
			s.t.Fatalf("the server has ended; %s", s.path("log"))
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not so: %s; what is left is in %s", what, s.dir)
		}
	}
}

// cpu is the time that the server has computed; false where that cannot be known.
func (s *site) cpu() (time.Duration, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Process.Pid))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, false
	}
	const tick = 10 * time.Millisecond // of every Linux that Go runs on
	return time.Duration(user+system) * tick, true
}

func (s *site) close() {
	if s.process != nil {
		s.stop(syscall.SIGKILL)
	}
	_ = s.log.Close()
	if s.t.Failed() {
		s.t.Logf("what is left is in %s", s.dir)
		return
	}
	_ = os.RemoveAll(s.dir)
}
