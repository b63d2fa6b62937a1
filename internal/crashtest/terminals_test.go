package crashtest

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gate is the command line of a workflow of that name whose job waits for a
// file.
func (l *lab) gate(what string) []string {
	l.t.Helper()
	text, err := os.ReadFile(l.path("gate.yaml"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(what+".yaml", strings.Replace(string(text), "name: gate", "name: "+what, 1))
	return []string{
		"run", what + ".yaml", "--sandbox=" + l.path("sandbox"), "--output", "name",
		"-i", "ledger=" + l.path("ledger"), "-i", "gate=" + l.path("gate-"+what), "-i", "what=" + what,
	}
}

// open lets the job go on.
func (l *lab) open(what string) {
	l.t.Helper()
	l.write("gate-"+what, "")
}

// started waits until a payload runs, and until its step is waiting for it.
func (l *lab) started(what string, p *process) (run string) {
	l.t.Helper()
	l.eventually("payload "+what+" runs", func() bool {
		for _, s := range l.ledger() {
			if s.name == what {
				return true
			}
		}
		return false
	})
	run = strings.TrimSpace(p.stdout())
	l.eventually("the job of "+what+" is known", func() bool {
		for _, e := range l.events(run) {
			if e.Kind == "submission.outcome" {
				return true
			}
		}
		return false
	})
	return run
}

// endedWell checks a process and the run it drove.
func (l *lab) endedWell(p *process, what, run string) {
	l.t.Helper()
	if code := p.exit(); code != 0 {
		l.t.Errorf("%s exits with %d", p.cmd, code)
	}
	s := l.show(run)
	if s.State != "succeeded" {
		l.t.Errorf("run %s of %s is %s", run, what, s.State)
	}
	if d := cmp.Diff(map[string]any{"text": what + " is done\n"}, s.Outputs); d != "" {
		l.t.Error(d)
	}
	n := 0
	for _, s := range l.ledger() {
		if s.name == what {
			n++
		}
	}
	if n != 1 {
		l.t.Errorf("the job of %s was started %d times", what, n)
	}
}

// TestTwoTerminals drives two runs at once from two processes with one state
// directory and one sandbox, while others look on.
func TestTwoTerminals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	t.Cleanup(func() { l.open("red"); l.open("blue") })
	red, blue := l.start(nil, l.gate("red")...), l.start(nil, l.gate("blue")...)
	redRun, blueRun := l.started("red", red), l.started("blue", blue)
	list := l.list()
	if len(list) != 2 {
		t.Fatalf("%d runs are listed", len(list))
	}
	for _, r := range list {
		if r.ID != redRun && r.ID != blueRun || !r.Live || r.Interrupted || r.State != "running" {
			t.Errorf("listed as %+v", r)
		}
	}
	watchers := map[string]*process{redRun: l.start(nil, "runs", "watch", redRun), blueRun: l.start(nil, "runs", "watch", blueRun)}
	for run, w := range watchers {
		l.eventually("a third terminal follows run "+run, func() bool { return strings.Contains(w.stderr(), "wait") })
	}
	l.open("red")
	l.endedWell(red, "red", redRun)
	l.open("blue")
	l.endedWell(blue, "blue", blueRun)
	for run, w := range watchers {
		if code := w.exit(); code != 0 || !strings.Contains(w.stderr(), "succeeded") {
			t.Errorf("who follows run %s exits with %d", run, code)
		}
	}
}

// TestSandboxTakenOver kills, of two processes, the one that serves the sandbox
// to both. The other one takes its place and goes on; what was killed resumes
// there.
func TestSandboxTakenOver(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	t.Cleanup(func() { l.open("red"); l.open("blue") })
	red, blue := l.start(nil, l.gate("red")...), l.start(nil, l.gate("blue")...)
	runs := map[string]string{"red": l.started("red", red), "blue": l.started("blue", blue)}
	killed, goesOn, dead, alive := red, blue, "red", "blue"
	if l.servedBy() == blue.cmd.Process.Pid {
		killed, goesOn, dead, alive = blue, red, "blue", "red"
	} else if l.servedBy() != red.cmd.Process.Pid {
		t.Fatalf("process %d serves", l.servedBy())
	}
	watcher := l.start(nil, "runs", "watch", runs[dead])
	l.eventually("a third terminal follows", func() bool { return strings.Contains(watcher.stderr(), "wait") })
	killed.kill()
	if code := watcher.exit(); code != 130 || !strings.Contains(watcher.stderr(), "fcflow resume") {
		t.Errorf("who follows a run that is killed exits with %d and does not say how to go on", code)
	}
	l.eventually("another process serves", func() bool { return l.servedBy() == goesOn.cmd.Process.Pid })
	for _, r := range l.list() {
		if r.Live != (r.ID == runs[alive]) || r.Interrupted != (r.ID == runs[dead]) {
			t.Errorf("listed as %+v; killed is %s", r, runs[dead])
		}
	}
	resumed := l.start(nil, "resume", runs[dead])
	l.open("red")
	l.open("blue")
	l.endedWell(goesOn, alive, runs[alive])
	l.endedWell(resumed, dead, runs[dead])
}

// TestInterrupt stops a run as a person does. It says what goes on and how to
// continue, in words that work.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	t.Cleanup(func() { l.open("red") })
	p := l.start(nil, l.gate("red")...)
	run := l.started("red", p)
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 130 {
		t.Errorf("interrupted, it exits with %d", code)
	}
	if job := "job " + l.ledger()[0].job; !strings.Contains(p.stderr(), job) {
		t.Errorf("the message does not name %s", job)
	}
	_, command, found := strings.Cut(p.stderr(), "fcflow resume ")
	command, _, _ = strings.Cut(command, "\n")
	if !found {
		t.Fatal("the message does not say how to resume")
	}
	l.open("red")
	l.endedWell(l.start(nil, append([]string{"resume"}, strings.Fields(command)...)...), "red", run)
}
