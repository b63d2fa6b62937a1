package workflow

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a workflow file. Beyond them it is refused before anything is
// built from it, so that a hostile file costs neither time nor memory.
const (
	maxSourceBytes = 1 << 20
	maxDepth       = 64
	maxValues      = 100_000
	maxAliases     = 100
	// maxMarks bounds what may begin a value or a comment, counted before the
	// text is parsed and therefore also inside scripts: the YAML library takes
	// up to 600 bytes for each.
	maxMarks = 110_000
)

// byteOrderMark is what some editors put before the first character.
const byteOrderMark = "\uFEFF"

// source is the text of a file, ready for finding places in it.
type source struct {
	text   string // without byte order mark
	starts []int  // byte offset of each line
	// The last place asked for: the next is mostly near, and a line may be as
	// long as the file.
	lastLine, lastColumn, lastOffset int
}

// newSource checks the text for size and characters and indexes its lines.
func newSource(text string) (*source, Problems) {
	if len(text) > maxSourceBytes {
		return nil, Problems{{
			Code:    CodeTooLarge,
			Message: fmt.Sprintf("the file has %d bytes; a workflow has at most 1 MiB (%d)", len(text), maxSourceBytes),
			Hint:    "put large data into files of their own and upload them",
		}}
	}
	s := &source{text: strings.TrimPrefix(text, byteOrderMark), starts: []int{0}}
	for i := 0; i < len(s.text); i++ {
		c := s.text[i]
		switch {
		case c == '\n':
			s.starts = append(s.starts, i+1)
		case c >= ' ' && c < 0x7F, c == '\t', c == '\r' && strings.HasPrefix(s.text[i+1:], "\n"):
		default:
			r, size := utf8.DecodeRuneInString(s.text[i:])
			if reason := refusedCharacter(r, size); reason != "" {
				line := s.starts[len(s.starts)-1]
				at := Pos{Line: len(s.starts), Column: 1 + utf8.RuneCountInString(s.text[line:i])}
				return nil, Problems{{Code: CodeBadCharacter, Pos: at, Message: reason, Hint: "remove it; in a double-quoted text it can be written as an escape"}}
			}
			i += size - 1
		}
	}
	if marks := s.marks(); marks > maxMarks {
		return nil, Problems{tooManyValues(Pos{})}
	}
	return s, nil
}

// refusedCharacter says why a character outside printable ASCII may not occur
// in a workflow file; "" if it may. The line separators that only YAML knows
// are refused because no editor counts lines with them.
func refusedCharacter(r rune, size int) string {
	switch {
	case r == utf8.RuneError && size == 1:
		return "this is not UTF-8 text"
	case r < ' ' || r >= 0x7F && r < 0xA0, r == '\u2028', r == '\u2029', r == '\uFEFF', r == '\uFFFE', r == '\uFFFF':
		return fmt.Sprintf("the invisible character %U is not allowed in a workflow file", r)
	}
	return ""
}

// marks counts the characters that may begin a value or a comment: never fewer
// than there are values and comments, but for the root.
func (s *source) marks() int {
	n := 0
	for i := range len(s.text) {
		switch s.text[i] {
		case ',', '[', '#', '?': // inside brackets a question mark needs no space
			n++
		case '{':
			if before := s.text[max(0, i-2):i]; !strings.HasSuffix(before, "$") && before != "${" {
				n++ // the braces of an expression are not YAML's
			}
		case ':', '-':
			if i+1 == len(s.text) || strings.IndexByte(" \t\r\n,[]{}\"'", s.text[i+1]) >= 0 {
				n++
			} else if s.text[i] == ':' && i > 0 && strings.IndexByte("\"'", s.text[i-1]) >= 0 {
				n++ // a quoted key needs no space after it
			}
		}
	}
	return n
}

func tooManyValues(at Pos) Problem {
	return Problem{
		Code: CodeTooManyValues, Pos: at,
		Message: "the file holds more than 100,000 values, counting what aliases repeat",
		Hint:    "put large tables into files of their own and upload them",
	}
}

// line returns a line by its number, without its line break.
func (s *source) line(number int) string {
	if number < 1 || number > len(s.starts) {
		return ""
	}
	text := s.text[s.starts[number-1]:]
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	return strings.TrimSuffix(text, "\r")
}

// offset returns the byte offset of a place.
func (s *source) offset(p Pos) int {
	if p.Line < 1 || p.Line > len(s.starts) {
		return len(s.text)
	}
	at, column := s.starts[p.Line-1], 1
	if p.Line == s.lastLine && p.Column > s.lastColumn/2 {
		at, column = s.lastOffset, s.lastColumn
	}
	for ; column < p.Column && at < len(s.text); column++ {
		_, size := utf8.DecodeRuneInString(s.text[at:])
		at += size
	}
	for ; column > p.Column; column-- {
		_, size := utf8.DecodeLastRuneInString(s.text[:at])
		at -= size
	}
	s.lastLine, s.lastColumn, s.lastOffset = p.Line, column, at
	return at
}

// afterProperty returns the place of the value that follows an anchor or tag,
// which may stand on a later line.
func (s *source) afterProperty(p Pos) Pos {
	at := s.offset(p)
	word := property(s.text[at:])
	p.Column += utf8.RuneCountInString(word)
	for at += len(word); at < len(s.text); at++ {
		switch s.text[at] {
		case ' ', '\t', '\r':
			p.Column++
		case '\n':
			p = Pos{Line: p.Line + 1, Column: 1}
		case '#':
			at += len(s.line(p.Line)) - (at - s.starts[p.Line-1]) - 1
		default:
			return p
		}
	}
	return p
}
