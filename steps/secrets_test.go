package steps

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/engine"
)

// TestPanicIsMasked: a panic of a step says nothing of its secrets, in whatever
// form they are in it.
func TestPanicIsMasked(t *testing.T) {
	t.Parallel()
	const secret = "k4n4ri/vogel 7531"
	c := &call{Invocation: &engine.Invocation{Secrets: []string{secret}}}
	for name, value := range map[string]any{
		"text": "bad " + secret, "error": fmt.Errorf("key %q", secret), "address": "https://x/?k=" + url.QueryEscape(secret),
		"struct": struct{ Key string }{secret},
	} {
		text := func() (text string) {
			defer func() { text = fmt.Sprint(recover()) }()
			defer c.maskPanic()
			panic(value)
		}()
		if strings.Contains(text, "k4n4ri") || !strings.Contains(text, "«redacted»") {
			t.Errorf("%s: the panic says %q", name, text)
		}
	}
	func() {
		defer c.maskPanic()
	}()
}
