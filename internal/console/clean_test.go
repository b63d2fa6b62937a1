package console

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"plain", "läuft — 終了 🙂\tok\n", "läuft — 終了 🙂\tok\n"},
		{"clear screen", "a\x1b[2Jb", `a\x1b[2Jb`},
		{"window title", "\x1b]0;owned\x07", `\x1b]0;owned\x07`},
		{"carriage return hides", "rm -rf\rls", `rm -rf\x0dls`},
		{"backspace", "ab\b", `ab\x08`},
		{"delete and C1", "\x7f\u009b31m", `\x7f\x9b31m`},
		{"raw C1 byte", "\x9b31m", `\x9b31m`},
		{"bidi override", "abc\u202etxt.exe", `abc\u202etxt.exe`},
		{"bidi isolate", "\u2066x\u2069", `\u2066x\u2069`},
		{"zero width", "pass\u200bword\ufeff", `pass\u200bword\ufeff`},
		{"line separator", "a\u2028b", `a\u2028b`},
		{"tag characters", "\U000e0041", `\U000e0041`},
		{"soft hyphen and fillers", "\u00ad\u3164", `\xad\u3164`},
		{"cut in a character", "\xe7\xb5", `\xe7\xb5`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Clean(test.in); got != test.want {
				t.Errorf("Clean(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[2Jb", 2)
	f.Add("終了\u202e", 1)
	f.Fuzz(func(t *testing.T, text string, split int) {
		clean := Clean(text)
		if !utf8.ValidString(clean) || strings.ContainsFunc(clean, acts) {
			t.Fatalf("Clean(%q) = %q", text, clean)
		}
		if again := Clean(clean); again != clean {
			t.Fatalf("not stable: %q, then %q", clean, again)
		}
		if split < 0 || split > len(text) {
			return
		}
		var c cleaner
		if got := c.next([]byte(text[:split])) + c.next([]byte(text[split:])) + c.flush(); got != clean {
			t.Fatalf("split at %d: %q, want %q", split, got, clean)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add("a\x1b[2J\u202e\U000e0041\x7f")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // encoding/json replaces what is not UTF-8
		}
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		safe := EscapeJSON(string(encoded))
		if strings.ContainsFunc(safe, acts) {
			t.Fatalf("%q is not safe", safe)
		}
		var back string
		if err := json.Unmarshal([]byte(safe), &back); err != nil || back != text {
			t.Fatalf("%q came back as %q: %v", text, back, err)
		}
	})
}
