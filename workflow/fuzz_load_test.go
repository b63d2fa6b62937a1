package workflow

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// FuzzLoad reads and checks: no panic, nothing slow or greedy, every problem
// inside the file, the same problems twice.
func FuzzLoad(f *testing.F) {
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
	f.Fuzz(checkLoad)
}

// checkLoad measures time and allocation as the process sees them, so it must not
// run beside other tests.
func checkLoad(t *testing.T, text []byte) {
	load := func() Problems {
		_, problems := Load("fuzz.yaml", text, testCatalogue(), CheckOptions{})
		return problems
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpu(t)
	problems := load()
	took := cpu(t) - start
	runtime.ReadMemStats(&after)
	again := load()
	for tries := 0; took > slower*mostTime && tries < 5; tries++ { // the garbage may be that of others
		start = cpu(t)
		load()
		took = min(took, cpu(t)-start)
	}
	if took > slower*mostTime {
		t.Errorf("took %v", took)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > mostMemory {
		t.Errorf("allocated %d MiB", used>>20)
	}
	if problems.Error() != again.Error() {
		t.Errorf("first %v, then %v", problems, again)
	}
	lines := strings.Count(string(text), "\n") + 1
	for _, p := range problems {
		if p.Code == "" || p.Message == "" || p.Pos.Line < 0 || p.Pos.Line > lines || p.Pos.Column < 0 {
			t.Errorf("bad problem %+v in a file of %d lines", p, lines)
		}
	}
}

// TestLoadLimits checks files as large as allowed, of the kinds that cost the
// checker most.
func TestLoadLimits(t *testing.T) { // not parallel: it measures
	const room = maxSourceBytes - 2000
	fill := func(piece string) string { return strings.Repeat(piece, room/len(piece)) }
	text := func(piece string) string {
		return evalHead + "  - { id: z, uses: noop, with: { text: \"" + fill(piece) + "\" } }\n"
	}
	list := func(n int, piece string) string {
		return evalHead + "outputs:\n  x: [" + strings.Repeat("'"+piece+"', ", n) + "]\n"
	}
	for name, source := range map[string]string{
		"one text of names":    text("${{ inputs.n }}"),
		"one text of sums":     text("${{1+1+inputs.n}}"),
		"one text of mistakes": text("${{1+}}"),
		"one text of states":   text("${{steps.a.state}}"),
		"list of mistakes":     list(45_000, "${{ ruin.id }}"),
		"list of closures":     list(25_000, "${{ filter(map([1],#),#>1) }}"),
		"large expressions":    list(260, "${{ ["+strings.Repeat("inputs.n+1,", 350)+"] }}"),
		"deep expressions":     list(2000, "${{ "+strings.Repeat("!(", 45)+"true"+strings.Repeat(")", 45)+" }}"),
		"steps on one line": "{version: 1, name: t, steps: [" +
			manyLines(8000, "{id: s%d, uses: noop, needs: [s0], if: \"${{steps.s0.state==''}}\"},") + "]}",
		"unknown steps":  "version: 1\nname: t\nsteps:\n" + manyLines(10_000, "  - { id: s%d, uses: noop, needs: [s0x] }\n"),
		"unknown inputs": "version: 1\nname: t\nsteps:\n  - { id: a, uses: noop, with: {" + manyLines(40_000, "txt%d: 1, ") + "} }\n",
		"unknown types":  "version: 1\nname: t\nsteps:\n" + manyLines(10_000, "  - { id: s%d, uses: nop }\n"),
		"fan-out":        "version: 1\nname: t\nsteps:\n  - { id: s0, uses: noop, matrix: { x: [1] } }\n" + manyLines(5000, "  - { id: t%d, uses: noop, for_each: s0, with: { any: '${{ each }}' } }\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if len(source) > maxSourceBytes {
				t.Fatalf("the test is wrong: %d bytes", len(source))
			}
			checkLoad(t, []byte(source))
		})
	}
}
