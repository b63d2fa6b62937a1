package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// faultSwitch is a fault that was switched on, such as
//
//	drop-submit=0.5
//	status=429,ops=GET /compute*,times=3,retry-after=1
//
// A kind, with its value, then parameters. Every kind has these:
//
//	rate=R     the share of what matches that is hit, 0 to 1; default 1
//	times=N    at most so many are hit
//	after=N    the first N that match are spared
//	ops=GLOB   operations, "METHOD /path" with or without the names of systems
//	           and jobs filled in, or "s3 Name"; * stands for any text
//	match=TEXT only what has TEXT in its path, its query, its object's key or its job's name
type faultSwitch struct {
	text string
	kind faultKind

	rate         float64
	times, after int
	ops, match   string

	status     int
	duration   time.Duration
	service    string
	end        string
	system     string
	retryAfter string
	bytes      int64
	effect     bool

	chance      *rand.Rand
	seen, fired int
}

// FaultState is a fault switch and what it has done.
type FaultState struct {
	Fault string `json:"fault"` // as it was given
	Seen  int    `json:"seen"`  // how often it could have hit
	Fired int    `json:"fired"` // how often it did
}

// CheckFault says what is wrong with the text of a fault switch.
func CheckFault(text string) error {
	_, err := parseFault(text)
	return err
}

func parseFault(text string) (*faultSwitch, error) {
	f, err := readFault(text)
	if err != nil {
		return nil, fmt.Errorf("fault %q: %w", text, err)
	}
	return f, nil
}

func readFault(text string) (*faultSwitch, error) {
	items := strings.Split(text, ",")
	name, value, hasValue := strings.Cut(items[0], "=")
	kind, known := findFaultKind(name)
	if !known {
		var names []string
		for _, k := range faultKinds {
			names = append(names, k.name)
		}
		return nil, fmt.Errorf("want one of %s", strings.Join(names, ", "))
	}
	f := &faultSwitch{text: text, kind: kind, rate: 1, ops: kind.ops}
	if kind.name == "429" {
		f.retryAfter = "1"
	}
	if kind.name == "html" {
		f.status = 502
	}
	if hasValue || kind.value != faultRate {
		if err := f.setValue(value); err != nil {
			return nil, err
		}
	}
	for _, item := range items[1:] {
		key, value, _ := strings.Cut(item, "=")
		if err := f.set(key, value); err != nil {
			return nil, err
		}
	}
	if store := strings.HasPrefix(f.ops, "s3 "); store && kind.store == nil || !store && kind.store != nil && kind.request == nil {
		return nil, fmt.Errorf("%s does not apply to %q", kind.name, f.ops)
	}
	return f, nil
}

func (f *faultSwitch) setValue(text string) (err error) {
	switch f.kind.value {
	case faultRate:
		return f.set("rate", text)
	case faultStatus:
		return f.set("status", text)
	case faultDuration:
		least := time.Duration(0)
		if f.kind.name == "presigned-expiry" {
			least = time.Second // signatures have no fractions
		}
		f.duration, err = time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 90s or 200ms", text)
		}
		if f.duration < least {
			return fmt.Errorf("%s is too short, want at least %s", text, least)
		}
	case faultService:
		f.service = text
		if text == "" {
			return errors.New("which service?")
		}
		return oneOf("service", text, "scheduler", "ssh", "s3", "home", "scratch")
	case faultEnd:
		f.end = text
		if text == "" {
			return errors.New("how does the job end?")
		}
		return oneOf("end", text, "node_fail", "out_of_memory", "preempted", "boot_fail")
	}
	return nil
}

var commonFaultKeys = []string{"rate", "times", "after", "ops", "match"}

func (f *faultSwitch) set(key, value string) (err error) {
	own := slices.Contains(f.kind.keys, key) || key == "status" && f.kind.value == faultStatus
	if !own && !slices.Contains(commonFaultKeys, key) {
		return fmt.Errorf("%q is none of %s", key, strings.Join(append(commonFaultKeys, f.kind.keys...), ", "))
	}
	count := func(into *int) {
		if *into, err = strconv.Atoi(value); err == nil && *into < 0 {
			err = strconv.ErrRange
		}
	}
	switch key {
	case "rate":
		if f.rate, err = strconv.ParseFloat(value, 64); err == nil && !(f.rate >= 0 && f.rate <= 1) {
			err = strconv.ErrRange
		}
	case "times":
		if count(&f.times); f.times == 0 && err == nil {
			err = strconv.ErrRange
		}
	case "after":
		count(&f.after)
	case "status":
		if count(&f.status); err == nil && (f.status < 200 || f.status > 599) {
			err = strconv.ErrRange
		}
	case "bytes":
		if f.bytes, err = strconv.ParseInt(value, 10, 64); err == nil && f.bytes < 0 {
			err = strconv.ErrRange
		}
	case "wait":
		if f.duration, err = time.ParseDuration(value); err == nil && f.duration < 0 {
			err = strconv.ErrRange
		}
	case "effect":
		f.effect, err = value == "yes", oneOf(key, value, "yes", "no")
	case "retry-after":
		if f.retryAfter = value; value == "none" {
			f.retryAfter = ""
		}
	case "ops":
		f.ops = value
	case "match":
		f.match = value
	case "system":
		f.system = strings.ToLower(value)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return nil
}

// hits decides, for one more thing that may go wrong.
func (f *faultSwitch) hits() bool {
	f.seen++
	lucky := f.chance.Float64() >= f.rate
	if lucky || f.seen <= f.after || f.exhausted() {
		return false
	}
	f.fired++
	return true
}

func (f *faultSwitch) exhausted() bool { return f.times > 0 && f.fired >= f.times }

// glob compares text with a pattern in which * stands for any text.
func glob(pattern, text string) bool {
	first, rest, more := strings.Cut(pattern, "*")
	if !more {
		return pattern == text
	}
	text, found := strings.CutPrefix(text, first)
	for found {
		first, rest, more = strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, first)
		}
		_, text, found = strings.Cut(text, first)
	}
	return false
}
