package workflow

import (
	"bytes"
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/invalid/*.want; read every change before you commit it")

// loadTestFile reads a file of testdata and finds its problems. Comments in it
// can ask for more than [Load]: `# pad: N` lengthens the file to N bytes first, and
// `# -i name=value` then gives an input as the command line does.
func loadTestFile(t *testing.T, path string) (name string, text []byte, problems Problems) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{}
	options := CheckOptions{DefaultSystem: "daint", ReadFile: func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(filepath.Dir(path), name))
	}}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if size, ok := strings.CutPrefix(line, "# pad: "); ok {
			n, err := strconv.Atoi(size)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, bytes.Repeat([]byte("#"), n-len(text))...)
		}
		if input, ok := strings.CutPrefix(line, "# -i "); ok {
			key, value, _ := strings.Cut(input, "=")
			given[key] = value
		}
		if version, ok := strings.CutPrefix(line, "# options: version "); ok {
			options.Version = version
		}
		if line == "# options: no default system" {
			options.DefaultSystem = ""
		}
	}
	name = filepath.Base(path)
	w, problems := Load(name, text, testCatalogue(), options)
	if len(problems) == 0 && len(given) > 0 {
		_, problems = w.BindInputs(given, BindOptions{WorkflowDir: "/w", CallerDir: "/c"})
	}
	return name, text, problems
}

func testFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}

func TestValidFiles(t *testing.T) {
	t.Parallel()
	for _, path := range testFiles(t, "valid/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			name, text, problems := loadTestFile(t, path)
			if len(problems) > 0 {
				t.Error(printed(t, problems, name, text))
			}
		})
	}
}

func TestInvalidFiles(t *testing.T) {
	t.Parallel()
	for _, path := range testFiles(t, "invalid/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			name, text, problems := loadTestFile(t, path)
			code := codeOf(path)
			if len(problems) != 1 || problems[0].Code != code {
				t.Errorf("want one problem with code %q, got %d:\n%s%v", code, len(problems), printed(t, problems, name, text), codes(problems))
			}
			if !bytes.HasPrefix(text, []byte("# ")) {
				t.Error("the first line does not say in words what is wrong")
			}
			want := strings.TrimSuffix(path, ".yaml") + ".want"
			got := printed(t, problems, name, text)
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			reviewed, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(string(reviewed), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEveryCodeHasAFile(t *testing.T) {
	t.Parallel()
	seen := map[ProblemCode]bool{}
	for _, path := range testFiles(t, "invalid/*.yaml") {
		seen[codeOf(path)] = true
	}
	known := map[ProblemCode]bool{}
	for _, code := range ProblemCodes() {
		if known[code] {
			t.Errorf("code %q is listed twice", code)
		}
		known[code] = true
		if !seen[code] {
			t.Errorf("no file testdata/invalid/%s*.yaml", code)
		}
	}
	for code := range seen {
		if !known[code] {
			t.Errorf("a file has the code %q, which does not exist", code)
		}
	}
}

// codeOf is the longest code that the name of a file begins with.
func codeOf(path string) ProblemCode {
	name := ProblemCode(strings.TrimSuffix(filepath.Base(path), ".yaml"))
	best := ProblemCode("")
	for _, code := range ProblemCodes() {
		if (name == code || strings.HasPrefix(string(name), string(code)+"_")) && len(code) > len(best) {
			best = code
		}
	}
	return cmp.Or(best, name)
}

func codes(problems Problems) []ProblemCode {
	var list []ProblemCode
	for _, p := range problems {
		list = append(list, p.Code)
	}
	return list
}

func printed(t *testing.T, problems Problems, name string, text []byte) string {
	t.Helper()
	var b strings.Builder
	if err := problems.Print(&b, name, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
