package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// A file operation of the reference server is a shell command on a login node.
// Here it is Go code that fails the way the command would: with the command's
// exit status and text, from which the answer's status follows.

// commandFailed is the answer to a command that exited with rc and wrote
// stderr.
func commandFailed(rc int, format string, args ...any) error {
	stderr := fmt.Sprintf(format, args...)
	status := 500
	for _, known := range []struct {
		text   string
		status int
	}{
		{"No such file or directory", 404},
		{"Permission denied", 403},
		{"Operation not permitted", 403},
		{"File exists", 400},
		{"invalid user", 400},
	} {
		if strings.Contains(stderr, known.text) {
			status = known.status
			break
		}
	}
	e := fail(status, "Remote process failed with exit status:%d and error message:%s", rc, stderr)
	e.stderr = stderr
	return e
}

var (
	errTooMuchOutput = fail(413, "Command output exceeded buffer limit.")
	errCommandTime   = fail(408, "Command execution timeout limit exceeded.")
)

// strerror is the C library's text of an error. What has no number, such as a
// path that tried to leave its volume, is a refusal.
func strerror(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		no = syscall.EACCES
	}
	text := no.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// commandError is commandFailed with the text of err as the last argument,
// except that an answer found on the way, such as a timeout, is passed on.
func commandError(err error, rc int, format string, args ...any) error {
	var answer *apiError
	if errors.As(err, &answer) {
		return answer
	}
	return commandFailed(rc, format, append(args, strerror(err))...)
}

// command begins one file operation: the caller's files, for as long as the
// time limit of the login node allows. A client that leaves stops nothing.
//
// It refuses a primary path, and more paths, that the reference server cannot
// pass to its shell: they are put in single quotes as they are.
func (s *Server) command(c *call, more ...string) (x session, done func(), err error) {
	if strings.Contains(c.path+strings.Join(more, ""), "'") {
		return session{}, nil, commandFailed(2, "bash: -c: line 1: unexpected EOF while looking for matching `''")
	}
	u, err := s.loginUser(c)
	if err != nil {
		return session{}, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(c.r.Context()), s.cfg.CommandTimeout, errCommandTime)
	return session{s.volumes, u, ctx}, cancel, nil
}

// loginUser is who the caller is on the login node.
func (s *Server) loginUser(c *call) (user, error) {
	u, known := s.users.find(c.user)
	if !known {
		return user{}, fail(500, "('No SSH credentials found for user:%s',)", c.user)
	}
	return u, nil
}
