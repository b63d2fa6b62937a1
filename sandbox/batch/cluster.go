package batch

import (
	"fmt"
	"slices"
	"time"
)

// Cluster is what a system is like for its jobs. The zero value is Slurm with
// as many nodes as a job asks for, and takes every name.
type Cluster struct {
	PBS bool
	// Nodes are names; none stands for as many as any job wants. Down are those
	// of them that run nothing.
	Nodes, Down []string
	// Partitions, the default one first, Reservations and QOS are all there
	// are, if there are any; else every name will do.
	Partitions   []Partition
	Reservations []Reservation
	QOS          []QOS
	// Accounts are those a user may charge, the default one first; nil, and
	// a nil list: any.
	Accounts func(user string) []string
	// What is unset is unlimited.
	MaxSubmitPerUser, MaxSubmitPerAccount *int // jobs not yet over
	MaxJobsPerUser                        *int // running jobs
}

// Partition is one of the queues of a Cluster.
type Partition struct {
	Name     string
	State    string   // UP, DOWN (jobs wait), DRAIN or INACTIVE (none is accepted)
	Nodes    []string // nil: all of the Cluster's
	MaxNodes int      // 0: no limit
	// MaxTime and DefaultTime are 0 for no limit. A job that wants more than
	// MaxTime is accepted and waits for ever.
	MaxTime, DefaultTime time.Duration
}

// Reservation keeps nodes for the jobs that name it, from Start to End; one for
// maintenance keeps them from all jobs.
type Reservation struct {
	Name            string
	Start, End      time.Time
	Nodes           []string // nil: all of the Cluster's
	Maintenance     bool
	Users, Accounts []string // who may use it; none: everybody
}

// QOS is a quality of service.
type QOS struct {
	Name             string
	MaxSubmitPerUser *int // jobs not yet over; nil: no limit
}

// cluster is what a system is like now.
func (t *Table) cluster(system string) Cluster {
	if t.cfg.Cluster == nil {
		return Cluster{}
	}
	return t.cfg.Cluster(system)
}

func byName[T any](all []T, name string, of func(T) string) (one T, known bool) {
	i := slices.IndexFunc(all, func(v T) bool { return of(v) == name })
	if i < 0 {
		return one, false
	}
	return all[i], true
}

func (c Cluster) partition(name string) (Partition, bool) {
	return byName(c.Partitions, name, func(p Partition) string { return p.Name })
}

func (c Cluster) reservation(name string) (Reservation, bool) {
	return byName(c.Reservations, name, func(r Reservation) string { return r.Name })
}

// submitFailed is the last line of sbatch when the controller refuses a job.
func submitFailed(reason string) error {
	return rejected("Batch job submission failed: %s", reason)
}

// admit fills in what rec leaves open and refuses what the controller would:
// names it does not know, nodes it does not have, one job too many. live are
// the jobs of the system that are not over; count is how many rec stands for.
func (c Cluster) admit(rec *record, live []*record, count int, now time.Time) error {
	for _, check := range []func(*record, time.Time) error{c.admitPartition, c.admitNodes, c.admitAccount, c.admitReservation} {
		if err := check(rec, now); err != nil {
			return err
		}
	}
	return c.admitCount(rec, live, count)
}

func (c Cluster) admitPartition(rec *record, _ time.Time) error {
	if len(c.Partitions) == 0 {
		return nil
	}
	if rec.Spec.Partition == "" {
		rec.Spec.Partition = c.Partitions[0].Name
	}
	p, known := c.partition(rec.Spec.Partition)
	switch {
	case !known && c.PBS:
		return &RejectedError{Stderr: "qsub: Unknown queue", Status: 170}
	case !known:
		return rejected("invalid partition specified: %s\nBatch job submission failed: Invalid partition name specified", rec.Spec.Partition)
	case p.State == "DRAIN", p.State == "INACTIVE":
		if c.PBS {
			return &RejectedError{Stderr: "qsub: Queue is not enabled", Status: 184}
		}
		return submitFailed("Required partition not available (inactive or drain)")
	}
	if !rec.timeGiven {
		rec.TimeLimit = p.DefaultTime
		if rec.TimeLimit == 0 {
			rec.TimeLimit = p.MaxTime
		}
	}
	return nil
}

// admitNodes refuses more nodes than there are, and more than any list names.
func (c Cluster) admitNodes(rec *record, _ time.Time) error {
	most := maxHosts
	if len(c.Nodes) > 0 {
		p, _ := c.partition(rec.Spec.Partition)
		most = len(c.nodesOf(p.Nodes))
	}
	if rec.Nodes > most {
		return c.refuse("Requested node configuration is not available")
	}
	return nil
}

// refuse words a refusal in the way of the scheduler's own command.
func (c Cluster) refuse(reason string) error {
	if c.PBS {
		return &RejectedError{Stderr: "qsub: " + reason, Status: 188}
	}
	return submitFailed(reason)
}

func (c Cluster) admitAccount(rec *record, _ time.Time) error {
	if c.Accounts == nil {
		return nil
	}
	valid := c.Accounts(rec.Spec.User)
	if valid == nil {
		return nil
	}
	if rec.Spec.Account == "" && len(valid) > 0 {
		rec.Spec.Account = valid[0]
	}
	if !slices.Contains(valid, rec.Spec.Account) {
		return c.refuse("Invalid account or account/partition combination specified")
	}
	return nil
}

func (c Cluster) admitReservation(rec *record, now time.Time) error {
	name := rec.Spec.Reservation
	if name == "" || len(c.Reservations) == 0 {
		return nil
	}
	r, known := c.reservation(name)
	switch {
	case !known || !now.Before(r.End):
		return c.refuse("Requested reservation is invalid")
	case r.Maintenance,
		len(r.Users) > 0 && !slices.Contains(r.Users, rec.Spec.User),
		len(r.Accounts) > 0 && !slices.Contains(r.Accounts, rec.Spec.Account):
		return c.refuse("Access denied to requested reservation")
	}
	return nil
}

// admitCount refuses one job too many.
func (c Cluster) admitCount(rec *record, live []*record, count int) error {
	ofUser, ofAccount, ofQOS := count, count, count
	for _, other := range live {
		if other.Spec.Account == rec.Spec.Account {
			ofAccount++
		}
		if other.Spec.User != rec.Spec.User {
			continue
		}
		ofUser++
		if other.Spec.QOS == rec.Spec.QOS {
			ofQOS++
		}
	}
	var qos QOS
	if len(c.QOS) > 0 && rec.Spec.QOS != "" {
		var known bool
		if qos, known = byName(c.QOS, rec.Spec.QOS, func(q QOS) string { return q.Name }); !known {
			return c.refuse("Invalid qos specification")
		}
	}
	over := func(limit *int, n int) bool { return limit != nil && n > *limit }
	switch {
	case c.PBS && (over(c.MaxSubmitPerUser, ofUser) || over(c.MaxSubmitPerAccount, ofAccount)):
		return &RejectedError{Stderr: fmt.Sprintf("qsub: would exceed queue %s's per-user limit", rec.Spec.Partition), Status: 38}
	case over(c.MaxSubmitPerUser, ofUser), over(qos.MaxSubmitPerUser, ofQOS):
		return policyViolated("QOSMaxSubmitJobPerUserLimit")
	case over(c.MaxSubmitPerAccount, ofAccount):
		return policyViolated("AssocMaxSubmitJobLimit")
	}
	return nil
}

func policyViolated(limit string) error {
	return rejected("%s\nBatch job submission failed: Job violates accounting/QOS policy "+
		"(job submit limit, user's size and/or time limits)", limit)
}

// nodesOf are the nodes a list names; nil stands for all.
func (c Cluster) nodesOf(names []string) []string {
	if names == nil {
		return c.Nodes
	}
	return names
}

// place chooses nodes for a job that starts now, or says why there are none. A
// node that is reserved for others at any moment until the job's limit is no
// choice.
func (c Cluster) place(rec *record, now time.Time) (nodes []string, reason string) {
	if len(c.Nodes) == 0 {
		for n := range rec.Nodes {
			nodes = append(nodes, fmt.Sprintf("nid%03d", n+1))
		}
		return nodes, ""
	}
	p, _ := c.partition(rec.Spec.Partition)
	free := slices.Clone(c.nodesOf(p.Nodes))
	maintenance := false
	for _, r := range c.Reservations {
		switch {
		case !r.Maintenance && r.Name == rec.Spec.Reservation:
			within := c.nodesOf(r.Nodes)
			free = slices.DeleteFunc(free, func(name string) bool { return !slices.Contains(within, name) })
		case r.overlaps(now, rec.TimeLimit):
			reserved := c.nodesOf(r.Nodes)
			maintenance = maintenance || r.Maintenance
			free = slices.DeleteFunc(free, func(name string) bool { return slices.Contains(reserved, name) })
		}
	}
	up := slices.DeleteFunc(slices.Clone(free), func(name string) bool { return slices.Contains(c.Down, name) })
	switch {
	case len(up) >= rec.Nodes:
		return up[:rec.Nodes], ""
	case len(free) >= rec.Nodes:
		return nil, "ReqNodeNotAvail, UnavailableNodes:" + hostList(c.Down)
	case maintenance:
		return nil, "ReqNodeNotAvail, Reserved for maintenance"
	}
	return nil, "ReqNodeNotAvail"
}

// overlaps says whether a job that starts now and may take that long, 0 for any
// time, would meet the reservation.
func (r Reservation) overlaps(now time.Time, limit time.Duration) bool {
	return now.Before(r.End) && (limit == 0 || now.Add(limit).After(r.Start))
}

// partitionReason says why the partition keeps a job from starting, "" if it
// does not.
func (c Cluster) partitionReason(rec *record) string {
	p, known := c.partition(rec.Spec.Partition)
	switch {
	case !known:
		return ""
	case p.State == "DOWN":
		return "PartitionDown"
	case p.State == "INACTIVE":
		return "PartitionInactive"
	case p.MaxTime > 0 && (rec.TimeLimit == 0 || rec.TimeLimit > p.MaxTime):
		return "PartitionTimeLimit"
	case p.MaxNodes > 0 && rec.Nodes > p.MaxNodes:
		return "PartitionNodeLimit"
	}
	return ""
}

// reservationReason is partitionReason for the reservation a job names.
func (c Cluster) reservationReason(rec *record, now time.Time) string {
	r, known := c.reservation(rec.Spec.Reservation)
	switch {
	case rec.Spec.Reservation == "" || len(c.Reservations) == 0:
		return ""
	case !known || !now.Before(r.End):
		return "ReservationDeleted"
	case now.Before(r.Start):
		return "Reservation"
	}
	return ""
}
