package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// formsOf lists the ways in which programs write a value: as it is, quoted by Go
// and JSON, in URLs, in hexadecimal digits, and in base64, alone or inside a
// longer text.
func formsOf(value string) []string {
	quoted := strconv.Quote(value)
	forms := []string{value, quoted[1 : len(quoted)-1]}
	for _, escapeHTML := range []bool{true, false} {
		once := inJSON(value, escapeHTML)
		forms = append(forms, once, inJSON(once, escapeHTML)) // JSON is carried in JSON
	}
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), percent(value)} {
		forms = append(forms, escaped, lowerEscapes(escaped))
	}
	digits := hex.EncodeToString([]byte(value))
	forms = append(forms, digits, strings.ToUpper(digits))
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		forms = append(forms, encoding.EncodeToString([]byte(value)))
		for offset := range 3 {
			// A shorter piece is too likely to be something else.
			if piece := insideBase64(encoding, value, offset); len(piece) >= 2*minSecret {
				forms = append(forms, piece)
			}
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// inJSON is how a value stands between the quotes of JSON.
func inJSON(value string, escapeHTML bool) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(escapeHTML)
	if encoder.Encode(value) != nil {
		return value // a string always encodes
	}
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}

// percent escapes every byte that is neither a letter nor a digit.
func percent(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

// lowerEscapes writes percent escapes in small letters, as some programs do.
func lowerEscapes(text string) string {
	b := []byte(text)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// insideBase64 is what the base64 of a longer text has for a value that begins
// at an offset from a group of three bytes: the characters that depend on nothing
// but the value.
func insideBase64(encoding *base64.Encoding, value string, offset int) string {
	text := encoding.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, offset), value...))
	first := (offset*8 + 5) / 6
	last := (offset + len(value)) * 8 / 6
	if first >= last {
		return ""
	}
	return text[first:last]
}

// redactBroken masks values that a line break splits. The break stays.
func redactBroken(text string, values []string) string {
	if !strings.Contains(text, "\n") {
		return text
	}
	joined, at := withoutBreaks(text)
	var hidden []bool // bytes of text
	for _, v := range values {
		for from := 0; ; {
			i := strings.Index(joined[from:], v)
			if i < 0 {
				break
			}
			i += from
			from = i + len(v)
			if at[i]+len(v) == at[from-1]+1 {
				continue // on one line: masked before, or a mask itself
			}
			if hidden == nil {
				hidden = make([]bool, len(text))
			}
			for j := i; j < from; j++ {
				hidden[at[j]] = true
			}
		}
	}
	if hidden == nil {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString(mask)
		}
	}
	return b.String()
}

// withoutBreaks joins the lines of a text, and says where each byte was.
func withoutBreaks(text string) (joined string, at []int) {
	var b strings.Builder
	for i := range len(text) {
		if text[i] == '\n' || text[i] == '\r' {
			continue
		}
		b.WriteByte(text[i])
		at = append(at, i)
	}
	return b.String(), at
}
