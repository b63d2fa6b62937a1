package batch

import "syscall"

// Start implements Runner.
func (ProcessRunner) Start(l Launch) error { panic("being written") }

// Poll implements Runner.
func (ProcessRunner) Poll(job Job, dir string) (End, bool) { panic("being written") }

// Kill implements Runner.
func (ProcessRunner) Kill(job Job, dir string, target Target, sig syscall.Signal) error {
	panic("being written")
}
