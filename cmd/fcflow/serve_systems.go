package main

import (
	"context"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// sites keep for a while what the service told of its systems, however many pages
// ask.
type sites struct {
	mu   sync.Mutex
	kept map[string]siteAnswer // by system; "" is the list
}

type siteAnswer struct {
	at    time.Time
	value any
}

// siteLife is how old an answer about systems may be.
const siteLife = 30 * time.Second

// siteJob is a job of ours on a system.
type siteJob struct {
	JobID     string `json:"job_id"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Partition string `json:"partition,omitempty"`
	Nodes     int64  `json:"nodes,omitempty"`
}

// servedSite is a system with the queue of own jobs.
type servedSite struct {
	shownSite
	Jobs []siteJob `json:"jobs"`
}

// Systems implements [server.Host].
func (h *host) Systems(ctx context.Context) (any, error) {
	return h.sites.get("", func() (any, error) {
		v, err := h.service()
		if err != nil {
			return nil, err
		}
		systems, err := v.client.Status.Systems(ctx)
		if err != nil {
			return nil, err
		}
		all := []shownSystem{}
		for i := range systems {
			all = append(all, describeSystem(&systems[i], v.client.ServerVersion()))
		}
		return all, nil
	})
}

// System implements [server.Host].
func (h *host) System(ctx context.Context, name string) (any, error) {
	return h.sites.get(name, func() (any, error) {
		v, err := h.service()
		if err != nil {
			return nil, err
		}
		site, err := v.site(ctx, name)
		if err != nil {
			return nil, err
		}
		shown := servedSite{shownSite: describeSite(site, v.client.ServerVersion()), Jobs: []siteJob{}}
		jobs, err := v.client.Compute.List(ctx, name, &firecrest.JobListOptions{})
		if err != nil {
			if shown.Unavailable == nil {
				shown.Unavailable = map[string]string{}
			}
			shown.Unavailable["jobs"] = err.Error()
		}
		for i := range jobs {
			shown.Jobs = append(shown.Jobs, describeJob(&jobs[i]))
		}
		return shown, nil
	})
}

// service is the one of new runs.
func (h *host) service() (*service, error) {
	if h.profile.URL == "" && h.profile.Sandbox == "" {
		return nil, errNotHere("systems")
	}
	var systems []string
	if h.profile.System != "" {
		systems = []string{h.profile.System}
	}
	return h.session.connect(h.ctx, h.settings, h.profile, systems)
}

// get returns an answer that is fresh enough, or asks. One question at a time: who
// asks the same waits for that answer.
func (s *sites) get(name string, ask func() (any, error)) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, known := s.kept[name]; known && time.Since(a.at) < siteLife {
		return a.value, nil
	}
	value, err := ask()
	if err != nil {
		return nil, err
	}
	if s.kept == nil {
		s.kept = map[string]siteAnswer{}
	}
	s.kept[name] = siteAnswer{time.Now(), value}
	return value, nil
}

func describeJob(j *firecrest.Job) siteJob {
	return siteJob{JobID: string(j.ID), Name: j.Name, State: string(j.Status.State), Partition: j.Partition, Nodes: j.AllocationNodes}
}
