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
	} {
		for version, want := range map[string]error{"2.5.6": test.want, "": test.gateway} {
			failure := &Error{Status: test.status, Message: test.message, ServerVersion: version}
			for _, sentinel := range all {
				if errors.Is(failure, sentinel) != (sentinel == want) {
					t.Errorf("%d %q of release %q: is %q: %t", test.status, test.message, version, sentinel, sentinel != want)
				}
			}
		}
	}
}
