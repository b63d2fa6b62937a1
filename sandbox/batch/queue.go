package batch

import (
	"cmp"
	"time"
)

// queue is what decides, in one look at all live jobs, which of those that wait
// may start.
type queue struct {
	table    *Table
	now      time.Time
	clusters map[string]Cluster
	slots    int               // taken of Config.Slots
	users    map[[2]string]int // running jobs by system and user
	arrays   map[string]int    // running parts by array
	timed    bool              // a job waits for time, or for the cluster to change
}

func newQueue(t *Table) *queue {
	return &queue{table: t, now: t.now(), clusters: map[string]Cluster{}, users: map[[2]string]int{}, arrays: map[string]int{}}
}

func (q *queue) cluster(system string) Cluster {
	c, asked := q.clusters[system]
	if !asked {
		c = q.table.cluster(system)
		q.clusters[system] = c
	}
	return c
}

// running counts a job that runs.
func (q *queue) running(rec *record) {
	q.slots += slots(rec.Job)
	q.users[[2]string{rec.Spec.System, rec.Spec.User}]++
	if rec.Array != nil {
		q.arrays[rec.Array.Job]++
	}
}

// slots is how many of Config.Slots a running job takes.
func slots(job Job) int {
	if job.Spec.Builtin != nil {
		return 0
	}
	return 1
}

// wait says why a pending job cannot start now, in the words of Slurm, or gives
// it its nodes.
func (q *queue) wait(rec *record) (nodes []string, reason string) {
	c := q.cluster(rec.Spec.System)
	depends := q.table.judge(rec)
	switch {
	case rec.Held:
		return nil, "JobHeldUser"
	case depends == never:
		return nil, "DependencyNeverSatisfied"
	case q.now.Before(rec.Begin):
		q.timed = true
		return nil, "BeginTime"
	case depends == waits:
		q.timed = q.timed || rec.Depends.delayed()
		return nil, "Dependency"
	}
	if reason := cmp.Or(c.partitionReason(rec), c.reservationReason(rec, q.now)); reason != "" {
		q.timed = true
		return nil, reason
	}
	running := q.users[[2]string{rec.Spec.System, rec.Spec.User}]
	switch {
	case c.MaxJobsPerUser != nil && running >= *c.MaxJobsPerUser:
		return nil, "QOSMaxJobsPerUserLimit"
	case rec.Array != nil && rec.Array.Limit > 0 && q.arrays[rec.Array.Job] >= rec.Array.Limit:
		return nil, "JobArrayTaskLimit"
	case q.slots+slots(rec.Job) > q.table.cfg.Slots:
		return nil, "Resources"
	}
	nodes, reason = c.place(rec, q.now)
	q.timed = q.timed || reason != "" // a reservation may end
	return nodes, reason
}
