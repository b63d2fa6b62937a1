package jobscript

// Scheduler is the batch system that a script is for. The values are those by
// which FirecREST names them.
type Scheduler string

const (
	// Unknown is the scheduler of a system that was not asked for it.
	Unknown Scheduler = ""
	Slurm   Scheduler = "slurm"
	PBS     Scheduler = "pbs"
)
