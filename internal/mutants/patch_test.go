package mutants

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is that of the module.
const root = "../.."

// patch is a unified diff, by file.
type patch map[string][]hunk

// hunk is one place of a file: what stands there, and what is to stand there.
type hunk struct{ old, new string }

// parsePatch reads a unified diff. Line numbers are not looked at: a hunk goes
// where its text is.
func parsePatch(text string) (patch, error) {
	p := patch{}
	var file string
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "--- a/"):
			file = strings.TrimPrefix(line, "--- a/")
			continue
		case strings.HasPrefix(line, "+++ b/"):
			if file == "" || strings.TrimPrefix(line, "+++ b/") != file {
				return nil, fmt.Errorf("%q: a patch changes files and makes none", line)
			}
			continue
		case strings.HasPrefix(line, "@@") && file != "":
			p[file] = append(p[file], hunk{})
			continue
		case len(p[file]) == 0:
			return nil, fmt.Errorf("%q comes before the first hunk", line)
		}
		h := &p[file][len(p[file])-1]
		mark, rest := byte(' '), line
		if line != "" {
			mark, rest = line[0], line[1:]
		}
		switch mark {
		case ' ':
			h.old, h.new = h.old+rest+"\n", h.new+rest+"\n"
		case '-':
			h.old += rest + "\n"
		case '+':
			h.new += rest + "\n"
		default:
			return nil, fmt.Errorf("%q is no line of a hunk", line)
		}
	}
	if len(p) == 0 {
		return nil, errors.New("the patch is empty")
	}
	return p, lines.Err()
}

// apply changes a text. Each hunk must fit in exactly one place, as it is.
func apply(text string, hunks []hunk) (string, error) {
	for n, h := range hunks {
		// Whole lines: what precedes a hunk ends in a line break.
		whole := "\n" + text
		switch places := strings.Count(whole, "\n"+h.old); {
		case h.old == "" || h.old == h.new:
			return "", fmt.Errorf("hunk %d changes nothing", n+1)
		case places != 1:
			return "", fmt.Errorf("hunk %d fits in %d places, and must fit in one:\n%s", n+1, places, h.old)
		}
		text = strings.Replace(whole, "\n"+h.old, "\n"+h.new, 1)[1:]
	}
	return text, nil
}

// overlay applies the patch of a mutant to copies in a directory. It returns
// the file for the flag -overlay, and where the copies are, by the names of
// what they replace.
func overlay(dir, name string) (file string, copies map[string]string, err error) {
	text, err := os.ReadFile(patchFile(name))
	if err != nil {
		return "", nil, err
	}
	p, err := parsePatch(string(text))
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	copies = map[string]string{}
	for source, hunks := range p {
		original, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(source)))
		if err != nil {
			return "", nil, err
		}
		before, err := os.ReadFile(original)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		after, err := apply(string(before), hunks)
		if err != nil {
			return "", nil, fmt.Errorf("%s does not apply to %s any more; make it anew: %w", name, source, err)
		}
		copies[original] = filepath.Join(dir, fmt.Sprintf("%d.go", len(copies)))
		if err := os.WriteFile(copies[original], []byte(after), 0o600); err != nil {
			return "", nil, err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": copies})
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, copies, os.WriteFile(file, list, 0o600)
}

func patchFile(name string) string { return filepath.Join("testdata", name+".patch") }

// TestPatchesApply: every patch has its row and applies to the source as it is
// today.
func TestPatchesApply(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(patchFile("*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(mutants) {
		t.Errorf("%d patches, and %d rows in the table", len(files), len(mutants))
	}
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.name] {
			t.Errorf("%s stands twice in the table", m.name)
		}
		seen[m.name] = true
		_, copies, err := overlay(t.TempDir(), m.name)
		if err != nil {
			t.Error(err)
		}
		for original, mutated := range copies {
			if _, err := parser.ParseFile(token.NewFileSet(), mutated, nil, parser.SkipObjectResolution); err != nil {
				t.Errorf("%s: %s is no Go any more: %v", m.name, original, err)
			}
		}
	}
}

// TestApplyIsExact: a patch that fits nowhere, or in two places, is refused.
func TestApplyIsExact(t *testing.T) {
	t.Parallel()
	const text = "one\n\ttwo\nthree\n\ttwo\nfour\n"
	for _, test := range []struct{ name, diff, want string }{
		{"change", "@@ -1,3 +1,3 @@\n one\n-\ttwo\n+\t2\n three\n", "one\n\t2\nthree\n\ttwo\nfour\n"},
		{"line numbers count for nothing", "@@ -90,3 +90,2 @@\n three\n-\ttwo\n four\n", "one\n\ttwo\nthree\nfour\n"},
		{"add", "@@ -5 +5,2 @@\n four\n+five\n", text + "five\n"},
		{"at the beginning", "@@ -1 +1 @@\n-one\n+1\n", "1\n\ttwo\nthree\n\ttwo\nfour\n"},
		{"two hunks", "@@ -1 +1 @@\n-one\n+1\n@@ -5 +5 @@\n-four\n+4\n", "1\n\ttwo\nthree\n\ttwo\n4\n"},
		{"two places", "@@ -2 +2 @@\n-\ttwo\n+\t2\n", ""},
		{"other context", "@@ -1,2 +1,2 @@\n zero\n-\ttwo\n+\t2\n", ""},
		{"other indentation", "@@ -1,2 +1,2 @@\n one\n-  two\n+\t2\n", ""},
		{"part of a line", "@@ -1,2 +1,2 @@\n-wo\n+2\n", ""},
		{"nothing changed", "@@ -1 +1 @@\n one\n", ""},
		{"another file", "--- a/f\n+++ b/g\n@@ -1 +1 @@\n-one\n+1\n", ""},
		{"a new file", "--- /dev/null\n+++ b/g\n@@ -0,0 +1 @@\n+1\n", ""},
		{"no patch", "", ""},
	} {
		head := "--- a/f\n+++ b/f\n"
		if strings.HasPrefix(test.diff, "---") || test.diff == "" {
			head = ""
		}
		p, err := parsePatch(head + test.diff)
		got := ""
		if err == nil {
			got, err = apply(text, p["f"])
		}
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}
