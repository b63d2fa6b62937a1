package oracle

import (
	"testing"
	"time"
)

// builtOtherwise are the rules that the engine does not keep, each with an example of
// what it does instead. The comparisons allow for them, and for nothing else.
var builtOtherwise = []struct {
	example rule
	engine  string // the units as the engine has them end
	make    func(*law)
}{
	{
		example: rule{
			name: "a list that can be told is expanded, also if a dependency is bad",
			text: `
				steps:
				  - { id: a, uses: act }
				  - { id: b, uses: act, needs: a, for_each: [1, 2] }`,
			acts: Acts{"a": {"fail exit(1)"}},
			run:  Failed, units: "a=failed(exit(1)) b/1=skipped(upstream_failed) b/2=skipped(upstream_failed)",
		},
		engine: "a=failed(exit(1)) b=skipped(upstream_failed)",
		make: func(l *law) {
			l.listStuck = func(w *world, s *stepRun) bool {
				u := &unit{of: s, state: Pending}
				return blocked(w, u) || sourceMissing(w, u)
			}
		},
	},
	{
		example: rule{
			name: "always() is the condition of finally that is not written, so that its pairs are no values",
			text: `
				steps:
				  - { id: a, uses: act }
				finally:
				  - { id: f, uses: act, matrix: { d: [1, 2] }, continue_on_error: true }
				  - { id: g, uses: act, for_each: f }`,
			acts: Acts{"f/d=1": {"fail exit(1)"}},
			run:  Succeeded, units: "a=succeeded f/d=1=failed(exit(1)) f/d=2=succeeded g/d=1=succeeded g/d=2=succeeded",
		},
		engine: "a=succeeded f/d=1=failed(exit(1)) f/d=2=succeeded g/d=1=skipped(source_missing) g/d=2=succeeded",
		make: func(l *law) {
			l.pairValue = func(u *unit) bool { return u.of.eachValue || !u.of.statusIf }
		},
	},
	{
		example: rule{
			name: "a cancel takes all units at once, also with fail_fast",
			text: `
				steps:
				  - { id: a, uses: act }
				  - { id: b, uses: act, needs: a, matrix: { d: [1, 2] }, fail_fast: true }`,
			acts:    Acts{"a": {"busy 5m ok"}},
			cancels: []time.Duration{time.Minute},
			run:     Cancelled, units: "a=cancelled b/d=1=cancelled b/d=2=cancelled",
		},
		engine: "a=cancelled b/d=1=cancelled b/d=2=skipped(upstream_failed)",
		make: func(l *law) {
			l.cancel = func(w *world, s *stepRun) {
				for _, u := range s.units {
					if w.law.cancelTakes(w, u) {
						u.end(Cancelled, "")
						w.failFast(s)
					}
				}
			}
		},
	},
}

// asBuilt is the law with what the engine does otherwise.
func asBuilt() law {
	l := semantics()
	for _, b := range builtOtherwise {
		b.make(&l)
	}
	return l
}

// TestBuiltOtherwise: the engine still does so. A row whose test fails because it
// does not goes to the table of rules.
func TestBuiltOtherwise(t *testing.T) {
	t.Parallel()
	for _, b := range builtOtherwise {
		t.Run(b.example.name, func(t *testing.T) {
			t.Parallel()
			b.example.judge(t, b.engine)
		})
	}
}
