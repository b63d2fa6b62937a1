package transfertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/fcflow/fcflow/store"
)

// errand is the variable that makes this test program carry one transfer out,
// and names the file that says where.
const errand = "TRANSFERTEST_ERRAND"

// errandFile is what such a program is told.
type errandFile struct {
	Transfer string
	Place    place
}

func TestMain(m *testing.M) {
	if name := os.Getenv(errand); name != "" {
		if err := runErrand(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func runErrand(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var e errandFile
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	t, err := parseTransfer(e.Transfer)
	if err != nil {
		return err
	}
	library, closeAll, err := e.Place.library(t.String(), &http.Transport{MaxIdleConnsPerHost: 8})
	if err != nil {
		return err
	}
	defer closeAll()
	w, err := e.Place.workflow(t, e.Place.with(t), library)
	if err != nil {
		return err
	}
	runs, err := store.Open(e.Place.state(), store.Options{})
	if err != nil {
		return err
	}
	return e.Place.carryOut(context.Background(), w, "", library, runs)
}

// process is a program on an errand.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

func startErrand(m *move) (*process, error) {
	text, err := json.Marshal(errandFile{m.String(), m.place})
	if err != nil {
		return nil, err
	}
	name := filepath.Join(m.place.Local, "errand.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), errand+"="+name)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	m.process, m.seen = p, 0
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState tells
	}()
	return p, nil
}

// kill ends the program at once. It returns when that is done.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// carryOutKilled starts the program again and again until nobody kills it.
func (m *move) carryOutKilled(ctx context.Context) error {
	for {
		m.mu.Lock()
		before := m.struck
		m.mu.Unlock()
		p, err := startErrand(m)
		if err != nil {
			return err
		}
		select {
		case <-p.ended:
		case <-ctx.Done():
			p.kill()
			return context.Cause(ctx)
		}
		m.mu.Lock()
		killed := m.struck > before
		m.mu.Unlock()
		if !killed {
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				return fmt.Errorf("exit code %d: %w", code, errors.New(p.output.String()))
			}
			return nil
		}
	}
}

// moment is when, in a request, a program is killed.
type moment int

const (
	never moment = iota
	beforeRequest
	inRequest
	afterRequest
)

// death says whether the program is killed at this request. Polls do not count:
// how many there are depends on the time.
func (m *move) death(op string) moment {
	if !m.fault.kill || m.inStream() || op == "compute/" {
		return never
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen++
	if m.struck >= m.hits || m.seen <= (m.spare+5*m.struck)%(m.fault.spare+1) {
		return never
	}
	return beforeRequest + moment((m.seed+uint64(m.struck))%3)
}

// die kills the program and leaves its request without an answer.
func (m *move) die(op string) {
	m.mu.Lock()
	m.strike(op)
	p := m.process
	m.mu.Unlock()
	p.kill()
	panic(http.ErrAbortHandler)
}
