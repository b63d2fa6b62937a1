package firecrest

import (
	"regexp"
	"strings"
)

// Texts with which servers refuse a transfer before they submit anything.
const (
	needsAccount  = "Account parameter is required on this system."
	noSuchMethod  = "Requested transfer method is not available."
	commandFailed = "Remote process fai" // led; 2.1 has a typing error in it
)

var (
	// otherMethod is how servers before 2.5.0, and all of them on a system
	// without a method, say that the method is not available.
	otherMethod = regexp.MustCompile(`^\("'\w+' object has no attribute '(service_type|file_size|wormhole_code)'",\)$`)
	// targetExists is said of the target of a streamer.
	targetExists = regexp.MustCompile(`(?s)^Target file '.*' already exists\.$`)
	// refusedPath is said of a path before anybody looks for the file.
	refusedPath = regexp.MustCompile(`^(The provided path \(|All filesystem requests require a path|Unable to decode request and )`)
)

// isTransfer reports whether the operation submits the job of a transfer.
func (e *Error) isTransfer() bool { return strings.Contains(e.Operation, " "+transferTemplate) }

// lacksMethod reports whether the system does not have the transfer method.
func (e *Error) lacksMethod() bool {
	return e.isTransfer() && (e.Message == noSuchMethod || otherMethod.MatchString(e.Message))
}

// refusedTransfer reports whether it was a check that failed, of those that come
// before the job of a transfer: of the operation, the account, the path, the
// method, the file.
func (e *Error) refusedTransfer() bool {
	if !e.isTransfer() {
		return false
	}
	switch e.condition() {
	case ErrUnsupported:
		return true
	case ErrInvalid:
		return e.Message == needsAccount || refusedPath.MatchString(e.Message)
	case ErrNotFound, ErrForbidden:
		return strings.HasPrefix(e.Message, commandFailed) || targetExists.MatchString(e.Message)
	}
	return false
}
