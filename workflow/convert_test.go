package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseType(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"string", "int", "float", "bool", "duration", "size", "file", "any", "list<int>", "map<string>", "list<map<list<float>>>"} {
		got, err := ParseType(text)
		if err != nil || got.String() != text {
			t.Errorf("ParseType(%q) = %q, %v", text, got, err)
		}
	}
	if got, err := ParseType(" list< int > "); err != nil || got.String() != "list<int>" {
		t.Errorf("spaces: %q, %v", got, err)
	}
	for text, want := range map[string]string{
		"list":       "list of what? write list<string>, list<int> and so on",
		"list<int":   `type "list<int" lacks its closing >`,
		"integer":    `unknown type "integer"; known are string, int, float, bool, duration, size, file, any, list<…>, map<…>`,
		"list<>":     `unknown type ""; known are string, int, float, bool, duration, size, file, any, list<…>, map<…>`,
		"object":     `unknown type "object"; known are string, int, float, bool, duration, size, file, any, list<…>, map<…>`,
		"list<int>>": `unknown type "int>"; known are string, int, float, bool, duration, size, file, any, list<…>, map<…>`,
		strings.Repeat("list<", 9) + "int" + strings.Repeat(">", 9): "types nest at most 8 deep",
	} {
		if _, err := ParseType(text); err == nil || err.Error() != want {
			t.Errorf("ParseType(%q): %v, want %s", text, err, want)
		}
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	fits := map[string]string{
		"int": "int float size string any", "float": "float string any", "bool": "bool string any",
		"string": "string file any", "file": "file string any", "duration": "duration string any",
		"size": "size int string any", "any": "string int float bool duration size file any list<int> map<int> list<float> list<string> map<float>",
		"list<int>": "list<int> list<float> list<string> list<any> any", "map<int>": "map<int> map<float> any",
	}
	var all []string
	for from := range fits {
		all = append(all, from)
	}
	all = append(all, "list<float>", "list<string>", "map<float>")
	for from, to := range fits {
		for _, other := range all {
			a, _ := ParseType(from)
			b, _ := ParseType(other)
			want := strings.Contains(" "+to+" ", " "+other+" ")
			if got := a.fits(b); got != want {
				t.Errorf("%s fits %s: %v, want %v", from, other, got, want)
			}
		}
	}
}

// typeGen draws a type without objects.
func typeGen(depth int) *rapid.Generator[Type] {
	return rapid.Custom(func(t *rapid.T) Type {
		kinds := []Kind{String, Int, Float, Bool, Duration, Size, File, Any}
		if depth > 0 {
			kinds = append(kinds, List, Map)
		}
		k := rapid.SampledFrom(kinds).Draw(t, "kind")
		if k == List || k == Map {
			return Type{Kind: k, Elem: new(typeGen(depth-1).Draw(t, "elem"))}
		}
		return Type{Kind: k}
	})
}

// valueGen draws a run-time value of a type.
func valueGen(typ Type) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch typ.Kind {
		case Int, Size:
			n := rapid.Int64().Draw(t, "int")
			return rapid.SampledFrom([]any{n, int(n), json.Number(fmt.Sprint(n))}).Draw(t, "form")
		case Float:
			f := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "float")
			return rapid.SampledFrom([]any{f, json.Number("1.10"), 3}).Draw(t, "form")
		case Bool:
			return rapid.Bool().Draw(t, "bool")
		case Duration:
			d := time.Duration(rapid.Int64().Draw(t, "duration"))
			return rapid.SampledFrom([]any{d, d.String(), "1-02:00:00", "6h"}).Draw(t, "form")
		case File:
			return "/" + rapid.String().Draw(t, "file")
		case List:
			return toAny(rapid.SliceOfN(valueGen(typ.element()), 0, 4).Draw(t, "list"))
		case Map:
			return rapid.MapOfN(rapid.String(), valueGen(typ.element()), 0, 4).Draw(t, "map")
		case Any:
			return rapid.SampledFrom([]any{nil, true, "x", 1, 1.5, time.Second, []string{"a"}, map[string]any{"k": []int{1}}}).Draw(t, "any")
		}
		return rapid.String().Draw(t, "text")
	})
}

func toAny(list []any) any { return list }

// What was converted once is canonical: converting it again, also after a trip
// through JSON, changes nothing.
func TestConversionIsIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := typeGen(3).Draw(t, "type")
		v := valueGen(typ).Draw(t, "value")
		first, bad := (&converter{}).value(v, typ)
		if bad != nil {
			t.Fatalf("%#v as %s: %v", v, typ, bad)
		}
		text, err := CanonicalJSON(first)
		if err != nil {
			t.Fatal(err)
		}
		again, err := typ.Decode(text)
		if err != nil {
			t.Fatalf("%s as %s: %v", text, typ, err)
		}
		second, err := CanonicalJSON(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(second) != string(text) {
			t.Fatalf("%s: %s became %s", typ, text, second)
		}
	})
}

// Canonical JSON is JSON of the same value, and the same for equal values.
func TestCanonicalJSONKeepsTheValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := valueGen(Type{Kind: Map, Elem: &Type{Kind: Map, Elem: &Type{Kind: String}}}).Draw(t, "value")
		text, err := CanonicalJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := json.Unmarshal(plain, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCanonicalJSON(t *testing.T) {
	t.Parallel()
	type pair struct {
		B int `json:"b"`
		A any `json:"a"`
	}
	for _, tc := range []struct {
		in   any
		want string
	}{
		{map[string]any{"b": 1, "a": "<&>", "ä": nil}, `{"a":"<&>","b":1,"ä":null}`},
		{json.Number("1.10"), "1.10"},
		{json.RawMessage(` { "b": 1.0, "a": [ ] } `), `{"a":[],"b":1.0}`},
		{pair{B: 1, A: map[string]int{"y": 2, "x": 1}}, `{"a":{"x":1,"y":2},"b":1}`},
		{[]string{"a", "\n"}, `["a","\n"]`},
		{90 * time.Second, `"1m30s"`},
		{1e21, "1e+21"},
		{uint8(3), "3"},
		{(*pair)(nil), "null"},
		{map[string]time.Duration{"t": time.Hour}, `{"t":"1h0m0s"}`},
	} {
		got, err := CanonicalJSON(tc.in)
		if err != nil || string(got) != tc.want {
			t.Errorf("%#v: %s, %v; want %s", tc.in, got, err, tc.want)
		}
	}
	loop := map[string]any{}
	loop["self"] = loop
	for _, in := range []any{math.NaN(), math.Inf(1), json.Number("0x10"), func() {}, loop, strings.Repeat("x", maxValueBytes+1)} {
		if got, err := CanonicalJSON(in); err == nil {
			t.Errorf("%.40T gave %.40s", in, got)
		}
	}
}

func TestDecodeFields(t *testing.T) {
	t.Parallel()
	fields := noopSpec().Outputs
	got, err := DecodeFields(fields, json.RawMessage(`{"int":4.0,"float":1.10,"list":[1,2],"more":1}`))
	want := map[string]any{"int": json.Number("4"), "float": json.Number("1.10"), "list": []any{json.Number("1"), json.Number("2")}}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := DecodeFields(fields, json.RawMessage(`{"list":[1,"x"]}`)); err == nil || err.Error() != `list.1: must be a whole number, not the text "x"` {
		t.Errorf("%v", err)
	}
}
