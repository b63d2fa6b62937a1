package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// cluster is what the batch system has to know about a system.
func (s *Server) cluster(name string) batch.Cluster {
	sys := s.site.system(name)
	if sys == nil { // of jobs from before the site was described otherwise
		return batch.Cluster{}
	}
	c := batch.Cluster{
		PBS:                 sys.pbs(),
		MaxSubmitPerUser:    sys.Limits.MaxSubmitPerUser,
		MaxSubmitPerAccount: sys.Limits.MaxSubmitPerAccount,
		MaxJobsPerUser:      sys.Limits.MaxJobsPerUser,
	}
	if s.site.open() {
		return c
	}
	c.Accounts = func(name string) []string {
		u, _ := s.users.find(name)
		return sys.accountsOf(u)
	}
	if len(sys.Nodes) > 0 {
		for _, n := range sys.nodes() {
			c.Nodes = append(c.Nodes, n.name)
			if n.isDown() {
				c.Down = append(c.Down, n.name)
			}
		}
	}
	for _, q := range sys.QOS {
		c.QOS = append(c.QOS, batch.QOS{Name: q.Name, MaxSubmitPerUser: q.MaxSubmitPerUser})
	}
	c.Partitions, c.Reservations = sys.batchPartitions(), sys.batchReservations()
	return c
}

func (sys *SystemConfig) batchPartitions() []batch.Partition {
	var all []batch.Partition
	for _, p := range sys.Partitions {
		one := batch.Partition{
			Name: p.Name, State: p.state(), MaxNodes: p.MaxNodes,
			MaxTime: time.Duration(p.MaxTime), DefaultTime: time.Duration(p.DefaultTime),
		}
		if p.Nodes != "" {
			one.Nodes = sys.hostsOf(p.Nodes)
		}
		if p.Default {
			all = slices.Insert(all, 0, one)
		} else {
			all = append(all, one)
		}
	}
	return all
}

func (sys *SystemConfig) batchReservations() []batch.Reservation {
	var all []batch.Reservation
	for _, r := range sys.Reservations {
		one := batch.Reservation{
			Name: r.Name, Start: time.Time(r.Start), End: time.Time(r.End),
			Maintenance: r.Maintenance, Users: r.Users, Accounts: r.Accounts,
		}
		if r.Nodes != "" {
			one.Nodes = sys.hostsOf(r.Nodes)
		}
		all = append(all, one)
	}
	return all
}

// admitJob fills in what a job still lacks, and asks Config.Admit.
func (s *Server) admitJob(spec *batch.Spec) error {
	if u, _ := s.users.find(spec.User); spec.Account == "" && len(u.accounts) > 0 {
		spec.Account = u.accounts[0]
	}
	if spec.Partition == "" {
		sys := s.site.system(spec.System)
		spec.Partition = sys.partitions()[0].Name
	}
	if s.cfg.Admit == nil {
		return nil
	}
	return s.cfg.Admit(spec)
}

// slurmFailed is the answer when a command of Slurm failed.
func slurmFailed(status int, stderr string) *apiError {
	return fail(500, "Unexpected Slurm command response. exit_status:%d std_err:%s\n", status, strings.TrimSuffix(stderr, "\n"))
}

// pbsFailed is the answer when a command of PBS failed.
func pbsFailed(command string, status int, stderr, more string) error {
	return fail(500, "Unexpected PBS %s response. exit_status:%d std_err:%s\n%s", command, status, strings.TrimSuffix(stderr, "\n"), more)
}

// submitFailed is the answer when the submitting command gave up by itself.
func (c *call) submitFailed(format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if c.site.pbs() {
		return pbsFailed("command", 1, "qsub: "+reason, " stdout:")
	}
	return slurmFailed(1, "sbatch: error: "+reason)
}

// qdelFailed is the answer to cancelling what cannot be.
func qdelFailed(e *batch.CancelError, server string) error {
	words := map[batch.CancelReason]struct {
		status int
		text   string
	}{
		batch.UnknownJob: {153, "Unknown Job Id"},
		batch.ForeignJob: {159, "Unauthorized Request "},
		batch.EndedJob:   {35, "Job has finished"},
	}
	w := words[e.Reason]
	return pbsFailed("qdel", w.status, fmt.Sprintf("qdel: %s %s.%s", w.text, e.ID, server), "")
}

// isArray says whether an id names a job array. PBS wants brackets behind such
// an id, which the paths of the API cannot have.
func (s *Server) isArray(system, id string) bool {
	jobs := s.jobs.Find(system, id)
	return len(jobs) > 0 && jobs[0].Array != nil
}
