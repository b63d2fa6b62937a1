package sandbox

import (
	"fmt"
	"regexp"
	"strings"
)

// findPattern compiles a pattern of find's -regex in its default flavour,
// which is that of Emacs: groups and alternatives are written with a
// backslash, + and ? are operators, and the whole path has to match.
func findPattern(pattern string) (match func(string) bool, err error) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '\\':
			i++
			if i == len(pattern) {
				return nil, fmt.Errorf("trailing backslash in regular expression '%s'", pattern)
			}
			b.WriteString(emacsEscape(pattern[i]))
		case '[':
			end := bracketEnd(pattern, i)
			if end < 0 {
				return nil, fmt.Errorf("unmatched [ in regular expression '%s'", pattern)
			}
			b.WriteString(strings.ReplaceAll(pattern[i:end], `\`, `\\`))
			i = end - 1
		case '(', ')', '|', '{', '}':
			b.WriteString(`\` + string(c))
		default:
			b.WriteByte(c)
		}
	}
	re, err := regexp.Compile(`(?s)\A(?:` + b.String() + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression '%s'", pattern)
	}
	return re.MatchString, nil
}

// emacsEscape is what a backslash and c mean.
func emacsEscape(c byte) string {
	switch c {
	case '(', ')', '|':
		return string(c)
	case 'w', 'W', 'b', 'B':
		return `\` + string(c)
	case '<', '>':
		return `\b`
	case '`':
		return `\A`
	}
	return regexp.QuoteMeta(string(c))
}

// bracketEnd is the offset behind the bracket expression that begins at i. A
// bracket right at its start is a member, and classes such as [:digit:] have
// brackets of their own.
func bracketEnd(pattern string, i int) int {
	i++
	if i < len(pattern) && pattern[i] == '^' {
		i++
	}
	for first := true; i < len(pattern); first = false {
		switch {
		case pattern[i] == ']' && !first:
			return i + 1
		case strings.HasPrefix(pattern[i:], "[:"):
			end := strings.Index(pattern[i:], ":]")
			if end < 0 {
				return -1
			}
			i += end + 2
		default:
			i++
		}
	}
	return -1
}
