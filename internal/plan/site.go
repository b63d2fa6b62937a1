package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Site is what a service tells of a system and of the user there.
type Site struct {
	Name         string
	Scheduler    string
	Unhealthy    []Unhealthy
	FileSystems  []string // paths of their roots
	Partitions   []Partition
	Reservations []Reservation
	User         string
	Accounts     []string // none where the scheduler has no such thing
	// MaxUpload and MaxDownload are the largest files, in bytes, that go directly.
	MaxUpload, MaxDownload int64
	// Transfer is how larger ones go: s3, streamer, wormhole; empty if they cannot,
	// or if TransferTold is false.
	Transfer        string
	TransferTold    bool
	AccountRequired bool // for moving larger files
	// Open sites, as sandboxes are, take names that they do not list.
	Open bool
	// Failed says why something could not be had: user, partitions, reservations.
	Failed map[string]string
}

// Unhealthy is a service of a system that its last probe found down.
type Unhealthy struct{ Service, Path, Message string }

// Partition is a queue.
type Partition struct {
	Name  string
	Nodes int64 // 0 = not told
	Up    bool
	State string
}

// Reservation is a set of nodes taken away for a time.
type Reservation struct {
	Name       string
	Start, End time.Time
	Features   []string
}

// missing is how bad it is that a site does not list a name.
func (s *Site) missing() Severity {
	if s.Open {
		return Unknown
	}
	return Error
}

// IsMaintenance reports whether a reservation is for maintenance, which only its
// name tells.
func IsMaintenance(name string) bool { return strings.Contains(strings.ToLower(name), "maint") }

// holds reports whether a path lies in a file system of the system.
func (s *Site) holds(p string) bool {
	if len(s.FileSystems) == 0 {
		return true
	}
	p = path.Clean(p)
	return slices.ContainsFunc(s.FileSystems, func(root string) bool {
		root = strings.TrimRight(path.Clean(root), "/")
		return p == root || strings.HasPrefix(p, root+"/")
	})
}

// Sites is what was asked of the service.
type Sites struct {
	// Offered are the names of all systems.
	Offered []string
	// ByName holds those of the plan, by the name that the plan uses.
	ByName map[string]*Site
	// Remote is what is at the paths of [Plan.RemoteSources].
	Remote map[RemotePath]Seen
	Now    time.Time
}

// SeeSites is told what the service says.
func (p *Plan) SeeSites(sites Sites) {
	told := map[string]bool{}
	for _, s := range p.Steps {
		if s.System == "" {
			if s.step.Remote() {
				p.add(s, "system", Finding{Severity: Unknown, Code: SystemAtRunTime, Message: "only the run will know the system"})
			}
			continue
		}
		site := sites.ByName[s.System]
		if site == nil {
			p.add(s, "system", Finding{
				Severity: Error, Code: UnknownSystem, Message: fmt.Sprintf("the service has no system %q", s.System),
				Hint: meant(s.System, sites.Offered, "it offers"),
			})
			continue
		}
		if !told[s.System] {
			told[s.System] = true
			p.seeHealth(s.System, site)
		}
		p.seeRemote(s, site, sites.Remote)
		p.seeTransfer(s, site)
		p.seeJobs(s, site, sites.Now)
	}
	p.sayNotTold(sites)
}

// seeHealth warns of what is down: a run waits for it.
func (p *Plan) seeHealth(system string, site *Site) {
	for _, u := range site.Unhealthy {
		what := u.Service
		if u.Path != "" {
			what += " " + u.Path
		}
		message := fmt.Sprintf("%s of %s is unhealthy", what, system)
		if u.Message != "" {
			message += ": " + u.Message
		}
		p.Add(Finding{Severity: Warning, Code: SystemUnhealthy, Message: message, Hint: "a run waits until it is back"})
	}
}

// sayNotTold names what no service tells.
func (p *Plan) sayNotTold(sites Sites) {
	for _, name := range p.Systems() {
		site := sites.ByName[name]
		if site == nil {
			continue
		}
		for _, what := range []string{"user", "partitions", "reservations"} {
			if why, failed := site.Failed[what]; failed {
				p.Add(Finding{Severity: Unknown, Code: NotTold, Message: fmt.Sprintf("%s of %s: %s", what, name, why)})
			}
		}
		if p.HasJobs(name) {
			p.Add(Finding{
				Severity: Unknown, Code: NotTold,
				Message: "time limits of partitions and quotas on " + name + ": FirecREST does not tell them",
			})
		}
	}
}
