package sandbox

import (
	"encoding/json"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// TestReplaySite sends what was sent to a real server about its systems and
// jobs, as several users, and wants the same answers, save what chance decides.
func TestReplaySite(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/replay-site-2.5.6.json")
	if err != nil {
		t.Fatal(err)
	}
	r := described(t)
	r.write("run.sh", "#!/bin/bash\n#SBATCH --job-name=from_path\necho from path\n")
	root := r.srv.Root()
	text := strings.NewReplacer("/home", root+"/home", "/scratch", root+"/scratch", "http://firecrest.example.org", r.url,
		`sleep 2\n`, `until [ -e go ]; do sleep 0.05; done\n`).Replace(string(data))
	var requests []recorded
	if err := json.Unmarshal([]byte(text), &requests); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"<token>": r.token}
	for name, user := range map[string]string{"<token:bob>": "bob", "<token:no-ssh-key>": "carol"} {
		if tokens[name], err = r.srv.issueToken(user, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	ids := jobNumbers{}
	for _, rec := range requests {
		t.Run(rec.Name, func(t *testing.T) {
			ids.missing(r, rec.Name)
			if rec.Name == "get-array-finished" {
				r.write("go", "")
			}
			rec.Path, rec.Answer.Body = ids.replace(rec.Path), []byte(ids.replace(string(rec.Answer.Body)))
			for name, value := range rec.Query {
				rec.Query[name] = ids.replace(value)
			}
			r.settle(rec)
			got := replay(t, r, rec, tokens)
			if got.status != rec.Answer.Status {
				t.Fatalf("status %d, want %d; body %.300s", got.status, rec.Answer.Status, got.body)
			}
			checkHeaders(t, got.header, rec.Answer.Headers, tokens)
			if len(rec.Answer.Body) == 0 {
				if len(got.body) > 0 {
					t.Errorf("body %q, want none", got.body)
				}
				return
			}
			ids.learn(t, rec.Answer.Body, got.body)
			if diff := cmp.Diff(withoutClock(t, []byte(ids.replace(string(rec.Answer.Body)))), withoutClock(t, got.body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// jobNumbers are the ids that jobs had when they were recorded, and have now.
type jobNumbers map[string]string

var recordedID = regexp.MustCompile(`\b10[34]\d\b|\b10[34]\d_`)

func (ids jobNumbers) replace(text string) string {
	return recordedID.ReplaceAllStringFunc(text, func(was string) string {
		if is, known := ids[strings.TrimSuffix(was, "_")]; known {
			return is + was[4:]
		}
		return was
	})
}

// learn notes the id of a job just submitted. The parts of an array take the
// ones after it.
func (ids jobNumbers) learn(t *testing.T, recorded, got []byte) {
	var was, is struct{ JobID string }
	if json.Unmarshal(recorded, &was) != nil || json.Unmarshal(got, &is) != nil || was.JobID == "" {
		return
	}
	first, err1 := strconv.Atoi(was.JobID)
	now, err2 := strconv.Atoi(is.JobID)
	if err1 != nil || err2 != nil {
		t.Fatalf("job ids %q and %q", was.JobID, is.JobID)
	}
	for n := range 3 {
		ids[strconv.Itoa(first+n)] = strconv.Itoa(now + n)
	}
}

// missing submits the two jobs whose submission was not recorded, just before
// they are first asked for.
func (ids jobNumbers) missing(r *rig, name string) {
	switch name {
	case "metadata-completed":
		ids["1039"] = r.submit("#!/bin/bash\necho $FOO\necho e >&2\n", "name", "full", "account", "proj2",
			"standardOutput", "out-%j.txt", "standardError", "err-%j.txt", "env", members{"FOO": "bar"})
		r.wait(ids["1039"])
	case "cancel-running":
		ids["1049"] = r.submit("#!/bin/bash\nsleep 600\n", "name", "cancelme")
		r.until(ids["1049"], func(s batch.State) bool { return s == batch.Running })
	}
}

// settle waits until the jobs a recorded answer shows have come as far.
func (r *rig) settle(rec recorded) {
	var answer struct {
		Jobs []struct {
			JobID  string
			Status struct{ State, StateReason string }
		}
	}
	if rec.Method != "GET" || json.Unmarshal(rec.Answer.Body, &answer) != nil {
		return
	}
	for i, job := range answer.Jobs {
		want, _, _ := strings.Cut(job.Status.State, " ")
		if array, _, _ := strings.Cut(job.JobID, "_"); want == "PENDING" {
			r.pending(array, job.Status.StateReason)
		}
		if want == "" || strings.Contains(job.JobID, "[") {
			continue
		}
		if array, _, isPart := strings.Cut(job.JobID, "_"); isPart {
			job.JobID = r.srv.jobs.Find("alps", array)[i].ID
		}
		r.until(job.JobID, func(s batch.State) bool { return string(s) == want })
	}
}

// withoutClock is an answer without what depends on the time, the load and the
// machines of the site.
func withoutClock(t *testing.T, body []byte) any {
	t.Helper()
	numbers := []string{
		"elapsed", "start", "end", "startTime", "endTime", "lastUpdate", "lastChecked", "lastHealthCheck",
		"cpuLoad", "freeMemory", "allocCpus", "idleCpus",
	}
	ours := []string{"cluster", "host", "maxClients", "latency", "publicUrl", "publicIps", "parallel_runs", "pypiIndexUrl", "healthcheckRuns"}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				switch {
				case slices.Contains(ours, key), key == "message" && v["serviceType"] == "scheduler":
					v[key] = nil
				case slices.Contains(numbers, key) && inner != nil:
					v[key] = "some"
				}
				walk(v[key])
			}
			if v["killRequestUser"] == nil && v["jobId"] != nil && path.Base(asText(v["nodes"])) == noNode {
				v["nodes"] = "nid001" // the recorded stand-in gave cancelled jobs a node
			}
			if v["errorType"] == "validation" {
				v["message"] = nil // free text of a framework
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	walk(v)
	return v
}

func asText(v any) string {
	text, _ := v.(string)
	return text
}
