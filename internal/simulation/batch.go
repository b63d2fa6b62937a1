package simulation

import (
	"strconv"
	"strings"
	"time"
)

// batch is the scheduler: jobs by the order in which it accepted them.
type batch struct {
	world *World
	jobs  []*job
	byID  map[string]*job
	first int
	// tokens are the tokens of each unit, in the order of their first job.
	tokens map[string][]string
	lists  int
}

func newBatch(w *World) batch {
	return batch{world: w, byID: map[string]*job{}, first: 1000 + w.about("first id").below(9000), tokens: map[string][]string{}}
}

// Words of Slurm for where a job is.
const (
	pending   = "PENDING"
	running   = "RUNNING"
	completed = "COMPLETED"
	failed    = "FAILED"
	cancelled = "CANCELLED"
	timeout   = "TIMEOUT"
	nodeDied  = "NODE_FAIL"
	oom       = "OUT_OF_MEMORY"
)

// job is one job, all of its life.
type job struct {
	id, name, token, unit   string
	script, workdir, stdout string
	limit                   time.Duration
	payload                 payload
	nth                     int // of the jobs of its token, from 1
	attempt                 int // which token of its unit it has, from 1

	state, reason  string
	exit, signal   int
	by             string // who cancelled it
	ending         bool   // it runs and is being ended
	forgotten      bool
	round          int // rises when it is requeued: timers of the last round are void
	accepted       time.Time
	started, ended time.Time

	diedAt    time.Time     // when its node did, and it was requeued
	looksDead time.Duration // how long it is shown as ended then

	paid   bool // its payload was started
	done   bool // its payload came to its own end
	result int  // and this was its exit code
}

func (j *job) terminal() bool { return j.state != pending && j.state != running }

// dice of a decision about a job. Jobs of one token are told apart by their
// order, since ids depend on everything.
func (b *batch) dice(what string, j *job) *dice {
	return b.world.about(what, j.token, strconv.Itoa(j.nth))
}

// troubled draws whether a fault strikes a job.
func (b *batch) troubled(f Fault, j *job) (*dice, bool) {
	d := b.dice(f.String(), j)
	return d, !b.world.fair() && d.hits(b.world.schedule.Weather[f])
}

// submit accepts a job.
func (b *batch) submit(r *request) *answer {
	w := b.world
	script := r.job.Script
	if script == "" && r.job.ScriptPath != "" {
		n := w.disk.follow(r.job.ScriptPath)
		if n == nil {
			return slurmFailure("sbatch: error: Unable to open file " + r.job.ScriptPath)
		}
		script = string(n.content)
	}
	switch {
	case !strings.HasPrefix(script, "#!"):
		return slurmFailure("sbatch: error: This does not look like a batch script.  The first\nsbatch: error: line must start with #! followed by the path to an interpreter.\nsbatch: error: For instance: #!/bin/sh")
	case strings.Contains(script, "#SBATCH --partition=nowhere"):
		return slurmFailure("sbatch: error: invalid partition specified: nowhere\nsbatch: error: Batch job submission failed: Invalid partition name specified")
	}
	j := &job{
		id: strconv.Itoa(b.first + len(b.jobs)), name: r.job.Name, token: r.token, unit: label(r.job.Name), script: script,
		workdir: r.job.WorkingDirectory + r.job.WorkingDir, limit: limitOf(script), payload: readPayload(script),
		state: pending, reason: "Priority", accepted: time.Now(),
	}
	j.stdout = strings.ReplaceAll(r.job.StandardOutput, "%j", j.id)
	for _, other := range b.jobs {
		if other.token == j.token {
			j.nth++
		}
	}
	j.nth++
	j.attempt = b.attempt(j)
	b.jobs = append(b.jobs, j)
	b.byID[j.id] = j
	w.note("  job %s accepted: %s", j.id, j.name)
	b.enqueue(j, b.dice("queue", j).between(time.Second, 90*time.Second))
	return success(201, object{"jobId": j.id})
}

// attempt counts the tokens of a unit.
func (b *batch) attempt(j *job) int {
	for i, token := range b.tokens[j.unit] {
		if token == j.token {
			return i + 1
		}
	}
	b.tokens[j.unit] = append(b.tokens[j.unit], j.token)
	return len(b.tokens[j.unit])
}

// later has something happen to a job unless it is requeued or over by then.
func (b *batch) later(j *job, d time.Duration, what func()) {
	round := j.round
	b.world.after(d, func() {
		if j.round == round && !j.terminal() {
			what()
		}
	})
}

func (b *batch) enqueue(j *job, wait time.Duration) {
	if d, hit := b.troubled(adminCancel, j); hit {
		b.later(j, d.between(0, wait), func() {
			if j.state == pending {
				b.world.strike(adminCancel)
				b.end(j, cancelled, 0, 0, "0")
			}
		})
	}
	b.later(j, wait, func() { b.start(j) })
}

// start runs the script of a job.
func (b *batch) start(j *job) {
	w := b.world
	j.state, j.reason, j.started = running, "None", time.Now()
	if j.stdout != "" && w.disk.write(j.stdout, []byte("job "+j.id+"\n")) == "" {
		w.slow(j, j.stdout)
	}
	code, runs := w.prologue(j)
	if !runs {
		w.note("  job %s does not run its payload: %d", j.id, code)
		b.later(j, b.dice("refusal", j).between(100*time.Millisecond, 2*time.Second), func() { b.end(j, failed, code, 0, "") })
		return
	}
	j.paid = true
	w.ledger = append(w.ledger, Start{w.now(), j.token, j.id})
	w.note("  job %s STARTS the payload of %s", j.id, j.name)
	w.judgeStart(j)
	b.foretell(j)
	b.twist(j)
}

// foretell decides how the payload of a job will end.
func (b *batch) foretell(j *job) {
	takes, end := j.payload.takes, j.payload.end(j.attempt)
	takes += b.dice("takes", j).between(0, takes/10)
	part := func(d *dice) time.Duration { return d.between(takes/20, takes) }
	if d, hit := b.troubled(nodeFail, j); hit && d.hits(0.7) {
		b.later(j, part(d), func() { b.world.strike(nodeFail); b.end(j, nodeDied, 1, 0, "") })
	}
	if d, hit := b.troubled(requeued, j); hit && j.round == 0 && !noRequeue.MatchString(j.script) {
		b.later(j, part(d), func() { b.world.strike(requeued); b.requeue(j) })
	}
	if d, hit := b.troubled(killed, j); hit {
		b.later(j, part(d), func() { b.world.strike(killed); b.stop(j, "0") })
	}
	if _, hit := b.troubled(outOfMemory, j); hit {
		b.world.strike(outOfMemory)
		end = "oom"
	}
	if _, hit := b.troubled(walltime, j); hit {
		b.world.strike(walltime)
		end = "walltime"
	}
	switch {
	case end == "oom":
		b.later(j, takes, func() { b.end(j, oom, 0, 125, "") })
	case end == "node_fail":
		b.later(j, takes, func() { b.end(j, nodeDied, 1, 0, "") })
	case end == "walltime" || takes >= j.limit:
		b.later(j, j.limit, func() { b.end(j, timeout, 0, 0, "") })
	default:
		b.later(j, takes, func() { b.exit(j, end) })
	}
}

// exit ends a payload by itself; its script leaves the marker and ends a little
// later.
func (b *batch) exit(j *job, with string) {
	code, err := strconv.Atoi(with)
	if err != nil {
		panic("a payload cannot end with " + with)
	}
	if j.done {
		return
	}
	j.done, j.result = true, code
	b.world.epilogue(j, code)
	b.world.note("  job %s: its payload ends with %d", j.id, code)
	state := completed
	if code != 0 {
		state = failed
	}
	if j.ending {
		return
	}
	d := b.dice("epilogue", j)
	if _, hit := b.troubled(nodeFail, j); hit && d.hits(0.3) { // just when all was done
		b.world.strike(nodeFail)
		b.later(j, d.between(0, time.Second), func() { b.end(j, nodeDied, 1, 0, "") })
		return
	}
	b.later(j, d.between(10*time.Millisecond, 3*time.Second), func() { b.end(j, state, code, 0, "") })
}

// requeue puts a job whose node died back into the queue. For a moment it may
// be seen as ended.
func (b *batch) requeue(j *job) {
	d := b.dice("again", j)
	j.round++
	j.state, j.reason, j.started, j.ending, j.diedAt = pending, "BeginTime", time.Time{}, false, time.Now()
	if d.hits(0.5) {
		j.looksDead = d.between(time.Second, 30*time.Second)
	}
	b.world.note("  job %s is requeued", j.id)
	b.later(j, j.looksDead+d.between(2*time.Second, 120*time.Second), func() { b.start(j) })
}

// stop asks a running job to end: by TERM, and half a minute later for good. A
// payload that heeds TERM may end by itself, and well; the job is cancelled all
// the same.
func (b *batch) stop(j *job, by string) {
	if j.ending {
		return
	}
	j.ending, j.by = true, by
	d := b.dice("stop", j)
	wait := d.between(100*time.Millisecond, 30*time.Second)
	if heeds := d.between(50*time.Millisecond, wait); j.paid && !j.done && d.hits(0.25) {
		b.later(j, heeds, func() { b.exit(j, "0") })
	}
	b.later(j, wait, func() { b.end(j, cancelled, 0, 15, by) })
}

// end ends a job.
func (b *batch) end(j *job, state string, exit, signal int, by string) {
	j.state, j.exit, j.signal, j.by, j.ended = state, exit, signal, by, time.Now()
	if j.started.IsZero() {
		j.started = j.ended
	}
	if _, hit := b.troubled(forgotten, j); hit {
		b.world.strike(forgotten)
		j.forgotten = true
	}
	b.world.note("  job %s is %s %d:%d", j.id, state, exit, signal)
}

// cancel serves DELETE of a job.
func (b *batch) cancel(id string) *answer {
	j := b.byID[id]
	complain := func(why string) *answer {
		return slurmFailure("scancel: Terminating job " + id + "\nscancel: error: Kill job error on job id " + id + ": " + why)
	}
	switch {
	case j == nil:
		return complain("Invalid job id specified")
	case j.terminal():
		return complain("Job/step already completing or completed")
	case j.state == pending:
		b.end(j, cancelled, 0, 0, "1000")
	default:
		b.world.judgeStop(j)
		b.stop(j, "1000")
	}
	return &answer{status: 204, signed: true}
}

// alive reports whether any job still waits or runs.
func (b *batch) alive() bool {
	for _, j := range b.jobs {
		if !j.terminal() {
			return true
		}
	}
	return false
}
