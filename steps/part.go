package steps

import (
	"strings"
	"unicode/utf8"

	"github.com/fcflow/fcflow/workflow"
)

// maxText is the longest text that a step delivers as an output, in bytes as
// the history keeps it: with its quotes and escapes.
const maxText = 64 << 10

// firstPart cuts a text to a beginning that an output can hold, between
// characters.
func firstPart(text string) (string, bool) {
	return shorten(text, func(text string, drop int) string {
		end := len(text) - drop
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		return text[:end]
	})
}

// lastPart cuts a text to an end that an output can hold.
func lastPart(text string) (string, bool) {
	return shorten(text, func(text string, drop int) string {
		for drop < len(text) && !utf8.RuneStart(text[drop]) {
			drop++
		}
		return text[drop:]
	})
}

func shorten(text string, cut func(text string, drop int) string) (string, bool) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	short := text
	if excess := len(text) - maxText; excess > 0 {
		short = cut(short, excess)
	}
	for {
		excess := storedSize(short) - maxText
		if excess <= 0 {
			return short, len(short) < len(text)
		}
		short = cut(short, excess/maxEscape+1)
	}
}

// maxEscape is how many bytes one byte of a text may take in JSON.
const maxEscape = len(`\u0000`)

func storedSize(text string) int {
	stored, err := workflow.CanonicalJSON(text)
	if err != nil {
		return len(text) // a text has a JSON form
	}
	return len(stored)
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
