package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/steps"
)

// TestInvalidFiles: each file of testdata/invalid holds the one mistake that its
// name says, found by a step type in its own inputs and told as the .want file
// beside it. No code of the step types is without a file.
func TestInvalidFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := testApp(t)
	seen := map[string]bool{}
	for _, file := range files {
		_, err := a.loadWorkflow(file, "")
		var invalid *problemsError
		if !errors.As(err, &invalid) || len(invalid.problems) != 1 {
			t.Errorf("%s: %v, want one problem", file, err)
			continue
		}
		code := string(invalid.problems[0].Code)
		if base := filepath.Base(file); !strings.HasPrefix(base, code) {
			t.Errorf("%s: code %s", file, code)
		}
		seen[code] = true
		var got strings.Builder
		if err := invalid.problems.Print(&got, filepath.Base(file), invalid.source); err != nil {
			t.Fatal(err)
		}
		wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
		if *update {
			if err := os.WriteFile(wantFile, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(wantFile)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	for _, code := range steps.Codes() {
		if !seen[string(code)] {
			t.Errorf("no file shows %s", code)
		}
	}
}
