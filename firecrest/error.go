package firecrest

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Conditions a caller may branch on, matched by an [*Error] with errors.Is.
var (
	// ErrInvalid: the server refused the request as malformed, or the path
	// lies outside the file systems of the system (400).
	ErrInvalid = errors.New("invalid request")
	// ErrUnauthenticated: no token could be had, or it was refused twice (401).
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: this user may not do that (403).
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: the server says that the file, job or system does not exist
	// (404, and 500 of a job that PBS does not know). A gateway's 404 is
	// [ErrUnavailable].
	ErrNotFound = errors.New("not found")
	// ErrExists: the file to be created exists (400 with the shell's text).
	ErrExists = errors.New("already exists")
	// ErrTooLarge: the body, or what the remote command printed, passes the
	// server's limit (413).
	ErrTooLarge = errors.New("too large")
	// ErrTimeout: the command ran past the server's limit, or no answer came in
	// time. Whether the operation took effect is unknown.
	ErrTimeout = errors.New("timed out")
	// ErrRateLimited: too many requests; [Error.RetryAfter] says how long to
	// wait (429).
	ErrRateLimited = errors.New("rate limited")
	// ErrUnsupported: the system, or this release, does not offer the
	// operation (405, 428, 501, and the 404 of a path it does not know).
	ErrUnsupported = errors.New("not supported")
	// ErrUnavailable: the service, the scheduler, a file system or the
	// connection is down (424, 502, 503, 504, no connection, or an answer that
	// FirecREST did not write), or a directory changed while it was listed.
	ErrUnavailable = errors.New("unavailable")
)

// Error is a request that did not succeed.
type Error struct {
	// Operation is the method and path template, such as
	// "GET /filesystem/{system_name}/ops/ls".
	Operation string
	// System is the system asked, empty for operations without one.
	System string
	// Job is the job asked about, empty for operations without one.
	Job JobID
	// Status is the HTTP status of the last try, 0 if no answer came.
	Status int
	// Type is the errorType of the body: "error" or "validation".
	Type string
	// Message is what the server said, without control characters, at most
	// 8 KiB. Remote commands answer in the locale of the login node.
	Message string
	// CausedBy is the chain of reasons, outermost first (servers ≥ 2.5.5).
	CausedBy []string
	// Fields are the refused fields of a validation error.
	Fields []FieldError
	// RequestID is the X-Request-ID of the last try.
	RequestID string
	// ServerVersion is the release that answered, empty if a gateway did.
	ServerVersion string
	// Attempts is how often the request was sent, or tried to be.
	Attempts int

	sent       bool          // a connection was had: bytes may have left
	local      bool          // our own doing: the caller's context, the body given
	listed     string        // the path of a listing, whose entries may come and go
	retryAfter time.Duration // what the server asked for, clamped
	cause      error         // why there is no answer, or why it is unusable
}

// FieldError is one refused field of a request.
type FieldError struct {
	Location string // query, body or path
	Name     string // first key below the body, or the offset of a JSON error
	Message  string
}

// Error returns one line: operation, status, reason, request id, tries.
func (e *Error) Error() string {
	var b strings.Builder
	op := strings.NewReplacer("{system_name}", e.System, "{job_id}", string(e.Job)).Replace(e.Operation)
	fmt.Fprintf(&b, "%s: ", op)
	if e.Status != 0 {
		fmt.Fprintf(&b, "%d %s: ", e.Status, strings.ToLower(http.StatusText(e.Status)))
	}
	b.WriteString(e.reason())
	switch {
	case e.RequestID != "" && e.Attempts > 1:
		fmt.Fprintf(&b, " (request %s, %d attempts)", e.RequestID, e.Attempts)
	case e.RequestID != "":
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

// commandSays are the words of a command in a message; release 2.1 misspells
// them.
var commandSays = regexp.MustCompile(`^Remote process fai\w+ with exit status:\d+ and error message:(.+)`)

// CommandSaid is what a command had to say that the server ran on the system
// and that failed; "" if that is not why the request did not succeed.
func (e *Error) CommandSaid() string {
	if words := commandSays.FindStringSubmatch(e.Message); words != nil && e.FromServer() {
		return strings.TrimSpace(words[1])
	}
	return ""
}

func (e *Error) reason() string {
	var parts []string
	if e.Type == "validation" && len(e.Fields) > 0 {
		// The message of a validation error is a dump of the framework.
		for _, f := range e.Fields {
			parts = append(parts, fmt.Sprintf("%s %s: %s", f.Location, f.Name, f.Message))
		}
	} else if e.Message != "" {
		parts = append(parts, strings.Join(strings.Fields(e.Message), " "))
	}
	for _, c := range e.CausedBy {
		if c = strings.Join(strings.Fields(c), " "); c != "" && (len(parts) == 0 || c != parts[0]) {
			parts = append(parts, c)
		}
	}
	if e.cause != nil {
		parts = append(parts, e.cause.Error())
	}
	if len(parts) == 0 {
		return "no reason given"
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the error of the connection or of the context, if that is why
// there was no answer.
func (e *Error) Unwrap() error { return e.cause }

// FromServer reports whether FirecREST itself answered. Answers of gateways
// carry no release header; nothing they say about files or jobs is to be
// believed.
func (e *Error) FromServer() bool { return e.ServerVersion != "" }

// Is makes the sentinels of this package match.
func (e *Error) Is(target error) bool { return target == e.condition() }

// condition is the sentinel of the error, nil if it has none.
func (e *Error) condition() error {
	switch {
	case e.local:
		return nil
	case e.timedOut():
		return ErrTimeout
	case e.Status == 0:
		return e.noAnswerCondition()
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return ErrUnauthenticated
	case http.StatusTooManyRequests:
		return ErrRateLimited
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusFailedDependency:
		return ErrUnavailable
	}
	if errors.Is(e.cause, errAnswerTooLarge) || errors.Is(e.cause, errFileTooLarge) {
		return ErrTooLarge
	}
	if !e.FromServer() || e.Status < 300 { // a gateway's answer, or one that cannot be read
		return ErrUnavailable
	}
	if e.lacksMethod() {
		return ErrUnsupported
	}
	return e.serverCondition()
}

func (e *Error) noAnswerCondition() error {
	var token *tokenError
	switch {
	case e.retryAfter > 0:
		return ErrRateLimited
	case errors.As(e.cause, &token) && token.refused:
		return ErrUnauthenticated
	}
	return ErrUnavailable
}

// serverCondition reads the statuses that mean something only if FirecREST
// itself sent them.
func (e *Error) serverCondition() error {
	switch e.Status {
	case http.StatusBadRequest:
		switch {
		case strings.HasPrefix(e.Message, "Authentication token '"):
			return ErrUnauthenticated
		case strings.Contains(e.Message, "File exists"):
			return ErrExists
		}
		return ErrInvalid
	case http.StatusForbidden:
		if e.Message == "Not authenticated" {
			return ErrUnauthenticated // what older frameworks answer for 401
		}
		return ErrForbidden
	case http.StatusNotFound:
		switch {
		case e.Message == "Not Found": // of the path itself, not of what it names
			return ErrUnsupported
		case e.entryGone():
			return ErrUnavailable
		}
		return ErrNotFound
	case http.StatusMethodNotAllowed, http.StatusPreconditionRequired, http.StatusNotImplemented:
		return ErrUnsupported
	case http.StatusInternalServerError:
		if e.unknownJob() {
			return ErrNotFound
		}
	}
	return nil
}

// entryGone reports whether ls missed something inside the directory that it listed,
// which was removed meanwhile. The directory is there, and can be listed again.
func (e *Error) entryGone() bool {
	_, rest, _ := strings.Cut(e.Message, strings.TrimSuffix(e.listed, "/")+"/")
	return e.listed != "" && rest != "" && !strings.ContainsAny(rest[:1], `'":`) && !strings.HasPrefix(rest, "’")
}

// unknownJob reports whether PBS, whose failures are all alike to the server, says that
// it does not know the job.
func (e *Error) unknownJob() bool {
	return e.Job != "" && e.FromServer() && strings.Contains(e.reason(), "Unknown Job Id")
}

// timedOut covers the timeout answers of all releases. Commands that were fed
// from standard input answer 500 with a text that says nothing of time, the
// status operations answer 500 whatever happens, and before 2.2.1 a killed
// command was a 500 with its exit status.
func (e *Error) timedOut() bool {
	switch e.Status {
	case 0:
		return errors.Is(e.cause, errTryTimeout)
	case http.StatusRequestTimeout:
		return true
	case http.StatusInternalServerError:
		return strings.HasPrefix(e.Message, "('Channel not open for sending',") ||
			strings.HasSuffix(e.Message, " timeout limit exceeded.") || killedCommand.MatchString(e.Message)
	}
	return false
}

// killedCommand is the text of a command that timeout(1) ended; 2.1 had a typing
// error in it.
var killedCommand = regexp.MustCompile(`^Remote process faile?d with exit status:124\b`)

// Retryable reports whether the same request may well succeed later: the
// service or the connection was in trouble, not the request. It does not say
// that repeating is harmless; that depends on the operation.
func (e *Error) Retryable() bool {
	switch {
	case e.local:
		return false
	case e.timedOut():
		return true
	case e.Status == 0:
		return e.noAnswerCondition() != ErrUnauthenticated && !isCertificateError(e.cause)
	case e.Status < 300: // cut short, unreadable, or not written by FirecREST
		return !errors.Is(e.cause, errAnswerTooLarge) && !errors.Is(e.cause, errFileTooLarge)
	}
	switch e.Status {
	case http.StatusFailedDependency, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusNotFound:
		return e.FromServer() && e.entryGone()
	case http.StatusInternalServerError:
		return !e.FromServer() || !e.unknownJob() && (e.jobQuery() || len(e.CausedBy) > 0 && !lasting.MatchString(e.Message))
	}
	return false
}

// lasting are the words of failures that do not pass, among the 500s that mostly
// do.
var lasting = regexp.MustCompile(`Is a directory|No SSH credentials found for user:`)

// jobQuery reports whether the request read jobs: there every failure of the
// scheduler's commands, also a passing one, is a 500.
func (e *Error) jobQuery() bool { return strings.HasPrefix(e.Operation, "GET /compute/") }

// isCertificateError reports whether the connection failed in a way that
// waiting does not mend.
func isCertificateError(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// RetryAfter is how long the server asked to wait, between 1 s and 15 min, or
// 0 if it did not ask.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// NotExecuted reports whether it is certain that the operation was not carried
// out: nothing was sent, or the server refused before it touched the system.
// Only answers known word for word count; anything else may have happened.
func (e *Error) NotExecuted() bool {
	switch e.Status {
	case 0:
		return !e.sent
	case http.StatusTooManyRequests:
		return true // FirecREST has no such answer: a gateway turned us away
	}
	if e.Status >= 300 && e.Status < 400 {
		return true
	}
	if !e.FromServer() {
		return false
	}
	if e.refusedTransfer() {
		return true
	}
	switch e.Status {
	case http.StatusBadRequest:
		return e.Type == "validation"
	case http.StatusUnauthorized, http.StatusNotImplemented:
		return true
	case http.StatusForbidden:
		return e.Message == "Not authenticated"
	case http.StatusNotFound:
		return e.Message == "System not found"
	case http.StatusRequestTimeout:
		return strings.HasPrefix(e.Message, "SSH keys generation timeout") ||
			e.Message == "SSH connection timeout limit exceeded."
	case http.StatusFailedDependency:
		return e.Message == "SSH connection pool capacity exceeded" ||
			e.Message == "Unable to open a new SSH channel."
	case http.StatusServiceUnavailable:
		return strings.HasPrefix(e.Message, "The ") &&
			strings.Contains(e.Message, "requested ") && strings.HasSuffix(e.Message, " is unhealthy.")
	}
	return false
}

const maxMessage = 8 << 10

// readErrorBody fills in what an error body says. Bodies that are not the
// server's envelope, as gateways send them, leave Message empty.
func (e *Error) readErrorBody(body []byte) {
	var envelope struct {
		ErrorType string          `json:"errorType"`
		Message   string          `json:"message"`
		CausedBy  json.RawMessage `json:"causedBy"`
		Data      json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &envelope) != nil {
		return
	}
	e.Type, e.Message = clean(envelope.ErrorType), clean(envelope.Message)
	// The rest is for people; an odd shape there must not cost the message.
	var causes []string
	_ = json.Unmarshal(envelope.CausedBy, &causes)
	for _, c := range causes {
		e.CausedBy = append(e.CausedBy, clean(c))
	}
	var data struct {
		Fields []struct {
			Location string `json:"location"`
			Name     text   `json:"name"`
			Message  string `json:"message"`
		} `json:"fields"`
	}
	_ = json.Unmarshal(envelope.Data, &data)
	for _, f := range data.Fields {
		e.Fields = append(e.Fields, FieldError{clean(f.Location), clean(string(f.Name)), clean(f.Message)})
	}
}

// clean makes remote text safe to print: valid UTF-8, no control characters
// but newline and tab, bounded.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + " … (cut)"
}
