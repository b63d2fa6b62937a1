package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// shapes are the ways in which a secret turns up.
var shapes = map[string]func(secret string) string{
	"plain":                    func(s string) string { return s },
	"in a sentence":            func(s string) string { return "the key is " + s + ", keep it" },
	"in a shell assignment":    func(s string) string { return "export KEY='" + s + "'" },
	"as a member of JSON":      func(s string) string { return jsonOf(map[string]any{"key": s}) },
	"as a key of JSON":         func(s string) string { return jsonOf(map[string]any{s: 1}) },
	"in JSON in JSON":          func(s string) string { return jsonOf(jsonOf(s)) },
	"in JSON without HTML":     jsonWithoutHTML,
	"quoted by Go":             func(s string) string { return fmt.Sprintf("%q", s) },
	"in the value of a panic":  func(s string) string { return panicText(func() { panic("bad key " + s) }) },
	"in an error in a panic":   func(s string) string { return panicText(func() { panic(fmt.Errorf("key %q", s)) }) },
	"in a struct":              func(s string) string { return fmt.Sprintf("%+v", struct{ Key string }{s}) },
	"in a struct in Go":        func(s string) string { return fmt.Sprintf("%#v", struct{ Key string }{s}) },
	"in a query":               func(s string) string { return "https://x/?key=" + url.QueryEscape(s) + "&n=1" },
	"in a path":                func(s string) string { return "https://x/" + url.PathEscape(s) + "/y" },
	"in a query, small":        func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
	"every byte escaped":       percent,
	"in a form":                func(s string) string { return url.Values{"user": {"a"}, "key": {s}}.Encode() },
	"base64":                   func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 of URLs":           func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"base64 without padding":   func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
	"base64 after one byte":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a" + s + "b")) },
	"base64 after two bytes":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte("ab" + s + "bc")) },
	"in a Basic header":        func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:"+s)) },
	"in base64 of JSON":        func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(`{"k":"` + s + `"}`)) },
	"hexadecimal":              func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hexadecimal, large":       func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"verb x":                   func(s string) string { return fmt.Sprintf("key=%x", s) },
	"before a line break":      func(s string) string { return s + "\nmore" },
	"before a carriage return": func(s string) string { return s + "\r\nmore" },
	"split over two lines":     func(s string) string { return s[:len(s)/2] + "\n" + s[len(s)/2:] },
	"split after one byte":     func(s string) string { return s[:1] + "\n" + s[1:] },
	"split before the last":    func(s string) string { return s[:len(s)-1] + "\r\n" + s[len(s)-1:] },
	"split over many lines":    func(s string) string { return strings.Join(strings.Split(s, ""), "\n") },
	"base64 in short lines":    func(s string) string { return folded(base64.StdEncoding.EncodeToString([]byte(s)), 8) },
	"twice":                    func(s string) string { return s + s },
	"in another":               func(s string) string { return "x" + s + "y" },
	"in a command line":        func(s string) string { return "curl -H 'X-Key: " + s + "' https://x" },
	"in YAML":                  func(s string) string { return "key: " + s + "\nother: 1" },
	"in XML":                   func(s string) string { return "<Key>" + s + "</Key>" },
	"in a header":              func(s string) string { return "Authorization: Bearer " + s },
	"in a tab-separated table": func(s string) string { return "a\t" + s + "\tb" },
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func jsonWithoutHTML(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]string{"key": s}); err != nil {
		panic(err)
	}
	return b.String()
}

func panicText(f func()) (text string) {
	defer func() { text = fmt.Sprint("the step panicked: ", recover()) }()
	f()
	return
}

func folded(s string, width int) string {
	var lines []string
	for ; len(s) > width; s = s[width:] {
		lines = append(lines, s[:width])
	}
	return strings.Join(append(lines, s), "\n")
}

// TestShapes: a secret is masked in each of forty shapes, in a text and however
// it comes through a writer.
func TestShapes(t *testing.T) {
	t.Parallel()
	if len(shapes) < 40 {
		t.Fatalf("only %d shapes", len(shapes))
	}
	for _, secret := range []string{"k4n4ri-vogel-7531", `o<"ne>/t&w+o\3=`, "käfig/vögel?x"} {
		r := New()
		r.Add(secret)
		for name, shape := range shapes {
			text := shape(secret)
			if got := r.Redact(text); shows(got, secret) || !strings.Contains(got, mask) {
				t.Errorf("%q %s is shown: %q", secret, name, got)
			}
			for _, size := range []int{1, 7, len(text)} {
				var out strings.Builder
				w := r.Writer(&out)
				for rest := text; rest != ""; {
					n := min(size, len(rest))
					if _, err := w.Write([]byte(rest[:n])); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if shows(out.String(), secret) || !strings.Contains(out.String(), mask) {
					t.Errorf("%q %s, written %d bytes at a time, is shown: %q", secret, name, size, out.String())
				}
			}
		}
	}
}

// shows reports whether a text gives a secret away: as it is, or after what it
// was wrapped in is taken off.
func shows(text, secret string) bool {
	flat := strings.NewReplacer("\n", "", "\r", "").Replace(text)
	if strings.Contains(flat, secret) {
		return true
	}
	for _, form := range formsOf(secret) {
		if len(form) >= 2*minSecret && strings.Contains(flat, form) {
			return true
		}
	}
	return false
}

// TestBreaksStay: masking a secret that a line break splits spares what is
// around it.
func TestBreaksStay(t *testing.T) {
	t.Parallel()
	r := New()
	r.Add("k4n4ri-vogel")
	for in, want := range map[string]string{
		"a k4n4\nri-vogel b\nc": "a «redacted»\n«redacted» b\nc",
		"a\nb\n":                "a\nb\n",
		"k4n4ri\nand more\n":    "k4n4ri\nand more\n",
	} {
		if got := r.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestLinesAreNotHeldBack: a line appears when it is complete, unless a secret may
// go on in the next; a line of a log always does.
func TestLinesAreNotHeldBack(t *testing.T) {
	t.Parallel()
	r := New()
	r.Add("k4n4ri-vogel")
	for _, test := range []struct {
		line       string
		text, logs bool // shown at once
	}{{"ready\n", true, true}, {"ready k4n4\n", false, true}, {"ready", false, false}} {
		var text, logs strings.Builder
		for w, out := range map[interface{ Write([]byte) (int, error) }]*strings.Builder{r.Writer(&text): &text, r.LineWriter(&logs): &logs} {
			if _, err := w.Write([]byte(test.line)); err != nil {
				t.Fatal(err)
			}
			want := test.logs
			if out == &text {
				want = test.text
			}
			if got := out.Len() > 0; got != want {
				t.Errorf("%q is shown at once: %v, want %v", test.line, got, want)
			}
		}
	}
}

// TestCutSparesNothing: where a long line is cut, no part of a secret is left.
func TestCutSparesNothing(t *testing.T) {
	t.Parallel()
	const secret = "k4n4ri-vogel-0123456789"
	for at := maxLogLine - 2*len(secret); at < maxLogLine+len(secret); at += 5 {
		r := New()
		r.Add(secret)
		var out strings.Builder
		w := r.Writer(&out)
		if _, err := w.Write([]byte(strings.Repeat(".", at) + secret + strings.Repeat(".", 1000) + "\n")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), secret[:4]) {
			t.Fatalf("a secret at %d is shown in part: …%q", at, out.String()[len(out.String())-100:])
		}
	}
}
