package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// GrowResource multiplies a resource of a job, within an upper bound (nil =
// none). The value is canonical JSON: a whole number, bytes, or the text of a
// duration; so is the result, which equals the value when it is at its bound.
func GrowResource(key string, value json.RawMessage, factor float64, until *Value) (json.RawMessage, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is no duration", key, text)
		}
		grown := time.Duration(float64(d) * factor)
		if until != nil {
			most, err := ParseDuration(until.Text)
			if err != nil {
				return nil, err
			}
			grown = min(grown, max(d, most))
		}
		return json.Marshal(grown.String())
	}
	var n int64
	if err := json.Unmarshal(value, &n); err != nil {
		return nil, fmt.Errorf("%s %s cannot grow: it is no number", key, value)
	}
	grown := int64(math.Ceil(float64(n) * factor))
	if until != nil {
		most, err := parseAmount(until)
		if err != nil {
			return nil, err
		}
		grown = min(grown, max(n, most))
	}
	return json.Marshal(grown)
}

// parseAmount reads a bound: a plain number, or a size such as 64GiB.
func parseAmount(v *Value) (int64, error) {
	var n int64
	if v.Kind == NumberValue {
		return n, json.Unmarshal([]byte(v.Text), &n)
	}
	return ParseSize(v.Text)
}
