package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// GrowResource multiplies a resource of a job, within an upper bound (nil =
// none). The value is canonical JSON: a whole number, bytes, or the text of a
// duration; so is the result, rounded up to whole units or seconds. It equals the
// value when that is at or above its bound.
func GrowResource(key string, value json.RawMessage, factor float64, until *Value) (json.RawMessage, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is no duration", key, text)
		}
		grown, err := growWithin(int64(d), int64(time.Second), factor, until, durationBound)
		if err != nil {
			return nil, err
		}
		return json.Marshal(time.Duration(grown).String())
	}
	var n int64
	if err := json.Unmarshal(value, &n); err != nil {
		return nil, fmt.Errorf("%s %s cannot grow: it is no number", key, value)
	}
	grown, err := growWithin(n, 1, factor, until, amountBound)
	if err != nil {
		return nil, err
	}
	return json.Marshal(grown)
}

// growWithin multiplies n, which counts in parts of a unit.
func growWithin(n, unit int64, factor float64, until *Value, bound func(*Value) (int64, error)) (int64, error) {
	most := int64(math.MaxInt64)
	if until != nil {
		var err error
		if most, err = bound(until); err != nil {
			return 0, err
		}
	}
	grown := most
	if units := roundUp(float64(n) / float64(unit) * factor); units < float64(most)/float64(unit) {
		grown = int64(units) * unit
	}
	return max(n, grown), nil
}

// roundUp is the next whole number, but for what only the arithmetic added: 10
// times 1.1 is 11.
func roundUp(f float64) float64 {
	if nearest := math.Round(f); math.Abs(f-nearest) < 1e-9 {
		return nearest
	}
	return math.Ceil(f)
}

func durationBound(v *Value) (int64, error) {
	d, err := ParseDuration(v.Text)
	return int64(d), err
}

// amountBound reads a plain number, or a size such as 64GiB.
func amountBound(v *Value) (int64, error) {
	var n int64
	if v.Kind == NumberValue {
		return n, json.Unmarshal([]byte(v.Text), &n)
	}
	return ParseSize(v.Text)
}
