// Package canary finds secrets in whatever a program left behind: made-up values
// that were given to it as secrets, in every form in which they could have got
// into a file. Tests use it, and the command in scan.
//
// What it looks for is written down here once more, apart from what is masked, so
// that a mistake in one does not hide in the other.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Hit is a canary that was found.
type Hit struct {
	Path   string // of the file; parts of it that are packed follow behind "!"
	Name   string // of the canary
	Form   string // how it is written there
	Offset int    // in bytes, in what was looked through
}

func (h Hit) String() string {
	return fmt.Sprintf("%s: %s, %s, at byte %d", h.Path, h.Name, h.Form, h.Offset)
}

// Scanner looks for canaries.
type Scanner struct {
	forms  []form
	window int64 // files are looked through in pieces of so many bytes, which overlap
}

// form is one way to write a canary.
type form struct {
	name, form string
	text       []byte
	folds      bool // line breaks may be in it
}

// shortest is the shortest text that is looked for: a shorter one is found
// anywhere.
const shortest = 8

// NewScanner returns a scanner for values by name. Values should be long and like
// nothing else: halves of them are looked for, too, as what a cut leaves.
func NewScanner(canaries map[string]string) (*Scanner, error) {
	s := &Scanner{window: 64 << 20}
	for _, name := range slices.Sorted(maps.Keys(canaries)) {
		value := canaries[name]
		if len(value) < 2*shortest {
			return nil, fmt.Errorf("canary %s has %d bytes; it takes %d to be like nothing else", name, len(value), 2*shortest)
		}
		s.add(name, value)
	}
	return s, nil
}

func (s *Scanner) add(name, value string) {
	add := func(how, text string, folds bool) {
		if len(text) < shortest || slices.ContainsFunc(s.forms, func(f form) bool { return f.name == name && string(f.text) == text }) {
			return
		}
		s.forms = append(s.forms, form{name, how, []byte(text), folds})
	}
	add("as it is", value, true)
	quoted, _ := json.Marshal(value) // a string always encodes
	inner := string(quoted[1 : len(quoted)-1])
	add("in JSON", inner, true)
	twice, _ := json.Marshal(inner)
	add("in JSON in JSON", string(twice[1:len(twice)-1]), false)
	goText := strconv.Quote(value)
	add("quoted", goText[1:len(goText)-1], false)
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), everyByte(value)} {
		add("URL-encoded", escaped, false)
		add("URL-encoded", strings.ToLower(escaped), false)
	}
	digits := hex.EncodeToString([]byte(value))
	add("in hexadecimal digits", digits, true)
	add("in hexadecimal digits", strings.ToUpper(digits), true)
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			add("in base64", inBase64(encoding, value, offset), true)
		}
	}
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(value)) {
		little = append(little, byte(unit), byte(unit>>8))
		big = append(big, byte(unit>>8), byte(unit))
	}
	add("in UTF-16", string(little), false)
	add("in UTF-16", string(big), false)
	add("the first half of it", value[:len(value)/2], false)
	add("the second half of it", value[len(value)/2:], false)
}

// everyByte escapes what is neither a letter nor a digit.
func everyByte(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// inBase64 is the part of an encoding that depends on the value alone, if it
// begins at an offset from a group of three bytes.
func inBase64(encoding *base64.Encoding, value string, offset int) string {
	text := encoding.EncodeToString([]byte(strings.Repeat("\x00", offset) + value))
	return text[(offset*8+5)/6 : (offset+len(value))*8/6]
}

// Bytes looks through the content of something, and through what is packed in it.
func (s *Scanner) Bytes(path string, content []byte) []Hit {
	hits := s.plain(path, content)
	for _, part := range unpacked(content) {
		hits = append(hits, s.nested(path+"!"+part.how, part.content, 1)...)
	}
	return hits
}

// maxNesting is how deep packed parts are looked for in packed parts.
const maxNesting = 3

func (s *Scanner) nested(path string, content []byte, depth int) []Hit {
	hits := s.plain(path, content)
	if depth < maxNesting {
		for _, part := range unpacked(content) {
			hits = append(hits, s.nested(path+"!"+part.how, part.content, depth+1)...)
		}
	}
	return hits
}

func (s *Scanner) plain(path string, content []byte) []Hit {
	var hits []Hit
	for _, f := range s.forms {
		if at := bytes.Index(content, f.text); at >= 0 {
			hits = append(hits, Hit{path, f.name, f.form, at})
		}
	}
	for how, joined := range unfolded(content) {
		for _, f := range s.forms {
			if at := bytes.Index(joined, f.text); f.folds && at >= 0 && !found(hits, f) {
				hits = append(hits, Hit{path, f.name, f.form + ", " + how, at})
			}
		}
	}
	return hits
}

func found(hits []Hit, f form) bool {
	return slices.ContainsFunc(hits, func(h Hit) bool { return h.Name == f.name && h.Form == f.form })
}

// unfolded yields the content without line breaks, and without those that are
// written as \n.
func unfolded(content []byte) map[string][]byte {
	joined := map[string][]byte{}
	if bytes.ContainsAny(content, "\n\r") {
		joined["over several lines"] = bytes.ReplaceAll(bytes.ReplaceAll(content, []byte("\n"), nil), []byte("\r"), nil)
	}
	if bytes.Contains(content, []byte(`\n`)) {
		joined["over several lines of a text in JSON"] = bytes.ReplaceAll(bytes.ReplaceAll(content, []byte(`\r`), nil), []byte(`\n`), nil)
	}
	return joined
}
