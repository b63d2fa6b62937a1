package gentletest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// payloads is a batch.Runner that runs nothing. A line of the script such as
// "# takes 25m, exits 0" says what the payload would have done. What the script
// around it does on the way is done here: it claims the token of the job, and
// leaves a mark that tells its end.
type payloads struct {
	mu   sync.Mutex
	runs map[string]*payload // by folder
}

type payload struct {
	timer *time.Timer
	end   *batch.End
	ended func()
	mark  func(code int)
}

var (
	takes = regexp.MustCompile(`(?m)^# takes (\S+), exits (\d+)$`)
	// claims is the assignment of the path that the claim of a job is made at.
	claims = regexp.MustCompile(`fcflow_at='([^']+)'`)
)

func newPayloads() *payloads { return &payloads{runs: map[string]*payload{}} }

// Start implements batch.Runner.
func (p *payloads) Start(l batch.Launch) error {
	said := takes.FindStringSubmatch(l.Job.Spec.Script)
	if said == nil {
		return fmt.Errorf("the script does not say what it does:\n%s", l.Job.Spec.Script)
	}
	duration, err := time.ParseDuration(said[1])
	if err != nil {
		return err
	}
	code, err := strconv.Atoi(said[2])
	if err != nil {
		return err
	}
	run := &payload{ended: l.Ended, mark: func(int) {}}
	if at := claims.FindStringSubmatch(l.Job.Spec.Script); at != nil {
		if err := os.Symlink(".o-"+l.Job.ID, at[1]); err != nil {
			duration, code = 0, 79 // somebody else's
		} else {
			run.mark = func(code int) { _ = os.Symlink(fmt.Sprintf("x-%d.%s", code, l.Job.ID), at[1]+".x") }
		}
	}
	if err := os.WriteFile(l.Job.Spec.Stdout, []byte("answer=42\n"), 0o600); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[l.Dir] = run
	run.timer = time.AfterFunc(duration, func() { p.finish(run, code, 0) })
	return nil
}

// finish ends a payload, unless it has ended.
func (p *payloads) finish(run *payload, code, signal int) {
	p.mu.Lock()
	if run.end != nil {
		p.mu.Unlock()
		return
	}
	run.end = &batch.End{Kind: batch.Exited, ExitCode: code, Signal: signal, At: time.Now()}
	p.mu.Unlock()
	if signal == 0 {
		run.mark(code)
	}
	run.ended()
}

// Poll implements batch.Runner.
func (p *payloads) Poll(_ batch.Job, dir string) (batch.End, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch run := p.runs[dir]; {
	case run == nil:
		return batch.End{Kind: batch.NeverStarted}, true
	case run.end == nil:
		return batch.End{}, false
	default:
		return *run.end, true
	}
}

// Kill implements batch.Runner.
func (p *payloads) Kill(_ batch.Job, dir string, _ batch.Target, sig syscall.Signal) error {
	p.mu.Lock()
	run := p.runs[dir]
	p.mu.Unlock()
	if run != nil && run.timer.Stop() {
		go p.finish(run, 0, int(sig)) // the table holds what ended() needs
	}
	return nil
}
