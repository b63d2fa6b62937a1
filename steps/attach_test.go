package steps

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// attached is a workflow that runs a command in a job of its own, and ends the
// job.
func attached(script, with string) string {
	return `
	- id: endless
	  uses: submit
	  with: { script: "` + script + `" }
	- id: mark
	  uses: attach_to_job
	  with: { job_id: "${{ steps.endless.outputs.job_id }}", ` + with + ` }
	  max_attempts: 1
	- id: stop
	  uses: cancel_job
	  if: ${{ always() }}
	  with: { job_id: "${{ steps.endless.outputs.job_id }}" }
	  needs: [mark]`
}

const sleeping = `#!/bin/sh\nexec sleep 60`

func TestAttach(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(attached(sleeping, "command: touch attached"))
	s.outputs(r, "mark")
	if _, err := os.Stat(filepath.Join(r.Sites[system].RemoteDir, "attached")); err != nil {
		t.Error(err)
	}
}

func TestAttachOfACommandThatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(attached(sleeping, `command: "false"`))
	if u := unit(t, r, "mark"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "exit code 1") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

func TestAttachToWhatHasEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(`
	- id: short
	  uses: submit
	  with: { script: "#!/bin/sh\n" }
	- id: over
	  uses: wait_for_job
	  with: { job_id: "${{ steps.short.outputs.job_id }}" }
	- id: mark
	  uses: attach_to_job
	  with: { job_id: "${{ steps.short.outputs.job_id }}", command: "true" }
	  needs: [over]`)
	if u := unit(t, r, "mark"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "has ended: it is COMPLETED") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

// TestAttachWithoutAnswer: a command that may have run does not run again unless
// that is allowed.
func TestAttachWithoutAnswer(t *testing.T) {
	t.Parallel()
	for with, again := range map[string]bool{`command: "true"`: false, `command: "true", idempotent: true`: true} {
		s := newSite(t)
		calls := 0
		s.faults("attach", func(n int) *sandbox.Fault {
			if calls = n; n > 1 {
				return nil
			}
			return signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded.")
		})
		u := unit(t, s.run(attached(sleeping, with)), "mark")
		switch {
		case again && (u.State != workflow.Succeeded || calls != 2):
			t.Errorf("%s: %s after %d calls: %s", with, u.State, calls, u.Message)
		case !again && (u.Cause != workflow.CauseAPI || calls != 1 || !strings.Contains(u.Message, "may have run")):
			t.Errorf("%s: %s after %d calls: %s", with, u.Cause, calls, u.Message)
		}
	}
}
