package workflow

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Patterns of texts with units, for the reader and the JSON Schema alike.
const (
	DurationPattern = `^(` + unitsPattern + `|` + slurmPattern + `)$`
	SizePattern     = `^[0-9]+(\.[0-9]+)?(B|kB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB)$`
	FactorPattern   = `^x[0-9]+(\.[0-9]+)?$`

	unitsPattern = `([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+`
	slurmPattern = `([0-9]+-[0-9]{1,2}(:[0-9]{1,2}){0,2}|[0-9]+:[0-9]{1,2}(:[0-9]{1,2})?)`
)

var (
	unitsText    = regexp.MustCompile(`^` + unitsPattern + `$`)
	durationPart = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
	slurmText    = regexp.MustCompile(`^` + slurmPattern + `$`)
	sizeText     = regexp.MustCompile(SizePattern)
	factorText   = regexp.MustCompile(FactorPattern)
)

// ParseDuration reads a length of time: numbers with the units ms, s, m, h and
// d, such as 90s or 1h30m, or one of Slurm's forms MM:SS, HH:MM:SS, D-HH,
// D-HH:MM and D-HH:MM:SS. A bare number is refused because Slurm counts minutes
// and everybody else seconds. The longest is 292 years.
func ParseDuration(text string) (time.Duration, error) {
	var seconds float64
	switch {
	case unitsText.MatchString(text):
		for _, part := range durationPart.FindAllStringSubmatch(text, -1) {
			number, err := strconv.ParseFloat(part[1], 64)
			if err != nil {
				return 0, fmt.Errorf("%q is too long", text)
			}
			seconds += number * durationUnits[part[2]]
		}
	case slurmText.MatchString(text):
		seconds = slurmSeconds(text)
	default:
		return 0, fmt.Errorf("%q is not a duration; write a number with a unit, such as 90s, 30m, 6h or 2d", text)
	}
	if seconds >= math.MaxInt64/float64(time.Second) {
		return 0, fmt.Errorf("%q is too long", text)
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), nil
}

var durationUnits = map[string]float64{"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

// slurmSeconds reads what slurmText matched. With days the fields count from
// hours, without them to seconds.
func slurmSeconds(text string) float64 {
	days, clock, withDays := strings.Cut(text, "-")
	if !withDays {
		days, clock = "0", text
	}
	fields := strings.Split(clock, ":")
	for withDays && len(fields) < 3 {
		fields = append(fields, "0")
	}
	total := 0.0
	for _, f := range fields {
		n, _ := strconv.ParseFloat(f, 64)
		total = total*60 + n
	}
	d, _ := strconv.ParseFloat(days, 64)
	return d*86400 + total
}

// ParseSize reads an amount of data in bytes: a number with one of the units B,
// kB, MB, GB, TB, PB (powers of 1000) or KiB, MiB, GiB, TiB, PiB (powers of
// 1024), rounded to whole bytes. The largest is 8 EiB − 1.
func ParseSize(text string) (int64, error) {
	if !sizeText.MatchString(text) {
		return 0, fmt.Errorf("%q is not a size; write a number with a unit, such as 512MiB, 16GiB or 2GB", text)
	}
	number := strings.TrimRight(text, "kKMGTPiB")
	n, err := strconv.ParseFloat(number, 64)
	n *= sizeUnits[text[len(number):]]
	if err != nil || n >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return int64(math.Round(n)), nil
}

var sizeUnits = map[string]float64{
	"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
}

// ParseFactor reads a factor of a retry rule: x2, x1.5. It must be above 1 and
// at most 100.
func ParseFactor(text string) (float64, error) {
	if !factorText.MatchString(text) {
		return 0, fmt.Errorf("%q is not a factor; write x and a number, such as x2 or x1.5", text)
	}
	f, err := strconv.ParseFloat(text[1:], 64)
	if err != nil || f <= 1 || f > 100 {
		return 0, fmt.Errorf("a resource grows by a factor above 1 and at most 100, not %s", text[1:])
	}
	return f, nil
}
