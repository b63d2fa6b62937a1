package server

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentedRoutes: the table in the documentation is that of the routes.
func TestDocumentedRoutes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, r := range routes(Forms{}) {
		fmt.Fprintf(&want, "| `%s` | %s |\n", r.pattern, r.about)
	}
	_, table, _ := strings.Cut(string(text), "## Routes\n\n| route | |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if table+"\n" != want.String() {
		t.Errorf("docs/server.md must have this table of routes:\n%s", want.String())
	}
	for _, c := range codes() {
		if !strings.Contains(string(text), "`"+c.code+"`") {
			t.Errorf("docs/server.md does not name the code %s", c.code)
		}
	}
}
