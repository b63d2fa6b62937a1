package workflow

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxPrinted = 50  // problems; the rest is counted
	maxWidth   = 110 // characters of a source line
)

// Print writes the problems for people: "file:line:column: message", the line
// of the source, a caret under the character, and a hint. Of more than 50 it
// prints 50 and the number of the others. Characters that could steer a
// terminal are replaced.
func (ps Problems) Print(w io.Writer, file string, text []byte) error {
	out := bufio.NewWriter(w)
	first := linesOf(string(text))
	for i, p := range ps {
		if i == maxPrinted {
			fmt.Fprintf(out, "… and %d more problems\n", len(ps)-maxPrinted)
			break
		}
		if p.File == "" {
			p.print(out, file, first)
		} else {
			p.print(out, p.File, linesOf(p.text))
		}
	}
	return out.Flush()
}

func linesOf(text string) []string {
	return strings.Split(strings.TrimPrefix(text, byteOrderMark), "\n")
}

func (p Problem) print(out *bufio.Writer, file string, lines []string) {
	place := p.Pos.prefix()
	if place == "" {
		place = " "
	}
	fmt.Fprintf(out, "%s:%s%s\n", printable(file), place, printable(p.Message))
	if p.Pos.Line > 0 && p.Pos.Line <= len(lines) {
		line, column := trimLine(strings.TrimSuffix(lines[p.Pos.Line-1], "\r"), p.Pos.Column)
		if strings.TrimSpace(line) != "" {
			fmt.Fprintf(out, "    %s\n", printable(line))
			if column > 0 {
				fmt.Fprintf(out, "    %s^\n", blankFor(line, column-1))
			}
		}
	}
	if p.Hint != "" {
		fmt.Fprintf(out, "    hint: %s\n", printable(p.Hint))
	}
}

// trimLine cuts a wide line to the part around a column and returns the column
// in it.
func trimLine(line string, column int) (string, int) {
	width := utf8.RuneCountInString(line)
	if width <= maxWidth {
		return line, column
	}
	from := max(0, min(column-1-maxWidth/2, width-maxWidth))
	cut := line[runeOffset(line, from):]
	if from+maxWidth < width {
		cut = cut[:runeOffset(cut, maxWidth)] + "…"
	}
	if from > 0 {
		cut, column = "…"+cut, column-from+1
	}
	return cut, column
}

// runeOffset is the byte offset of the nth character, from 0.
func runeOffset(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}

// blankFor is as wide on the screen as the first characters of a line: tabs
// stay tabs, wide characters become wide spaces.
func blankFor(line string, characters int) string {
	var b strings.Builder
	for _, r := range line {
		if characters == 0 {
			break
		}
		characters--
		switch {
		case r == '\t':
			b.WriteRune('\t')
		case unicode.Is(unicode.Mn, r):
		case wide(r):
			b.WriteRune('\u3000') // ideographic space
		default:
			b.WriteByte(' ')
		}
	}
	b.WriteString(strings.Repeat(" ", characters))
	return b.String()
}

// wide reports whether terminals show a character two columns wide.
func wide(r rune) bool {
	return r >= 0x1100 && (r <= 0x115F || r >= 0x2E80 && r <= 0xA4CF || r >= 0xAC00 && r <= 0xD7A3 ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0xFE30 && r <= 0xFE6F || r >= 0xFF00 && r <= 0xFF60 ||
		r >= 0xFFE0 && r <= 0xFFE6 || r >= 0x1F300 && r <= 0x1F64F || r >= 0x1F900 && r <= 0x1F9FF || r >= 0x20000)
}

// printable replaces what a terminal would obey instead of show.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsGraphic(r) && !unicode.Is(unicode.Cf, r) {
			return r
		}
		return '\uFFFD'
	}, text)
}
