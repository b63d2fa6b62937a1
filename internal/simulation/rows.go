package simulation

import (
	"strconv"
	"time"
)

// Rows of jobs as the service merges them from the queue and the accounting.
type (
	jobRow struct {
		JobID            string    `json:"jobId"`
		Name             string    `json:"name"`
		Status           statusRow `json:"status"`
		Tasks            []taskRow `json:"tasks"`
		Time             timeRow   `json:"time"`
		Account          string    `json:"account"`
		AllocationNodes  int       `json:"allocationNodes"`
		Cluster          string    `json:"cluster"`
		Group            string    `json:"group"`
		Nodes            string    `json:"nodes"`
		Partition        string    `json:"partition"`
		KillRequestUser  *string   `json:"killRequestUser"`
		User             string    `json:"user"`
		WorkingDirectory string    `json:"workingDirectory"`
		Priority         int       `json:"priority"`
	}
	taskRow struct {
		ID     string    `json:"id"`
		Name   string    `json:"name"`
		Status statusRow `json:"status"`
		Time   timeRow   `json:"time"`
	}
	statusRow struct {
		State           string  `json:"state"`
		StateReason     *string `json:"stateReason"`
		ExitCode        *int    `json:"exitCode"`
		InterruptSignal *int    `json:"interruptSignal"`
	}
	timeRow struct {
		Elapsed   *int64 `json:"elapsed"`
		Start     *int64 `json:"start"`
		End       *int64 `json:"end"`
		Suspended *int64 `json:"suspended"`
		Limit     *int64 `json:"limit"`
	}
)

// row is a job as it is now: an answer that is on its way does not change.
func row(now *job) jobRow {
	as := *now
	j := &as
	limit, elapsed := int64(j.limit.Seconds()), int64(0)
	r := jobRow{
		JobID: j.id, Name: j.name, Tasks: []taskRow{}, Account: "proj", AllocationNodes: 1, Cluster: system, Group: "users",
		Nodes: "", Partition: "normal", User: user, WorkingDirectory: j.workdir, Priority: 1000,
		Status: statusRow{State: j.state, StateReason: &j.reason},
		Time:   timeRow{Elapsed: &elapsed, Limit: &limit},
	}
	if j.state == pending {
		return r
	}
	start, suspended := j.started.Unix(), int64(0)
	r.Nodes, r.Status.ExitCode, r.Status.InterruptSignal = "nid001", &j.exit, &j.signal
	r.Time.Start, r.Time.Suspended = &start, &suspended
	until := time.Now()
	if j.terminal() {
		until = j.ended
		end := until.Unix()
		r.Time.End = &end
	}
	elapsed = until.Unix() - start
	step := taskRow{ID: j.id + ".batch", Name: "batch", Status: r.Status, Time: r.Time}
	step.Status.StateReason, step.Time.Limit = nil, nil
	r.Tasks = append(r.Tasks, step)
	if j.state == cancelled && j.by != "" {
		r.Status.State += " by " + j.by
	}
	return r
}

// shown is a job as it is known at this moment: nil if it is not, yet.
func (b *batch) shown(j *job) *jobRow {
	now := time.Now()
	if d, hit := b.troubled(acceptLag, j); hit && now.Sub(j.accepted) < d.between(time.Second, 110*time.Second) {
		b.world.strike(acceptLag)
		return nil
	}
	if j.forgotten {
		return nil
	}
	if j.state == pending && now.Sub(j.diedAt) < j.looksDead {
		return asIf(j, nodeDied, 1)
	}
	r := row(j)
	if !j.terminal() || !j.paid {
		return &r
	}
	d, hit := b.troubled(endLag, j)
	if !hit || now.Sub(j.ended) >= d.between(time.Second, 110*time.Second) {
		return &r
	}
	b.world.strike(endLag)
	if d.hits(0.5) {
		return nil
	}
	return asIf(j, running, 0)
}

// asIf is a job shown in a state that it is not in.
func asIf(j *job, state string, exit int) *jobRow {
	as := *j
	as.state, as.exit, as.signal, as.by = state, exit, 0, ""
	if as.ended.IsZero() {
		as.ended = j.diedAt
	}
	if as.started.IsZero() {
		as.started = j.diedAt
	}
	r := row(&as)
	return &r
}

var windows = map[string]time.Duration{
	"": 24 * time.Hour, "1h": time.Hour, "8h": 8 * time.Hour, "24h": 24 * time.Hour, "3d": 72 * time.Hour, "7d": 168 * time.Hour,
}

// list serves GET of all jobs.
func (b *batch) list(r *request) *answer {
	since := time.Now().Add(-windows[r.query.Get("time_window")])
	b.lists++
	rows := []jobRow{}
	for _, j := range b.jobs {
		if j.terminal() && j.ended.Before(since) {
			continue
		}
		d := b.world.about(HiddenRows.String(), j.token, strconv.Itoa(j.nth), r.key, r.nth)
		if !b.world.fair() && d.hits(b.world.schedule.Weather[HiddenRows]) {
			b.world.strike(HiddenRows)
			continue
		}
		if row := b.disguise(opJobs, j, b.shown(j)); row != nil {
			rows = append(rows, *row)
		}
	}
	return success(200, object{"jobs": rows})
}

// get serves GET of one job.
func (b *batch) get(id string) *answer {
	j := b.byID[id]
	if j == nil {
		return failure(404, "Job not found.")
	}
	row := b.disguise(opJob, j, b.shown(j))
	if row == nil {
		return failure(404, "Job not found.")
	}
	return success(200, object{"jobs": []jobRow{*row}})
}
