package firecrest

import (
	"errors"
	"testing"
)

// What the statuses mean, from the server and from a gateway that says the same.
func TestConditions(t *testing.T) {
	t.Parallel()
	all := []error{
		ErrInvalid, ErrUnauthenticated, ErrForbidden, ErrNotFound, ErrExists, ErrTooLarge, ErrTimeout, ErrRateLimited, ErrUnsupported,
		ErrUnavailable,
	}
	for _, test := range []struct {
		status        int
		message       string
		want, gateway error
	}{
		{400, "1 validation error", ErrInvalid, ErrUnavailable},
		{400, "mkdir: cannot create directory '/x': File exists", ErrExists, ErrUnavailable},
		{400, "Authentication token 'sub' claim is missing", ErrUnauthenticated, ErrUnavailable},
		{401, "Access token expired", ErrUnauthenticated, ErrUnauthenticated},
		{403, "ls: cannot open directory '/x': Permission denied", ErrForbidden, ErrUnavailable},
		{403, "Not authenticated", ErrUnauthenticated, ErrUnavailable},
		{404, "ls: cannot access '/x': No such file or directory", ErrNotFound, ErrUnavailable},
		{404, "Not Found", ErrUnsupported, ErrUnavailable},
		{405, "Method Not Allowed", ErrUnsupported, ErrUnavailable},
		{408, "Command execution timeout limit exceeded.", ErrTimeout, ErrTimeout},
		{413, "Command output exceeded buffer limit.", ErrTooLarge, ErrTooLarge},
		{424, "SSH connection Reset.", ErrUnavailable, ErrUnavailable},
		{428, "No filesystem health checker serving the request path was found on alps.", ErrUnsupported, ErrUnavailable},
		{429, "slow down", ErrRateLimited, ErrRateLimited},
		{500, "Error executing Slurm command.", nil, ErrUnavailable},
		{501, "Compression not implemented", ErrUnsupported, ErrUnavailable},
		{502, "", ErrUnavailable, ErrUnavailable},
		{503, "The ssh service for the requested system (alps) is unhealthy.", ErrUnavailable, ErrUnavailable},
		{504, "", ErrUnavailable, ErrUnavailable},
		{500, "Unexpected PBS qstat response. exit_status:153 std_err:qstat: Unknown Job Id 7.alps\n", ErrNotFound, ErrUnavailable},
		{500, "Unexpected PBS qstat response. exit_status:1 std_err:qstat: cannot connect to server alps\n", nil, ErrUnavailable},
	} {
		for version, want := range map[string]error{"2.5.6": test.want, "": test.gateway} {
			failure := &Error{Job: "7", Status: test.status, Message: test.message, ServerVersion: version}
			for _, sentinel := range all {
				if errors.Is(failure, sentinel) != (sentinel == want) {
					t.Errorf("%d %q of release %q: is %q: %t", test.status, test.message, version, sentinel, sentinel != want)
				}
			}
		}
	}
}

// A listing misses the directory, or what was removed from it meanwhile.
func TestEntryGone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		listed, message string
		want            error
	}{
		{"/d", "ls: cannot access '/d': No such file or directory", ErrNotFound},
		{"/d/", "ls: cannot access '/d/': No such file or directory", ErrNotFound},
		{"/d/", "ls: cannot access /d/: No such file or directory", ErrNotFound},
		{"/d/e", "ls: cannot access '/d/e': No such file or directory", ErrNotFound},
		{"/d", "ls: cannot access ‘/d/’: No such file or directory", ErrNotFound},
		{"/d", "ls: cannot access '/d/x': No such file or directory", ErrUnavailable},
		{"/d/", "ls: cannot access '/d/x': No such file or directory", ErrUnavailable},
		{"/d", "ls: cannot open directory '/d/x/y': No such file or directory", ErrUnavailable},
		{"/", "ls: cannot access '/x': No such file or directory", ErrUnavailable},
		{"", "cat: '/d/x': No such file or directory", ErrNotFound},
	} {
		failure := &Error{Status: 404, Message: test.message, ServerVersion: "2.5.6", listed: test.listed}
		if !errors.Is(failure, test.want) || failure.Retryable() != (test.want == ErrUnavailable) {
			t.Errorf("%q: %v; may be repeated: %v, want %v", test.listed, failure, failure.Retryable(), test.want)
		}
	}
}

// Only answers known word for word say that nothing happened.
func TestNotExecuted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failure Error
		want    bool
	}{
		{Error{}, true},
		{Error{sent: true}, false},
		{Error{Status: 307}, true},
		{Error{Status: 400, Type: "validation"}, true},
		{Error{Status: 400, Type: "error", Message: "mkdir: File exists"}, false},
		{Error{Status: 401}, true},
		{Error{Status: 403, Message: "Not authenticated"}, true},
		{Error{Status: 403, Message: "Permission denied"}, false},
		{Error{Status: 404, Message: "System not found"}, true},
		{Error{Status: 404, Message: "No such file or directory"}, false},
		{Error{Status: 408, Message: "SSH connection timeout limit exceeded."}, true},
		{Error{Status: 408, Message: "SSH keys generation timeout limit exceeded."}, true},
		{Error{Status: 408, Message: "Command execution timeout limit exceeded."}, false},
		{Error{Status: 424, Message: "SSH connection pool capacity exceeded"}, true},
		{Error{Status: 424, Message: "Unable to open a new SSH channel."}, true},
		{Error{Status: 424, Message: "SSH connection Reset."}, false},
		{Error{Status: 429}, true},
		{Error{Status: 500, Message: "('Channel not open for sending',)"}, false},
		{Error{Status: 501}, true},
		{Error{Status: 502}, false},
		{Error{Status: 503, Message: "The ssh service for the requested system (alps) is unhealthy."}, true},
		{Error{Status: 503, Message: "The requested filesystem (/scratch on alps) is unhealthy."}, true},
		{Error{Status: 503, Message: "The service is being restarted."}, false},
		{Error{Status: 503, Message: "The upstream is unhealthy."}, false},
	} {
		if test.failure.Status > 0 {
			test.failure.ServerVersion = "2.5.6"
		}
		if got := test.failure.NotExecuted(); got != test.want {
			t.Errorf("%d %q: %t", test.failure.Status, test.failure.Message, got)
		}
		test.failure.ServerVersion = ""
		byGateway := test.want && (test.failure.Status < 400 || test.failure.Status == 429)
		if got := test.failure.NotExecuted(); got != byGateway {
			t.Errorf("%d %q of a gateway: %t", test.failure.Status, test.failure.Message, got)
		}
	}
}
