package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text harmless to a terminal: every character but newline and tab
// that would act on it, or hide, is replaced by its visible escape, such as
// \x1b or \u202e. Invalid UTF-8 becomes \xNN.
func Clean(text string) string {
	if isClean(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case acts(r):
			b.WriteString(escape(r))
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

// cleanLine is Clean for text that must stay on one line.
func cleanLine(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(Clean(strings.TrimRight(text, "\n")))
}

func isClean(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	return !strings.ContainsFunc(text, acts)
}

// acts reports whether a terminal would obey r, draw others elsewhere because of
// it, or show nothing.
func acts(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r >= 0x20 && r < 0x7f:
		return false
	case r < 0xa0: // C0, delete, C1
		return true
	case r == 0x2028 || r == 0x2029: // line and paragraph separator
		return true
	case r >= 0xfe00 && r <= 0xfe0f: // variation selectors: a style of the character before
		return false
	}
	// Cf holds the bidirectional controls, zero-width joiners, the soft hyphen, the
	// byte order mark and the tag characters; Hangul fillers and the combining
	// grapheme joiner are drawn as nothing.
	return unicode.Is(unicode.Cf, r) || r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x034f
}

func escape(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// EscapeJSON escapes the same characters in encoded JSON. They can only stand
// inside its strings, where the escape means the character itself.
func EscapeJSON(text string) string {
	if isClean(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !acts(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b.String()
}

// cleaner cleans text that comes in chunks, which may end inside a character.
type cleaner struct{ rest []byte }

// next returns the cleaned text so far, but for an unfinished character.
func (c *cleaner) next(chunk []byte) string {
	text := append(c.rest, chunk...)
	cut := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if start := len(text) - back; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				cut = start
			}
			break
		}
	}
	out := Clean(string(text[:cut]))
	c.rest = append([]byte(nil), text[cut:]...)
	return out
}

// flush returns what is left of an unfinished character.
func (c *cleaner) flush() string {
	out := Clean(string(c.rest))
	c.rest = nil
	return out
}
