package oracle

import (
	"fmt"
	"strconv"
	"strings"
)

// The part of YAML that the decoder reads: block mappings and sequences, flow
// mappings and sequences within a line, plain and quoted scalars, comments.

// line is one that says something.
type line struct {
	number int
	indent int
	text   string
}

type yamlReader struct {
	lines []line
	at    int
}

// yamlError is thrown within the decoder and caught at its top.
type yamlError struct{ error }

func yamlFail(number int, format string, args ...any) {
	panic(yamlError{fmt.Errorf("line %d: %s", number, fmt.Sprintf(format, args...))})
}

// decodeYAML reads a document.
func decodeYAML(source string) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			failure, ok := p.(yamlError)
			if !ok {
				panic(p)
			}
			err = failure.error
		}
	}()
	r := &yamlReader{}
	for i, s := range strings.Split(source, "\n") {
		body := strings.TrimLeft(s, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		r.lines = append(r.lines, line{number: i + 1, indent: len(s) - len(body), text: strings.TrimRight(body, " ")})
	}
	v = r.block(0)
	if l := r.peek(); l != nil {
		yamlFail(l.number, "it is indented less than what it belongs to, or more")
	}
	return v, nil
}

func (r *yamlReader) peek() *line {
	if r.at == len(r.lines) {
		return nil
	}
	return &r.lines[r.at]
}

// block reads the mapping or sequence whose lines are indented by exactly as much
// as its first one, which is at least by least. Nothing there is null.
func (r *yamlReader) block(least int) any {
	first := r.peek()
	if first == nil || first.indent < least {
		return nil
	}
	if isItem(first.text) {
		return r.sequence(first.indent)
	}
	if _, _, ok := splitKey(first.text); ok {
		return r.mapping(first.indent)
	}
	r.at++
	return scalarLine(*first, first.text)
}

func isItem(s string) bool { return s == "-" || strings.HasPrefix(s, "- ") }

func (r *yamlReader) sequence(indent int) any {
	list := []any{}
	for l := r.peek(); l != nil && l.indent == indent && isItem(l.text); l = r.peek() {
		rest := strings.TrimLeft(l.text[1:], " ")
		if rest == "" || rest[0] == '#' {
			r.at++
			list = append(list, r.block(indent+1))
			continue
		}
		// What follows the dash is a block of its own, which begins here.
		l.indent += len(l.text) - len(rest)
		l.text = rest
		list = append(list, r.block(indent+1))
	}
	return list
}

func (r *yamlReader) mapping(indent int) any {
	m := newObject()
	for l := r.peek(); l != nil && l.indent == indent && !isItem(l.text); l = r.peek() {
		key, rest, ok := splitKey(l.text)
		if !ok {
			yamlFail(l.number, "no key")
		}
		if m.has(key) {
			yamlFail(l.number, "%q is there twice", key)
		}
		r.at++
		if rest != "" && rest[0] != '#' {
			m.set(key, scalarLine(*l, rest))
			continue
		}
		least := indent + 1
		if next := r.peek(); next != nil && next.indent == indent && isItem(next.text) {
			least = indent // a sequence may stand below its key
		}
		m.set(key, r.block(least))
	}
	return m
}

// splitKey takes `key: rest` apart.
func splitKey(s string) (key, rest string, ok bool) {
	if strings.ContainsAny(s[:1], `"'[{`) {
		return "", "", false
	}
	if key, ok = strings.CutSuffix(s, ":"); ok {
		return key, "", true
	}
	key, rest, ok = strings.Cut(s, ": ")
	return key, strings.TrimLeft(rest, " "), ok
}

// scalarLine reads what stands on the rest of a line.
func scalarLine(l line, s string) any {
	f := &flowReader{number: l.number, s: s}
	if !strings.ContainsAny(s[:1], `"'[{`) {
		if i := strings.Index(s, " #"); i >= 0 {
			s = strings.TrimRight(s[:i], " ")
		}
		return plain(s)
	}
	v := f.value()
	f.blanks()
	if f.at < len(s) && s[f.at] != '#' {
		yamlFail(l.number, "%q is too much", s[f.at:])
	}
	return v
}

// plain is a scalar without quotes.
func plain(s string) any {
	switch s {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	if strings.Trim(s, "0123456789.-+eE") == "" {
		if n, err := strconv.ParseFloat(s, 64); err == nil {
			return n
		}
	}
	return s
}

// flowReader reads one line.
type flowReader struct {
	number int
	s      string
	at     int
}

func (f *flowReader) blanks() {
	for f.at < len(f.s) && f.s[f.at] == ' ' {
		f.at++
	}
}

// next is the next character that is no blank, 0 at the end.
func (f *flowReader) next() byte {
	f.blanks()
	if f.at == len(f.s) {
		return 0
	}
	return f.s[f.at]
}

func (f *flowReader) value() any {
	switch f.next() {
	case '[':
		list := []any{}
		f.members(']', func() { list = append(list, f.value()) })
		return list
	case '{':
		m := newObject()
		f.members('}', func() {
			key, ok := f.value().(string)
			if !ok || f.next() != ':' || m.has(key) {
				yamlFail(f.number, "no key, or one that is there twice")
			}
			f.at++
			m.set(key, f.value())
		})
		return m
	case '"':
		return f.doubleQuoted()
	case '\'':
		return f.singleQuoted()
	}
	begin := f.at
	for f.at < len(f.s) && !strings.ContainsRune(",[]{}", rune(f.s[f.at])) && !strings.HasPrefix(f.s[f.at:], ": ") {
		f.at++
	}
	return plain(strings.TrimRight(f.s[begin:f.at], " "))
}

// members reads what stands between brackets.
func (f *flowReader) members(end byte, one func()) {
	f.at++
	for f.next() != end {
		one()
		switch f.next() {
		case ',':
			f.at++
		case end:
		default:
			yamlFail(f.number, "%c is missing", end)
		}
	}
	f.at++
}

func (f *flowReader) doubleQuoted() string {
	var out []byte
	for f.at++; f.at < len(f.s); f.at++ {
		switch c := f.s[f.at]; c {
		case '"':
			f.at++
			return string(out)
		case '\\':
			f.at++
			if f.at == len(f.s) || f.s[f.at] != '"' && f.s[f.at] != '\\' {
				yamlFail(f.number, "only a quote or a backslash may follow a backslash")
			}
			out = append(out, f.s[f.at])
		default:
			out = append(out, c)
		}
	}
	yamlFail(f.number, "a quote is missing")
	return ""
}

func (f *flowReader) singleQuoted() string {
	var out []byte
	for f.at++; f.at < len(f.s); f.at++ {
		if f.s[f.at] != '\'' {
			out = append(out, f.s[f.at])
			continue
		}
		f.at++
		if f.at == len(f.s) || f.s[f.at] != '\'' {
			return string(out)
		}
		out = append(out, '\'')
	}
	yamlFail(f.number, "a quote is missing")
	return ""
}
