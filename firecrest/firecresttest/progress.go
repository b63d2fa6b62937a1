package firecresttest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

// testProgress watches a job that waits for another to end.
func (s *suite) testProgress(t *testing.T) {
	dir := s.directory(t)
	first := s.submit(t, firecrest.JobSpec{WorkingDirectory: dir, Script: endless})
	second := s.submit(t, firecrest.JobSpec{
		WorkingDirectory: dir, Script: "#!/bin/sh\n#SBATCH --dependency=afterok:" + string(first) + "\n" + strings.Replace(endless, "stop", "stop2", 1),
	})
	var states []string
	over := s.watch(t, t.Context(), s.System, second, func(job firecrest.Job) bool {
		state := string(job.Status.State)
		if len(states) == 0 || states[len(states)-1] != state {
			states = append(states, state)
			switch state {
			case "PENDING":
				s.write(t, dir, "stop", "x")
			case "RUNNING":
				s.write(t, dir, "stop2", "x")
			}
		}
		return job.Status.State.IsTerminal()
	})
	if want := []string{"PENDING", "RUNNING", "COMPLETED"}; !slices.Equal(states, want) || !over.Succeeded() {
		t.Errorf("states %q, want %q", states, want)
	}
	if got := s.read(t, dir+"/slurm-"+string(second)+".out"); got != "" {
		t.Errorf("output %q", got)
	}
}

// lag is how long a LaggingSystem does not know a new job, at least.
const lag = time.Second

func (s *suite) testLaggingJob(t *testing.T) {
	system := s.oddSystem(t, LaggingSystem)
	home := s.homeOn(t, system)
	asked := time.Now()
	id, err := s.client.Compute.Submit(t.Context(), system.Name, firecrest.JobSpec{
		WorkingDirectory: home, Script: "#!/bin/sh\n", StandardOutput: "/dev/null",
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.Compute.Get(t.Context(), system.Name, id)
	if err != nil || time.Since(asked) < lag { // else this machine is too slow to see it
		wantError(t, err, firecrest.ErrNotFound, noSuchJob)
	}
	if job := s.waitOn(t, t.Context(), system.Name, id); !job.Succeeded() {
		t.Errorf("job %+v", job)
	}
}

func (s *suite) testAttach(t *testing.T) {
	s.except(t, LacksScripts)
	s.except(t, IgnoresAttach)
	dir := s.directory(t)
	id := s.submit(t, firecrest.JobSpec{WorkingDirectory: dir, Script: endless})
	s.waitUntil(t, t.Context(), id, func(job firecrest.Job) bool { return job.Status.State == "RUNNING" })
	attach := func(id firecrest.JobID, command string) error {
		return s.client.Compute.Attach(t.Context(), s.System, id, command)
	}
	if err := attach(id, "touch "+dir+"/attached"); err != nil {
		t.Fatal(err)
	}
	if stat := s.stat(t, dir+"/attached", false); !stat.IsRegular() {
		t.Errorf("file %+v", stat)
	}
	if failure := wantError(t, attach(id, "false"), nil, "exit_status:1"); failure.Status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", failure.Status)
	}
	wantError(t, attach(unknownJob, "true"), nil, "Invalid job id specified")
	s.send(t, s.request(t, http.MethodPut, s.jobsPath("/"+string(id)+"/attach"), nil, members{})).
		wantFailure(t, http.StatusInternalServerError, "expected str instance")
}

func (s *suite) testArray(t *testing.T) {
	s.except(t, LacksScripts)
	s.except(t, BreaksArrays)
	dir := s.directory(t)
	id := s.submit(t, firecrest.JobSpec{
		WorkingDirectory: dir, Script: "#!/bin/sh\n#SBATCH --array=0-3%2\necho task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_JOB_ID\nexit $SLURM_ARRAY_TASK_ID\n",
	})
	s.wait(t, t.Context(), id)
	rows, err := s.client.Compute.Get(t.Context(), s.System, id)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[firecrest.JobID]int64{}
	for _, row := range rows {
		if row.Status.ExitCode != nil {
			codes[row.ID] = *row.Status.ExitCode
		}
	}
	want := map[firecrest.JobID]int64{id + "_0": 0, id + "_1": 1, id + "_2": 2, id + "_3": 3}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("exit codes of tasks (-want +got):\n%s", diff)
	}
	if got, want := s.read(t, dir+"/slurm-"+string(id)+"_2.out"), "task 2 of "+string(id)+"\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}
