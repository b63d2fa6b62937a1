package batch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// maxLaunches is how often a process tries to start a payload that does not
// come to life. To try again is safe, whatever went wrong.
const maxLaunches = 3

// acts is what this process has done for a running job.
type acts struct {
	launches   int
	terminated bool // SIGTERM was sent
}

// watch moves jobs forward until Close.
func (t *Table) watch() {
	defer close(t.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.quit:
			return
		case <-t.wake:
		case <-timer.C:
		}
		if t.advance() {
			timer.Reset(t.cfg.Interval)
		} else {
			timer.Stop()
		}
	}
}

// advance looks at every live job once, running ones first, and reports
// whether it must look again soon.
func (t *Table) advance() (again bool) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.mu.Lock()
	live := make([]*record, len(t.live))
	for i, n := range t.live {
		live[i] = t.jobs[strconv.FormatUint(n, 10)]
	}
	t.mu.Unlock()

	slices.SortFunc(live, inTurn)
	q := newQueue(t)
	for _, rec := range live {
		if rec.State == Running {
			if rec = t.follow(rec); rec.State == Running {
				q.running(rec)
				again = true
			}
		}
	}
	for _, rec := range live {
		if rec.State != Pending {
			continue
		}
		nodes, reason := q.wait(rec)
		switch reason {
		case "":
			again = true
			q.running(rec)
			t.start(rec, nodes)
		case "DependencyNeverSatisfied":
			t.explain(rec, reason)
			if rec.KillOnInvalid {
				t.giveUp(rec)
			}
		default:
			t.explain(rec, reason)
		}
	}
	return again || q.timed
}

// explain says why a job is still pending. It is not worth a write: the next
// process will come to its own conclusion.
func (t *Table) explain(rec *record, reason string) {
	if rec.Reason == reason {
		return
	}
	next := *rec
	next.Reason = reason
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs[rec.ID] = &next
}

// start makes the decision to run a job durable and then launches it. A
// decision that cannot be written is taken again at the next turn.
func (t *Table) start(rec *record, nodes []string) {
	next := *rec
	next.State, next.Reason = Running, "None"
	next.Started = t.now()
	next.NodeList = hostList(nodes)
	if t.cfg.Doom != nil {
		state, after := t.cfg.Doom(next.Job)
		next.Doom = stop{state, next.Started.Add(after)}
	}
	if t.replace(&next) == nil {
		t.launch(&next)
	}
}

// giveUp cancels a job that cannot start any more. If that cannot be written it
// is tried again at the next turn.
func (t *Table) giveUp(rec *record) {
	next := *rec
	next.State, next.Reason, next.Ended = Cancelled, "DependencyNeverSatisfied", t.now()
	_ = t.replace(&next)
}

func (t *Table) launch(rec *record) *record {
	t.act(rec).launches++
	err := t.runner(rec.Job).Start(Launch{
		Job:   rec.Job,
		Dir:   t.disk.runDir(rec.Job),
		Cwd:   t.workingDir(rec.Job),
		Env:   t.environment(rec.Job),
		Ended: t.rouse,
	})
	if err == nil {
		return rec
	}
	next := *rec
	next.Detail = err.Error()
	// What Slurm answers for a job whose folder or output file is not there.
	return t.finish(&next, End{Signal: 53, At: t.now()})
}

// workingDir is where a job starts: with PBS at home, whatever the submission
// says.
func (t *Table) workingDir(job Job) string {
	if t.cluster(job.Spec.System).PBS {
		return t.home(job)
	}
	return job.Spec.WorkingDir
}

func (t *Table) act(rec *record) *acts {
	a := t.acts[rec.ID]
	if a == nil {
		a = new(acts)
		t.acts[rec.ID] = a
	}
	return a
}

// follow does what a running job needs now and returns its record after that.
// The caller holds turn.
func (t *Table) follow(rec *record) *record {
	end, over := t.runner(rec.Job).Poll(rec.Job, t.disk.runDir(rec.Job))
	switch {
	case over && end.Kind == NeverStarted && rec.Stop.Cause == "" && t.act(rec).launches < maxLaunches:
		// Usually an earlier process decided to start it and got no further.
		return t.launch(rec)
	case over:
		return t.finish(rec, end)
	case rec.Stop.Cause != "":
		t.press(rec)
		return rec
	}
	left := rec.Started.Add(rec.TimeLimit).Sub(t.now())
	next := *rec
	switch {
	case rec.Doom.isFailure() && !t.now().Before(rec.Doom.At):
		next.Stop, next.Stopping = stop{rec.Doom.Cause, t.now()}, true
	case rec.TimeLimit == 0:
		return rec
	case left <= 0:
		next.Stop, next.Stopping = stop{Timeout, t.now()}, true
	case rec.Warning.Signal != 0 && !rec.Warning.Sent && left <= rec.Warning.Before:
		if t.kill(rec, rec.Warning.Target, rec.Warning.Signal) != nil {
			return rec // its processes are only just coming up
		}
		// As Slurm does, so that a process that is stopped sees it.
		_ = t.kill(rec, rec.Warning.Target, syscall.SIGCONT)
		next.Warning.Sent = true
	default:
		return rec
	}
	if t.replace(&next) != nil {
		return rec
	}
	if next.Stop.Cause != "" {
		t.press(&next)
	}
	return &next
}

// press ends the processes of a job that has a Stop: SIGTERM, once by each
// process that owns the table, and SIGKILL after KillWait.
func (t *Table) press(rec *record) {
	a := t.act(rec)
	switch {
	case rec.Stop.isFailure(), t.now().Sub(rec.Stop.At) >= t.cfg.KillWait:
		_ = t.kill(rec, WholeJob, syscall.SIGKILL) // repeated until the job is gone
	case !a.terminated:
		a.terminated = t.kill(rec, WholeJob, syscall.SIGTERM) == nil
	}
}

func (t *Table) kill(rec *record, target Target, sig syscall.Signal) error {
	return t.runner(rec.Job).Kill(rec.Job, t.disk.runDir(rec.Job), target, sig)
}

// finish records the end of a job. If that cannot be written the job stays
// running and is finished again at the next turn.
func (t *Table) finish(rec *record, end End) *record {
	next := *rec
	next.State, next.Reason, next.ExitCode, next.Signal = verdict(rec, end)
	next.Stopping, next.Detail = false, cmp.Or(end.Detail, rec.Detail)
	if rec.Requeue && (next.State == NodeFail || next.State == Preempted) {
		return t.requeue(rec)
	}
	next.Ended = end.At.UTC()
	if end.Kind != Exited {
		next.Ended = t.now()
	}
	if next.Ended.Before(next.Started) {
		next.Ended = next.Started
	}
	if t.replace(&next) != nil {
		return rec
	}
	t.rouse() // a slot is free
	return &next
}

// requeue makes a job wait again, for a run in a folder of its own. If that
// cannot be written the job stays running and is requeued at the next turn.
func (t *Table) requeue(rec *record) *record {
	next := *rec
	next.State, next.Reason, next.Restarts = Pending, "BeginTime", rec.Restarts+1
	next.Requeued = t.now()
	next.Started, next.Doom, next.Stop, next.Stopping, next.NodeList, next.Warning.Sent = time.Time{}, stop{}, stop{}, false, "", false
	if t.replace(&next) != nil {
		return rec
	}
	delete(t.acts, rec.ID)
	t.builtins.forget(rec.ID)
	t.rouse()
	return &next
}

// failures are the ends that are no doing of the script, as Slurm shows them.
var failures = map[State]struct {
	reason           string
	exitCode, signal int
}{
	NodeFail:    {"None", 1, 0},
	BootFail:    {"None", 1, 0},
	Preempted:   {"None", 0, 0},
	OutOfMemory: {"OutOfMemory", 0, 125},
}

// isFailure says whether the job ends by no doing of its script.
func (s stop) isFailure() bool {
	_, is := failures[s.Cause]
	return is
}

// verdict is how Slurm words the end of a job.
func verdict(rec *record, end End) (state State, reason string, exitCode, signal int) {
	switch {
	case rec.Stop.isFailure():
		f := failures[rec.Stop.Cause]
		return rec.Stop.Cause, f.reason, f.exitCode, f.signal
	case rec.Stop.Cause == Timeout:
		return Timeout, "TimeLimit", 0, 0
	case rec.Stop.Cause == Cancelled && end.Kind == Lost:
		return Cancelled, "None", 0, int(syscall.SIGKILL)
	case rec.Stop.Cause == Cancelled:
		return Cancelled, "None", end.ExitCode, end.Signal
	case end.Kind != Exited:
		return NodeFail, "None", 1, 0
	case end.Signal != 0:
		return Failed, fmt.Sprintf("RaisedSignal:%d(%s)", end.Signal, signalText(end.Signal)), 0, end.Signal
	case end.ExitCode != 0:
		return Failed, "NonZeroExitCode", end.ExitCode, 0
	}
	return Completed, "None", 0, 0
}
