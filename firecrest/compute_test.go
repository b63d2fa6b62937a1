package firecrest

import (
	"errors"
	"net/http"
	"testing"
)

func TestCancelWhatHasEnded(t *testing.T) {
	t.Parallel()
	const slurmSays = "Unexpected Slurm command response. exit_status:1 std_err:scancel: error: Kill job error on job id 7: "
	job := func(state string) *http.Response {
		return answer(200, `{"jobs":[{"jobId":"7","status":{"state":"`+state+`"}}]}`)
	}
	for name, test := range map[string]struct {
		cancel, get *http.Response
		ok          bool
	}{
		"accepted":        {answer(204, ""), nil, true},
		"ending":          {answer(500, errorBody(slurmSays+"Job/step already completing or completed")), nil, true},
		"ended":           {answer(500, errorBody(slurmSays+"Invalid job id specified")), job("COMPLETED"), true},
		"unknown":         {answer(500, errorBody(slurmSays+"Invalid job id specified")), answer(404, errorBody("Job not found.")), true},
		"unknown to PBS":  {answer(500, errorBody("std_err:qdel: Unknown Job Id 7.alps")), answer(500, errorBody("std_err:qstat: Unknown Job Id 7.alps")), true},
		"somebody else's": {answer(500, errorBody(slurmSays+"Access/permission denied")), job("RUNNING"), false},
		"cannot be read":  {answer(500, errorBody(slurmSays+"Invalid job id specified")), gateway(answer(404, "")), false},
		"no rows":         {answer(500, errorBody(slurmSays+"Invalid job id specified")), answer(200, `{"jobs":[]}`), false},
		"timed out":       {answer(408, errorBody("Command execution timeout limit exceeded.")), nil, false},
		"forbidden":       {answer(403, errorBody("x")), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodDelete {
					return test.cancel, nil
				}
				if test.get == nil {
					t.Errorf("asked %s", r.URL)
				}
				return test.get, nil
			}, WithRetry(RetryPolicy{MaxAttempts: 1}))
			err := client.Compute.Cancel(t.Context(), "alps", "7")
			if (err == nil) != test.ok || err != nil && asError(t, err).Status != test.cancel.StatusCode {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestListOfNothingIsNotAnEmptyList(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{`{"jobs":[]}`: true, `{"jobs":null}`: true, `{}`: false, `[]`: false, `null`: false, ``: false} {
		client := memoryClient(t, func(*http.Request) (*http.Response, error) { return answer(200, body), nil }, WithRetry(RetryPolicy{MaxAttempts: 1}))
		jobs, err := client.Compute.List(t.Context(), "alps", nil)
		if (err == nil) != ok || len(jobs) != 0 || !ok && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%q: got %v, %v", body, jobs, err)
		}
	}
}
