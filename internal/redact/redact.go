// Package redact masks secrets in text: on its way to a terminal or a log, and in
// what steps print and report. It knows values it was told, and what credentials
// look like.
package redact

import (
	"cmp"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"
)

const mask = "«redacted»"

// minSecret is the shortest value that is masked. Shorter ones would turn
// ordinary text into masks and guard nothing.
const minSecret = 4

// patterns are what secrets look like when their value is not known. The first
// group is kept. Tokens of FirecREST are JSON web tokens, whose third part proves
// the first two.
var patterns = []pattern{
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}`)},
	{[]string{"x-amz-"}, regexp.MustCompile(`(?i)(\bX-Amz-(?:Signature|Credential|Security-Token)(?:=|%3D))[^&\s"'\\]+`)},
	{
		[]string{"client_secret", "access_token", "refresh_token", "password"},
		regexp.MustCompile(`(?i)(\b(?:client_secret|access_token|refresh_token|password)=)[^&\s"'\\]+`),
	},
	{
		[]string{"secret", "access_token", "refresh_token", "password"},
		regexp.MustCompile(`(?i)("(?:client_secret|clientSecret|access_token|refresh_token|password)"\s*:\s*")(?:[^"\\]|\\.)+`),
	},
	{[]string{"eyj"}, regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`)},
}

// pattern is a shape, and words of which one is in every text that has it: they
// are found much faster.
type pattern struct {
	words []string // in small letters
	shape *regexp.Regexp
}

func (p pattern) mayBeIn(lower string) bool {
	return slices.ContainsFunc(p.words, func(word string) bool { return strings.Contains(lower, word) })
}

// Redactor masks secrets in text: values it was told, also in the forms that
// programs give them, and what has the shape of a credential.
type Redactor struct {
	forms []func(string) string

	mu       sync.RWMutex
	values   []string // longest first
	broken   []string // those of values that are looked for across line breaks
	replacer *strings.Replacer
}

// New returns a redactor that knows no values yet. A text that passes through
// one of forms before it is masked may show a value in that form.
func New(forms ...func(string) string) *Redactor { return &Redactor{forms: forms} }

// Add makes values known. Lines of a longer text, such as a private key, are
// masked one by one.
func (r *Redactor) Add(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, value := range values {
		r.add(strings.TrimSpace(value))
		for line := range strings.Lines(value) {
			r.add(strings.TrimSpace(line))
		}
	}
	// The longest first, so that a secret inside another does not uncover the rest.
	slices.SortFunc(r.values, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	r.values = slices.Compact(r.values)
	var pairs []string
	for _, v := range r.values {
		pairs = append(pairs, v, mask)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

func (r *Redactor) add(value string) {
	if len(value) < minSecret {
		return
	}
	forms := formsOf(value)
	// Tools that fold text fold these two; every other form would only be guessed
	// at, and the end of many a harmless line held back for it.
	for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value))} {
		if !slices.Contains(r.broken, form) {
			r.broken = append(r.broken, form)
		}
	}
	for _, form := range r.forms {
		forms = append(forms, form(value))
	}
	for _, form := range forms {
		if len(form) >= minSecret {
			r.values = append(r.values, form)
		}
	}
}

// Redact returns text with every secret masked.
func (r *Redactor) Redact(text string) string {
	r.mu.RLock()
	replacer, broken := r.replacer, r.broken
	r.mu.RUnlock()
	if replacer != nil {
		text = replacer.Replace(text)
		text = redactBroken(text, broken)
	}
	lower := strings.ToLower(text)
	for _, p := range patterns {
		if p.mayBeIn(lower) {
			text = p.shape.ReplaceAllString(text, "${1}"+mask)
		}
	}
	return text
}

// longest is the length of the longest text that is known to be a secret.
func (r *Redactor) longest() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.values) == 0 {
		return 0
	}
	return len(r.values[0])
}

// mayGoOn reports whether the end of a line may be the beginning of a secret that
// goes on in the next.
func (r *Redactor) mayGoOn(line string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if line == "" {
		return false
	}
	for _, v := range r.broken {
		for n := min(len(v)-1, len(line)); n > 0; n-- {
			if v[n-1] == line[len(line)-1] && strings.HasSuffix(line, v[:n]) {
				return true
			}
		}
	}
	return false
}
