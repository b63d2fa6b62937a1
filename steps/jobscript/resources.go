package jobscript

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
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

// Given reports whether a key of `resources` is asked for.
func (r Resources) Given(key string) bool {
	return map[string]bool{
		"nodes": r.Nodes != 0, "tasks_per_node": r.TasksPerNode != 0, "cpus_per_task": r.CPUsPerTask != 0,
		"gpus_per_node": r.GPUsPerNode != 0, "memory": r.Memory != 0, "time": r.Time != 0, "partition": r.Partition != "",
		"account": r.Account != "", "reservation": r.Reservation != "", "qos": r.QOS != "", "constraint": r.Constraint != "",
		"exclusive": r.Exclusive,
	}[key]
}

// Options returns the resources as options of the scheduler's command, in a
// fixed order; those of sbatch if the scheduler is unknown. Memory and time are
// rounded up, to KiB and seconds. What PBS does not have is an error.
func (r Resources) Options(scheduler Scheduler) ([]string, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if scheduler == PBS {
		return r.pbs()
	}
	return r.slurm(), nil
}

func (r Resources) check() error {
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"nodes", r.Nodes},
		{"tasks_per_node", r.TasksPerNode},
		{"cpus_per_task", r.CPUsPerTask},
		{"gpus_per_node", r.GPUsPerNode},
		{"memory", r.Memory},
		{"time", int64(r.Time)},
	} {
		if n.value < 0 {
			return fmt.Errorf("resources.%s is negative", n.key)
		}
	}
	for _, w := range []struct{ key, value string }{
		{"partition", r.Partition},
		{"account", r.Account},
		{"reservation", r.Reservation},
		{"qos", r.QOS},
		{"constraint", r.Constraint},
	} {
		if w.value != "" && !plainWord.MatchString(w.value) {
			return fmt.Errorf("resources.%s: %q holds a character that a directive cannot carry", w.key, w.value)
		}
	}
	return nil
}

// plainWord is what needs no quoting in a directive, where white space, quotes,
// backslashes and # mean something.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._,:@%+=/&|*()\[\]!-]+$`)

func (r Resources) slurm() []string {
	var options []string
	add := func(option string, given bool, value string) {
		if given {
			options = append(options, option+value)
		}
	}
	count := func(option string, n int64) { add(option, n != 0, strconv.FormatInt(n, 10)) }
	word := func(option, text string) { add(option, text != "", text) }
	count("--nodes=", r.Nodes)
	count("--ntasks-per-node=", r.TasksPerNode)
	count("--cpus-per-task=", r.CPUsPerTask)
	count("--gpus-per-node=", r.GPUsPerNode)
	add("--mem=", r.Memory != 0, strings.ToUpper(memory(r.Memory)))
	add("--time=", r.Time != 0, slurmTime(r.Time))
	word("--partition=", r.Partition)
	word("--account=", r.Account)
	word("--reservation=", r.Reservation)
	word("--qos=", r.QOS)
	word("--constraint=", r.Constraint)
	add("--exclusive", r.Exclusive, "")
	return options
}

// pbs asks for one chunk for each node. Chunks may share a node unless they are
// told not to, and place goes with select only.
func (r Resources) pbs() ([]string, error) {
	for _, missing := range []struct{ key, value, instead string }{
		{"qos", r.QOS, "PBS has no quality of service: ask for a queue by resources.partition"},
		{"constraint", r.Constraint, "PBS has no constraints: ask for chunks of the right kind by a directive -l select=…"},
		{"reservation", r.Reservation, "a reservation of PBS is a queue: ask for it by resources.partition"},
	} {
		if missing.value != "" {
			return nil, fmt.Errorf("resources.%s cannot be had: %s", missing.key, missing.instead)
		}
	}
	chunk, err := r.chunk()
	if err != nil {
		return nil, err
	}
	var options []string
	if r.Nodes != 0 || r.Exclusive || chunk != "" {
		options = append(options, fmt.Sprintf("-l select=%d%s", max(1, r.Nodes), chunk))
	}
	switch {
	case r.Nodes > 1 && r.Exclusive:
		options = append(options, "-l place=scatter:excl")
	case r.Nodes > 1:
		options = append(options, "-l place=scatter")
	case r.Exclusive:
		options = append(options, "-l place=excl")
	}
	if r.Time != 0 {
		options = append(options, "-l walltime="+pbsTime(r.Time))
	}
	if r.Partition != "" {
		options = append(options, "-q "+r.Partition)
	}
	if r.Account != "" {
		options = append(options, "-A "+r.Account)
	}
	return options, nil
}

// chunk is what a job has on each node, for -l select.
func (r Resources) chunk() (string, error) {
	var chunk string
	if r.TasksPerNode != 0 || r.CPUsPerTask != 0 {
		tasks, cpus := max(1, r.TasksPerNode), max(1, r.CPUsPerTask)
		if tasks > math.MaxInt64/cpus {
			return "", errors.New("resources.tasks_per_node times resources.cpus_per_task is too much")
		}
		chunk += fmt.Sprintf(":ncpus=%d", tasks*cpus)
	}
	if r.TasksPerNode != 0 {
		chunk += fmt.Sprintf(":mpiprocs=%d", r.TasksPerNode)
	}
	if r.GPUsPerNode != 0 {
		chunk += fmt.Sprintf(":ngpus=%d", r.GPUsPerNode)
	}
	if r.Memory != 0 {
		chunk += ":mem=" + memory(r.Memory) + "b"
	}
	return chunk, nil
}

// memory writes bytes in the largest unit of k, m and g that loses nothing; both
// schedulers mean powers of 1024.
func memory(bytes int64) string {
	kib := (bytes-1)/1024 + 1
	unit := "k"
	for _, larger := range []string{"m", "g"} {
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
	s := wholeSeconds(d)
	return fmt.Sprintf("%d-%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
}

// pbsTime writes hours:minutes:seconds; PBS has no days.
func pbsTime(d time.Duration) string {
	s := wholeSeconds(d)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func wholeSeconds(d time.Duration) int64 { return int64((d-1)/time.Second) + 1 }
