package firecrest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Node is a compute node. What the scheduler does not tell is nil.
type Node struct {
	Name     string
	Address  string
	Hostname string
	// States are words such as IDLE, ALLOCATED, MIXED, DOWN, DRAIN, OFFLINE,
	// RESERVED and UNKNOWN. Servers before 2.5.1 pass on the scheduler's own
	// words; here they are in upper case and without the marks behind them.
	States     []string
	Partitions []string
	Features   []string

	CPUs      int64
	AllocCPUs *int64
	IdleCPUs  *int64
	CPULoad   *float64
	// FreeMemory and AllocMemory are in MB with Slurm and in bytes with PBS.
	FreeMemory, AllocMemory *int64
	// Sockets, Cores and Threads all are the number of sockets if the server
	// asks Slurm on the command line.
	Sockets, Cores, Threads *int64
	Weight                  *int64
}

// UnmarshalJSON reads the shape of every release since 2.1.3.
func (n *Node) UnmarshalJSON(b []byte) error {
	var w struct {
		Name        text   `json:"name"`
		Address     text   `json:"address"`
		Hostname    text   `json:"hostname"`
		State       words  `json:"state"`
		Partitions  words  `json:"partitions"`
		Features    words  `json:"features"`
		CPUs        number `json:"cpus"`
		AllocCPUs   number `json:"allocCpus"`
		IdleCPUs    number `json:"idleCpus"`
		CPULoad     text   `json:"cpuLoad"`
		FreeMemory  number `json:"freeMemory"`
		AllocMemory number `json:"allocMemory"`
		Sockets     number `json:"sockets"`
		Cores       number `json:"cores"`
		Threads     number `json:"threads"`
		Weight      number `json:"weight"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*n = Node{
		Name: string(w.Name), Address: string(w.Address), Hostname: string(w.Hostname),
		States: w.State.states(), Partitions: w.Partitions, Features: w.Features,
		CPUs: w.CPUs.n, AllocCPUs: w.AllocCPUs.ptr(), IdleCPUs: w.IdleCPUs.ptr(),
		FreeMemory: w.FreeMemory.ptr(), AllocMemory: w.AllocMemory.ptr(),
		Sockets: w.Sockets.ptr(), Cores: w.Cores.ptr(), Threads: w.Threads.ptr(), Weight: w.Weight.ptr(),
	}
	if load, err := strconv.ParseFloat(string(w.CPULoad), 64); err == nil {
		n.CPULoad = &load
	}
	return nil
}

// Nodes returns the compute nodes of a system, one entry for a node in several
// partitions.
//
// Errors: ErrNotFound (no such system). Whatever the scheduler says, a time-out
// and a system without nodes included, is a 500 that matches no sentinel.
//
//firecrest:operation GET /status/{system_name}/nodes
func (s *StatusService) Nodes(ctx context.Context, system string) ([]Node, error) {
	var nodes []Node
	err := s.get(ctx, "nodes", system, nil, &nodes)
	return nodes, err
}

// Reservation is a set of nodes set aside for a time.
type Reservation struct {
	Name string
	// Nodes are its nodes, as the scheduler abbreviates them: "nid[001-004]".
	Nodes      string
	Start, End time.Time
	Features   []string
	// State is "active" or "inactive"; empty before server 2.5.4.
	State string
}

// UnmarshalJSON reads a reservation; its times come in seconds since 1970.
func (r *Reservation) UnmarshalJSON(b []byte) error {
	var w struct {
		Name     text   `json:"name"`
		Nodes    text   `json:"nodeList"`
		Start    number `json:"startTime"`
		End      number `json:"endTime"`
		Features words  `json:"features"`
		State    text   `json:"state"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*r = Reservation{string(w.Name), string(w.Nodes), unix(w.Start), unix(w.End), w.Features, strings.ToLower(string(w.State))}
	return nil
}

// Reservations returns the reservations of a system, none where there are
// none.
//
// Errors: ErrNotFound (no such system), and 500 as [StatusService.Nodes].
//
//firecrest:operation GET /status/{system_name}/reservations
func (s *StatusService) Reservations(ctx context.Context, system string) ([]Reservation, error) {
	var reservations []Reservation
	err := s.get(ctx, "reservations", system, nil, &reservations)
	return reservations, err
}

// Partition is a queue of a system.
type Partition struct {
	Name string
	// CPUs and Nodes are how many it has, 0 if the scheduler does not tell.
	CPUs, Nodes int64
	// States are words such as UP, DOWN and DRAIN.
	States []string
}

// UnmarshalJSON reads a partition; the member that is called partition holds
// its state, as a string or as a list.
func (p *Partition) UnmarshalJSON(b []byte) error {
	var w struct {
		Name  text   `json:"name"`
		CPUs  number `json:"cpus"`
		Nodes number `json:"totalNodes"`
		State words  `json:"partition"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*p = Partition{string(w.Name), w.CPUs.n, w.Nodes.n, w.State.states()}
	return nil
}

// IsUp reports whether the partition starts jobs.
func (p Partition) IsUp() bool { return len(p.States) == 1 && p.States[0] == "UP" }

// PartitionOptions of [StatusService.Partitions]. Nil is all false.
type PartitionOptions struct {
	// ShowHidden lists hidden partitions too. Servers before 2.5.4 always do.
	ShowHidden bool
}

// Partitions returns the partitions of a system.
//
// Errors: ErrNotFound (no such system), and 500 as [StatusService.Nodes].
//
//firecrest:operation GET /status/{system_name}/partitions
func (s *StatusService) Partitions(ctx context.Context, system string, opts *PartitionOptions) ([]Partition, error) {
	query := url.Values{}
	setTrue(query, "show_hidden", opts != nil && opts.ShowHidden)
	var partitions []Partition
	err := s.get(ctx, "partitions", system, query, &partitions)
	return partitions, err
}

// get reads a list about a system, which the server calls by the name of the
// operation.
func (s *StatusService) get(ctx context.Context, name, system string, query url.Values, into any) error {
	return s.client.run(ctx, &call{
		method: http.MethodGet, template: "/status/{system_name}/" + name, system: system, query: query,
		want: http.StatusOK, into: &member{name, into},
	})
}

// Liveness is when the server last looked at its systems.
type Liveness struct {
	// Probed is when each system was last probed. Systems that are not probed
	// are missing.
	Probed map[string]time.Time
	// Age is how long ago the oldest of them was, in whole seconds; 0 if none
	// was. More than 15 minutes mean that the server is not well.
	Age time.Duration
}

// UnmarshalJSON reads an answer.
func (l *Liveness) UnmarshalJSON(b []byte) error {
	var w struct {
		Runs map[string]text `json:"healthcheckRuns"`
		Age  *number         `json:"lastUpdate"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	if w.Age == nil {
		return fmt.Errorf("no %q in it", "lastUpdate")
	}
	*l = Liveness{Probed: map[string]time.Time{}, Age: span(*w.Age, time.Second)}
	for system, at := range w.Runs {
		if t, err := time.Parse(time.RFC3339Nano, string(at)); err == nil { // null until probed
			l.Probed[system] = t
		}
	}
	return nil
}

// Liveness tells whether the service runs. It needs no token, and sends none.
//
// Errors: ErrUnsupported (servers before 2.2.3), ErrUnavailable.
//
//firecrest:operation GET /status/liveness/
func (s *StatusService) Liveness(ctx context.Context) (*Liveness, error) {
	var answer Liveness
	err := s.client.run(ctx, &call{
		method: http.MethodGet, template: "/status/liveness/", anonymous: true,
		want: http.StatusOK, into: &answer,
	})
	if err != nil {
		return nil, err
	}
	return &answer, nil
}
