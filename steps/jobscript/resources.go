package jobscript

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Resources are what a job asks the scheduler for. Zero values ask for nothing:
// the scheduler's default applies.
type Resources struct {
	Nodes        int64
	TasksPerNode int64
	CPUsPerTask  int64
	GPUsPerNode  int64
	Memory       int64 // bytes per node
	Time         time.Duration
	Partition    string
	Account      string
	Reservation  string
	QOS          string
	Constraint   string
	Exclusive    bool
}

// Options returns the resources as long options of sbatch, in a fixed order.
// Memory and time are rounded up, to KiB and seconds.
func (r Resources) Options() ([]string, error) {
	var options []string
	for _, n := range []struct {
		option, key string
		value       int64
	}{
		{"--nodes", "nodes", r.Nodes},
		{"--ntasks-per-node", "tasks_per_node", r.TasksPerNode},
		{"--cpus-per-task", "cpus_per_task", r.CPUsPerTask},
		{"--gpus-per-node", "gpus_per_node", r.GPUsPerNode},
		{"--mem", "memory", r.Memory},
		{"--time", "time", int64(r.Time)},
	} {
		switch {
		case n.value < 0:
			return nil, fmt.Errorf("resources.%s is negative", n.key)
		case n.value == 0:
			continue
		}
		text := strconv.FormatInt(n.value, 10)
		switch n.key {
		case "memory":
			text = slurmMemory(n.value)
		case "time":
			text = slurmTime(r.Time)
		}
		options = append(options, n.option+"="+text)
	}
	for _, w := range []struct{ option, key, value string }{
		{"--partition", "partition", r.Partition},
		{"--account", "account", r.Account},
		{"--reservation", "reservation", r.Reservation},
		{"--qos", "qos", r.QOS},
		{"--constraint", "constraint", r.Constraint},
	} {
		switch {
		case w.value == "":
			continue
		case !plainWord.MatchString(w.value):
			return nil, fmt.Errorf("resources.%s: %q holds a character that a directive cannot carry", w.key, w.value)
		}
		options = append(options, w.option+"="+w.value)
	}
	if r.Exclusive {
		options = append(options, "--exclusive")
	}
	return options, nil
}

// plainWord is what needs no quoting in a directive, where white space, quotes,
// backslashes and # mean something.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._,:@%+=/&|*()\[\]!-]+$`)

// slurmMemory writes bytes in the largest unit that loses nothing.
func slurmMemory(bytes int64) string {
	kib := (bytes-1)/1024 + 1
	unit := "K"
	for _, larger := range []string{"M", "G"} {
		if kib%1024 != 0 {
			break
		}
		kib /= 1024
		unit = larger
	}
	return strconv.FormatInt(kib, 10) + unit
}

// slurmTime writes days-hours:minutes:seconds, the only form without a second
// reading.
func slurmTime(d time.Duration) string {
	s := int64((d-1)/time.Second) + 1
	return fmt.Sprintf("%d-%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
}
