package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// notImitated are recorded answers that the sandbox gives with the same status
// and otherwise not, by release and name, with the reason. "*" is every release.
var notImitated = map[string]map[string]string{
	"*": {
		"token-too-short-lived": otherSystems,
	},
	"2.1.3": {
		"request-id-not-a-uuid":                otherSystems,
		"correlation-id-not-a-uuid":            otherSystems,
		"list-account-filter-none":             otherJobs,
		"list-allusers-bad":                    otherJobs,
		"token-empty-bearer":                   "how a header without a token is refused is up to a framework that every release can come with",
		"view-missing":                         otherTool,
		"view-permission-denied":               otherTool,
		"output-log-of-download-s3":            otherLogs,
		"output-log-of-download-s3-two-parts":  otherLogs,
		"output-log-of-download-s3-empty-file": otherLogs,
		"error-log-of-download-s3-empty-file":  otherLogs,
		"output-log-of-rm":                     otherLogs,
	},
	"2.3.1": {"list-account-filter-none": otherJobs},
	"2.4.0": {"list-account-filter-none": otherJobs},
	"2.4.2": {"output-log-of-download-s3-two-parts": "the parts were sent side by side, and their lines came as they finished"},
}

const (
	otherSystems = "the answer is the list of systems, which is compared under its own name"
	otherJobs    = "the recorded server had jobs that were never submitted to it"
	otherTool    = "the text is that of the program that read files then"
	otherLogs    = "the logs of jobs are those of the newest release"
)

// exchanges are what was recorded of one release: about files and tokens,
// transfers, and the site and its jobs.
type exchanges struct {
	Files, Transfers, Site []recorded
}

func readExchanges(t *testing.T, release string, translate ...string) exchanges {
	t.Helper()
	data, err := os.ReadFile("testdata/replay-" + release + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var all exchanges
	if err := json.Unmarshal([]byte(strings.NewReplacer(translate...).Replace(string(data))), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReplayReleases sends to the sandbox in the guise of each recorded release
// what was sent to a server of that release, and wants the same answers.
func TestReplayReleases(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"2.1.3", "2.3.1", "2.4.0", "2.4.2", "2.5.7"} {
		as := func(c *Config) { c.Release = release }
		t.Run(release+" files", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, as)
			r.t = t
			furnish(t, r)
			locked := filepath.Join(filepath.Dir(r.scratch), "locked")
			all := readExchanges(t, release, "/home/alice", r.home, "/scratch/alice", r.scratch, "/scratch/locked", locked,
				"http://firecrest.example.org", r.url, `"alice"`, `"demo"`, `\\303\\251t\\303\\251`, "été")
			tokens := oddTokens(t, r)
			for _, rec := range all.Files {
				r.compare(t, release, rec, tokens, withoutChance)
			}
		})
		t.Run(release+" transfers", func(t *testing.T) {
			t.Parallel()
			r := described(t, as, func(c *Config) {
				for i := range c.Site.Systems { // of one server then, and not of each system
					c.Site.Systems[i].Transfer.MaxPartSize = 5 << 20
					c.Site.Systems[i].Transfer.Poll = Duration(5 * time.Millisecond)
				}
			})
			r.t = t
			furnish(t, r)
			furnishTransfers(r)
			root := r.srv.Root()
			all := readExchanges(t, release, "/home/", root+"/home/", "/scratch/", root+"/scratch/", "http://firecrest.example.org", r.url,
				"https://s3.example.org", r.url+StorePath)
			var learned []string // recorded names and ours, in pairs
			for _, rec := range all.Transfers {
				ours := strings.NewReplacer(learned...)
				rec.Path = ours.Replace(rec.Path)
				for name, value := range rec.Query {
					rec.Query[name] = ours.Replace(value)
				}
				got := r.compare(t, release, rec, nil, withoutLuck)
				var was, is looseTransfer
				_, _ = json.Unmarshal(rec.Answer.Body, &was), json.Unmarshal(got.body, &is)
				if id := fmt.Sprint(was.Job.ID); was.Job.ID != nil && is.Job.ID != nil {
					learned = append(learned, was.Job.Logs.Output, is.Job.Logs.Output, was.Job.Logs.Error, is.Job.Logs.Error,
						"/jobs/"+id, "/jobs/"+fmt.Sprint(is.Job.ID))
				}
				r.play(rec.Name, is)
				if strings.HasPrefix(rec.Name, "cancel-") {
					r.wait(rec.Path[strings.LastIndex(rec.Path, "/")+1:])
				}
			}
		})
		t.Run(release+" site", func(t *testing.T) {
			t.Parallel()
			r := described(t, as)
			r.t = t
			furnish(t, r)
			root := r.srv.Root()
			all := readExchanges(t, release, "/home", root+"/home", "/scratch", root+"/scratch", "http://firecrest.example.org", r.url,
				"https://s3.example.org", r.url+StorePath)
			tokens := map[string]string{"<token>": r.token}
			for name, user := range map[string]string{"<token:bob>": "bob", "<token:no-ssh-key>": "carol"} {
				token, err := r.srv.issueToken(user, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				tokens[name] = token
			}
			for _, rec := range all.Site {
				r.compare(t, release, rec, tokens, withoutSite)
			}
		})
	}
}

// compare sends a recorded request and compares the answer.
func (r *rig) compare(t *testing.T, release string, rec recorded, tokens map[string]string, normal func(*testing.T, []byte) any) (got answer) {
	t.Helper()
	got = replay(t, r, rec, tokens)
	reason, known := notImitated[release][rec.Name]
	if !known {
		reason, known = notImitated["*"][rec.Name]
	}
	t.Run(rec.Name, func(t *testing.T) {
		if got.status != rec.Answer.Status {
			t.Fatalf("status %d, want %d; body %.300s", got.status, rec.Answer.Status, got.body)
		}
		if known {
			t.Log("not compared further:", reason)
			return
		}
		version := rec.Answer.Headers["f7t-appversion"]
		if version == "2.x.x" { // a build on the way to the release
			version = release
		}
		if got.header.Get("F7T-AppVersion") != version {
			t.Errorf("release %q, want %q", got.header.Get("F7T-AppVersion"), version)
		}
		checkHeaders(t, got.header, rec.Answer.Headers, tokens)
		switch {
		case rec.Answer.Base64 != nil:
			if diff := cmp.Diff(rec.Answer.Base64, got.body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		case rec.Answer.Body != nil:
			if diff := cmp.Diff(normal(t, rec.Answer.Body), normal(t, got.body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		case len(got.body) > 0 && got.status != 307:
			t.Errorf("body %q, want none", got.body)
		}
	})
	return got
}

// looseTransfer is the answer to a transfer in any release.
type looseTransfer struct {
	Job struct {
		ID     any `json:"jobId"`
		System string
		Logs   struct {
			Output string `json:"outputLog"`
			Error  string `json:"errorLog"`
		}
	} `json:"transferJob"`
	Directives directivesOfAnyRelease `json:"transferDirectives"`
	directivesOfAnyRelease
}

type directivesOfAnyRelease struct {
	Parts        []string `json:"partsUploadUrls"`
	Complete     string   `json:"completeUploadUrl"`
	PartSize     int64    `json:"maxPartSize"`
	SnakeParts   []string `json:"parts_upload_urls"`
	SnakeDone    string   `json:"complete_upload_url"`
	SnakePartMax int64    `json:"max_part_size"`
}

// play waits for the job of a transfer, and plays the client's part in the one
// upload that is completed.
func (r *rig) play(name string, is looseTransfer) {
	r.t.Helper()
	if is.Job.ID == nil {
		return
	}
	if name == "upload-s3-11MB-three-parts" {
		var tr transferred
		for _, d := range []directivesOfAnyRelease{is.directivesOfAnyRelease, is.Directives} {
			tr.Directives.Parts = slices.Concat(tr.Directives.Parts, d.Parts, d.SnakeParts)
			tr.Directives.Complete += d.Complete + d.SnakeDone
			tr.Directives.MaxPartSize += d.PartSize + d.SnakePartMax
		}
		tr.send(r.t, make([]byte, 11_000_000))
	} else if strings.HasPrefix(name, "upload-") || strings.Contains(name, "streamer") || strings.Contains(name, "wormhole") {
		return
	}
	r.untilOn(is.Job.System, fmt.Sprint(is.Job.ID), batch.State.Terminal)
}

// withoutSite takes out of an answer what the described site has otherwise than
// the recorded one.
func withoutSite(t *testing.T, body []byte) any {
	t.Helper()
	ours := []string{
		"startTime", "endTime", "lastUpdate", "lastChecked", "lastHealthCheck", "healthcheckRuns", "cpuLoad", "freeMemory", "allocCpus", "idleCpus",
		"host", "port", "maxClients", "latency", "parallel_runs", "publicIps", "pypiIndexUrl",
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if slices.Contains(ours, key) || key == "message" && v["serviceType"] == "scheduler" {
					v[key] = nil
				}
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	v := withoutLuck(t, body)
	walk(v)
	return v
}

// TestReleaseBoundaries looks at each release for what changed between those
// that were recorded.
func TestReleaseBoundaries(t *testing.T) {
	t.Parallel()
	for _, release := range Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			r := described(t, func(c *Config) { c.Release = release })
			r.t = t
			since := func(first string) bool { return age(release) >= age(first) }
			check := func(what, first string, got bool) {
				t.Helper()
				if got != since(first) {
					t.Errorf("%s: %t, want it from %s on", what, got, first)
				}
			}
			body := func(path string) string { return string(r.do("GET", path, nil).body) }
			check("causedBy", "2.5.5", strings.Contains(body("/compute/nope/jobs"), "causedBy"))
			check("accounts", "2.5.1", strings.Contains(body("/status/alps/userinfo"), "accounts"))
			check("several states of a node", "2.5.1", strings.Contains(body("/status/alps/nodes"), `"state":["IDLE"]`))
			check("states of reservations", "2.5.4", strings.Contains(body("/status/alps/reservations"), `"state"`))
			check("hidden partitions", "2.5.4", !strings.Contains(body("/status/alps/partitions"), "xfer"))
			check("dataOperation of each system", "2.5.0", strings.Contains(body("/status/systems"), `"dataOperation":{"datatransfer_jobs_directives"`))
			check("connectionMode", "2.4.2", strings.Contains(body("/status/systems"), "connectionMode"))
			check("relative path", "2.5.6", r.ops("GET", "ls", "data").status == 400)
			check("no path", "2.4.1", strings.Contains(string(r.do("GET", "/filesystem/alps/ops/ls", nil).body), "Unable to decode"))
			check("empty list", "2.5.1", strings.Contains(body("/compute/alps/jobs"), `"jobs":[]`))
			r.write("bytes", "\xff\xfe")
			check("bytes that are no text", "2.5.2", r.ops("GET", "view", r.home+"/bytes").status == 200)
			check("list window is checked", "2.5.7", r.do("GET", "/compute/alps/jobs?time_window=2d", nil).status == 400)
			quota := r.do("POST", "/compute/alps/jobs", members{"job": members{"working_directory": r.home, "script": "#!/bin/bash\n#SBATCH --qos=tiny\n"}})
			check("limits are told apart", "2.5.5", quota.status == 403)
			check("method must fit", "2.5.0", r.do("POST", "/filesystem/strm/transfer/download", s3Download(r.home+"/bytes")).status == 400)
			for _, job := range slices.Concat(r.srv.jobs.List("strm"), r.srv.jobs.List("alps")) {
				r.do("DELETE", "/compute/"+job.Spec.System+"/jobs/"+job.ID, nil)
				r.untilOn(job.Spec.System, job.ID, batch.State.Terminal)
			}

			got := r.do("POST", "/compute/alps/jobs", members{"job": members{
				"working_directory": r.home, "partition": "nosuch", "script": "#!/bin/bash\n#SBATCH --hold\n",
			}})
			check("partition of a submission", "2.5.4", got.status == 500)
			if got.status != 201 {
				return
			}
			var id struct{ JobID any }
			got.decode(t, &id)
			_, isText := id.JobID.(string)
			check("text for an id", "2.5.0", isText)
			var held struct {
				Jobs []struct {
					JobID  any
					Nodes  string
					Status struct{ ExitCode *int }
				}
			}
			r.do("GET", fmt.Sprint("/compute/alps/jobs/", id.JobID), nil).decode(t, &held)
			_, isText = held.Jobs[0].JobID.(string)
			check("text for an id", "2.5.0", isText)
			check("queue of the scheduler is asked", "2.5.1", held.Jobs[0].Status.ExitCode == nil && held.Jobs[0].Nodes == "")
			r.do("DELETE", fmt.Sprint("/compute/alps/jobs/", id.JobID), nil)
		})
	}
}

// TestNumberedArrays shows how releases with numbers for job ids fail at arrays.
func TestNumberedArrays(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Release = "2.4.2" })
	submit := func(script string) string {
		var id struct{ JobID int }
		r.do("POST", "/compute/alps/jobs", members{"job": members{"working_directory": r.home, "script": script}}).decode(t, &id)
		return fmt.Sprint(id.JobID)
	}
	id := submit("#!/bin/sh\n#SBATCH --array=0-1%1\nwhile [ ! -e go ]; do sleep 0.01; done\n")
	r.until(r.srv.jobs.Find("alps", id)[0].ID, func(s batch.State) bool { return s == batch.Running })
	for _, path := range []string{"/compute/alps/jobs/" + id, "/compute/alps/jobs"} {
		got := r.do("GET", path, nil)
		want(t, got, 500)
		if !strings.Contains(string(got.body), `"message":"()"`) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	r.write("go", "")
	for _, part := range r.srv.jobs.Find("alps", id) {
		r.wait(part.ID)
	}
	var got struct {
		Jobs []struct {
			JobID int
			Tasks []struct{ ID string }
		}
	}
	r.do("GET", "/compute/alps/jobs/"+id, nil).decode(t, &got)
	for i, part := range got.Jobs {
		if want := fmt.Sprint(id, i); fmt.Sprint(part.JobID) != want || part.Tasks[0].ID != fmt.Sprintf("%s_%d.batch", id, i) {
			t.Errorf("part %d is %+v, want id %s", i, part, want)
		}
	}
}

// TestDefaultRelease wants what is ahead of the release that is reported.
func TestDefaultRelease(t *testing.T) {
	t.Parallel()
	names := func(release, query string) int {
		r := newRig(t, func(c *Config) { c.Release = release })
		r.wait(r.submit("#!/bin/sh\n", "name", "one"))
		r.wait(r.submit("#!/bin/sh\n", "name", "two"))
		return len(r.jobs("/compute/alps/jobs?" + query))
	}
	for _, test := range []struct {
		release string
		want    int
	}{{"", 1}, {"2.5.6", 2}, {"2.5.7", 1}} {
		if got := names(test.release, "name=one"); got != test.want {
			t.Errorf("release %q lists %d jobs of a name, want %d", test.release, got, test.want)
		}
	}
	for _, release := range []string{"2.6.0", "2.2.0", "latest"} {
		_, err := Open(Config{Root: t.TempDir(), Release: release})
		if err == nil || !strings.Contains(err.Error(), "want one of 2.1.3, 2.3.1") {
			t.Errorf("release %q: %v", release, err)
		}
	}
}

// TestListWindows wants jobs in lists as long ago as the release goes back.
func TestListWindows(t *testing.T) {
	t.Parallel()
	for release, shown := range map[string][]time.Duration{
		"":      {0, 5 * 24 * time.Hour},
		"2.5.6": {0, 5 * 24 * time.Hour},
		"2.5.7": {0},
		"2.4.0": {0},
	} {
		found, err := findRelease(release)
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{release: found, cfg: Config{Release: release}}
		req := httptest.NewRequest("GET", "/compute/alps/jobs", nil)
		c := &call{r: req, route: &route{op: jobList}}
		if err := found.request(s, c); err != nil {
			t.Fatal(err)
		}
		since := s.listedSince(timeWindows[req.URL.Query().Get("time_window")])
		for _, ago := range []time.Duration{0, 5 * 24 * time.Hour, 8 * 24 * time.Hour} {
			if got := time.Now().Add(-ago).After(since); got != slices.Contains(shown, ago) {
				t.Errorf("release %q, %s ago: shown %t", release, ago, got)
			}
		}
	}
}
