package sandbox

import (
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// What the scheduler of a system says about it. The server asks whatever the
// probes found, and wraps every failure in a 500.

type nodeReply struct {
	Sockets     *int     `json:"sockets"`
	Cores       *int     `json:"cores"`
	Threads     *int     `json:"threads"`
	CPUs        int      `json:"cpus"`
	CPULoad     *float64 `json:"cpuLoad"`
	FreeMemory  *int     `json:"freeMemory"`
	Features    *string  `json:"features"`
	Name        string   `json:"name"`
	Address     *string  `json:"address"`
	Hostname    *string  `json:"hostname"`
	State       []string `json:"state"`
	Partitions  []string `json:"partitions"`
	Weight      *int     `json:"weight"`
	AllocMemory *int     `json:"allocMemory"`
	AllocCPUs   *int     `json:"allocCpus"`
	IdleCPUs    *int     `json:"idleCpus"`
}

type partitionReply struct {
	Name       string `json:"name"`
	CPUs       *int   `json:"cpus"`
	TotalNodes *int   `json:"totalNodes"`
	Partition  string `json:"partition"` // the state, whatever the name says
}

type reservationReply struct {
	Name      string  `json:"name"`
	NodeList  string  `json:"nodeList"`
	EndTime   int64   `json:"endTime"`
	StartTime int64   `json:"startTime"`
	Features  *string `json:"features"`
	State     *string `json:"state"`
}

// canLogIn refuses a caller without an SSH key the way the routes about a
// system do.
func (s *Server) canLogIn(c *call) error {
	if _, known := s.users.find(c.user); known {
		return nil
	}
	return &apiError{status: 500, message: noKey(c.user), causedBy: []string{noKey(c.user)}}
}

func noKey(user string) string { return "No SSH credentials found for user:" + user }

func (s *Server) getNodes(c *call) (reply, error) {
	if err := s.canLogIn(c); err != nil {
		return reply{}, err
	}
	used := s.usedCPUs(c.system)
	nodes := []nodeReply{}
	for _, n := range c.site.nodes() {
		busy := min(used[n.name], n.CPUs)
		if c.site.pbs() {
			nodes = append(nodes, n.describePBS(busy))
		} else {
			nodes = append(nodes, n.describe(busy, c.site.partitionsOf(n.name)))
		}
	}
	return jsonReply(200, struct {
		Nodes []nodeReply `json:"nodes"`
	}{nodes}), nil
}

// usedCPUs are the processors that running jobs of a system hold, by node.
func (s *Server) usedCPUs(system string) map[string]int {
	used := map[string]int{}
	for _, job := range s.jobs.List(system) {
		if job.State != batch.Running {
			continue
		}
		hosts, _ := batch.Hosts(job.NodeList) // the batch system wrote it
		for _, host := range hosts {
			used[host] += max(1, job.Tasks) * max(1, job.CPUsPerTask)
		}
	}
	return used
}

// describe is a node as the reference server makes it out of what sinfo prints:
// the number of sockets three times, and all of the memory as allocated.
func (n node) describe(busy int, partitions []string) nodeReply {
	out := nodeReply{
		Sockets: &n.Sockets, Cores: &n.Sockets, Threads: &n.Sockets,
		CPUs: n.CPUs, Features: new("(null)"), Name: n.name, Address: &n.name, Hostname: &n.name,
		State: []string{n.state(busy)}, Partitions: partitions, Weight: new(1),
		AllocMemory: &n.MemoryMB, AllocCPUs: &busy, IdleCPUs: new(n.CPUs - busy),
	}
	if n.Features != "" {
		out.Features = &n.Features
	}
	if n.isDown() {
		out.IdleCPUs = new(0)
		return out
	}
	out.CPULoad = new(float64(busy))
	out.FreeMemory = new(n.MemoryMB / n.CPUs * (n.CPUs - busy))
	return out
}

// describePBS is a node as made out of what pbsnodes prints: bytes, no
// partitions, and as idle what there is.
func (n node) describePBS(busy int) nodeReply {
	memory := n.MemoryMB * 1_000_000
	return nodeReply{
		CPUs: n.CPUs, FreeMemory: &memory, Name: n.name, Hostname: &n.name, State: []string{n.state(busy)},
		AllocMemory: new(memory / n.CPUs * busy), AllocCPUs: &busy, IdleCPUs: &n.CPUs,
	}
}

func (n node) state(busy int) string {
	switch {
	case n.State != "":
		return n.State
	case busy == 0:
		return "IDLE"
	case busy < n.CPUs:
		return "MIXED"
	}
	return "ALLOCATED"
}

// partitions of the system; one that lists none has one.
func (sys *SystemConfig) partitions() []PartitionConfig {
	if len(sys.Partitions) == 0 {
		return []PartitionConfig{{Name: "normal"}}
	}
	return sys.Partitions
}

// partitionsOf are the names of the partitions a node is in.
func (sys *SystemConfig) partitionsOf(host string) []string {
	names := []string{}
	for _, p := range sys.partitions() {
		if slices.Contains(sys.hostsOf(p.Nodes), host) {
			names = append(names, p.Name)
		}
	}
	return names
}

func (p PartitionConfig) state() string {
	if p.State == "" {
		return "UP"
	}
	return p.State
}

func (s *Server) getPartitions(c *call) (reply, error) {
	q := c.query()
	hidden := q.boolean("show_hidden")
	if err := q.err(); err != nil {
		return reply{}, err
	}
	if err := s.canLogIn(c); err != nil {
		return reply{}, err
	}
	cpus := map[string]int{}
	for _, n := range c.site.nodes() {
		cpus[n.name] = n.CPUs
	}
	out := []partitionReply{}
	for _, p := range c.site.partitions() {
		switch {
		case c.site.pbs(): // its queues tell their state only, and none is hidden
			state := "DOWN"
			if p.state() == "UP" {
				state = "UP"
			}
			out = append(out, partitionReply{Name: p.Name, Partition: state})
		case hidden || !p.Hidden:
			hosts, total := c.site.hostsOf(p.Nodes), 0
			for _, host := range hosts {
				total += cpus[host]
			}
			out = append(out, partitionReply{p.Name, &total, new(len(hosts)), p.state()})
		}
	}
	return jsonReply(200, struct {
		Partitions []partitionReply `json:"partitions"`
	}{out}), nil
}

func (s *Server) getReservations(c *call) (reply, error) {
	if err := s.canLogIn(c); err != nil {
		return reply{}, err
	}
	out := []reservationReply{}
	for _, r := range c.site.Reservations {
		start, end, now := time.Time(r.Start), time.Time(r.End), time.Now()
		one := reservationReply{Name: r.Name, NodeList: r.Nodes, StartTime: start.Unix(), EndTime: end.Unix()}
		if one.NodeList == "" {
			one.NodeList = strings.Join(c.site.hosts(), ",")
		}
		if !c.site.pbs() {
			one.State = new("inactive")
			if !now.Before(start) && now.Before(end) {
				one.State = new("active")
			}
			if r.Features != "" {
				one.Features = &r.Features
			}
		}
		out = append(out, one)
	}
	return jsonReply(200, struct {
		Reservations []reservationReply `json:"reservations"`
	}{out}), nil
}
