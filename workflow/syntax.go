package workflow

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// syntaxProblem describes what the YAML library could not read. The library
// names at most a line, and not always the one where the mistake is.
func syntaxProblem(src *source, read int, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := 0
	if m := linePrefix.FindStringSubmatch(text); m != nil {
		at, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	at = min(blame(src, at, read), len(src.starts))
	line := src.line(at)
	p := Problem{Code: CodeYAMLSyntax, Pos: Pos{Line: at}, Message: "this is not YAML: " + text, Hint: yamlHint(line, text)}
	if tab := strings.IndexByte(line, '\t'); tab >= 0 && strings.Trim(line[:tab], " ") == "" {
		p.Pos.Column = tab + 1
	}
	return p
}

var linePrefix = regexp.MustCompile(`^line ([0-9]+): `)

// yamlHint guesses from the line and from what the library says why a text is
// refused.
func yamlHint(line, reason string) string {
	switch {
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		return "indent with spaces; YAML does not allow tabs there"
	case strings.Contains(line, openExpression):
		return "put quotes around the value: to YAML, the characters `: `, ` #`, `{` and `}` in an expression mean something else"
	case foldedComparison.MatchString(line):
		return "put quotes around a value that begins with >"
	case specialStart.MatchString(line):
		return "put quotes around a value that begins with one of * & ! % @ `"
	case strings.Contains(line, "{{"):
		return bracesHint
	}
	for _, h := range libraryHints {
		if strings.Contains(reason, h.reason) {
			return h.hint
		}
	}
	return ""
}

// libraryHints say what usually leads to what the library complains about.
var libraryHints = []struct{ reason, hint string }{
	{"mapping values are not allowed", "put quotes around a value that has a colon and a space in it, and check the indentation"},
	{"expected ',' or", "a bracket or brace that opens here is not closed, or a comma is missing"},
	{"unexpected end of stream", "a quote that opens here is not closed"},
	{"unknown escape character", `in double quotes a backslash begins an escape; write '…' or \\`},
	{"could not find expected ':'", "a key needs a colon and a space after it"},
	{"did not find expected", "check quotes and indentation: the keys of a mapping begin in the same column, and so do the dashes of a list"},
}

var (
	foldedComparison = regexp.MustCompile(`:\s+>[=0-9. ]`)
	specialStart     = regexp.MustCompile("[:-]\\s+[*&!%@`]")
)

// bracesHint explains `{{ x }}` without its dollar sign, which YAML takes for a
// mapping within a mapping.
const bracesHint = "an expression is written ${{ … }}"

// blame finds the line at which a text stops being YAML: the one after the
// longest beginning that is. So an unclosed quote is blamed where it opens, not
// at the end of the file. reported is the line that the library names, 0 if
// none, and read how many lines it had seen. Reading beginnings again has a
// budget; when it is used up, what the library says must do.
func blame(src *source, reported, read int) int {
	const budget = 128 << 10 // bytes
	if reported > 0 && read == len(src.starts) && len(src.text) < budget/4 && parses(src, reported-1) && !parses(src, reported) {
		return firstFilled(src, reported)
	}
	bytes := 0
	for k := read - 1; k > 0; k-- {
		if bytes += src.starts[k]; bytes > budget {
			if reported > 0 && read == len(src.starts) {
				return reported
			}
			return max(1, read)
		}
		if parses(src, k) {
			return firstFilled(src, k+1)
		}
	}
	return firstFilled(src, 1)
}

// firstFilled skips empty lines and comments, which cannot be to blame.
func firstFilled(src *source, line int) int {
	for n := line; n <= len(src.starts); n++ {
		if text := strings.TrimSpace(src.line(n)); text != "" && text[0] != '#' {
			return n
		}
	}
	return line
}

// parses reports whether the first lines of a text are YAML by themselves.
func parses(src *source, lines int) bool {
	text := src.text
	if lines < len(src.starts) {
		text = text[:src.starts[lines]]
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decode(decoder); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// lineReader hands out one line at a time and so knows how far its reader came.
type lineReader struct {
	src    *source
	offset int
	read   int // lines begun
}

func (r *lineReader) Read(p []byte) (int, error) {
	if r.offset == len(r.src.text) {
		return 0, io.EOF
	}
	if r.read < len(r.src.starts) && r.offset == r.src.starts[r.read] {
		r.read++
	}
	end := len(r.src.text)
	if r.read < len(r.src.starts) {
		end = r.src.starts[r.read]
	}
	n := copy(p, r.src.text[r.offset:end])
	r.offset += n
	return n, nil
}
