package firecrest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	operationLine = regexp.MustCompile(`(?m)^  - \{method: ([A-Z]+), path: "?(/[^",]+)"?, since: (\d+\.\d+\.\d+)\}$`)
	directive     = regexp.MustCompile(`(?m)^//firecrest:operation ([A-Z]+ /\S+)\nfunc \(s \*\w+Service\) ([A-Z]\w*)\(ctx context\.Context`)
)

// Every operation of the API has one method, with a directive that names it, and
// every directive stands on an exported method that takes a context.
func TestOperations(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("operations.yaml")
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]string{}
	for _, m := range operationLine.FindAllStringSubmatch(string(list), -1) {
		operation := m[1] + " " + m[2]
		if _, ok := covered[operation]; ok {
			t.Errorf("operations.yaml: %s is there twice", operation)
		}
		covered[operation] = ""
	}
	if lines := strings.Count(string(list), "method:"); len(covered) != 35 || lines != 35 {
		t.Errorf("operations.yaml: %d operations in %d lines, want 35", len(covered), lines)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := directive.FindAllStringSubmatch(string(source), -1)
		if n := strings.Count(string(source), "\n//firecrest:operation"); n != len(found) {
			t.Errorf("%s: %d directives, but %d methods under one", file, n, len(found))
		}
		for _, m := range found {
			operation, method := m[1], m[2]
			other, known := covered[operation]
			switch {
			case !known:
				t.Errorf("%s: %s is not an operation of the API", method, operation)
			case other != "":
				t.Errorf("%s is called by both %s and %s", operation, other, method)
			}
			covered[operation] = method
		}
	}
	for operation, method := range covered {
		if method == "" {
			t.Errorf("no method has the directive of %s", operation)
		}
	}
}
