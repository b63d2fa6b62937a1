package workflow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// expandedRun folds a run of steps up to the expansion of those that have a
// matrix, in an order.
func expandedRun(t *testing.T, order []string, steps ...string) *Run {
	t.Helper()
	w := load(t, sourceOf(steps...))
	r := NewRun(w)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	apply := func(step string, p Payload) {
		t.Helper()
		if err := Apply(r, &Event{Seq: r.Seq + 1, At: at, Epoch: 1, Step: step, Data: p}); err != nil {
			t.Fatal(err)
		}
	}
	apply("", &RunCreated{ID: "r", Nonce: "n"})
	apply("", &RunStarted{})
	for _, id := range order {
		s, _ := r.Step(id)
		events, _ := r.Expand(s, 0, nil)
		for _, p := range events {
			apply(id, p)
		}
	}
	return r
}

// TestPlaces: every unit has a place of its own, whatever was expanded first, and
// those of a small campaign share one block.
func TestPlaces(t *testing.T) {
	t.Parallel()
	steps := []string{
		`  - { id: a, uses: noop, matrix: { x: "${{ 1..2500 }}" } }`,
		`  - { id: b, uses: noop, for_each: a }`,
		`  - { id: c, uses: noop, matrix: { x: [1, 2] } }`,
		`  - { id: d, uses: noop }`,
	}
	places := func(r *Run) map[UnitRef]int {
		all, taken := map[UnitRef]int{}, map[int]UnitRef{}
		for _, s := range r.Steps {
			for _, u := range s.Units {
				p := r.Place(u)
				if other, ok := taken[p]; ok {
					t.Fatalf("%s and %s have the place %d", other, u.Ref(), p)
				}
				taken[p], all[u.Ref()] = u.Ref(), p
			}
		}
		return all
	}
	first := places(expandedRun(t, []string{"a", "c"}, steps...))
	second := places(expandedRun(t, []string{"c", "a"}, steps...))
	blocks := map[int]int{}
	for ref, p := range first {
		if second[ref] != p {
			t.Errorf("%s has the place %d, or %d", ref, p, second[ref])
		}
		blocks[p/placesPerBlock]++
	}
	if len(first) != 5003 || len(blocks) != 7 {
		t.Errorf("%d units in blocks %v", len(first), blocks)
	}
	for block, n := range blocks {
		if n > placesPerBlock {
			t.Errorf("block %d holds %d", block, n)
		}
	}
	for ref, p := range places(expandedRun(t, []string{"a"}, `  - { id: a, uses: noop, matrix: { x: "${{ 1..60 }}" } }`, `  - { id: b, uses: noop, for_each: a }`)) {
		if p >= placesPerBlock {
			t.Errorf("%s of a small campaign has the place %d", ref, p)
		}
	}
}

// TestKeys: keys differ where values do, however they are written.
func TestKeys(t *testing.T) {
	t.Parallel()
	values := []any{
		"30", 30, "a", "a b", "a,b", "a=b", "", "true", true, "null", "ä", "x#2", "x", "\n", `"`, []any{"a", "b"}, []any{"a,b"},
		map[string]any{"k": "v"}, map[string]any{"k": "v", "l": 1}, map[string]any{"k": "v,l=1"}, map[string]any{"a b": 1}, map[string]any{},
		strings.Repeat("long", 100), strings.Repeat("long", 101),
	}
	seen := map[string]any{}
	for _, v := range values {
		key := itemKey(v)
		if other, ok := seen[key]; ok {
			t.Errorf("%v and %v have the key %s", other, v, key)
		}
		if len(key) > maxKey || strings.ContainsAny(key, "\n") {
			t.Errorf("the key of %v is %q", v, key)
		}
		seen[key] = v
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	r := expandedRun(t, []string{"a"}, `  - { id: a, uses: noop, matrix: { x: [1, 10], y: ["p,q", [1, 2]] } }`)
	s, _ := r.Step("a")
	for key, want := range map[string]string{
		`x=1`: `x=1,y="p,q" x=1,y=[1,2]`, `y="p,q"`: `x=1,y="p,q" x=10,y="p,q"`, `y=[1,2],x=10`: `x=10,y=[1,2]`,
		`x=1,y=[1,2]`: `x=1,y=[1,2]`, `x=2`: ``, `1`: ``, `q"`: ``,
	} {
		var got []string
		for _, u := range s.Match(key) {
			got = append(got, u.Instance)
		}
		if fmt.Sprint(got) != fmt.Sprint(strings.Fields(want)) {
			t.Errorf("%s matches %v, want %s", key, got, want)
		}
		view := r.Describe()
		var shown []string
		for _, u := range view.Steps[0].Match(key) {
			shown = append(shown, u.Instance)
		}
		if !slices.Equal(shown, got) {
			t.Errorf("%s matches %v, and in the picture %v", key, got, shown)
		}
	}
	if !slices.IsSortedFunc(s.Units, func(a, b *Unit) int { return a.place - b.place }) {
		t.Error("units are not in their places")
	}
}

// TestReadyOnce: a unit that leaves the middle of its step's queue, as one of
// another system may, and comes back, stands in it once, at the end.
func TestReadyOnce(t *testing.T) {
	t.Parallel()
	r := expandedRun(t, []string{"a"}, `  - { id: a, uses: noop, matrix: { x: [1, 2, 3] } }`)
	for _, p := range []Payload{
		&AttemptStarted{}, &AttemptFinished{State: Failed, Cause: CauseAPI, Retry: &Retry{At: r.CreatedAt, Rule: -1}}, &BackoffEnded{},
	} {
		if err := Apply(r, &Event{Seq: r.Seq + 1, At: r.CreatedAt, Epoch: 1, Step: "a", Instance: "x=2", Attempt: 1, Data: p}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for u := range r.Steps[0].ReadyUnits {
		got = append(got, u.Instance)
	}
	if want := []string{"x=1", "x=3", "x=2"}; !slices.Equal(got, want) {
		t.Errorf("ready are %v, want %v", got, want)
	}
}
