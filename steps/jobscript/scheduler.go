package jobscript

import "strings"

// Scheduler is the batch system that a script is for. The values are those by
// which FirecREST names them.
type Scheduler string

const (
	// Unknown is the scheduler of a system that was not asked for it: a workflow
	// is checked before anybody is.
	Unknown Scheduler = ""
	Slurm   Scheduler = "slurm"
	PBS     Scheduler = "pbs"
)

// Guess returns the scheduler that a script and a list of directives are written
// for, Unknown if they do not tell: sbatch alone has long options, and of qsub
// hardly anything can be had without -l.
func Guess(script string, list []string) Scheduler {
	slurm, pbs := len(Slurm.directives(script)) > 0, len(PBS.directives(script)) > 0
	for _, text := range list {
		slurm = slurm || strings.HasPrefix(text, "--")
		pbs = pbs || strings.HasPrefix(text, "-l")
	}
	switch {
	case slurm && !pbs:
		return Slurm
	case pbs && !slurm:
		return PBS
	}
	return Unknown
}

// candidates are the schedulers that it may be.
func (s Scheduler) candidates() []Scheduler {
	if s == Unknown {
		return []Scheduler{Slurm, PBS}
	}
	return []Scheduler{s}
}

// prefix begins a directive in a script.
func (s Scheduler) prefix() string {
	if s == PBS {
		return "#PBS"
	}
	return "#SBATCH"
}

// command submits a script.
func (s Scheduler) command() string {
	if s == PBS {
		return "qsub"
	}
	return "sbatch"
}

// example is an option of the command.
func (s Scheduler) example() string {
	if s == PBS {
		return "-W depend=afterok:12"
	}
	return "--gres=gpu:2"
}

// other is the scheduler that it is not.
func (s Scheduler) other() Scheduler {
	if s == PBS {
		return Slurm
	}
	return PBS
}
