package main

import (
	"testing"

	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

// TestProfilesOfOneHostShareItsLimits, and no other.
func TestProfilesOfOneHostShareItsLimits(t *testing.T) {
	t.Parallel()
	s, err := settings.Load(settings.Sources{Getenv: func(name string) string {
		if name == "HOME" {
			return t.TempDir()
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	var l limiters
	alps := l.of(workflow.Profile{Name: "alps", URL: "https://API.example/hpc/firecrest/v2"}, s)
	for name, test := range map[string]struct {
		profile workflow.Profile
		same    bool
	}{
		"another path": {workflow.Profile{Name: "ml", URL: "https://api.example/ml/firecrest/v2"}, true},
		"another port": {workflow.Profile{URL: "https://api.example:8443"}, false},
		"a sandbox":    {workflow.Profile{Sandbox: "/tmp/sandbox", URL: "https://api.example"}, false},
	} {
		if got := l.of(test.profile, s) == alps; got != test.same {
			t.Errorf("%s: shared is %t, want %t", name, got, test.same)
		}
	}
}
