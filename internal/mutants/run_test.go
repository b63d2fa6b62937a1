package mutants

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// which is one mutant that is fast to kill unless somebody asks for more: so the
// runner is tried in every test run.
var which = flag.String("mutants", "^old-owner-may-write$", "which mutants TestMutants tries, by a `regexp` of their names")

// patience bounds the tests of one package, with or without a mutant.
const patience = 2 * time.Minute

// TestMutants plants each mutant and has its test kill it.
func TestMutants(t *testing.T) {
	t.Parallel()
	chosen := choose(t)
	if !t.Run("without", func(t *testing.T) { passUnharmed(t, chosen) }) {
		return // whom a test kills that fails anyway says nothing
	}
	for _, m := range chosen {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			m.kill(t)
			if !t.Failed() {
				t.Logf("it %s: killed by %s, in %v", m.breaks, m.test, time.Since(began).Round(100*time.Millisecond))
			}
		})
	}
}

func choose(t *testing.T) []mutant {
	t.Helper()
	wanted, err := regexp.Compile(*which)
	if err != nil {
		t.Fatal(err)
	}
	var chosen []mutant
	for _, m := range mutants {
		if wanted.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		t.Fatalf("no mutant has a name like %q", *which)
	}
	return chosen
}

// passUnharmed runs the tests of mutants without any.
func passUnharmed(t *testing.T, chosen []mutant) {
	byPackage := map[string][]string{}
	for _, m := range chosen {
		byPackage[m.pkg] = append(byPackage[m.pkg], m.test)
	}
	for _, pkg := range slices.Sorted(maps.Keys(byPackage)) {
		tests := slices.Compact(slices.Sorted(slices.Values(byPackage[pkg])))
		out, err := goTool(t.Context(), testArgs("", pkg, tests)...)
		if err := passed(out, err, tests); err != nil {
			t.Errorf("%s without a mutant: %v\n%s", pkg, err, out)
		}
	}
}

// kill builds the program with the mutant in it and runs its test, which must
// notice.
func (m mutant) kill(t *testing.T) {
	file, _, err := overlay(t.TempDir(), m.name)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := goTool(t.Context(), "build", "-overlay="+file, "./..."); err != nil {
		t.Fatalf("it does not build: %v\n%s", err, out)
	}
	out, err := goTool(t.Context(), testArgs(file, m.pkg, []string{m.test})...)
	if err := killed(out, err, m.test); err != nil {
		t.Errorf("it %s, and survives: %v\n%s", m.breaks, err, out)
	}
}

// testArgs are what `go` is told to run tests once. Vet might find what a mutant
// has left unused.
func testArgs(overlay, pkg string, tests []string) []string {
	args := []string{"test", "-count=1", "-vet=off", "-v", "-timeout=" + patience.String(), "-run=^(" + strings.Join(tests, "|") + ")$"}
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	return append(args, "./"+pkg)
}

func goTool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// passed reports why it is not certain that each of the tests ran and passed.
func passed(out string, err error, tests []string) error {
	if err != nil {
		return err
	}
	for _, test := range tests {
		if !ended(out, "PASS", test) {
			return fmt.Errorf("%s did not run", test)
		}
	}
	return nil
}

// killed reports why a test did not notice a mutant: only its failure counts,
// neither a build that fails nor a time that is up.
func killed(out string, err error, test string) error {
	switch {
	case err == nil && ended(out, "PASS", test):
		return fmt.Errorf("%s passes", test)
	case err == nil:
		return fmt.Errorf("%s did not run", test)
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		return errors.New("its test does not build")
	case strings.Contains(out, "panic: test timed out after"):
		return fmt.Errorf("%s did not come to its end in %v", test, patience)
	case !ended(out, "FAIL", test):
		return fmt.Errorf("something else than %s failed: %w", test, err)
	}
	return nil
}

// ended reports whether a test ended in that way, by the words of `go test -v`.
func ended(out, how, test string) bool {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "--- "+how+": "+test+" (") {
			return true
		}
	}
	return false
}

// TestVerdicts: what tells that a mutant was killed, or was not.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	failure := errors.New("exit status 1")
	for _, test := range []struct {
		name, out string
		err       error
		passed    bool
		killed    bool
	}{
		{"a failure", "=== RUN   TestA\n    a_test.go:1: no\n--- FAIL: TestA (0.01s)\nFAIL\n", failure, false, true},
		{"a panic", "--- FAIL: TestA (0.01s)\npanic: nil map [recovered]\n", failure, false, true},
		{"a pass", "--- PASS: TestA (0.01s)\nPASS\nok\n", nil, true, false},
		{"a skip", "--- SKIP: TestA (0.01s)\nPASS\nok\n", nil, false, false},
		{"nothing to run", "testing: warning: no tests to run\nPASS\n", nil, false, false},
		{"another test", "--- PASS: TestA (0.01s)\n--- FAIL: TestAB (0.01s)\nFAIL\n", failure, false, false},
		{"a subtest alone", "    --- FAIL: TestA/x (0.01s)\n", failure, false, false},
		{"a build", "FAIL\tpkg [build failed]\n", failure, false, false},
		{"a time that is up", "panic: test timed out after 2m0s\n--- FAIL: TestA (120.00s)\n", failure, false, false},
	} {
		if err := passed(test.out, test.err, []string{"TestA"}); (err == nil) != test.passed {
			t.Errorf("%s: passed: %v", test.name, err)
		}
		if err := killed(test.out, test.err, "TestA"); (err == nil) != test.killed {
			t.Errorf("%s: killed: %v", test.name, err)
		}
	}
}
