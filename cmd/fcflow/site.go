package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/plan"
	"github.com/fcflow/fcflow/internal/settings"
)

// openService connects to the service of the settings, or of --sandbox, for a
// command that runs nothing.
func (a *app) openService(ctx context.Context, sandboxDir string, observers ...func(firecrest.RequestInfo)) (*settings.Settings, *service, error) {
	s, err := a.settings("")
	if err != nil {
		return nil, nil, err
	}
	profile, err := choose(s, sandboxDir)
	if err != nil {
		return nil, nil, err
	}
	if err := checkService(profile); err != nil {
		return nil, nil, err
	}
	v, err := a.connect(ctx, s, profile, nil, observers...)
	return s, v, err
}

// siteFacts is what a service tells of a system and of the user there. What it
// did not tell has its reason in failed, by the word for it.
type siteFacts struct {
	system       firecrest.System
	partitions   []firecrest.Partition
	reservations []firecrest.Reservation
	nodes        []firecrest.Node
	user         *firecrest.UserInfo
	failed       map[string]error
}

// What may be asked of a system, beside what /status/systems says.
const (
	askUser         = "user"
	askPartitions   = "partitions"
	askReservations = "reservations"
	askNodes        = "nodes"
)

// askSite asks a system all of that at once. One answer that fails does not keep
// the others from being told.
func askSite(ctx context.Context, client *firecrest.Client, system firecrest.System, what ...string) *siteFacts {
	facts := &siteFacts{system: system, failed: map[string]error{}}
	status, name := client.Status, system.Name
	questions := map[string]func() error{
		askUser: func() (err error) {
			facts.user, err = status.UserInfo(ctx, name)
			return err
		},
		askPartitions: func() (err error) {
			facts.partitions, err = status.Partitions(ctx, name, &firecrest.PartitionOptions{ShowHidden: true})
			return err
		},
		askReservations: func() (err error) {
			facts.reservations, err = status.Reservations(ctx, name)
			return err
		},
		askNodes: func() (err error) {
			facts.nodes, err = status.Nodes(ctx, name)
			return err
		},
	}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, question := range what {
		asking.Go(func() {
			if err := questions[question](); err != nil {
				mu.Lock()
				defer mu.Unlock()
				facts.failed[question] = err
			}
		})
	}
	asking.Wait()
	return facts
}

// loginProblem is an error that everything asked of a service will end with.
func (f *siteFacts) loginProblem() error {
	for _, err := range f.failed {
		if errors.Is(err, firecrest.ErrUnauthenticated) {
			return err
		}
	}
	return nil
}

// planSite is what a plan is checked against.
func (f *siteFacts) planSite(version string) *plan.Site {
	s := &f.system
	site := &plan.Site{
		Name: s.Name, Scheduler: s.Scheduler.Type, MaxUpload: s.MaxUpload(), MaxDownload: s.MaxDownload(),
		AccountRequired: s.NeedsAccount(), TransferTold: s.Transfer != nil || tellsTransfer(version), Failed: map[string]string{},
	}
	if s.Transfer != nil {
		site.Transfer = string(s.Transfer.Method)
	}
	for _, h := range s.Health {
		if !h.Healthy {
			site.Unhealthy = append(site.Unhealthy, plan.Unhealthy{Service: h.Service, Path: h.Path, Message: h.Message})
		}
	}
	for _, fs := range s.FileSystems {
		site.FileSystems = append(site.FileSystems, fs.Path)
	}
	for _, p := range f.partitions {
		site.Partitions = append(site.Partitions, plan.Partition{Name: p.Name, Nodes: p.Nodes, Up: p.IsUp(), State: strings.Join(p.States, " ")})
	}
	for _, r := range f.reservations {
		site.Reservations = append(site.Reservations, plan.Reservation{Name: r.Name, Start: r.Start, End: r.End, Features: r.Features})
	}
	if f.user != nil {
		site.User = f.user.User.Name
		for _, account := range f.user.Accounts {
			site.Accounts = append(site.Accounts, account.Name)
		}
	}
	for what, err := range f.failed {
		site.Failed[what] = err.Error()
	}
	return site
}

// tellsTransfer reports whether a release says how it moves large files.
func tellsTransfer(version string) bool { return atLeast(version, "2.5.0") }

// shownSystem is a system in lists and by itself. Its JSON form is a contract
// that only grows.
type shownSystem struct {
	Name             string            `json:"name"`
	Scheduler        shownScheduler    `json:"scheduler"`
	ServerVersion    string            `json:"server_version,omitempty"`
	Healthy          bool              `json:"healthy"` // of what was probed, everything
	Health           []shownHealth     `json:"health"`
	FileSystems      []shownFileSystem `json:"file_systems"`
	MaxUploadBytes   int64             `json:"max_upload_bytes"` // directly
	MaxDownloadBytes int64             `json:"max_download_bytes"`
	CommandTimeout   string            `json:"command_timeout,omitempty"`
	// Transfer is left out where large files cannot be moved, and by servers that
	// do not tell.
	Transfer        *shownTransfer `json:"transfer,omitempty"`
	AccountRequired bool           `json:"account_required"` // for moving large files
}

type shownScheduler struct {
	Type           string `json:"type"`
	Version        string `json:"version,omitempty"`
	ConnectionMode string `json:"connection_mode,omitempty"`
}

type shownHealth struct {
	Service   string    `json:"service"`
	Path      string    `json:"path,omitempty"`
	Healthy   bool      `json:"healthy"`
	Message   string    `json:"message,omitempty"`
	CheckedAt time.Time `json:"checked_at,omitzero"`
}

type shownFileSystem struct {
	Path           string `json:"path"`
	DataType       string `json:"data_type"`
	DefaultWorkdir bool   `json:"default_workdir"`
}

type shownTransfer struct {
	Method      string `json:"method"`
	PartBytes   int64  `json:"part_bytes,omitempty"`
	URLLifetime string `json:"url_lifetime,omitempty"`
}

func describeSystem(s *firecrest.System, version string) shownSystem {
	shown := shownSystem{
		Name: s.Name, Scheduler: shownScheduler{s.Scheduler.Type, s.Scheduler.Version, s.Scheduler.ConnectionMode},
		ServerVersion: version, Healthy: true, Health: []shownHealth{}, FileSystems: []shownFileSystem{},
		MaxUploadBytes: s.MaxUpload(), MaxDownloadBytes: s.MaxDownload(), AccountRequired: s.NeedsAccount(),
	}
	if s.SSH.CommandTimeout > 0 {
		shown.CommandTimeout = s.SSH.CommandTimeout.String()
	}
	for _, h := range s.Health {
		shown.Healthy = shown.Healthy && h.Healthy
		shown.Health = append(shown.Health, shownHealth{h.Service, h.Path, h.Healthy, h.Message, h.LastChecked})
	}
	for _, f := range s.FileSystems {
		shown.FileSystems = append(shown.FileSystems, shownFileSystem{f.Path, f.DataType, f.DefaultWorkDir})
	}
	if t := s.Transfer; t != nil {
		shown.Transfer = &shownTransfer{Method: string(t.Method), PartBytes: t.MaxPartSize}
		if t.URLTTL > 0 {
			shown.Transfer.URLLifetime = t.URLTTL.String()
		}
	}
	return shown
}
