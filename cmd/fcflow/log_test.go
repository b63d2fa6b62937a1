package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/fcflow/fcflow/internal/console"
)

// TestLogLines: an event is one line, whatever is in it, and harmless to look at;
// with --log-format json it is JSON that says what was logged.
func TestLogLines(t *testing.T) {
	t.Parallel()
	const hostile = "a\nINF job submitted\r\x1b[2K\x1b]0;t\a\u009b31m\u202e\u200b\u2028\xff\x00b"
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		a := newApp(console.Plain(nil, &bytes.Buffer{}, &out), func(string) string { return "" })
		a.logFormat.value, a.verbose = format, true
		log := a.logger()
		log.Warn().Str("system", hostile).Err(errors.New(hostile)).Bytes("stack", []byte(hostile)).Msg("message " + hostile)
		a.closeLog()
		text := out.String()
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: one event is %d lines: %q", format, strings.Count(text, "\n"), text)
		}
		if i := strings.IndexFunc(strings.TrimSuffix(text, "\n"), func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028
		}); i >= 0 {
			t.Errorf("%s: a character acts on the terminal: %q", format, text[i:])
		}
		if format != "json" {
			continue
		}
		var event map[string]string
		if err := json.Unmarshal(out.Bytes(), &event); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		want := strings.ToValidUTF8(hostile, "\ufffd")
		if event["system"] != want || event["error"] != want || event["message"] != "message "+want {
			t.Errorf("JSON says %q", event)
		}
	}
}
