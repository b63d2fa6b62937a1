package console

import (
	"strings"
	"unicode"
)

// Style is how text stands out on a terminal.
type Style int

// Styles; colours are those of the terminal's own palette.
const (
	Regular Style = iota
	Bold
	Dim
	Red
	Green
	Yellow
	Cyan
)

// codes are the SGR parameters of the styles.
var codes = [...]string{Bold: "1", Dim: "2", Red: "31", Green: "32", Yellow: "33", Cyan: "36"}

// Text is a piece of a line.
type Text struct {
	S     string
	Style Style
}

// Line is what stands on one line; newlines in it become spaces.
type Line []Text

// Say makes a regular text.
func Say(s string) Text { return Text{S: s} }

// State shows the state of a run or an instance by symbol, word and colour.
func State(state string) Text {
	symbol, style := "•", Regular
	switch state {
	case "succeeded":
		symbol, style = "✓", Green
	case "failed":
		symbol, style = "✗", Red
	case "running":
		symbol, style = "▶", Cyan
	case "waiting":
		symbol, style = "…", Cyan
	case "cancelled":
		symbol, style = "⊘", Yellow
	case "skipped":
		symbol, style = "–", Dim
	case "interrupted":
		symbol, style = "!", Yellow
	case "pending", "ready", "queued":
		symbol, style = "○", Dim
	}
	return Text{symbol + " " + state, style}
}

// Symbol is the symbol of [State] alone.
func Symbol(state string) Text {
	t := State(state)
	t.S, _, _ = strings.Cut(t.S, " ")
	return t
}

// render appends the line, cut to width columns if width is not 0, and returns
// how many it takes.
func (l Line) render(b *strings.Builder, colour bool, width int) (columns int) {
	for _, t := range l {
		s := cleanLine(t.S)
		if width > 0 {
			s = cut(s, width-columns)
		}
		if s == "" {
			continue
		}
		columns += Width(s)
		if !colour || t.Style == Regular {
			b.WriteString(s)
			continue
		}
		b.WriteString("\x1b[" + codes[t.Style] + "m" + s + "\x1b[0m")
	}
	return columns
}

// cut shortens clean text to at most width columns, with … in the last one.
func cut(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		w := runeWidth(r)
		if used+w > width-1 {
			if width <= 0 {
				return ""
			}
			return s[:i] + "…"
		}
		used += w
	}
	return s
}

// Width is how many columns clean text takes on a terminal.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me), r >= 0xfe00 && r <= 0xfe0f:
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
