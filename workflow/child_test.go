package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// files are workflow files by path; each is given without its head.
type files map[string]string

func (f files) text(name string) []byte {
	return []byte("version: 1\nname: " + strings.TrimSuffix(path.Base(name), ".yaml") + "\n" + f[name])
}

// load loads one of the files, which may run the others.
func (f files) load(name string, o CheckOptions) (*Workflow, Problems) {
	o.ReadFile = func(p string) ([]byte, error) {
		if _, ok := f[p]; !ok {
			return nil, fs.ErrNotExist
		}
		return f.text(p), nil
	}
	return Load(name, f.text(name), testCatalogue(), o)
}

func runs(names ...string) string {
	var b strings.Builder
	b.WriteString("steps:\n")
	for i, name := range names {
		fmt.Fprintf(&b, "  - { id: s%d, uses: workflow, with: { file: %s } }\n", i, name)
	}
	return b.String()
}

const leaf = "steps: [{ id: a, uses: noop }]\n"

// TestChildDepth: eight files may run each other, nine may not, whichever way
// the deepest is reached.
func TestChildDepth(t *testing.T) {
	t.Parallel()
	f := files{"f9.yaml": leaf}
	for i := range 9 {
		f[fmt.Sprintf("f%d.yaml", i)] = runs(fmt.Sprintf("f%d.yaml", i+1))
	}
	f["both.yaml"] = runs("f3.yaml", "f2.yaml")
	for name, deep := range map[string]bool{"f2.yaml": false, "f1.yaml": true, "f0.yaml": true, "both.yaml": true} {
		_, problems := f.load(name, CheckOptions{})
		if got := slices.Contains(codes(problems), CodeChildCycle); got != deep || len(problems) > 1 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

// TestChildThroughDirectories: paths start from the file that names them, and a
// file is the same one whichever way it is named.
func TestChildThroughDirectories(t *testing.T) {
	t.Parallel()
	f := files{
		"main.yaml":         runs("sub/one.yaml", "../beside.yaml"),
		"sub/one.yaml":      runs("two.yaml", "../other/one.yaml"),
		"sub/two.yaml":      leaf,
		"other/one.yaml":    runs("/abs/one.yaml"),
		"/abs/one.yaml":     runs("deep/er.yaml"),
		"/abs/deep/er.yaml": leaf,
		"../beside.yaml":    leaf,
	}
	w, problems := f.load("main.yaml", CheckOptions{Dir: "/here"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var all []string
	for _, w := range w.WithChildren() {
		all = append(all, w.File)
	}
	want := []string{"main.yaml", "sub/one.yaml", "../beside.yaml", "sub/two.yaml", "other/one.yaml", "/abs/one.yaml", "/abs/deep/er.yaml"}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	f["../beside.yaml"] = runs("here/main.yaml")
	f["../here/main.yaml"] = f["main.yaml"]
	_, problems = f.load("main.yaml", CheckOptions{Dir: "/here"})
	if len(problems) != 1 || problems[0].Code != CodeChildCycle || problems[0].File != "../beside.yaml" {
		t.Error(problems)
	}
}

// TestChildCost: a file is read once, however often it is run.
func TestChildCost(t *testing.T) {
	t.Parallel()
	f, most := files{}, maxGenerations-1
	f[fmt.Sprintf("f%d.yaml", most)] = leaf
	for i := range most {
		next := fmt.Sprintf("f%d.yaml", i+1)
		f[fmt.Sprintf("f%d.yaml", i)] = runs(next, next, next, next, next, next, next, next)
	}
	reads := 0
	_, problems := Load("f0.yaml", f.text("f0.yaml"), testCatalogue(), CheckOptions{ReadFile: func(p string) ([]byte, error) {
		reads++
		return f.text(p), nil
	}})
	if len(problems) > 0 || reads != most {
		t.Errorf("%d reads, %v", reads, problems)
	}
	many := make([]string, maxChildFiles+1)
	for i := range many {
		many[i] = fmt.Sprintf("c%d.yaml", i)
		f[many[i]] = leaf
	}
	f["many.yaml"] = runs(many...)
	if _, problems := f.load("many.yaml", CheckOptions{}); len(problems) != 1 || problems[0].Code != CodeChildFile {
		t.Error(problems)
	}
}

// TestFrozen: what a run keeps is read again without the files, by the parent and
// by the child, also when a text looks like the frame around it.
func TestFrozen(t *testing.T) {
	t.Parallel()
	f := files{
		"main.yaml": runs("sub/one.yaml") + "outputs: { top: \"${{ steps.s0.outputs.top + 1 }}\" }\n",
		"sub/one.yaml": "steps:\n  - { id: two, uses: workflow, with: { file: ../two.yaml } }\n" +
			"outputs: { top: \"${{ steps.two.outputs.n }}\" }\n# 3 \"x\"\n",
		"two.yaml": leaf + "outputs: { n: 3 }\n" + frozenHead,
	}
	w, problems := f.load("main.yaml", CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	again := func(text []byte) *Workflow {
		t.Helper()
		w, problems := Load("/elsewhere/workflow.yaml", text, testCatalogue(), CheckOptions{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if !bytes.Equal(w.Frozen(), text) {
			t.Errorf("frozen again:\n%s\nwas\n%s", w.Frozen(), text)
		}
		return w
	}
	thawed := again(w.Frozen())
	if !bytes.Equal(thawed.Source, f.text("main.yaml")) || thawed.File != "/elsewhere/workflow.yaml" {
		t.Errorf("%s:\n%s", thawed.File, thawed.Source)
	}
	child := again(again(w.Steps[0].Child().Frozen()).Frozen())
	if child.Name != "one" || child.Steps[0].Child().Name != "two" {
		t.Errorf("%s", child.Name)
	}
	if plain := w.Steps[0].Child().Steps[0].Child(); !bytes.Equal(plain.Frozen(), f.text("two.yaml")) {
		t.Errorf("a file that runs no other is kept as %s", plain.Frozen())
	}
}

func TestFrozenDamaged(t *testing.T) {
	t.Parallel()
	f := files{"main.yaml": runs("one.yaml"), "one.yaml": leaf}
	w, problems := f.load("main.yaml", CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	frozen := w.Frozen()
	for n := len(frozenHead); n < len(frozen); n++ {
		if _, problems := Load("w.yaml", frozen[:n], testCatalogue(), CheckOptions{}); len(problems) == 0 {
			t.Fatalf("the first %d bytes of %d are taken", n, len(frozen))
		}
	}
	for _, text := range []string{"# -1 \"a\"\n\n", "# 99999999999999999999 \"a\"\n", "# 1 a\nx\n", "x"} {
		if _, problems := Load("w.yaml", []byte(frozenHead+text), testCatalogue(), CheckOptions{}); len(problems) != 1 {
			t.Errorf("%q: %v", text, problems)
		}
	}
}

// TestUnknownChild: where no file can be read, nothing is said of what is in it.
func TestUnknownChild(t *testing.T) {
	t.Parallel()
	w, problems := Load("w.yaml", []byte("version: 1\nname: w\nsteps:\n"+
		"  - { id: a, uses: workflow, with: { file: x.yaml, inputs: { n: 3 } } }\n"+
		"  - { id: b, uses: noop, with: { int: \"${{ steps.a.outputs.n }}\" } }\n"), testCatalogue(), CheckOptions{})
	if len(problems) > 0 || w.Steps[0].Child() != nil {
		t.Error(problems)
	}
}

func TestBindValues(t *testing.T) {
	t.Parallel()
	w, problems := Load("w.yaml", []byte(`version: 1
name: w
inputs:
  n: { type: int }
  size: { type: size }
  time: { type: duration, default: 90m }
  given: { type: file }
  own: { type: file, default: a.nc }
steps: [{ id: a, uses: noop }]
`), testCatalogue(), CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	o := BindOptions{WorkflowDir: "/w", CallerDir: "/c"}
	got, problems := w.BindValues(map[string]json.RawMessage{"n": json.RawMessage("3"), "size": json.RawMessage("1024"), "given": json.RawMessage(`"b.nc"`)}, o)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]string{"n": "3", "size": "1024", "time": `"1h30m0s"`, "given": `"/c/b.nc"`, "own": `"/w/a.nc"`}
	for name, text := range want {
		if string(got[name]) != text {
			t.Errorf("%s = %s, want %s", name, got[name], text)
		}
	}
	_, problems = w.BindValues(map[string]json.RawMessage{"n": json.RawMessage(`"x"`), "siz": json.RawMessage("1"), "given": json.RawMessage(`"b"`)}, o)
	if diff := cmp.Diff([]ProblemCode{CodeInputValue, CodeInputMissing, CodeInputUnknown}, codes(problems)); diff != "" {
		t.Error(diff)
	}
}

// TestChildID: the id is that of the attempt, and no other's.
func TestChildID(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_750_000_000_123)
	id := ChildID("n", UnitRef{Step: "a"}, 1, at)
	if id != ChildID("n", UnitRef{Step: "a"}, 1, at) {
		t.Error("the id of an attempt differs from itself")
	}
	others := map[RunID]bool{
		id: true, ChildID("m", UnitRef{Step: "a"}, 1, at): true, ChildID("n", UnitRef{Step: "b"}, 1, at): true,
		ChildID("n", UnitRef{Step: "a", Instance: "x"}, 1, at): true, ChildID("n", UnitRef{Step: "a"}, 2, at): true,
	}
	if len(others) != 5 {
		t.Errorf("two attempts share an id: %v", others)
	}
	if later := ChildID("n", UnitRef{Step: "a"}, 1, at.Add(time.Millisecond)); later <= id || later[:10] == id[:10] {
		t.Errorf("%s is not later than %s", later, id)
	}
}
