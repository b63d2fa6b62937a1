package batch

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// dependencies are what a job waits for: all of the conditions, or any.
type dependencies struct {
	Any        bool        `json:"any,omitempty"`
	Conditions []condition `json:"conditions"`
}

// condition is one thing to wait for. Kind is after, afterany, afterok,
// afternotok, aftercorr or singleton.
type condition struct {
	Kind string `json:"kind"`
	Job  string `json:"job,omitempty"` // of a job, or of an array and all its parts
	// Task is the one part of the array that is meant, nil for the whole.
	Task  *int          `json:"task,omitempty"`
	Delay time.Duration `json:"delay_ns,omitempty"` // of after
}

var dependencyKinds = []string{"after", "afterany", "afterok", "afternotok", "aftercorr"}

// parseDependency reads afterok:12:13_4,afterany:14 and its like; a question
// mark in the place of the comma means any of them.
func parseDependency(s string) (*dependencies, bool) {
	d := &dependencies{Any: strings.Contains(s, "?")}
	if d.Any && strings.Contains(s, ",") {
		return nil, false
	}
	for _, item := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == '?' }) {
		kind, list, _ := strings.Cut(item, ":")
		kind = strings.ToLower(kind)
		if kind == "singleton" && list == "" {
			d.Conditions = append(d.Conditions, condition{Kind: kind})
			continue
		}
		if !slices.Contains(dependencyKinds, kind) {
			return nil, false
		}
		for _, id := range strings.Split(list, ":") {
			c, ok := parseCondition(kind, id)
			if !ok {
				return nil, false
			}
			d.Conditions = append(d.Conditions, c)
		}
	}
	return d, len(d.Conditions) > 0
}

func parseCondition(kind, s string) (condition, bool) {
	c := condition{Kind: kind}
	s, minutes, delayed := strings.Cut(s, "+")
	if delayed {
		n, err := strconv.ParseUint(minutes, 10, 20)
		if err != nil || kind != "after" {
			return condition{}, false
		}
		c.Delay = time.Duration(n) * time.Minute
	}
	id, task, isTask := strings.Cut(s, "_")
	if isTask && task != "*" {
		n, err := strconv.ParseUint(task, 10, 31)
		if err != nil {
			return condition{}, false
		}
		c.Task = new(int)
		*c.Task = int(n)
	}
	_, err := strconv.ParseUint(id, 10, 64)
	c.Job = id
	return c, err == nil
}

// verdictOnWait is what a condition says about the job that has it.
type verdictOnWait int

const (
	waits verdictOnWait = iota
	met
	never
)

// judge says whether a pending job may start as far as its dependencies go.
func (t *Table) judge(rec *record) verdictOnWait {
	if rec.Depends == nil {
		return met
	}
	tally := map[verdictOnWait]int{}
	for _, c := range rec.Depends.Conditions {
		tally[t.condition(rec, c)]++
	}
	all := len(rec.Depends.Conditions)
	switch {
	case rec.Depends.Any && tally[met] > 0, tally[met] == all:
		return met
	case rec.Depends.Any && tally[never] == all, !rec.Depends.Any && tally[never] > 0:
		return never
	}
	return waits
}

func (t *Table) condition(rec *record, c condition) verdictOnWait {
	if c.Kind == "singleton" {
		return t.singleton(rec)
	}
	over, good := 0, 0
	jobs := t.dependedOn(rec, c)
	for _, job := range jobs {
		switch {
		case c.Kind == "after":
			since := job.Started
			if since.IsZero() {
				since = job.Ended // cancelled before it began
			}
			if !since.IsZero() && !t.now().Before(since.Add(c.Delay)) {
				over++
			}
		case job.State == Completed:
			over, good = over+1, good+1
		case job.State.Terminal():
			over++
		}
	}
	ended := over == len(jobs)
	switch c.Kind {
	case "after", "afterany":
		if ended {
			return met
		}
	case "afterok", "aftercorr":
		if over > good {
			return never
		}
		if ended {
			return met
		}
	case "afternotok":
		if ended && good < over {
			return met
		}
		if ended {
			return never
		}
	}
	return waits
}

// dependedOn are the jobs a condition names. With aftercorr a part of an array
// waits for the part with its own index.
func (t *Table) dependedOn(rec *record, c condition) []Job {
	jobs := t.Find(rec.Spec.System, c.Job)
	task := c.Task
	if c.Kind == "aftercorr" && task == nil && rec.Array != nil {
		task = &rec.Array.Task
	}
	if task == nil {
		return jobs
	}
	for _, job := range jobs {
		if job.Array != nil && job.Array.Task == *task {
			return []Job{job}
		}
	}
	return jobs
}

// singleton waits for the earlier jobs of the same name and user.
func (t *Table) singleton(rec *record) verdictOnWait {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.live {
		other := t.jobs[strconv.FormatUint(n, 10)]
		if n >= rec.number() {
			break
		}
		if other.Spec.System == rec.Spec.System && other.Spec.User == rec.Spec.User && other.Spec.Name == rec.Spec.Name {
			return waits
		}
	}
	return met
}

// checkDependencies refuses to wait for jobs that are not known.
func (t *Table) checkDependencies(rec *record, c Cluster) error {
	if rec.Depends == nil {
		return nil
	}
	for _, on := range rec.Depends.Conditions {
		jobs := t.Find(rec.Spec.System, on.Job)
		known := on.Kind == "singleton" || slices.ContainsFunc(jobs, func(job Job) bool {
			return on.Task == nil || job.Array != nil && job.Array.Task == *on.Task
		})
		if !known {
			return c.refuse("Job dependency problem")
		}
	}
	return nil
}

// delayed says whether a condition may become true by the clock alone.
func (d *dependencies) delayed() bool {
	return slices.ContainsFunc(d.Conditions, func(c condition) bool { return c.Delay > 0 })
}
