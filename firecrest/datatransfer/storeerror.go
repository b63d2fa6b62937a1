package datatransfer

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/fcflow/fcflow/internal/netguard"
)

var (
	// ErrExpired: the object store does not accept an address any more; a new
	// transfer has new ones.
	ErrExpired = errors.New("the address has expired")
	// ErrChanged: the file is not what it was when the transfer began.
	ErrChanged = errors.New("the file has changed")
)

// StoreError is a request to an object store that did not succeed. It does not
// hold the address.
type StoreError struct {
	// Action is what was tried, such as "send part 3".
	Action string
	// Host is the object store.
	Host string
	// Status is the HTTP status of the last try, 0 if no answer came.
	Status int
	// Code and Message are what the store said, such as "NoSuchUpload".
	Code, Message string
	// Attempts is how often it was tried.
	Attempts int

	unsure bool // an earlier try may have had its effect
	cause  error
}

// Error returns one line.
func (e *StoreError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: object store %s: ", e.Action, e.Host)
	if e.Status != 0 {
		fmt.Fprintf(&b, "%d %s", e.Status, strings.ToLower(http.StatusText(e.Status)))
	}
	for i, part := range []string{e.Code, e.Message} {
		if part != "" && (i > 0 || e.Status != 0) {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	if e.cause != nil {
		if e.Status != 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.cause.Error())
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts)", e.Attempts)
	}
	return b.String()
}

// Unwrap returns why there was no answer, or why it is of no use.
func (e *StoreError) Unwrap() error { return e.cause }

// Is makes [ErrExpired] and [ErrChanged] match.
func (e *StoreError) Is(target error) bool {
	switch target {
	case ErrExpired:
		return e.Status == http.StatusForbidden
	case ErrChanged:
		return e.Status == http.StatusPreconditionFailed
	}
	return false
}

// Retryable reports whether the same request may well succeed later.
func (e *StoreError) Retryable() bool {
	var local *LocalError
	switch {
	case errors.As(e.cause, &local), errors.Is(e.cause, netguard.ErrRefused):
		return false
	case e.Status < 300: // no answer, cut short, or damaged
		return true
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusTooEarly:
		return true
	case http.StatusBadRequest: // what a store says of a body that came too slowly or damaged
		return e.Code == "RequestTimeout" || e.Code == "BadDigest" || e.Code == "IncompleteBody" || e.Code == "XAmzContentSHA256Mismatch"
	}
	return e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// gone reports whether the upload or object does not exist (any more).
func (e *StoreError) gone() bool { return e.Status == http.StatusNotFound }

// LocalError is a failure of this machine's files.
type LocalError struct{ Err error }

// Error returns the error of the operating system.
func (e *LocalError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the operating system.
func (e *LocalError) Unwrap() error { return e.Err }

// localError marks an error of this machine's files.
func localError(err error) error {
	if err == nil {
		return nil
	}
	return &LocalError{err}
}

const maxStoreAnswer = 64 << 10

// readAnswer reads the XML of an answer: the name of its root, and what an error
// says.
func readAnswer(body io.Reader) (root, code, message string, err error) {
	var answer struct {
		XMLName xml.Name
		Code    string
		Message string
	}
	text, err := io.ReadAll(io.LimitReader(body, maxStoreAnswer))
	if err != nil {
		return "", "", "", err
	}
	if err := xml.Unmarshal(text, &answer); err != nil {
		return "", "", "", errors.New("the answer is not of an object store")
	}
	return answer.XMLName.Local, clean(answer.Code), clean(answer.Message), nil
}

// clean makes remote text safe to print, and short.
func clean(s string) string {
	const most = 300
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.TrimSpace(s)
}
