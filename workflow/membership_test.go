package workflow

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMembership(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		group, model string
		want         []Membership
	}{
		{`"icon-${{ inputs.model }}", limit: 3, on_conflict: skip`, "r2b4", []Membership{{"icon-r2b4", 3, ConflictSkip}}},
		{`"${{ run.name }} ${{ run.id }}"`, "", []Membership{{"w R", 1, ConflictQueue}}},
		{`"${{ run.scheduled_at }}"`, "", []Membership{{"2026-03-02T10:00:00Z", 1, ConflictQueue}}},
		{`"${{ inputs.model }}"`, "", nil},
		{`"${{ inputs.model }}"`, strings.Repeat("x", 257), nil},
	} {
		w, problems := Load("f.yaml", []byte("version: 1\nname: w\ninputs: { model: { type: string } }\nconcurrency: { group: "+c.group+" }\nsteps: [{ id: a, uses: noop }]\n"), testCatalogue(), CheckOptions{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		model, err := json.Marshal(c.model)
		if err != nil {
			t.Fatal(err)
		}
		created := RunCreated{ID: "R", Trigger: TriggerManual, Inputs: map[string]json.RawMessage{"model": model}}
		got, err := w.EvalMembership(&created, at)
		if diff := cmp.Diff(c.want, got); diff != "" || errors.Is(err, ErrGroup) != (c.want == nil) {
			t.Errorf("%s: %v\n%s", c.group, err, diff)
		}
		created.Trigger = TriggerParent
		if got, err := w.EvalMembership(&created, at); got != nil || err != nil {
			t.Errorf("%s: a child belongs to %v, %v", c.group, got, err)
		}
	}
}

func TestMergeMemberships(t *testing.T) {
	t.Parallel()
	slot, icon := Membership{"schedule:w/nightly", 1, ConflictCancel}, Membership{"icon", 2, ConflictQueue}
	for _, c := range []struct{ given, own, want []Membership }{
		{nil, nil, nil},
		{[]Membership{slot}, nil, []Membership{slot}},
		{[]Membership{slot}, []Membership{icon}, []Membership{icon, slot}},
		{[]Membership{slot}, []Membership{{slot.Group, 4, ConflictSkip}}, []Membership{slot}},
		{[]Membership{{"icon", 3, ConflictSkip}}, []Membership{icon}, []Membership{{"icon", 2, ConflictSkip}}},
	} {
		if diff := cmp.Diff(c.want, MergeMemberships(c.given, c.own)); diff != "" {
			t.Errorf("%v and %v: %s", c.given, c.own, diff)
		}
	}
}
