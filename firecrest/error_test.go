package firecrest

import (
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	for want, failure := range map[string]*Error{
		"GET /filesystem/alps/ops/ls: 404 not found: ls: cannot access '/x': No such file or directory (request 7f3, 3 attempts)": {
			Operation: "GET /filesystem/{system_name}/ops/ls", System: "alps", Status: 404, ServerVersion: "2.5.6",
			Message: "ls: cannot access '/x': No such file or directory\n", RequestID: "7f3", Attempts: 3,
		},
		"PUT /compute/alps/jobs/17/attach: 500 internal server error: srun: error (request 7f3)": {
			Operation: "PUT /compute/{system_name}/jobs/{job_id}/attach", System: "alps", Job: "17", Status: 500,
			Message: "srun: error", RequestID: "7f3", Attempts: 1,
		},
		"GET /compute/alps/jobs: 500 internal server error: Error executing Slurm command.: sacct: down (request 7f3)": {
			Operation: "GET /compute/{system_name}/jobs", System: "alps", Status: 500,
			Message: "Error executing Slurm command.", CausedBy: []string{"Error executing Slurm command.", "sacct: down\n"}, RequestID: "7f3", Attempts: 1,
		},
		"GET /x: 400 bad request: query recursive: not a bool: body job: Field required": {
			Operation: "GET /x", Status: 400, Type: "validation", Message: "2 validation errors:\n  {…}",
			Fields: []FieldError{{"query", "recursive", "not a bool"}, {"body", "job", "Field required"}},
		},
		"GET /x: 503 service unavailable: no reason given": {Operation: "GET /x", Status: 503},
	} {
		if got := failure.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestCommandSaid(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"Remote process failed with exit status:1 and error message:stat: cannot statx '/x': No such file or directory": "stat: cannot statx '/x': No such file or directory",
		"Remote process faild with exit status:2 and error message: ls: x ":                                             "ls: x",
		"Remote process failed with exit status:124":                                                                    "",
		"Command execution timeout limit exceeded.":                                                                     "",
		"Remote process failed with exit status:1 and error message:":                                                   "",
	} {
		if got := (&Error{Status: 404, Message: message, ServerVersion: "2.5.6"}).CommandSaid(); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}

// The status operations answer 500 whatever goes wrong; what passes is told from
// what lasts.
func TestRecordedFailuresOfStatus(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		matches   error
		retryable bool
	}{
		"nodes-timeout": {ErrTimeout, true}, "nodes-none": {nil, false}, "nodes-no-ssh-key": {nil, false},
	} {
		for release, answers := range recordings(t) {
			_, err := play(t, answers[name]).Status.Nodes(t.Context(), "alps")
			if failure := asError(t, err); failure.condition() != want.matches || failure.Retryable() != want.retryable {
				t.Errorf("%s %s: %v is %v, may be repeated: %t", release, name, err, failure.condition(), failure.Retryable())
			}
		}
	}
}

func FuzzErrorBody(f *testing.F) {
	for _, answers := range recordings(f) {
		for _, a := range answers {
			if a.Status >= 400 {
				f.Add(a.Status, []byte(a.Body))
			}
		}
	}
	f.Add(500, []byte(`{"message":"\u001b[2Jevil\u0000","causedBy":"text","data":[1]}`))
	f.Add(502, []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		failure := &Error{Operation: "GET /x", Status: status, ServerVersion: "2.5.6"}
		failure.readErrorBody(body)
		failure.condition()
		failure.Retryable()
		text := failure.Error() + failure.Message
		if !utf8.ValidString(text) {
			t.Errorf("%q is not UTF-8", text)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); i >= 0 {
			t.Errorf("%q has a control character at %d", text, i)
		}
		if len(failure.Message) > maxMessage+40 {
			t.Errorf("message of %d bytes", len(failure.Message))
		}
	})
}

func TestErrorBodyOfOddShape(t *testing.T) {
	t.Parallel()
	failure := &Error{Status: http.StatusNotFound, ServerVersion: "2.5.6"}
	failure.readErrorBody([]byte(`{"errorType":"error","message":"System not found","causedBy":"text","data":[1,2]}`))
	if failure.Message != "System not found" || !failure.NotExecuted() {
		t.Errorf("got %+v", failure)
	}
}

func TestLongMessageIsCut(t *testing.T) {
	t.Parallel()
	// What is left must not read like a complete message of another meaning.
	text := strings.Repeat("ü", maxMessage/2-20) + "\nsbatch: error: Batch script is empty!" + strings.Repeat("x", 100)
	for extra := range 80 {
		got := clean(strings.Repeat("y", extra) + text)
		if len(got) > maxMessage+20 || !utf8.ValidString(got) || !strings.HasSuffix(got, " … (cut)") {
			t.Fatalf("cut to %d bytes, ending %q", len(got), got[len(got)-40:])
		}
	}
}
