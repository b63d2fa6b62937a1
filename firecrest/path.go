package firecrest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// ErrPath matches, with errors.Is, every [PathError].
var ErrPath = errors.New("path cannot be sent")

// PathError is a path that was refused before anything was sent, because the
// server would misunderstand it: it puts paths between single quotes on a
// shell command line without escaping them.
type PathError struct {
	// Path is the path as given.
	Path string
	// Reason says what is wrong with it.
	Reason string
}

func (e *PathError) Error() string {
	return fmt.Sprintf("path %q %s", e.Path, e.Reason)
}

// Is reports whether target is [ErrPath].
func (e *PathError) Is(target error) bool { return target == ErrPath }

// CheckPath reports, as a [*PathError], why a path on a system cannot be sent:
// it is empty or not absolute, starts with ~ (which the server does not
// expand), or contains a single quote, a newline or a NUL byte. Whether the
// path exists or lies in a file system of the system is the server's to say.
func CheckPath(path string) error {
	switch {
	case path == "":
		return &PathError{path, "is empty"}
	case strings.HasPrefix(path, "~"):
		return &PathError{path, "starts with ~, which the server does not expand: write the absolute path"}
	case !strings.HasPrefix(path, "/"):
		return &PathError{path, "is not absolute"}
	}
	return checkQuoting(path)
}

// checkQuoting refuses the characters that would leave the quotes the server
// writes around a path.
func checkQuoting(path string) error {
	switch i := strings.IndexAny(path, "'\n\x00"); {
	case i < 0:
		return nil
	case path[i] == '\'':
		return &PathError{path, "contains a single quote, which the server does not escape"}
	case path[i] == '\n':
		return &PathError{path, "contains a newline"}
	default:
		return &PathError{path, "contains a NUL byte"}
	}
}

// checkFileName is [CheckPath] for the name of one file in a directory.
func checkFileName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return &PathError{name, "is not a file name"}
	case strings.Contains(name, "/"):
		return &PathError{name, "is not a file name: it contains a slash"}
	}
	if err := checkQuoting(name); err != nil {
		return err
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return &PathError{name, "contains a control character, which a server may not see in the name of an upload"}
	}
	return nil
}

// checkNoSpace refuses white space where the server cannot cope with it.
func checkNoSpace(path string) error {
	if strings.ContainsAny(path, " \t\r\v\f") {
		return &PathError{path, "contains white space, which this operation cannot handle on the server"}
	}
	return nil
}

// checkPasted refuses what is lost when the server pastes a path into the
// script of a transfer job: it escapes these characters as if for a web page.
func checkPasted(path string) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	return checkUnescaped(path)
}

func checkUnescaped(text string) error {
	if i := strings.IndexAny(text, `&<>"`); i >= 0 {
		return &PathError{text, fmt.Sprintf("contains %q, which the server mangles in the script of a transfer job", text[i])}
	}
	return checkQuoting(text)
}

// checkExpanded is checkPasted for a path that the script of the job has in
// double quotes.
func checkExpanded(path string) error {
	if err := checkPasted(path); err != nil {
		return err
	}
	if i := strings.IndexAny(path, "$`\\"); i >= 0 {
		return &PathError{path, fmt.Sprintf("contains %q, which the shell of this kind of transfer job expands", path[i])}
	}
	return nil
}

// checkUnquoted is checkPasted for a path that the script of the job has in no
// quotes at all: only characters that mean nothing to a shell pass.
func checkUnquoted(path string) error {
	if err := checkPasted(path); err != nil {
		return err
	}
	for _, r := range path {
		if r <= ' ' || unicode.IsSpace(r) || strings.ContainsRune("$`\\*?[](){};|", r) {
			return &PathError{path, fmt.Sprintf("contains %q, which this kind of transfer job cannot handle", r)}
		}
	}
	return nil
}

// checkName refuses what is not one word, such as the name of a user or an
// account. Empty is fine.
func checkName(what, name string) error {
	if strings.HasPrefix(name, "-") || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("'\"`$&<>;|:", r)
	}) {
		return fmt.Errorf("%s %q is not a name", what, name)
	}
	return nil
}

var (
	systemName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	plainJobID = regexp.MustCompile(`^[a-zA-Z0-9]{1,64}$`)
)

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
