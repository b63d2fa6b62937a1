package workflow

import (
	"encoding/json"
	"testing"
)

// TestGrowResource: values grow by the factor, whole, up to the bound, and never
// shrink or overflow.
func TestGrowResource(t *testing.T) {
	t.Parallel()
	text := func(s string) *Value { return &Value{Kind: TextValue, Text: s} }
	number := func(s string) *Value { return &Value{Kind: NumberValue, Text: s} }
	for _, c := range []struct {
		value  string
		factor float64
		until  *Value
		want   string // "" = an error
	}{
		{`10`, 1.1, nil, `11`},
		{`3`, 1.1, nil, `4`},
		{`3`, 2, number("5"), `5`},
		{`5`, 2, number("5"), `5`},
		{`7`, 2, number("5"), `7`},
		{`1099511627776`, 2, text("1500GiB"), `1610612736000`},
		{`1099511627776`, 1.5, nil, `1649267441664`},
		{`9223372036854775807`, 2, nil, `9223372036854775807`},
		{`6000000000000000000`, 100, nil, `9223372036854775807`},
		{`"1h0m0s"`, 1.1, nil, `"1h6m0s"`},
		{`"1h0m0s"`, 2, text("90m"), `"1h30m0s"`},
		{`"1s"`, 1.1, nil, `"2s"`},
		{`"2h0m0s"`, 2, text("1:00:00"), `"2h0m0s"`},
		{`"2562047h0m0s"`, 100, nil, `"2562047h47m16.854775807s"`},
		{`"soon"`, 2, nil, ``},
		{`true`, 2, nil, ``},
		{`1.5`, 2, nil, ``},
		{`3`, 2, text("many"), ``},
	} {
		got, err := GrowResource("key", json.RawMessage(c.value), c.factor, c.until)
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s × %g is %s, error %v; want %s", c.value, c.factor, got, err, c.want)
		}
	}
}
