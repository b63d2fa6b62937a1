package engine

import "errors"

// Errors that end the drive of a run but leave the run resumable; match with
// errors.Is. Binders wrap the first three.
var (
	// ErrLogin: the token endpoint or the server refused who we are.
	ErrLogin = errors.New("login refused")
	// ErrUnavailable: no good answer yet.
	ErrUnavailable = errors.New("service unavailable")
	// ErrConflict: the run belongs to somebody else: another user, another URL.
	ErrConflict = errors.New("conflict")
	// ErrAttention: every unit that is left waits for a person.
	ErrAttention = errors.New("attention needed")
)
