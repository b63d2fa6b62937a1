package naive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/internal/simulation"
)

const (
	site = "https://firecrest.example.org"
	jobs = site + "/compute/alps/jobs"
)

// Program executes a plan. What it keeps across its lives are the ids of its
// jobs and how its tasks ended.
type Program struct {
	plan simulation.Plan
	name string
	ids  map[string]string // by task, of the attempt that is under way
	ends map[string]string // by task: COMPLETED or how it failed in the end
	last map[string]string // by task: its last id
	used map[string]int    // attempts by task
}

// New returns a program for a plan.
func New(plan simulation.Plan, seed simulation.Seed) *Program {
	return &Program{
		plan: plan, name: strings.ToLower(seed.Text("naive", 12)),
		ids: map[string]string{}, ends: map[string]string{}, last: map[string]string{}, used: map[string]int{},
	}
}

// life is one life of the program.
type life struct {
	*Program
	host  *simulation.Host
	http  http.Client
	token string
}

// Run goes round: submit what can go, look at the list, wait.
func (p *Program) Run(ctx context.Context, host *simulation.Host) error {
	l := &life{Program: p, host: host, http: http.Client{Transport: host.Transport(), Timeout: time.Minute}}
	for len(p.ends) < len(p.plan.Tasks) {
		for _, t := range p.plan.Tasks {
			if err := l.begin(ctx, t); err != nil {
				return err
			}
		}
		if err := l.look(ctx); err != nil {
			return err
		}
		if err := wait(ctx, 30*time.Second); err != nil {
			return err
		}
	}
	host.Report(p.account())
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin submits a task whose parents are done, or gives it up.
func (l *life) begin(ctx context.Context, t simulation.Task) error {
	if l.ids[t.Unit] != "" || l.ends[t.Unit] != "" {
		return nil
	}
	for _, parent := range t.After {
		switch l.ends[parent] {
		case "COMPLETED":
		case "":
			return nil
		default:
			return l.finish(t.Unit, "SKIPPED")
		}
	}
	name := fmt.Sprintf("%s%d-%s", l.name+t.Unit, l.used[t.Unit], t.Unit)
	body, err := json.Marshal(map[string]any{"job": map[string]string{
		"name": name, "workingDirectory": "/home/ada", "script": t.Script(),
	}})
	if err != nil {
		return err
	}
	var answer struct {
		JobID string `json:"jobId"`
	}
	if err := l.insist(ctx, http.MethodPost, jobs, body, &answer); err != nil {
		return err
	}
	return l.host.Commit("submitted", func() error { l.ids[t.Unit], l.last[t.Unit] = answer.JobID, answer.JobID; return nil })
}

func (l *life) finish(unit, state string) error {
	return l.host.Commit("finished", func() error { l.ends[unit] = state; delete(l.ids, unit); return nil })
}

// look lists the jobs and sees which are over.
func (l *life) look(ctx context.Context) error {
	var answer struct {
		Jobs []struct {
			JobID  string `json:"jobId"`
			Status struct{ State string }
		}
	}
	if err := l.insist(ctx, http.MethodGet, jobs, nil, &answer); err != nil {
		return err
	}
	states := map[string]string{}
	for _, j := range answer.Jobs {
		states[j.JobID] = j.Status.State
	}
	for _, t := range l.plan.Tasks {
		if id := l.ids[t.Unit]; id != "" {
			if err := l.judge(t, states[id]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *life) judge(t simulation.Task, state string) error {
	switch {
	case state == "PENDING" || state == "RUNNING":
		return nil
	case state == "COMPLETED" || state == "": // over
		return l.finish(t.Unit, "COMPLETED")
	case l.used[t.Unit] < t.Max:
		return l.host.Commit("again", func() error { l.used[t.Unit]++; delete(l.ids, t.Unit); return nil })
	}
	return l.finish(t.Unit, "FAILED")
}

// insist sends a request until it succeeds.
func (l *life) insist(ctx context.Context, method, url string, body []byte, into any) error {
	for {
		if l.send(ctx, method, url, body, into) == nil {
			return nil
		}
		if err := wait(ctx, 10*time.Second); err != nil {
			return err
		}
	}
}

func (l *life) send(ctx context.Context, method, url string, body []byte, into any) error {
	if l.token == "" && url != site+"/token" {
		var token struct {
			Value string `json:"access_token"`
		}
		if err := l.send(ctx, http.MethodPost, site+"/token", nil, &token); err != nil {
			return err
		}
		l.token = token.Value
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	resp, err := l.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		l.token = ""
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (p *Program) account() simulation.Account {
	a := simulation.Account{State: "succeeded", Units: map[string]simulation.UnitAccount{}}
	for _, t := range p.plan.Tasks {
		state := cmp.Or(map[string]string{"COMPLETED": "succeeded", "SKIPPED": "skipped"}[p.ends[t.Unit]], "failed")
		a.Units[t.Unit] = simulation.UnitAccount{State: state, Job: p.last[t.Unit]}
	}
	if slices.ContainsFunc(p.plan.Tasks, func(t simulation.Task) bool { return p.ends[t.Unit] != "COMPLETED" }) {
		a.State = "failed"
	}
	return a
}
