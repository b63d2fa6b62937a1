package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// SiteConfig describes the site a sandbox imitates. It restricts: systems,
// users, and whatever partitions, reservations, accounts and qualities of
// service a system lists are then the only ones. A list that is left out
// restricts nothing.
//
// The root remembers the last description it was opened with.
type SiteConfig struct {
	Systems []SystemConfig `json:"systems"`
	// Users defaults to the one user demo. The first user's client is the one
	// that Server.Credentials names.
	Users []UserConfig `json:"users,omitempty"`
}

// SystemConfig is one system of a site. Only Name is required.
type SystemConfig struct {
	Name      string `json:"name"`
	Scheduler string `json:"scheduler,omitempty"` // slurm (default) or pbs

	Nodes        []NodeConfig        `json:"nodes,omitempty"` // default: nid[001-004]
	Partitions   []PartitionConfig   `json:"partitions,omitempty"`
	Reservations []ReservationConfig `json:"reservations,omitempty"`
	Accounts     []string            `json:"accounts,omitempty"` // of those a user has, the ones valid here; default all
	QOS          []QOSConfig         `json:"qos,omitempty"`
	Limits       LimitsConfig        `json:"limits,omitzero"`

	Transfer TransferConfig `json:"transfer,omitzero"`
	// TransferDirectives are pasted at the top of transfer jobs; {account} in
	// one of them makes the account of a transfer mandatory.
	TransferDirectives []string `json:"transfer_directives,omitempty"`

	// Probing is whether the services are probed at all; default true. Without
	// it nothing is ever unhealthy, and paths are not checked against the file
	// systems before they reach the shell.
	Probing *bool        `json:"probing,omitempty"`
	Health  HealthConfig `json:"health,omitzero"`
}

// NodeConfig is one node, or several that are alike.
type NodeConfig struct {
	Name     string `json:"name"`                // nid001, or a range: nid[001-004]
	CPUs     int    `json:"cpus,omitempty"`      // default 128
	Sockets  int    `json:"sockets,omitempty"`   // default 1
	MemoryMB int    `json:"memory_mb,omitempty"` // default 256000
	Features string `json:"features,omitempty"`
	// State is IDLE, DOWN and so on; by default it follows from the jobs.
	State string `json:"state,omitempty"`
}

// PartitionConfig is one partition (a queue, with PBS).
type PartitionConfig struct {
	Name    string `json:"name"`
	Default bool   `json:"default,omitempty"` // else the first partition is
	Hidden  bool   `json:"hidden,omitempty"`  // listed on request only
	State   string `json:"state,omitempty"`   // UP (default), DOWN, DRAIN or INACTIVE
	Nodes   string `json:"nodes,omitempty"`   // such as nid[001-002]; default all

	MaxNodes    int      `json:"max_nodes,omitempty"`    // 0: as many as there are
	MaxTime     Duration `json:"max_time,omitempty"`     // 0: no limit
	DefaultTime Duration `json:"default_time,omitempty"` // default MaxTime
}

// ReservationConfig is a reservation: for jobs that name it between its start
// and its end, and then nobody else's. One for maintenance takes no jobs.
type ReservationConfig struct {
	Name        string   `json:"name"`
	Start       Instant  `json:"start"`
	End         Instant  `json:"end"`
	Nodes       string   `json:"nodes,omitempty"` // default all
	Maintenance bool     `json:"maintenance,omitempty"`
	Users       []string `json:"users,omitempty"`    // who may use it; default everybody
	Accounts    []string `json:"accounts,omitempty"` // which accounts may; default all
	Features    string   `json:"features,omitempty"`
}

// QOSConfig is a quality of service.
type QOSConfig struct {
	Name             string `json:"name"`
	MaxSubmitPerUser *int   `json:"max_submit_per_user,omitempty"` // jobs not yet over
}

// LimitsConfig is what a system allows. A limit that is left out is none; 0
// allows nothing.
type LimitsConfig struct {
	MaxSubmitPerUser    *int `json:"max_submit_per_user,omitempty"`    // jobs not yet over
	MaxSubmitPerAccount *int `json:"max_submit_per_account,omitempty"` // jobs not yet over
	MaxJobsPerUser      *int `json:"max_jobs_per_user,omitempty"`      // running; more wait
	// JobLag is how long a new job stays unknown to job queries.
	JobLag Duration `json:"job_lag,omitempty"`
}

// TransferConfig is how a system moves large files. Zero values stand for the
// defaults of the sandbox.
type TransferConfig struct {
	Method string `json:"method,omitempty"` // s3 (default), streamer, wormhole or none

	// Of s3.
	MaxPartSize int64    `json:"max_part_size,omitempty"` // bytes
	TTL         Duration `json:"ttl,omitempty"`           // of the URLs given out
	Poll        Duration `json:"poll,omitempty"`          // how often an upload's job looks for its object

	GiveUp Duration `json:"give_up,omitempty"` // how long it looks; default a day

	// Of the streamer.
	PortRange            [2]int   `json:"port_range,omitzero"`
	PublicIPs            []string `json:"public_ips,omitempty"`
	WaitTimeout          Duration `json:"wait_timeout,omitempty"`
	InboundTransferLimit int64    `json:"inbound_transfer_limit,omitempty"` // bytes
	// TextEOF has streams end as corrected releases of the streamer end them: in
	// text, without spaces.
	TextEOF bool `json:"text_eof,omitempty"`

	// Of streamer and wormhole. It is only shown; jobs of the sandbox install
	// nothing.
	PyPIIndexURL string `json:"pypi_index_url,omitempty"`
}

// HealthConfig is what the probes find. A service that is left out is healthy.
type HealthConfig struct {
	Scheduler *bool `json:"scheduler,omitempty"`
	SSH       *bool `json:"ssh,omitempty"`
	S3        *bool `json:"s3,omitempty"`
	// FileSystems are named home and scratch.
	FileSystems map[string]bool `json:"file_systems,omitempty"`
}

// UserConfig is a user and the client that gets tokens for that user.
type UserConfig struct {
	Name         string        `json:"name"`
	UID          int           `json:"uid,omitempty"`           // default 1000 and its place in the list
	ClientID     string        `json:"client_id,omitempty"`     // default: the name
	ClientSecret string        `json:"client_secret,omitempty"` // default: made up once and kept in the root
	Groups       []GroupConfig `json:"groups,omitempty"`        // the first is the primary one; default users
	Accounts     []string      `json:"accounts,omitempty"`      // the first is the default one; default all of the system
	// SSHKey is whether the user can log in; default true.
	SSHKey *bool `json:"ssh_key,omitempty"`
}

// GroupConfig is a group of users.
type GroupConfig struct {
	Name string `json:"name"`
	GID  int    `json:"gid"`
}

// Duration is written like 90s, 6h or 100ms.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration such as 90s or 6h", text)
	}
	*d = Duration(v)
	return nil
}

// Instant is a point in time, written as in RFC 3339 or relative to the moment
// at which the description is read: -1h, +30m.
type Instant time.Time

// MarshalText implements encoding.TextMarshaler.
func (i Instant) MarshalText() ([]byte, error) { return time.Time(i).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *Instant) UnmarshalText(text []byte) error {
	if offset, err := time.ParseDuration(string(text)); err == nil {
		*i = Instant(time.Now().Add(offset).UTC().Truncate(time.Second))
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither an instant such as 2026-05-01T08:00:00Z nor an offset such as +2h", text)
	}
	*i = Instant(t)
	return nil
}

// ParseSite reads a description in JSON. It refuses members it does not know.
func ParseSite(data []byte) (*SiteConfig, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	site := &SiteConfig{}
	if err := dec.Decode(site); err != nil {
		return nil, fmt.Errorf("site description: %w", err)
	}
	if dec.More() {
		return nil, errors.New("site description: more than one JSON value")
	}
	if err := site.check(); err != nil {
		return nil, fmt.Errorf("site description: %w", err)
	}
	return site, nil
}

var (
	systemName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	userName   = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,31}$`)
)

func (sc *SiteConfig) check() error {
	if len(sc.Systems) == 0 {
		return errors.New("no system in it")
	}
	seen := map[string]bool{}
	for i := range sc.Systems {
		sys := &sc.Systems[i]
		if !systemName.MatchString(sys.Name) || seen[sys.Name] {
			return fmt.Errorf("system name %q: want lower-case letters, digits, %q, and each only once", sys.Name, "._-")
		}
		seen[sys.Name] = true
		if err := sys.check(); err != nil {
			return fmt.Errorf("system %q: %w", sys.Name, err)
		}
	}
	users, clients, uids := map[string]bool{}, map[string]bool{}, map[int]bool{}
	nobody := len(sc.Users) > 0
	for i, u := range sc.Users {
		nobody = nobody && u.SSHKey != nil && !*u.SSHKey
		client, uid := u.client(), u.number(i)
		if !userName.MatchString(u.Name) || users[u.Name] || clients[client] || uids[uid] {
			return fmt.Errorf("user %q: want lower-case letters, digits, %q, and each name, client and uid only once", u.Name, "_.-")
		}
		users[u.Name], clients[client], uids[uid] = true, true, true
	}
	if nobody {
		return errors.New("none of its users has an SSH key")
	}
	return nil
}

func (u UserConfig) client() string {
	if u.ClientID != "" {
		return u.ClientID
	}
	return u.Name
}

// number is the uid of the user at index i of the site.
func (u UserConfig) number(i int) int {
	if u.UID != 0 {
		return u.UID
	}
	return 1000 + i
}

func (sys *SystemConfig) check() error {
	if err := oneOf("scheduler", sys.Scheduler, "slurm", "pbs"); err != nil {
		return err
	}
	if err := sys.Transfer.check(); err != nil {
		return err
	}
	for _, n := range sys.Nodes {
		if min(n.CPUs, n.Sockets, n.MemoryMB) < 0 {
			return fmt.Errorf("node %s has less than nothing", n.Name)
		}
		if _, err := batch.Hosts(n.Name); err != nil {
			return err
		}
		if err := oneOf("state of node "+n.Name, n.State, nodeStates...); err != nil {
			return err
		}
	}
	known := sys.hosts()
	for _, p := range sys.Partitions {
		if err := oneOf("state of partition "+p.Name, p.State, "UP", "DOWN", "DRAIN", "INACTIVE"); err != nil {
			return err
		}
		if err := subset("partition "+p.Name, p.Nodes, known); err != nil {
			return err
		}
	}
	for _, r := range sys.Reservations {
		if !time.Time(r.End).After(time.Time(r.Start)) {
			return fmt.Errorf("reservation %q ends before it starts", r.Name)
		}
		if err := subset("reservation "+r.Name, r.Nodes, known); err != nil {
			return err
		}
	}
	for name := range sys.Health.FileSystems {
		if err := oneOf("file system", name, "home", "scratch"); err != nil {
			return err
		}
	}
	return nil
}

var nodeStates = []string{
	"IDLE", "ALLOCATED", "MIXED", "DOWN", "DRAIN", "OFFLINE", "RESERVED",
	"COMPLETING", "BUSY", "POWERING_DOWN", "POWERING_UP", "UNKNOWN",
}

func oneOf(what, value string, words ...string) error {
	if value == "" || slices.Contains(words, value) {
		return nil
	}
	return fmt.Errorf("%s is %q, want one of %s", what, value, strings.Join(words, ", "))
}

func subset(what, hosts string, known []string) error {
	names, err := batch.Hosts(hosts)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s: the system has no node %q", what, name)
		}
	}
	return nil
}

// probed says whether the services of the system are probed.
func (sys *SystemConfig) probed() bool { return sys.Probing == nil || *sys.Probing }

// healthy is what the probes of the system find: unhealthy only what is said
// to be.
func (sys *SystemConfig) healthy(service *bool) bool {
	return !sys.probed() || service == nil || *service
}

// fileSystemHealthy is healthy for the file system of that name.
func (sys *SystemConfig) fileSystemHealthy(name string) bool {
	healthy, said := sys.Health.FileSystems[name]
	return !sys.probed() || !said || healthy
}

// pbs says whether the system's scheduler is PBS.
func (sys *SystemConfig) pbs() bool { return sys.Scheduler == "pbs" }
