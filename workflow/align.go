package workflow

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// scalarStyle is how a scalar stands in the file.
type scalarStyle int

const (
	plainStyle scalarStyle = iota
	singleQuoted
	doubleQuoted
	literalBlock
	foldedBlock
)

// alignment maps the text of a scalar to where its characters stand in the
// file. YAML folds lines, drops indentation and resolves escapes, and its
// library tells only where a scalar begins; so the source is read again along
// the text that came out.
type alignment struct {
	text  string
	spans []span
	end   int // offset in the source after the last character
}

// span is a stretch of text that stands in one line, character by character.
type span struct {
	at  int // byte offset in the text
	pos Pos
}

// maxSpan bounds the characters counted when a place is looked up.
const maxSpan = 256

// place returns where the character at a byte offset of the text stands.
func (a *alignment) place(offset int) Pos {
	i := sort.Search(len(a.spans), func(i int) bool { return a.spans[i].at > offset }) - 1
	if i < 0 {
		return Pos{}
	}
	s := a.spans[i]
	s.pos.Column += utf8.RuneCountInString(a.text[s.at:min(max(offset, s.at), len(a.text))])
	return s.pos
}

// places finds where the characters of a text stand. Where that fails, which
// is only for a value that stands on another line than its anchor, everything
// is at the place of the value.
func (s *source) places(v *Value) *alignment {
	if a, ok := align(s, v.Pos, v.Text, s.style(v.Pos)); ok {
		return a
	}
	return &alignment{spans: []span{{pos: v.Pos}}, end: s.offset(v.Pos)}
}

// style tells from its first character how a scalar is written.
func (s *source) style(at Pos) scalarStyle {
	rest := s.text[s.offset(at):]
	for style, first := range map[scalarStyle]string{singleQuoted: "'", doubleQuoted: `"`, literalBlock: "|", foldedBlock: ">"} {
		if strings.HasPrefix(rest, first) {
			return style
		}
	}
	return plainStyle
}

// commentAt reports whether nothing but a comment follows on the line.
func (s *source) commentAt(offset int) bool {
	rest := s.text[offset:]
	after := strings.TrimLeft(rest, " \t")
	return len(after) < len(rest) && strings.HasPrefix(after, "#")
}

// align finds the characters of text in the source, where the scalar begins at
// start. It reports false if source and text do not agree.
func align(src *source, start Pos, text string, style scalarStyle) (*alignment, bool) {
	a := &aligner{src: src.text, i: src.offset(start), pos: start, text: text}
	ok := false
	switch style {
	case plainStyle:
		ok = a.flow("")
	case singleQuoted:
		ok = a.flow("'")
	case doubleQuoted:
		ok = a.flow(`"`)
	default:
		ok = a.block(style == foldedBlock)
	}
	return &alignment{text: text, spans: append(a.spans, span{at: len(text), pos: a.pos}), end: a.i}, ok && a.t == len(text)
}

// aligner walks through source and text side by side.
type aligner struct {
	src   string
	i     int // offset in src
	pos   Pos // place of src[i]
	text  string
	t     int // offset in text
	spans []span
	next  int // text offset that continues the last span; -1 = start a new one
}

// flow reads a plain or quoted scalar.
func (a *aligner) flow(quote string) bool {
	if quote != "" {
		if !strings.HasPrefix(a.src[a.i:], quote) {
			return false
		}
		a.skip(1)
	}
	for a.t < len(a.text) {
		if a.i >= len(a.src) {
			return false
		}
		switch c := a.src[a.i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if !a.blanks() {
				return false
			}
		case quote == "'" && c == '\'':
			if !strings.HasPrefix(a.src[a.i:], "''") || a.text[a.t] != '\'' {
				return false
			}
			a.mark()
			a.t++
			a.skip(2)
			a.next = -1
		case quote == `"` && c == '\\':
			if !a.escape() {
				return false
			}
		case !a.same():
			return false
		}
	}
	for quote != "" { // up to the closing quote there is only what folds to nothing
		if strings.HasPrefix(a.src[a.i:], quote) {
			a.skip(1)
			break
		}
		if strings.HasPrefix(a.src[a.i:], "\\\n") || strings.HasPrefix(a.src[a.i:], "\\\r\n") {
			a.skip(1)
		}
		if a.i >= len(a.src) || !a.step(" \t\r\n") {
			return false
		}
	}
	return true
}

// blanks reads spaces inside a line as they are, and a line break with the
// spaces around it as one space, or as one break less than there are.
func (a *aligner) blanks() bool {
	rest := a.src[a.i:]
	run := rest[:len(rest)-len(strings.TrimLeft(rest, " \t\r\n"))]
	breaks := strings.Count(run, "\n")
	if breaks == 0 {
		for range len(run) {
			if a.t < len(a.text) && !a.same() {
				return false
			}
		}
		return true
	}
	want := " "
	if breaks > 1 {
		want = strings.Repeat("\n", breaks-1)
	}
	if !strings.HasPrefix(a.text[a.t:], want) {
		return false
	}
	a.mark()
	a.t += len(want)
	a.skip(len(run))
	a.next = -1
	return true
}

// escape reads a backslash and what it stands for.
func (a *aligner) escape() bool {
	rest := a.src[a.i+1:]
	if strings.HasPrefix(rest, "\n") || strings.HasPrefix(rest, "\r\n") {
		// An escaped line break joins the lines; blanks after it are dropped, but
		// a second break in them counts.
		run := rest[:len(rest)-len(strings.TrimLeft(rest, " \t\r\n"))]
		breaks := strings.Repeat("\n", strings.Count(run, "\n")-1)
		if !strings.HasPrefix(a.text[a.t:], breaks) {
			return false
		}
		if breaks != "" {
			a.mark()
		}
		a.t += len(breaks)
		a.skip(1 + len(run))
		a.next = -1
		return true
	}
	length := 2
	if rest != "" {
		length += map[byte]int{'x': 2, 'u': 4, 'U': 8}[rest[0]]
	}
	if a.i+length > len(a.src) {
		return false
	}
	a.mark()
	_, size := utf8.DecodeRuneInString(a.text[a.t:])
	a.t += size
	a.skip(length)
	a.next = -1
	return true
}

// block reads a literal or folded block: a header line, then lines that lost
// their indentation.
func (a *aligner) block(folded bool) bool {
	a.toLineEnd()
	indent := -1
	for a.t < len(a.text) {
		if a.i >= len(a.src) {
			return false
		}
		a.skipBreak()
		line := a.src[a.i:]
		if end := strings.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		line = strings.TrimSuffix(line, "\r")
		if indent < 0 && strings.Trim(line, " ") != "" {
			written, kept := leadingSpaces(line), leadingSpaces(strings.TrimLeft(a.text[a.t:], "\n"))
			indent = max(0, written-kept)
			for folded && a.t < len(a.text) && a.text[a.t] == '\n' { // empty lines before the first
				a.mark()
				a.t++
			}
		}
		content := ""
		if indent >= 0 && len(line) > indent {
			content = line[indent:]
		}
		a.skip(len(line) - len(content))
		a.next = -1
		for range utf8.RuneCountInString(content) {
			if a.t >= len(a.text) || !a.same() {
				return false
			}
		}
		if folded && content == "" {
			continue // counted with the breaks after the line before
		}
		a.mark()
		if !folded {
			if strings.HasPrefix(a.text[a.t:], "\n") {
				a.t++
			}
			continue
		}
		kept := a.t
		for a.t < len(a.text) && a.text[a.t] == '\n' {
			a.t++
		}
		if a.t == kept && a.t < len(a.text) && a.text[a.t] == ' ' {
			a.t++
		}
	}
	return true
}

func leadingSpaces(line string) int {
	return len(line) - len(strings.TrimLeft(line, " "))
}

// same reads one character that stands for itself.
func (a *aligner) same() bool {
	r, size := utf8.DecodeRuneInString(a.src[a.i:])
	if got, _ := utf8.DecodeRuneInString(a.text[a.t:]); got != r || a.t >= len(a.text) {
		return false
	}
	a.mark()
	a.t += size
	a.i += size
	a.pos.Column++
	a.next = a.t
	return true
}

// mark notes where the next character of the text stands.
func (a *aligner) mark() {
	if len(a.spans) > 0 && a.next == a.t && a.t-a.spans[len(a.spans)-1].at < maxSpan {
		return
	}
	a.spans = append(a.spans, span{at: a.t, pos: a.pos})
}

// step skips one byte if it is one of those given.
func (a *aligner) step(any string) bool {
	if strings.IndexByte(any, a.src[a.i]) < 0 {
		return false
	}
	a.skip(1)
	return true
}

// skip moves on in the source alone.
func (a *aligner) skip(bytes int) {
	for range bytes {
		switch c := a.src[a.i]; {
		case c == '\n':
			a.pos = Pos{Line: a.pos.Line + 1, Column: 1}
		case utf8.RuneStart(c):
			a.pos.Column++
		}
		a.i++
	}
}

func (a *aligner) toLineEnd() {
	if end := strings.IndexByte(a.src[a.i:], '\n'); end >= 0 {
		a.skip(end)
	} else {
		a.skip(len(a.src) - a.i)
	}
}

// skipBreak moves to the first character of the next line.
func (a *aligner) skipBreak() {
	a.toLineEnd()
	if a.i < len(a.src) {
		a.skip(1)
	}
}
