package firecrest

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNumbersOfAllKinds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]number{
		`7`: {7, true}, `"7"`: {7, true}, `-3`: {-3, true}, `7.9`: {7, true}, `"7.0"`: {7, true}, `1.5e3`: {1500, true},
		`null`: {}, `""`: {}, `0`: {0, true}, `9007199254740993`: {9007199254740993, true},
		`1e30`: {1 << 62, true}, `-1e400`: {-1 << 62, true}, `"Infinity"`: {1 << 62, true},
	} {
		got := number{n: math.MaxInt64, set: true} // of an answer before
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{`"seven"`, `true`, `[7]`, `{}`, `"NaN"`} {
		if err := json.Unmarshal([]byte(text), new(number)); err == nil {
			t.Errorf("%s is taken for a number", text)
		}
	}
}

func TestWordsAndStates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ words, states []string }{
		`"idle"`:            {[]string{"idle"}, []string{"IDLE"}},
		`["IDLE","DRAIN"]`:  {[]string{"IDLE", "DRAIN"}, []string{"IDLE", "DRAIN"}},
		`"mixed+drain*"`:    {[]string{"mixed+drain*"}, []string{"MIXED", "DRAIN"}},
		`"a, b,"`:           {[]string{"a", "b"}, []string{"A", "B"}},
		`"(null)"`:          {},
		`["(null)","gpu"]`:  {[]string{"gpu"}, []string{"GPU"}},
		`null`:              {},
		`["planned-","~"]`:  {[]string{"planned-", "~"}, []string{"PLANNED"}},
		`["down$#!%@^*~-"]`: {[]string{"down$#!%@^*~-"}, []string{"DOWN"}},
	} {
		got := words{"of an answer before"}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want.words, []string(got)) + cmp.Diff(want.states, got.states()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
