package steps

import (
	"testing"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestJobsThatFail: what ends a job that does nothing wrong is the cause of the
// failure, whenever it comes.
func TestJobsThatFail(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]workflow.Cause{
		"fail-job=node_fail":            workflow.CauseNodeFail,
		"fail-job=boot_fail":            workflow.CauseNodeFail,
		"fail-job=preempted,wait=100ms": workflow.CausePreempted,
		"fail-job=out_of_memory":        workflow.CauseOutOfMemory,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(c *sandbox.Config) { c.Faults = []string{fault + ",match=-simulate"} })
			r := s.run(`
				- { id: prepare, uses: job, with: { script: "#!/bin/sh\nexit 0\n" } }
				- { id: simulate, uses: job, needs: prepare, with: { script: "#!/bin/sh\nexec sleep 300\n" } }
			`)
			if p, u := unit(t, r, "prepare"), unit(t, r, "simulate"); p.State != workflow.Succeeded || u.Cause != want {
				t.Errorf("%s\n%s", u.Cause, states(r))
			}
		})
	}
}
