package datatransfer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
)

// ObjectError is something that an object store did not do. It holds neither
// keys nor signatures. A missing object or bucket is [fs.ErrNotExist], what the
// keys do not allow is [fs.ErrPermission].
type ObjectError struct {
	// Action is what was tried, such as "read".
	Action string
	At     Location
	// Host is the object store.
	Host string
	// Status is the HTTP status of the last try, 0 if no answer came.
	Status int
	// Code and Message are what the store said, such as "NoSuchKey".
	Code, Message string
	// RequestID is how the store calls the request.
	RequestID string

	cause error
	final bool // trying again would not help
}

// Error returns one line.
func (e *ObjectError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: object store %s: ", e.Action, e.At, e.Host)
	switch {
	case e.cause != nil:
		b.WriteString(e.cause.Error())
		return b.String()
	case e.Code != "":
		b.WriteString(e.Code)
	default:
		fmt.Fprintf(&b, "%d %s", e.Status, strings.ToLower(http.StatusText(e.Status)))
	}
	if e.Message != "" && e.Message != e.Code {
		b.WriteString(": " + e.Message)
	}
	if hint := hints[e.Code]; hint != "" {
		b.WriteString("; " + hint)
	}
	return b.String()
}

// hints say what to do about what a store says.
var hints = map[string]string{
	"AccessDenied":                 "the keys may not do this",
	"AuthorizationHeaderMalformed": "the region may be wrong",
	"ExpiredToken":                 "get new temporary keys",
	"InvalidAccessKeyId":           "check the access key, and that it is one of this store",
	"InvalidToken":                 "check the session token",
	"NotFound":                     "there is no such object, or no such bucket", // from HEAD, which has no text
	"PermanentRedirect":            "the endpoint or region is wrong for this bucket",
	"RequestTimeTooSkewed":         "set this machine's clock",
	"SignatureDoesNotMatch":        "check the secret key",
}

// Unwrap returns why there was no answer, or why it is of no use.
func (e *ObjectError) Unwrap() error { return e.cause }

// Is makes [fs.ErrNotExist], [fs.ErrPermission] and [ErrChanged] match.
func (e *ObjectError) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.Status == http.StatusNotFound
	case fs.ErrPermission:
		return e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized
	case ErrChanged:
		return e.Status == http.StatusPreconditionFailed
	}
	return false
}

// Retryable reports whether the same may well succeed later.
func (e *ObjectError) Retryable() bool {
	switch e.Status {
	case 0:
		return !e.final
	case http.StatusOK, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusTooEarly:
		return true // 200: a completion that failed after all
	}
	return e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// failed makes an error of the library one of ours.
func (s *ObjectStore) failed(ctx context.Context, action string, at Location, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var local *LocalError
	if errors.As(err, &local) {
		return local
	}
	e := &ObjectError{Action: action, At: at, Host: s.host}
	var answered interface {
		HTTPStatusCode() int
		ServiceRequestID() string
	}
	if errors.As(err, &answered) {
		e.Status, e.RequestID = answered.HTTPStatusCode(), clean(answered.ServiceRequestID())
	}
	var told interface {
		ErrorCode() string
		ErrorMessage() string
	}
	switch {
	case errors.As(err, &told):
		e.Code, e.Message = clean(told.ErrorCode()), clean(told.ErrorMessage())
	case errors.Is(err, errStalled):
		e.cause = errStalled
	case e.Status < 300:
		var untrusted *tls.CertificateVerificationError
		var unknown *net.DNSError
		e.final = errors.As(err, &untrusted) || errors.As(err, &unknown) && unknown.IsNotFound
		e.cause = root(err)
	}
	return e
}

// root is the innermost error: those of the library repeat themselves.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
