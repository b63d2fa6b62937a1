package workflow

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// No workflow file, however wrong, may take more than this.
const (
	mostTime   = time.Second
	mostMemory = 100 << 20
)

// FuzzParse checks that no text panics, is slow or greedy, that every place is
// inside the file, and that every expression is found where it stands.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*valid/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(checkParse)
}

// checkParse measures time and allocation as the process sees them, so it must not
// run beside other tests.
func checkParse(t *testing.T, text []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpu(t)
	w, problems := Parse("fuzz.yaml", text)
	took := cpu(t) - start
	runtime.ReadMemStats(&after)
	for tries := 0; took > slower*mostTime && tries < 5; tries++ { // the garbage may be that of others
		start = cpu(t)
		Parse("fuzz.yaml", text)
		took = min(took, cpu(t)-start)
	}
	if took > slower*mostTime {
		t.Errorf("took %v", took)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > mostMemory {
		t.Errorf("allocated %d MiB", used>>20)
	}
	if w == nil && len(problems) == 0 {
		t.Error("neither a workflow nor a problem")
	}
	if err := problems.Print(io.Discard, "fuzz.yaml", text); err != nil {
		t.Error(err)
	}
	lines := bytes.Count(text, []byte("\n")) + 1
	for _, p := range problems {
		if p.Code == "" || p.Message == "" || p.Pos.Line < 0 || p.Pos.Line > lines || p.Pos.Column < 0 {
			t.Errorf("bad problem %+v in a file of %d lines", p, lines)
		}
	}
	checkPlaces(t, text)
	checkMarks(t, text)
}

// checkMarks compares the cheap count that bounds the work of the YAML library
// with what the library finds.
func checkMarks(t *testing.T, text []byte) {
	src, problems := newSource(string(text))
	if len(problems) > 0 {
		return
	}
	root, problems := parseYAML(src)
	if len(problems) > 0 {
		return
	}
	if values := countValues(root) - 1; values > src.marks() {
		t.Errorf("there are %d values, but only %d were counted", values, src.marks())
	}
}

// countValues counts nodes other than keys.
func countValues(n *yaml.Node) int {
	values := 1
	for i, child := range n.Content {
		values += countValues(child)
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			values--
		}
	}
	return values
}

// checkPlaces compares every text of the file with the source at its place.
func checkPlaces(t *testing.T, text []byte) {
	const most = 32 << 10 // looking up every character of a wide line takes its square
	if len(text) > most {
		return
	}
	src, problems := newSource(string(text))
	if len(problems) > 0 {
		return
	}
	v, _ := readTree(src)
	if v == nil {
		return
	}
	for _, e := range expressions(v) {
		for i, r := range e.Source {
			p := e.Places(i)
			line := []rune(src.line(p.Line))
			if p.Column < 1 || p.Column > len(line)+1 {
				t.Fatalf("character %d of %q is said to be at %d:%d, outside the line", i, e.Source, p.Line, p.Column)
			}
			if p.Column > len(line) || line[p.Column-1] != r {
				if r != ' ' && r != '\n' && (p.Column > len(line) || line[p.Column-1] != '\\' && line[p.Column-1] != '\'') {
					t.Fatalf("character %q of %q is said to be at %d:%d", r, e.Source, p.Line, p.Column)
				}
			}
			if i > 200 {
				break
			}
		}
	}
}

// TestParseLimits runs what fuzzing rarely finds: files as large as allowed, of
// the kinds that cost a YAML parser most.
func TestParseLimits(t *testing.T) { // not parallel: it measures
	fill := func(piece string) string { return strings.Repeat(piece, maxSourceBytes/len(piece)) }
	for name, text := range map[string]string{
		"flow list":               "[" + fill("a,")[1:],
		"flow mapping":            "{" + fill("a:,")[1:],
		"open lists":              fill("["),
		"open mappings":           fill("{a: "),
		"nested dashes":           fill("- "),
		"dashes":                  fill("-\n"),
		"items":                   fill("- a\n"),
		"commented dashes":        fill("- #\n"),
		"comments":                fill("#\n"),
		"commented values":        "a: [" + fill("a, #\n")[4:],
		"same key":                fill("a:\n"),
		"documents":               fill("---\n"),
		"expressions":             "a: \"" + fill("${{ a }}")[4:],
		"expressions, quoted":     "a: \"" + fill("${{ a }}")[5:] + "\"",
		"open expressions":        "a: |\n " + fill("${{")[6:],
		"quoted expressions":      "a: |\n " + fill("${{\"}}${{'}}")[6:],
		"escapes":                 "a: \"" + fill("\\n")[5:] + "\"",
		"escaped expressions":     "a: " + fill("$${{ ")[3:],
		"breaks":                  "a: x" + fill("\n")[8:] + " y",
		"one line":                "{" + fill("a")[1:],
		"aliases":                 "- &a a\n" + fill("- *a\n")[7:],
		"anchors":                 fill("- &a a\n"),
		"tags":                    fill("- !a a\n"),
		"unclosed quote":          "a: \"" + fill("x\n")[4:],
		"late mistake":            fill("- abcdefgh\n")[16:] + "\n: : :\n",
		"long list then flow":     fill("- abcdefghijkl\n")[16:] + "[",
		"folded, unclosed":        "a: [" + fill("abcdefg\n")[4:],
		"complex keys":            fill("? a\n: b\n"),
		"unknown keys":            manyLines(60_000, "key_%06d: x\n"),
		"near keys":               "version: 1\nname: x\nsteps:\n" + manyLines(9000, "- { id: s%06d, uses: x, timeuot: 1, contineu_on_error: true, max_atempts: 3 }\n"),
		"long keys":               manyLines(900, "k%06d"+strings.Repeat("x", 1000)+": x\n"),
		"wide line with marks":    "{" + manyLines(90_000, "k%d: 1, "),
		"just allowed, dashes":    strings.Repeat("- #\n", maxMarks/2),
		"just allowed, values":    strings.Repeat("- a #b c d\n", maxMarks/2-1),
		"just allowed, flow":      "[" + strings.Repeat("a, #\n", maxMarks/2-1),
		"just allowed, mappings":  strings.Repeat("- a: {}\n", maxMarks/3-1),
		"just allowed, keys":      "{" + manyLines(maxMarks/2-1, "\"k%d\":,"),
		"nested braces":           "[" + strings.Repeat("{{{{{a}}}}},", 80_000),
		"just allowed, braces":    "[" + strings.Repeat("{{{{{a}}}}},", maxMarks/6-1) + "]",
		"just allowed, bare keys": "[" + strings.Repeat("{a},", maxMarks/2-1) + "]",
		"just allowed, texts":     "[" + strings.Repeat("'$${{', ", maxMarks-2),
		"expression per item":     "a: [" + manyLines(50_000, "'${{ a%d }}', ") + "]",
	} {
		t.Run(name, func(t *testing.T) {
			if len(text) > maxSourceBytes {
				t.Fatalf("the test is wrong: %d bytes", len(text))
			}
			checkParse(t, []byte(text))
		})
	}
}

func manyLines(n int, format string) string {
	var b strings.Builder
	for i := 0; i < n; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestParseTenThousandSteps(t *testing.T) { // not parallel: it measures
	text := "version: 1\nname: wide\nsteps:\n" + manyLines(10_000, "  - id: s%d\n    uses: noop\n    needs: [s0]\n")
	w, problems := Parse("wide.yaml", []byte(text))
	if len(problems) > 0 || len(w.Steps) != 10_000 {
		t.Fatal(problems)
	}
	checkParse(t, []byte(text))
}

func BenchmarkParse(b *testing.B) {
	small, err := os.ReadFile("testdata/valid/schedule.yaml")
	if err != nil {
		b.Fatal(err)
	}
	wide := []byte("version: 1\nname: wide\nsteps:\n" + manyLines(10_000, "  - id: s%d\n    uses: noop\n    needs: [s0]\n"))
	for name, text := range map[string][]byte{"small": small, "10000 steps": wide} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, problems := Parse("bench.yaml", text); len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}
