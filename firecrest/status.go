package firecrest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// StatusService tells about the service, its systems and the user.
type StatusService struct{ client *Client }

// Systems returns the systems that the service offers: their file systems,
// limits, scheduler and health.
//
// Errors: ErrUnauthenticated, ErrUnavailable.
//
//firecrest:operation GET /status/systems
func (s *StatusService) Systems(ctx context.Context) ([]System, error) {
	var systems []System
	err := s.client.run(ctx, &call{
		method: http.MethodGet, template: "/status/systems",
		want: http.StatusOK, into: &member{"systems", &systems},
	})
	return systems, err
}

// System returns one system of [StatusService.Systems]. Names are compared
// without regard to case, as servers since 2.4.0 do.
//
// Errors: ErrNotFound, with the names there are, and those of Systems.
func (s *StatusService) System(ctx context.Context, name string) (*System, error) {
	systems, err := s.Systems(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range systems {
		if strings.EqualFold(systems[i].Name, name) {
			return &systems[i], nil
		}
		names = append(names, systems[i].Name)
	}
	return nil, fmt.Errorf("system %q: %w; the service offers %s", name, ErrNotFound, strings.Join(names, ", "))
}

// UserInfo is who the user is on a system.
type UserInfo struct {
	User   Identity   `json:"user"`
	Group  Identity   `json:"group"`  // the primary group
	Groups []Identity `json:"groups"` // all of them
	// Accounts are what jobs can be charged to. Nil where the scheduler has no
	// such thing, and before server 2.5.1.
	Accounts []Account `json:"accounts"`
}

// Identity is a numeric id, as text, and its name.
type Identity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Account is something jobs are charged to.
type Account struct {
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

// UserInfo returns who the user of the token is on a system.
//
// Errors: ErrNotFound (no such system), ErrUnavailable (also 503 while the
// server believes that the login node is down). Whatever fails on the login
// node, a time-out included, is a 500 that matches no sentinel.
//
//firecrest:operation GET /status/{system_name}/userinfo
func (s *StatusService) UserInfo(ctx context.Context, system string) (*UserInfo, error) {
	var answer UserInfo
	err := s.client.run(ctx, &call{
		method: http.MethodGet, template: "/status/{system_name}/userinfo", system: system,
		want: http.StatusOK, into: &answer,
	})
	if err != nil {
		return nil, err
	}
	return &answer, nil
}
