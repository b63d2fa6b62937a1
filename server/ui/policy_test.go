package ui

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// TestPolicy: the page may load and ask its own host, and nothing else, and no other
// page may hold it.
func TestPolicy(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:", "connect-src": "'self'",
		"font-src": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'", "form-action": "'none'",
	}
	for name := range files(t) {
		h := ask(t, http.MethodGet, name, nil).Header
		got := map[string]string{}
		for directive := range strings.SplitSeq(h.Get("Content-Security-Policy"), ";") {
			what, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
			got[what] = sources
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: the policy is %q", name, got)
		}
		for header, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(header) != value {
				t.Errorf("%s: %s is %q, want %q", name, header, h.Get(header), value)
			}
		}
		if h["Set-Cookie"] != nil || h["Access-Control-Allow-Origin"] != nil {
			t.Errorf("%s: %v", name, h)
		}
	}
}
