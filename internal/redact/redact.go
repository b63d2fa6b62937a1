// Package redact masks secrets in text: on its way to a terminal or a log, and in
// what steps print and report. It knows values it was told, and what credentials
// look like.
package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
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
// group is kept.
var patterns = []*regexp.Regexp{
	regexp.MustCompile(`(?i)(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`(?i)(\bX-Amz-(?:Signature|Credential|Security-Token)=)[^&\s"'\\]+`),
	regexp.MustCompile(`(?i)(\b(?:client_secret|access_token|refresh_token|password)=)[^&\s"'\\]+`),
	regexp.MustCompile(`(?i)("(?:client_secret|clientSecret|access_token|refresh_token|password)"\s*:\s*")[^"]+`),
}

// Redactor masks secrets in text: values it was told, also as they look inside
// JSON, URLs and base64, and what has the shape of a credential.
type Redactor struct {
	forms []func(string) string

	mu       sync.RWMutex
	values   []string // longest first
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
	slices.SortFunc(r.values, func(a, b string) int { return len(b) - len(a) })
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
	quoted, _ := json.Marshal(value)
	forms := []string{
		value, string(quoted[1 : len(quoted)-1]), url.QueryEscape(value), url.PathEscape(value),
		base64.StdEncoding.EncodeToString([]byte(value)),
	}
	for _, form := range r.forms {
		forms = append(forms, form(value))
	}
	for _, form := range forms {
		if !slices.Contains(r.values, form) {
			r.values = append(r.values, form)
		}
	}
}

// Redact returns text with every secret masked.
func (r *Redactor) Redact(text string) string {
	r.mu.RLock()
	replacer := r.replacer
	r.mu.RUnlock()
	if replacer != nil {
		text = replacer.Replace(text)
	}
	for _, p := range patterns {
		text = p.ReplaceAllString(text, "${1}"+mask)
	}
	return text
}

// maxLogLine bounds what a redacting writer holds back.
const maxLogLine = 256 << 10

// Writer returns a writer that masks secrets in the lines written to it,
// wherever writes are split. It holds back an unfinished line and cuts a line
// at 256 KiB. Close it to write out the last one.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser { return &redactWriter{redactor: r, w: w} }

type redactWriter struct {
	redactor *Redactor
	w        io.Writer

	mu      sync.Mutex
	line    []byte
	cutting bool // until the line ends
}

func (w *redactWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		piece, after, ended := bytes.Cut(rest, []byte("\n"))
		rest = after
		if !w.cutting {
			w.line = append(w.line, piece...)
		}
		if len(w.line) > maxLogLine {
			w.line, w.cutting = append(w.line[:maxLogLine:maxLogLine], " … (cut)"...), true
		}
		if !ended {
			break
		}
		if err := w.flush("\n"); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *redactWriter) flush(end string) error {
	text := w.redactor.Redact(string(w.line)) + end
	w.line, w.cutting = w.line[:0], false
	_, err := io.WriteString(w.w, text)
	return err
}

// Close writes the unfinished line, if there is one.
func (w *redactWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) == 0 {
		return nil
	}
	return w.flush("")
}
