package datatransfer

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/fcflow/fcflow/firecrest"
)

// A pattern is a path in which `*` stands for any text without a slash, `?` for
// one character, `[a-z]` for one of a set, `[!a-z]` or `[^a-z]` for one not in
// it, and a component `**` for any number of directories, none included. A
// backslash takes the next character as it is. A wildcard does not match the
// dot that begins a hidden name; a component that begins with a dot does.
//
// What is found keeps its path from the first component with a wildcard on. A
// directory that the last component matches is taken whole, as if named; only
// at the end of a pattern, `**` and `**/*` are the files.

var (
	// ErrNoMatch says that a pattern matched nothing.
	ErrNoMatch = errors.New("no file matches")
	// ErrPattern says that a pattern cannot be read.
	ErrPattern = errors.New("bad pattern")
)

// RemoteFile is a file or directory of a system that a pattern matched.
type RemoteFile struct {
	// Path is absolute if the pattern is.
	Path string
	// Name is its path below the target.
	Name  string
	Entry firecrest.FileEntry
}

// IsGlob reports whether a path holds a wildcard.
func IsGlob(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// GlobBase returns the directory above the first wildcard: what to list for
// [MatchRemote]. It is "." for a relative pattern that begins with one.
func GlobBase(pattern string) string {
	base, _ := splitGlob(pattern)
	return base
}

// MatchRemote picks what a pattern matches from the listing of its [GlobBase],
// in the order of the listing. The listing is recursive, with hidden names: see
// [firecrest.ListOptions]. Links in it are for the caller to judge; a listing that
// follows them fails if one of them dangles.
//
// Errors: [ErrNoMatch], [ErrPattern].
func MatchRemote(pattern string, entries []firecrest.FileEntry) ([]RemoteFile, error) {
	base, rest := splitGlob(pattern)
	g, err := parseGlob(rest)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrPattern, pattern, err)
	}
	var found []RemoteFile
	for _, entry := range entries {
		name := path.Clean(entry.Name)
		if g.matches(name, entry.IsDir()) {
			found = append(found, RemoteFile{path.Join(base, name), name, entry})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w %q", ErrNoMatch, pattern)
	}
	return found, nil
}

// splitGlob separates the part without wildcards, unescaped, from the rest.
func splitGlob(pattern string) (base, rest string) {
	start := 0
	for start < len(pattern) {
		end := len(pattern)
		if i := strings.IndexByte(pattern[start:], '/'); i >= 0 {
			end = start + i
		}
		if IsGlob(pattern[start:end]) {
			break
		}
		start = min(end+1, len(pattern))
	}
	base = unescape(pattern[:start])
	if len(base) > 1 {
		base = strings.TrimRight(base, "/")
	}
	switch {
	case base == "" && start > 0:
		base = "/"
	case base == "":
		base = "."
	}
	return base, pattern[start:]
}

func unescape(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}

// glob matches paths component by component, as an automaton that is in a set
// of states at once: state i has matched the first i parts.
type glob struct {
	parts     []string
	filesOnly bool // the last part matches no directory
}

// progress is the set of states that a path has led to, one bit each.
type progress uint64

const maxParts = 62

func parseGlob(rest string) (glob, error) {
	var g glob
	for part := range strings.SplitSeq(rest, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return glob{}, errors.New("`..` behind a wildcard")
		}
		part, err := matchSyntax(part)
		if err != nil {
			return glob{}, err
		}
		g.parts = append(g.parts, part)
	}
	if n := len(g.parts); n > 0 && g.parts[n-1] == "**" {
		g.parts = append(g.parts, "*")
	}
	n := len(g.parts)
	g.filesOnly = n > 1 && g.parts[n-1] == "*" && g.parts[n-2] == "**"
	if n > maxParts {
		return glob{}, fmt.Errorf("more than %d components", maxParts)
	}
	return g, nil
}

// matchSyntax writes a component the way package path reads it, which knows
// [^…] but not [!…], nor a bracket as the first member of a set.
func matchSyntax(part string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		b.WriteByte(part[i])
		switch rest := part[i+1:]; {
		case part[i] == '\\' && rest != "":
			i++
			b.WriteByte(part[i])
		case part[i] == '[':
			n, set := setSyntax(rest)
			b.WriteString(set)
			i += n
		}
	}
	if _, err := path.Match(b.String(), ""); err != nil || strings.Contains(part, "[[:") {
		return "", fmt.Errorf("%q: want a set such as [a-z]; write \\[ for a bracket in a name", part)
	}
	return b.String(), nil
}

// setSyntax rewrites the n bytes behind an opening bracket up to the closing
// one.
func setSyntax(rest string) (n int, set string) {
	if rest != "" && (rest[0] == '!' || rest[0] == '^') {
		n, set = 1, "^"
	}
	if strings.HasPrefix(rest[n:], "]") {
		n, set = n+1, set+`\]`
	}
	end := n
	for end < len(rest) && rest[end] != ']' {
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(rest))
	return end, set + rest[n:end]
}

func (g glob) start() progress { return g.skip(1) }

// skip adds what `**` reaches by matching nothing.
func (g glob) skip(at progress) progress {
	for i, part := range g.parts {
		if part == "**" && at&(1<<i) != 0 {
			at |= 1 << (i + 1)
		}
	}
	return at
}

// step goes on by one component of a path; 0 is a dead end.
func (g glob) step(at progress, name string) progress {
	var next progress
	for i, part := range g.parts {
		if at&(1<<i) == 0 || name[0] == '.' && part[0] != '.' && !strings.HasPrefix(part, `\.`) {
			continue
		}
		if part == "**" {
			next |= 1 << i
		} else if ok, _ := path.Match(part, name); ok {
			next |= 1 << (i + 1)
		}
	}
	return g.skip(next)
}

// accepts says whether a path that led to these states matches.
func (g glob) accepts(at progress, isDir bool) bool {
	return at&(1<<len(g.parts)) != 0 && !(isDir && g.filesOnly)
}

// matches says whether a path matches, or lies in a directory that does.
func (g glob) matches(name string, isDir bool) bool {
	at, rest, more := g.start(), name, true
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if part == "" || part == "." || part == ".." {
			return false
		}
		at = g.step(at, part)
		if g.accepts(at, isDir || more) {
			return true
		}
	}
	return false
}
