package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestRedactPatterns(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"Authorization: Bearer eyJhbGciOi.x-y_z", "Authorization: Bearer «redacted»"},
		{"https://s3/b/k?X-Amz-Signature=deadbeef&x=1", "https://s3/b/k?X-Amz-Signature=«redacted»&x=1"},
		{`{"url":"https://s3/?X-Amz-Credential=AK%2F1\u0026b=2"}`, `{"url":"https://s3/?X-Amz-Credential=«redacted»\u0026b=2"}`},
		{"grant_type=x&client_secret=s3cr3t&a=b", "grant_type=x&client_secret=«redacted»&a=b"},
		{`{"client_secret": "s3cr3t"}`, `{"client_secret": "«redacted»"}`},
		{"the bearer of news", "the bearer of news"},
		{"AUTHORIZATION: BASIC dXNlcjpwYXNz", "AUTHORIZATION: BASIC «redacted»"},
		{"token eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl!", "token «redacted»!"},
		{"eyJ is how JSON begins in base64", "eyJ is how JSON begins in base64"},
		{`{"password":"a\"b", "x":1}`, `{"password":"«redacted»", "x":1}`},
		{"x-amz-signature%3Ddeadbeef&b", "x-amz-signature%3D«redacted»&b"},
	}
	for _, test := range tests {
		got := New().Redact(test.in)
		if got != test.want {
			t.Errorf("Redact(%q) = %q, want %q", test.in, got, test.want)
		}
		if again := New().Redact(got); again != got {
			t.Errorf("not stable: %q, then %q", got, again)
		}
	}
}

func TestRedactValues(t *testing.T) {
	t.Parallel()
	secrets := []string{`tr"icky\ value`, "hunter2/+?", "abc", "-----KEY-----\nline-one\nline-two\n"}
	r := New()
	r.Add(secrets...)
	quoted, _ := json.Marshal(secrets[0])
	for _, shape := range []string{
		secrets[0], string(quoted), "https://x/?q=" + url.QueryEscape(secrets[1]), "/" + url.PathEscape(secrets[1]),
		base64.StdEncoding.EncodeToString([]byte(secrets[1])), "line-two", secrets[3],
	} {
		got := r.Redact("before " + shape + " after")
		if !strings.Contains(got, mask) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("Redact(%q) = %q", shape, got)
		}
		for _, leak := range []string{`tr"icky`, `tr\"icky`, "hunter2", "line-one", "line-two"} {
			if strings.Contains(got, leak) {
				t.Errorf("Redact(%q) = %q leaks %q", shape, got, leak)
			}
		}
	}
	if got := r.Redact("abcdef"); got != "abcdef" {
		t.Errorf("a value of three characters is masked: %q", got)
	}
}

// FuzzRedactWriter splits what is written anywhere: no canary survives.
func FuzzRedactWriter(f *testing.F) {
	f.Add("token ", 3, 9)
	f.Fuzz(func(t *testing.T, text string, first, second int) {
		const canary = "k4n4ri-vogel"
		if strings.Contains(text, canary) {
			return
		}
		r := New()
		r.Add(canary)
		whole := text + canary + "\n" + text + canary
		a, b := clamp(first, len(whole)), clamp(second, len(whole))
		a, b = min(a, b), max(a, b)
		var out bytes.Buffer
		w := r.Writer(&out)
		for _, part := range []string{whole[:a], whole[a:b], whole[b:]} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), canary) {
			t.Fatalf("the canary survived in %q", out.String())
		}
	})
}

func clamp(n, high int) int { return min(max(n, 0), high) }

func TestRedactWriterCutsLongLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := New().Writer(&out)
	for range 100 {
		if _, err := w.Write(bytes.Repeat([]byte("x"), 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write([]byte("\nnext\n")); err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(out.String(), "\n")
	if len(first) > maxLogLine+100 || !strings.HasSuffix(first, "(cut)") || rest != "next\n" {
		t.Errorf("first line has %d bytes, then %q", len(first), rest)
	}
}
