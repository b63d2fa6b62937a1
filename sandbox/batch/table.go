package batch

import "context"

// Table is the batch system of one folder.
type Table struct{}

// Open reads the table in cfg.Dir back, making it if it does not exist.
func Open(cfg Config) (*Table, error) { panic("being written") }

// Submit accepts a job.
func (t *Table) Submit(spec Spec) (id string, err error) { panic("being written") }

// Get returns one job of a system.
func (t *Table) Get(system, id string) (Job, bool) { panic("being written") }

// List returns all jobs of a system.
func (t *Table) List(system string) []Job { panic("being written") }

// Cancel stops a job.
func (t *Table) Cancel(system, id, uid string) error { panic("being written") }

// Wait returns a job once it is terminal.
func (t *Table) Wait(ctx context.Context, system, id string) (Job, error) { panic("being written") }

// Close releases the folder.
func (t *Table) Close() error { panic("being written") }

// ProcessRunner runs payloads as detached processes.
type ProcessRunner struct {
	// Root, if set, is the only tree in which output files are opened.
	Root string
}
