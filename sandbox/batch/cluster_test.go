package batch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// small is a cluster with one of everything.
func small() Cluster {
	now, none, one := time.Now(), 0, 1
	return Cluster{
		Nodes: []string{"n1", "n2", "n3", "n4"}, Down: []string{"n3"},
		Partitions: []Partition{
			{Name: "normal", Nodes: []string{"n1", "n2"}, MaxTime: time.Hour, DefaultTime: time.Minute},
			{Name: "one", MaxNodes: 1},
			{Name: "broken", Nodes: []string{"n3"}},
			{Name: "down", State: "DOWN"}, {Name: "drain", State: "DRAIN"}, {Name: "inactive", State: "INACTIVE"},
		},
		Reservations: []Reservation{
			{Name: "course", Start: now.Add(-time.Hour), End: now.Add(time.Hour), Nodes: []string{"n2"}, Users: []string{"alice"}},
			{Name: "theirs", Start: now.Add(-time.Hour), End: now.Add(time.Hour), Nodes: []string{"n4"}, Accounts: []string{"other"}},
			{Name: "over", Start: now.Add(-2 * time.Hour), End: now.Add(-time.Hour)},
			{Name: "soon", Start: now.Add(30 * time.Minute), End: now.Add(time.Hour), Nodes: []string{"n3"}},
			{Name: "maint", Start: now.Add(10 * time.Minute), End: now.Add(time.Hour), Maintenance: true},
		},
		QOS:      []QOS{{Name: "tiny", MaxSubmitPerUser: &none}, {Name: "single", MaxSubmitPerUser: &one}, {Name: "normal"}},
		Accounts: func(string) []string { return []string{"proj", "proj2"} },
	}
}

func newCluster(t *testing.T, c Cluster) *bench {
	t.Helper()
	return newBench(t, func(cfg *Config) { cfg.Cluster = func(string) Cluster { return c } })
}

func TestClusterRefuses(t *testing.T) {
	t.Parallel()
	b := newCluster(t, small())
	failed := func(reason string) string { return "sbatch: error: Batch job submission failed: " + reason }
	for _, tt := range []struct{ directive, want string }{
		{"-p nosuch", "sbatch: error: invalid partition specified: nosuch\n" + failed("Invalid partition name specified")},
		{"-p drain", failed("Required partition not available (inactive or drain)")},
		{"-p inactive", failed("Required partition not available (inactive or drain)")},
		{"-N 3", failed("Requested node configuration is not available")},
		{"-A nosuch", failed("Invalid account or account/partition combination specified")},
		{"--reservation=nosuch", failed("Requested reservation is invalid")},
		{"--reservation=over", failed("Requested reservation is invalid")},
		{"--reservation=theirs", failed("Access denied to requested reservation")},
		{"--reservation=maint", failed("Access denied to requested reservation")},
		{"--qos=nosuch", failed("Invalid qos specification")},
		{"--qos=tiny", "sbatch: error: QOSMaxSubmitJobPerUserLimit\n" +
			failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")},
		{"--qos=single --array=0-1", "sbatch: error: QOSMaxSubmitJobPerUserLimit\n" +
			failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")},
	} {
		_, err := b.Submit(Spec{System: "alps", User: "alice", WorkingDir: b.home, Script: "#!/bin/sh\n#SBATCH " + tt.directive + "\n"})
		var rejected *RejectedError
		if !errors.As(err, &rejected) || rejected.Stderr != tt.want {
			t.Errorf("%s: %v, want %s", tt.directive, err, tt.want)
		}
	}
	if jobs := b.List("alps"); len(jobs) > 0 {
		t.Errorf("refused and yet there: %v", jobs)
	}
}

// TestClusterRefusesTooManyNodes: a job that no node list could hold must not
// get as far as having one made.
func TestClusterRefusesTooManyNodes(t *testing.T) {
	t.Parallel()
	for want, c := range map[int]Cluster{10_001: {}, 1_000_000_000: {}, 3: {Nodes: []string{"n1", "n2"}}} {
		b := newCluster(t, c)
		_, err := b.Submit(Spec{System: "alps", User: "alice", WorkingDir: b.home, Script: fmt.Sprintf("#!/bin/sh\n#SBATCH -N %d\n", want)})
		var rejected *RejectedError
		if !errors.As(err, &rejected) || !strings.HasSuffix(rejected.Stderr, "Requested node configuration is not available") {
			t.Errorf("%d of the nodes %q: %v", want, c.Nodes, err)
		}
	}
}

func TestClusterDefaults(t *testing.T) {
	t.Parallel()
	b := newCluster(t, small())
	job := b.wait(t, b.submit(t, "#!/bin/sh\n"))
	if job.Spec.Partition != "normal" || job.Spec.Account != "proj" || job.TimeLimit != time.Minute || job.NodeList != "n1" {
		t.Errorf("partition %q, account %q, limit %v, nodes %q", job.Spec.Partition, job.Spec.Account, job.TimeLimit, job.NodeList)
	}
}

// TestClusterKeepsWaiting submits jobs that cannot start, and one that can
// beside them.
func TestClusterKeepsWaiting(t *testing.T) {
	t.Parallel()
	b := newCluster(t, small())
	tests := []struct{ directive, want string }{
		{"-p down", "PartitionDown"},
		{"-t 2:00:00", "PartitionTimeLimit"},
		{"-t UNLIMITED", "PartitionTimeLimit"},
		{"-p one -N 2 -t 1", "PartitionNodeLimit"},
		{"-t 20", "ReqNodeNotAvail, Reserved for maintenance"},
		{"-N 2 -t 1", "ReqNodeNotAvail"},
		{"-p broken -t 1", "ReqNodeNotAvail, UnavailableNodes:n3"},
		{"--reservation=soon -p one -t 1", "Reservation"},
		{"--reservation=course -t 1", ""},
		{"-t 1", ""},
	}
	ids := make([]string, len(tests))
	for i, tt := range tests {
		ids[i] = b.submit(t, "#!/bin/sh\n#SBATCH "+tt.directive+"\n")
	}
	for i, tt := range tests {
		if tt.want == "" {
			if job := b.wait(t, ids[i]); job.State != Completed {
				t.Errorf("%s: %s", tt.directive, job.State)
			}
			continue
		}
		until(t, tt.directive+" to wait for "+tt.want, func() bool {
			job, _ := b.Get("alps", ids[i])
			return job.State == Pending && job.Reason == tt.want
		})
	}
	if job, _ := b.Get("alps", ids[8]); job.NodeList != "n2" {
		t.Errorf("a job in the reservation runs on %q, want n2", job.NodeList)
	}
}

// TestReservationEnds lets a job start once what kept it out is over, and asks
// the cluster again for that.
func TestReservationEnds(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(1500 * time.Millisecond)
	b := newCluster(t, Cluster{
		Nodes:        []string{"n1"},
		Reservations: []Reservation{{Name: "maint", Start: time.Now().Add(-time.Hour), End: end, Maintenance: true}},
	})
	if job := b.wait(t, b.submit(t, "#!/bin/sh\n")); job.Started.Before(end) {
		t.Errorf("began %v before the end of the maintenance", end.Sub(job.Started))
	}
}

func TestClusterCounts(t *testing.T) {
	t.Parallel()
	one, two, four := 1, 2, 4
	b := newCluster(t, Cluster{MaxSubmitPerUser: &four, MaxSubmitPerAccount: &two, MaxJobsPerUser: &one})
	script := "#!/bin/sh\n#SBATCH -A %s\nuntil [ -e go ]; do sleep 0.01; done\n"
	submit := func(user, account string) (string, error) {
		return b.Submit(Spec{System: "alps", User: user, WorkingDir: b.home, Script: strings.Replace(script, "%s", account, 1)})
	}
	var ids []string
	for _, account := range []string{"a", "a", "b", "b"} {
		id, err := submit("alice", account)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for _, tt := range []struct{ user, account, want string }{
		{"alice", "c", "QOSMaxSubmitJobPerUserLimit"},
		{"bob", "a", "AssocMaxSubmitJobLimit"},
	} {
		if _, err := submit(tt.user, tt.account); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s for %s: %v, want %s", tt.user, tt.account, err, tt.want)
		}
	}
	until(t, "the second job to wait for the first", func() bool {
		job, _ := b.Get("alps", ids[1])
		return job.Reason == "QOSMaxJobsPerUserLimit"
	})
	for _, id := range ids {
		if err := b.Cancel("alps", id, "0"); err != nil {
			t.Fatal(err)
		}
		b.wait(t, id)
	}
	if _, err := submit("alice", "a"); err != nil {
		t.Errorf("with all jobs over: %v", err)
	}
}

// TestLimitUnderConcurrency submits from many sides at once what only one may.
func TestLimitUnderConcurrency(t *testing.T) {
	t.Parallel()
	one := 1
	b := newCluster(t, Cluster{MaxSubmitPerUser: &one})
	accepted := make(chan bool)
	for range 16 {
		go func() {
			_, err := b.Submit(Spec{System: "alps", User: "alice", WorkingDir: b.home, Script: "#!/bin/sh\n#SBATCH --hold\n"})
			accepted <- err == nil
		}()
	}
	got := 0
	for range 16 {
		if <-accepted {
			got++
		}
	}
	if got != 1 {
		t.Errorf("%d jobs were accepted, want 1", got)
	}
}
