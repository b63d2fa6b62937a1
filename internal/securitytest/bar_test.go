package securitytest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// numbers are those that the bar has; a claim is not dropped in passing.
var numbers = []int{
	1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 26, 50, 51, 52, 53, 54, 55, 57, 60, 61, 70, 71,
}

// TestBar: every claim is there, and is shown by tests that exist.
func TestBar(t *testing.T) {
	t.Parallel()
	tests := everyTest(t)
	var have []int
	for _, c := range bar {
		have = append(have, c.number)
		if c.text == "" || len(c.shown) == 0 {
			t.Errorf("claim %d says nothing, or nothing shows it", c.number)
		}
		for _, name := range c.shown {
			if !tests[name] {
				t.Errorf("claim %d is to be shown by %s, which does not exist", c.number, name)
			}
		}
	}
	if !slices.Equal(have, numbers) {
		t.Errorf("the claims are %d, want %d", have, numbers)
	}
	if tests["internal/securitytest.TestThatIsNone"] {
		t.Error("the test shows nothing")
	}
}

// everyTest lists the tests and fuzz targets of the module.
func everyTest(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				found[filepath.ToSlash(dir)+"."+fn.Name.Name] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
