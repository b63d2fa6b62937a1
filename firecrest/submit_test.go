package firecrest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var goodSpec = JobSpec{Name: "n", WorkingDirectory: "/home/alice", Script: "#!/bin/sh\ntrue\n"}

// verdict is what a caller learns of a submission.
type verdict struct {
	Class               SubmitClass
	Permanent, JobLimit bool
}

var (
	ambiguous = verdict{}
	notSent   = verdict{Class: SubmitNotSent}
	refused   = verdict{Class: SubmitNotSent, Permanent: true}
	rejected  = verdict{Class: SubmitRejected, Permanent: true}
	jobLimit  = verdict{Class: SubmitRejected, JobLimit: true}
)

func verdictOf(t *testing.T, err error) verdict {
	t.Helper()
	var submit *SubmitError
	if !errors.As(err, &submit) {
		t.Fatalf("got %v (%T), want a *SubmitError", err, err)
	}
	return verdict{submit.Class, submit.Permanent, submit.JobLimit}
}

// What every release answered to submissions that went wrong.
func TestRecordedSubmissions(t *testing.T) {
	t.Parallel()
	want := map[string]verdict{
		"submit-script-path-missing": rejected, "submit-no-shebang": rejected, "submit-bad-account": rejected,
		"submit-bad-partition": rejected, "submit-bad-reservation": rejected, "submit-quota": jobLimit,
		"submit-without-working-directory": refused, "submit-malformed-json": refused, "submit-unknown-system": refused,
		"submit-unhealthy-scheduler": notSent, "token-missing": notSent, "slash-added-systems": notSent,
		"submit-controller-down": ambiguous, "submit-no-id-in-answer": ambiguous, "submit-timeout": ambiguous,
		"submit-neither-script-nor-path": ambiguous, "submit-env-list": ambiguous, "submit-script-path-timeout": ambiguous,
		"route-unknown": ambiguous, "view-too-large": ambiguous,
	}
	for release, answers := range recordings(t) {
		for name, a := range answers {
			expected, listed := want[name]
			if !listed || a.Status == 201 {
				continue
			}
			if a.Status == 400 && strings.Contains(string(a.Body), `"validation"`) {
				expected = refused // before 2.2.6 a script is required, for one
			}
			_, err := play(t, a).Compute.Submit(t.Context(), "alps", goodSpec)
			if diff := cmp.Diff(expected, verdictOf(t, err)); diff != "" {
				t.Errorf("%s %s: %v (-want +got):\n%s", release, name, err, diff)
			}
		}
		id, err := play(t, answers["submit-minimal"]).Compute.Submit(t.Context(), "alps", goodSpec)
		if err != nil || len(id) != 4 || SubmitClassOf(err) != SubmitAccepted {
			t.Errorf("%s: got %q, %v", release, id, err)
		}
	}
}

func slurm(stderr string) string { return errorBody(slurmPrefix + stderr) }

func TestSubmitVerdicts(t *testing.T) {
	t.Parallel()
	html := "<html>oops</html>"
	for name, test := range map[string]struct {
		answer *http.Response
		want   verdict
	}{
		"gateway 429":                   {gateway(answer(429, html)), notSent},
		"gateway 401":                   {gateway(answer(401, html)), ambiguous},
		"gateway 403":                   {gateway(answer(403, html)), ambiguous},
		"gateway 404":                   {gateway(answer(404, html)), ambiguous},
		"gateway 413":                   {gateway(answer(413, html)), ambiguous},
		"gateway 500":                   {gateway(answer(500, html)), ambiguous},
		"gateway 502":                   {gateway(answer(502, html)), ambiguous},
		"gateway 503":                   {gateway(answer(503, html)), ambiguous},
		"gateway 504":                   {gateway(answer(504, html)), ambiguous},
		"gateway repeats a known text":  {gateway(answer(404, errorBody("System not found"))), ambiguous},
		"redirect":                      {gateway(answer(307, "")), notSent},
		"token expires":                 {answer(401, errorBody("Access token expired")), notSent},
		"old 403 without token":         {answer(403, errorBody("Not authenticated")), notSent},
		"403 of another kind":           {answer(403, errorBody("Permission denied")), ambiguous},
		"not implemented":               {answer(501, errorBody("x")), refused},
		"400 of another kind":           {answer(400, errorBody("invalid user")), ambiguous},
		"ssh keys":                      {answer(408, errorBody("SSH keys generation timeout limit exceeded.")), notSent},
		"ssh connection":                {answer(408, errorBody("SSH connection timeout limit exceeded.")), notSent},
		"command timeout":               {answer(408, errorBody("Command execution timeout limit exceeded.")), ambiguous},
		"pool":                          {answer(424, errorBody("SSH connection pool capacity exceeded")), notSent},
		"channel":                       {answer(424, errorBody("Unable to open a new SSH channel.")), notSent},
		"ssh reset":                     {answer(424, errorBody("SSH connection Reset.")), ambiguous},
		"503 of another kind":           {answer(503, errorBody("Service Unavailable")), ambiguous},
		"no id":                         {answer(201, `{"jobId":null}`), ambiguous},
		"no id at all":                  {answer(201, `{}`), ambiguous},
		"odd id":                        {answer(201, `{"jobId":"12x"}`), ambiguous},
		"cut answer":                    {answer(201, `{"jobId":"1`), ambiguous},
		"200":                           {answer(200, `{"jobId":"1"}`), ambiguous},
		"empty script":                  {answer(500, slurm("sbatch: error: Batch script is empty!\n")), rejected},
		"invalid time":                  {answer(500, slurm("sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)\n")), rejected},
		"invalid after a site's banner": {answer(500, slurm("sbatch: lua: welcome\nsbatch: error: Batch job submission failed: Invalid qos specification\n")), rejected},
		"unknown reason":                {answer(500, slurm("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n")), ambiguous},
		"reason with more after it":     {answer(500, slurm("sbatch: error: Batch job submission failed: Invalid qos specification\nsbatch: hm\n")), ambiguous},
		"reason after trouble":          {answer(500, slurm("sbatch: error: Unable to contact slurm controller (connect failure)\nsbatch: error: Batch job submission failed: Invalid qos specification\n")), ambiguous},
		"reason after retries":          {answer(500, slurm("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.\nsbatch: error: Batch job submission failed: Invalid qos specification\n")), ambiguous},
		"reason, gateway":               {gateway(answer(500, slurm("sbatch: error: Batch job submission failed: Invalid qos specification\n"))), ambiguous},
		"other exit status":             {answer(500, strings.Replace(slurm("sbatch: error: Batch script is empty!\n"), "status:1", "status:130", 1)), ambiguous},
		"limit of old releases":         {answer(500, slurm("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: "+policyText+"\n")), jobLimit},
		"accepted, PBS":                 {answer(201, `{"jobId":"77.pbs01"}`), verdict{Class: SubmitAccepted}},
		"accepted, gateway header lost": {gateway(answer(201, `{"jobId":"77"}`)), verdict{Class: SubmitAccepted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := memoryClient(t, func(*http.Request) (*http.Response, error) { return test.answer, nil })
			id, err := client.Compute.Submit(t.Context(), "alps", goodSpec)
			if test.want.Class == SubmitAccepted {
				if id != "77" || err != nil {
					t.Errorf("got %q, %v", id, err)
				}
				return
			}
			if diff := cmp.Diff(test.want, verdictOf(t, err)); diff != "" || id != "" {
				t.Errorf("%q, %v (-want +got):\n%s", id, err, diff)
			}
		})
	}
}

func TestSubmitWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want verdict
	}{
		"refused":    {dialError{syscall.ECONNREFUSED}, notSent},
		"no host":    {dialError{&net.DNSError{Err: "no such host"}}, notSent},
		"reset":      {syscall.ECONNRESET, ambiguous},
		"no answer":  {io.ErrUnexpectedEOF, ambiguous},
		"idle close": {errors.New("http: server closed idle connection"), ambiguous},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := memoryClient(t, func(*http.Request) (*http.Response, error) { return nil, test.err })
			_, err := client.Compute.Submit(t.Context(), "alps", goodSpec)
			if diff := cmp.Diff(test.want, verdictOf(t, err)); diff != "" || !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestSubmitGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, WithMaxInFlight(1))
		var late verdict
		done := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			defer close(done)
			time.Sleep(time.Millisecond)
			_, err := client.Compute.Submit(ctx, "alps", goodSpec)
			late = verdictOf(t, err)
		}()
		_, err := client.Compute.Submit(ctx, "alps", goodSpec)
		<-done
		if got := verdictOf(t, err); got != ambiguous || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in flight: %v", err)
		}
		if late != notSent {
			t.Errorf("waiting for its turn: %+v", late)
		}
		_, err = client.Compute.Submit(t.Context(), "alps", goodSpec)
		if got := verdictOf(t, err); got != ambiguous || !errors.Is(err, ErrTimeout) {
			t.Errorf("no answer in time: %v", err)
		}
	})
}

func TestSubmitDropsARefusedToken(t *testing.T) {
	t.Parallel()
	sent := 0
	client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
		if sent++; r.Header.Get("Authorization") == "Bearer t1" {
			return answer(401, errorBody("Access token expired")), nil
		}
		return answer(201, `{"jobId":"5"}`), nil
	}, WithTokenSource(&identityProvider{life: time.Hour}))
	_, err := client.Compute.Submit(t.Context(), "alps", goodSpec)
	if verdictOf(t, err) != notSent || sent != 1 {
		t.Errorf("got %v, sent %d times", err, sent)
	}
	if id, err := client.Compute.Submit(t.Context(), "alps", goodSpec); id != "5" || err != nil {
		t.Errorf("again: %q, %v", id, err)
	}
}

// A server that takes the request and hangs up must see it once: neither the
// client nor net/http may send it again. It goes over a connection of its own.
func TestSubmitIsSentOnce(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	posts := make(chan string, 10)
	connections := 0
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections++
			served.Go(func() { hangUpOnPost(conn, posts) })
		}
	})
	client := newClient(t, "http://"+listener.Addr().String(), WithRetry(RetryPolicy{Base: 1}))
	if _, err := client.Status.Systems(t.Context()); err != nil { // leaves an idle connection
		t.Fatal(err)
	}
	_, err = client.Compute.Submit(t.Context(), "alps", goodSpec)
	if verdictOf(t, err) != ambiguous {
		t.Errorf("got %v", err)
	}
	listener.Close()
	client.Close()
	served.Wait()
	if connections != 2 {
		t.Errorf("%d connections, want one for the read and one for the job", connections)
	}
	if body := <-posts; len(posts) != 0 || !strings.Contains(body, `"job":{"name":"n"`) {
		t.Errorf("sent %q and %d times more", body, len(posts))
	}

	_, err = client.Compute.Submit(t.Context(), "alps", goodSpec)
	if verdictOf(t, err) != notSent {
		t.Errorf("nobody listens: got %v", err)
	}
}

// A redirect is not followed, also not by a request without the job, whose answer
// would be taken for that of the submission.
func TestSubmitFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := newRecorder(t, 201, `{"jobId":"77"}`, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := newRecorder(t, status, "", http.Header{"Location": {elsewhere.URL + "/compute/alps/jobs"}})
		id, err := newClient(t, server.URL).Compute.Submit(t.Context(), "alps", goodSpec)
		if id != "" || verdictOf(t, err) != notSent {
			t.Errorf("%d: %q, %v", status, id, err)
		}
	}
	if seen := elsewhere.seen(); len(seen) > 0 {
		t.Errorf("followed: %v", seen)
	}
}

// hangUpOnPost serves one connection until a POST comes, which it reads.
func hangUpOnPost(conn net.Conn, posts chan<- string) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		if req.Method == http.MethodPost {
			posts <- string(body)
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nF7T-AppVersion: 2.5.6\r\nContent-Length: 14\r\n\r\n{\"systems\":[]}")
	}
}

// An answer that is not known to mean that nothing ran must never be taken for
// one that does.
func FuzzSubmitVerdict(f *testing.F) {
	for _, answers := range recordings(f) {
		for name, a := range answers {
			if strings.HasPrefix(name, "submit-") {
				f.Add(a.Status, a.Version, []byte(a.Body))
			}
		}
	}
	f.Add(500, "2.5.6", []byte(slurm("sbatch: error: Batch job submission failed: Invalid qos specification\n")))
	f.Add(503, "", []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, version string, body []byte) {
		failure := &Error{Status: status, ServerVersion: version, sent: true, Attempts: 1}
		failure.readErrorBody(body)
		verdict := classifySubmit(failure)
		signed := failure.FromServer()
		known := false
		switch {
		case status >= 300 && status < 400, status == 429:
			known = true
		case !signed:
		case status == 401, status == 501:
			known = true
		case status == 400:
			known = failure.Type == "validation"
		case status == 403:
			known = failure.Message == "Not authenticated" || strings.HasPrefix(failure.Message, "Job submission rejected: accounting/QOS policy limit exceeded.")
		case status == 404:
			known = failure.Message == "System not found"
		case status == 408, status == 424:
			known = strings.Contains(failure.Message, "SSH ")
		case status == 500:
			known = strings.HasPrefix(failure.Message, slurmPrefix) && strings.Contains(failure.Message, "sbatch: error: ") &&
				!strings.Contains(failure.Message, "controller") && !strings.Contains(failure.Message, "timed out")
		case status == 503:
			known = strings.HasSuffix(failure.Message, "is unhealthy.")
		}
		if status == 0 {
			known = false // sent is set: there was a connection
		}
		if !known && verdict.Class != SubmitAmbiguous {
			t.Errorf("%d %q %q is %s", status, version, body, verdict.Class)
		}
		if verdict.Class == SubmitAccepted {
			t.Error("a failure was accepted")
		}
	})
}
