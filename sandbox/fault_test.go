package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// switchOn replaces the fault switches; the seed is printed if the test fails.
func (r *rig) switchOn(seed uint64, faults ...string) {
	r.t.Helper()
	if err := r.srv.SetFaults(seed, faults...); err != nil {
		r.t.Fatal(err)
	}
	seed, _ = r.srv.Faults()
	r.t.Logf("faults %q with seed %d", faults, seed)
}

// fired is how often the one switch did anything.
func (r *rig) fired() int {
	r.t.Helper()
	_, states := r.srv.Faults()
	if len(states) != 1 {
		r.t.Fatalf("switches %+v, want one", states)
	}
	return states[0].Fired
}

// try is the status of a request, 0 if the connection was cut.
func (r *rig) try(method, path string, body any) answer {
	r.t.Helper()
	resp, err := noRedirect.Do(r.request(method, path, body))
	if err != nil {
		return answer{}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, body: make([]byte, 4096)}
	n, _ := resp.Body.Read(a.body)
	a.body = a.body[:n]
	return a
}

// TestFaultsOfAnswers switches on each fault that hits requests to the API.
func TestFaultsOfAnswers(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		statuses []int // of queries, one after the other
		ours     bool  // the answer has the headers of the server
		text     string
		retry    string
	}{
		"429":                                   {[]int{429}, false, "Too Many", "1"},
		"429,retry-after=none":                  {[]int{429}, false, "Too Many", ""},
		"429,retry-after=soon":                  {[]int{429}, false, "Too Many", "soon"},
		"5xx":                                   {[]int{502, 503, 504, 502}, false, "", ""},
		"html":                                  {[]int{502}, false, "<h1>502 Bad Gateway</h1>", ""},
		"html,status=200":                       {[]int{200}, false, "<h1>200 OK</h1>", ""},
		"status=418":                            {[]int{418}, false, "teapot", ""},
		"status=503,retry-after=7":              {[]int{503}, false, "Unavailable", "7"},
		"408":                                   {[]int{408}, true, "Command execution timeout limit exceeded.", ""},
		"424":                                   {[]int{424, 424, 424}, true, "SSH c", ""},
		"500":                                   {[]int{500}, true, `"causedBy":["Unexpected Slurm command response. exit_status:1 std_err:sacct`, ""},
		"drop-request":                          {[]int{0}, false, "", ""},
		"drop-reply":                            {[]int{0}, false, "", ""},
		"drop-submit":                           {[]int{200}, true, "", ""},
		"status=500,times=2":                    {[]int{500, 500, 200}, false, "", ""},
		"status=500,after=2":                    {[]int{200, 200, 500}, true, "", ""},
		"status=500,rate=0":                     {[]int{200, 200}, true, "", ""},
		"status=500,ops=POST *":                 {[]int{200}, true, "", ""},
		"status=500,ops=GET /comp*/jo":          {[]int{200}, true, "", ""},
		"status=500,ops=* /compute/*":           {[]int{500}, false, "", ""},
		"status=500,ops=GET /compute/alps/jobs": {[]int{500}, false, "", ""},
		"status=500,ops=GET /compute/{system_name}/jobs": {[]int{500}, false, "", ""},
		"status=500,match=mine":                          {[]int{500}, false, "", ""},
		"status=500,match=yours":                         {[]int{200}, true, "", ""},
		"unhealthy=scheduler":                            {[]int{503}, true, "The scheduler service for the requested system (alps) is unhealthy.", ""},
		"unhealthy=ssh,times=1":                          {[]int{503, 200}, true, "The ssh service", ""},
		"unhealthy=scheduler,system=daint":               {[]int{200}, true, "", ""},
		"unhealthy=home":                                 {[]int{200}, true, "", ""},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.t = t
			r.switchOn(0, fault)
			fired := 0
			for i, status := range want.statuses {
				got := r.try("GET", "/compute/alps/jobs?name=mine", nil)
				if got.status != status {
					t.Fatalf("request %d: status %d, want %d; body %s", i, got.status, status, got.body)
				}
				if status != 200 || strings.Contains(fault, "html") {
					fired++
				}
				if i > 0 || status == 0 {
					continue
				}
				if ours := got.header.Get("F7T-AppVersion") != ""; ours != want.ours || got.header.Get("Retry-After") != want.retry {
					t.Errorf("headers %v", got.header)
				}
				if !strings.Contains(string(got.body), want.text) {
					t.Errorf("body %s, want it to have %q", got.body, want.text)
				}
			}
			if got := r.fired(); got != fired {
				t.Errorf("fired %d times, want %d", got, fired)
			}
		})
	}
}

// TestFaultsThatLie switches on faults that carry a submission out and deny it.
func TestFaultsThatLie(t *testing.T) {
	t.Parallel()
	for fault, status := range map[string]int{
		"drop-submit": 0, "drop-reply,ops=POST *": 0, "408,effect=yes": 408, "424,effect=yes": 424, "500,effect=yes,ops=POST *": 500,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.t = t
			r.switchOn(0, fault)
			job := members{"job": members{"name": "once", "working_directory": r.home, "script": "#!/bin/sh\n"}}
			if got := r.try("POST", "/compute/alps/jobs", job); got.status != status {
				t.Errorf("status %d, want %d", got.status, status)
			}
			jobs := r.srv.jobs.List("alps")
			if len(jobs) != 1 || r.fired() != 1 {
				t.Errorf("%d jobs, fired %d times; want one and one", len(jobs), r.fired())
			}
			r.switchOn(0)
			for _, job := range jobs {
				r.wait(job.ID)
			}
		})
	}
}

func TestFaultsOfJobQueries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var ids []string
	for range 20 {
		ids = append(ids, r.submit("#!/bin/sh\n"))
	}
	for _, id := range ids {
		r.wait(id)
	}
	r.switchOn(0, "accounting-lag=1h")
	if got := r.jobs("/compute/alps/jobs"); len(got) != 0 {
		t.Errorf("%d jobs that are too young are listed", len(got))
	}
	want(t, r.do("GET", "/compute/alps/jobs/"+ids[0], nil), 404)
	want(t, r.do("GET", "/compute/alps/jobs/"+ids[0]+"/metadata", nil), 404)
	r.switchOn(0, "accounting-lag=1ns")
	if got := r.jobs("/compute/alps/jobs"); len(got) != len(ids) || r.fired() != 0 {
		t.Errorf("%d jobs are listed, want all", len(got))
	}
	r.switchOn(11, "hide-rows=0.5")
	hidden := 0
	for range 5 {
		hidden += len(ids) - len(r.jobs("/compute/alps/jobs"))
	}
	if hidden != r.fired() || hidden < 20 || hidden > 80 {
		t.Errorf("%d of 100 rows are hidden, fired %d times", hidden, r.fired())
	}
	want(t, r.do("GET", "/compute/alps/jobs/"+ids[0], nil), 200)
}

// TestFaultsAreRepeatable wants the same luck from the same seed.
func TestFaultsAreRepeatable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	luck := func(seed uint64) (statuses []int) {
		r.switchOn(seed, "latency=1ns,rate=0.5", "status=500,rate=0.3", "status=502,rate=0.3")
		for range 40 {
			statuses = append(statuses, r.do("GET", "/status/systems", nil).status)
		}
		return statuses
	}
	first := luck(7)
	if diff := cmp.Diff(first, luck(7)); diff != "" {
		t.Errorf("seed 7 twice (-first +second):\n%s", diff)
	}
	if slices.Equal(first, luck(8)) {
		t.Error("seed 8 is like seed 7")
	}
	for _, status := range []int{200, 500, 502} {
		if !slices.Contains(first, status) {
			t.Errorf("no status %d among %v", status, first)
		}
	}
}

func TestFaultsOfTokensAndHealth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.switchOn(0, "token-lifetime=20s")
	creds := r.srv.Credentials()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {creds.ClientID}, "client_secret": {creds.ClientSecret}}
	req := r.request("POST", TokenPath, form.Encode())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var token struct {
		Token    string `json:"access_token"`
		Lifetime int    `json:"expires_in"`
	}
	r.send(req).decode(t, &token)
	if token.Lifetime != 20 {
		t.Errorf("a token lives %d s, want 20", token.Lifetime)
	}
	good := r.token
	r.token = token.Token
	wantError(t, r.do("GET", "/status/systems", nil), 401, "expires too soon")
	r.token = good

	r.switchOn(0, "unhealthy=scratch")
	wantError(t, r.ops("GET", "ls", r.scratch), 503, "scratch on alps) is unhealthy")
	want(t, r.ops("GET", "ls", r.home), 200)
	r.switchOn(0, "unhealthy=s3")
	var systems struct {
		Systems []struct {
			ServicesHealth []struct {
				ServiceType string
				Healthy     bool
			}
		}
	}
	r.do("GET", "/status/systems", nil).decode(t, &systems)
	for _, h := range systems.Systems[0].ServicesHealth {
		if h.Healthy == (h.ServiceType == "s3") {
			t.Errorf("%+v", h)
		}
	}
}

// TestFaultsOfUploads switches on each fault that hits an upload in parts; what
// is left of it is seen by the one who uploads, or in the target.
func TestFaultsOfUploads(t *testing.T) {
	t.Parallel()
	const size = 2<<20 + 5
	for fault, want := range map[string]struct {
		put, complete int   // status of the first part and of the completion
		arrives       int64 // bytes at the target; -1: no target
		stderr        string
	}{
		"hide-rows=0":                     {200, 200, size, ""},
		"expired-urls,times=1":            {403, 0, -1, ""},
		"status=503,ops=s3 UploadPart":    {503, 0, -1, ""},
		"latency=1ns,ops=s3 *":            {200, 200, size, ""},
		"cut-parts,bytes=100":             {0, 0, -1, ""},
		"lost-parts,after=2":              {200, 400, -1, ""},
		"truncated-parts,after=2,bytes=3": {200, 200, 2<<20 + 3, ""},
		"failed-completion":               {200, 200, -1, ""},
		"lost-completion":                 {200, 0, size, ""},
		"disk-quota":                      {200, 200, 0, "Disk quota exceeded"},
		"disk-quota,bytes=1000":           {200, 200, 1000, "Disk quota exceeded"},
		"disk-quota,match=up*bin":         {200, 200, size, ""},
		"disk-quota,ops=POST *":           {200, 200, size, ""},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, withTransfer(quick))
			r.t = t
			r.switchOn(0, fault)
			target := r.home + "/up.bin"
			up := r.transfer("upload", s3Upload(target, size))
			put, complete := up.uploadInto(t, pattern(size))
			if put != want.put || complete != want.complete {
				t.Fatalf("part %d, completion %d; want %d, %d", put, complete, want.put, want.complete)
			}
			if want.arrives < 0 {
				r.do("DELETE", "/compute/alps/jobs/"+up.Job.ID, nil)
				r.wait(up.Job.ID)
				return
			}
			got := r.outcome(up)
			if got.state != batch.Completed || (got.err != "") != (want.stderr != "") || !strings.Contains(got.err, want.stderr) {
				t.Errorf("job %+v", got)
			}
			if info, err := os.Stat(target); err != nil || info.Size() != want.arrives {
				t.Errorf("target %v, %v; want %d bytes", info, err, want.arrives)
			}
		})
	}
}

// uploadInto is send for an upload that may go wrong: the statuses of the first
// part and of the completion, 0 if the connection was cut or it was not tried.
func (tr transferred) uploadInto(t *testing.T, content []byte) (first, completed int) {
	t.Helper()
	request := func(method, u string, body []byte) (int, string) {
		req, err := http.NewRequest(method, u, strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue") // an answer that comes before the body is read may be lost
		resp, err := noRedirect.Do(req)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("ETag")
	}
	done := `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	for i, u := range tr.Directives.Parts {
		part := content[:min(int64(len(content)), tr.Directives.MaxPartSize)]
		content = content[len(part):]
		status, etag := request("PUT", u, part)
		if i == 0 {
			first = status
		}
		if status != 200 {
			return first, 0
		}
		done += fmt.Sprintf("<Part><ETag>%s</ETag><PartNumber>%d</PartNumber></Part>", etag, i+1)
	}
	completed, _ = request("POST", tr.Directives.Complete, []byte(done+"</CompleteMultipartUpload>"))
	return first, completed
}

// TestFaultsOfDownloads switches on each fault that hits the way back.
func TestFaultsOfDownloads(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(quick))
	source := r.write("out.bin", strings.Repeat("x", 1000))
	down := r.transfer("download", s3Download(source))
	r.outcome(down)
	fetch := func() (int, int64) {
		resp, err := noRedirect.Get(down.Directives.Download)
		if err != nil {
			return 0, 0
		}
		defer resp.Body.Close()
		n, _ := resp.Body.Read(make([]byte, 2000))
		return resp.StatusCode, int64(n)
	}
	for fault, want := range map[string][2]int64{
		"truncated-objects,bytes=10": {200, 10}, "truncated-objects": {200, 0}, "cut-objects,bytes=10": {200, 10}, "cut-objects": {0, 0},
		"expired-urls": {403, -1}, "status=500,ops=s3 Get*": {500, -1}, "truncated-objects,rate=0": {200, 1000},
	} {
		r.switchOn(0, fault)
		status, n := fetch()
		if int64(status) != want[0] || want[1] >= 0 && n != want[1] {
			t.Errorf("%s: status %d and %d bytes, want %v", fault, status, n, want)
		}
	}

	r.switchOn(0, "presigned-expiry=90s")
	down = r.transfer("download", s3Download(source))
	r.outcome(down)
	if !strings.Contains(down.Directives.Download, "X-Amz-Expires=90&") {
		t.Errorf("URL %s, want it to expire after 90 s", down.Directives.Download)
	}

	r.switchOn(0, "disk-quota,bytes=3")
	wantError(t, r.upload(r.home, "small", "text"), 500, "Disk quota exceeded")
	if text, err := os.ReadFile(r.home + "/small"); string(text) != "tex" {
		t.Errorf("the target has %q, %v", text, err)
	}
}

func TestFaultsByAdmin(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Faults, c.FaultSeed = []string{"429"}, 5 })
	want(t, r.do("GET", "/status/systems", nil), 429)
	secret := r.srv.site.AdminSecret
	admin := func(method string, body any) answer {
		req := r.request(method, "/sandbox/faults", body)
		req.Header.Set("Authorization", "Bearer "+secret)
		return r.send(req)
	}
	var state faultsBody
	admin("GET", nil).decode(t, &state)
	if diff := cmp.Diff(faultsBody{5, []FaultState{{"429", 1, 1}}}, state); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	everything := members{"faults": []string{"status=503,ops=*"}, "seed": 3}
	want(t, admin("PUT", everything), 200)
	want(t, r.do("GET", "/status/systems", nil), 503)
	wantError(t, admin("PUT", members{"faults": []string{"hiccup"}}), 400, "want one of 429, 5xx")
	want(t, admin("PUT", members{"faults": "429"}), 400)
	admin("GET", nil).decode(t, &state)
	if diff := cmp.Diff(faultsBody{3, []FaultState{{"status=503,ops=*", 1, 1}}}, state); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want(t, admin("DELETE", nil), 204)
	want(t, r.do("GET", "/status/systems", nil), 200)
	secret = r.token
	want(t, admin("PUT", everything), 401)
	want(t, admin("GET", nil), 401)
	want(t, admin("DELETE", nil), 401)
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	for text, complaint := range map[string]string{
		"":                        "want one of 429, 5xx, html",
		"drop-submit=1.5":         "rate=1.5",
		"drop-submit=NaN":         "rate=NaN",
		"drop-submit,times=0":     "times=0",
		"drop-submit,times=x":     "times=x",
		"drop-submit,after=-1":    "after=-1",
		"drop-submit,bytes=1":     `"bytes" is none of rate, times, after, ops, match`,
		"drop-submit,ops=s3 *":    "does not apply",
		"lost-parts,ops=GET *":    "does not apply",
		"latency":                 "is not a duration",
		"presigned-expiry=10ms":   "at least 1s",
		"latency=-1s":             "at least 0s",
		"status=99":               "status=99",
		"status":                  "status=",
		"unhealthy":               "which service",
		"unhealthy=coffee":        "want one of scheduler",
		"408,effect=maybe":        "want one of yes, no",
		"fail-job":                "how does the job end",
		"fail-job=completed":      "want one of node_fail",
		"fail-job=node_fail,wait": "wait=",
		"disk-quota,bytes=-1":     "bytes=-1",
		"html,status=700":         "status=700",
		"429,status=429":          `"status" is none of`,
		"truncated-parts,bytes=1": "",
		"latency=1s,ops=s3 Put*":  "",
		"500,effect=yes,rate=0.2": "",
	} {
		err := CheckFault(text)
		if complaint == "" && err != nil || complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)) {
			t.Errorf("%q: %v, want %q", text, err, complaint)
		}
	}
	if _, err := Open(Config{Root: t.TempDir(), Faults: []string{"hiccup"}}); err == nil {
		t.Error("a sandbox with a fault it does not know opens")
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for pattern, texts := range map[string][2]string{
		"*": {"", "!"}, "a": {"a", "ab!"}, "a*": {"abc", "ba!"}, "*a": {"bca", "ab!"}, "a*b*c": {"a-b-bc", "acb!"},
		"a**c": {"ac", "ab!"}, "*jobs*": {"GET /jobs/1", "job!"}, "ab*ba": {"abba", "aba!"},
	} {
		for i, text := range texts {
			if i == 1 && pattern == "*" {
				continue
			}
			if got := glob(pattern, strings.TrimSuffix(text, "!")); got != (i == 0) {
				t.Errorf("%q on %q: %t", pattern, text, got)
			}
		}
	}
}

// TestLatency wants latency to add to what else happens.
func TestLatency(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.switchOn(0, "latency=30ms", "status=418,times=1")
	begun := time.Now()
	want(t, r.do("GET", "/status/systems", nil), 418)
	if took := time.Since(begun); took < 30*time.Millisecond {
		t.Errorf("answered after %s", took)
	}
}

// TestFaultsAreDocumented wants a line for each kind of fault, and the releases.
func TestFaultsAreDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, k := range FaultKinds() {
		value := "=" + k.Value
		if k.Value == string(faultRate) {
			value = "[=" + k.Value + "]"
		}
		if line := "| `" + k.Name + value + "` | " + k.Help + " |\n"; !strings.Contains(text, line) {
			t.Errorf("docs/sandbox.md lacks\n%s", line)
		}
	}
	if list := strings.Join(Releases(), " "); !strings.Contains(strings.Join(strings.Fields(text), " "), list) {
		t.Errorf("docs/sandbox.md lacks the releases %s", list)
	}
}
