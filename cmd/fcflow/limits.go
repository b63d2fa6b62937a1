package main

import (
	"net/url"
	"strings"
	"sync"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

// limiters hold the limits of each host. A site counts the requests of a process,
// and does not know of profiles: those that name one host share its limits, as
// the first of them has them.
type limiters struct {
	mu     sync.Mutex
	byHost map[string]*firecrest.Limiter
}

// of returns the limiter of the host of a profile.
func (l *limiters) of(p workflow.Profile, s *settings.Settings) *firecrest.Limiter {
	host := p.Sandbox
	if u, err := url.Parse(p.URL); err == nil && host == "" {
		host = strings.ToLower(u.Host)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byHost[host] == nil {
		if l.byHost == nil {
			l.byHost = map[string]*firecrest.Limiter{}
		}
		l.byHost[host] = firecrest.NewLimiter(s.Count("limits.in_flight"), s.Count("limits.requests_per_minute"))
	}
	return l.byHost[host]
}
