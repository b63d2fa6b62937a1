package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// judged is "ok", "warn" or "fail" with what was said.
func judged(message string, err error) string {
	var only *doubt
	switch {
	case err == nil:
		return "ok " + message
	case errors.As(err, &only):
		return "warn " + err.Error()
	}
	return "fail " + err.Error()
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, test := range []struct {
		left time.Duration
		want string
	}{
		{5 * time.Minute, "ok lives for 5m00s"},
		{2 * time.Minute, "ok lives for 2m00s"},
		{119 * time.Second, "warn the token lives for 1m59s only"},
		{31 * time.Second, "warn the token lives for 31s only"},
		{30 * time.Second, "fail not authenticated: the token lives for 30s only"},
		{-time.Hour, "fail "},
	} {
		if got := judged(lifetime(now.Add(test.left), now)); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s left: %q, want %q", test.left, got, test.want)
		}
	}
	if got := judged(lifetime(time.Time{}, now)); !strings.HasPrefix(got, "ok the token does not say") {
		t.Errorf("without an end: %q", got)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	answer := func(took, ahead time.Duration) firecrest.RequestInfo {
		return firecrest.RequestInfo{Start: start, Duration: took, ServerTime: start.Add(took/2 + ahead)}
	}
	tests := []struct {
		name    string
		answers []firecrest.RequestInfo
		want    string
	}{
		{"no answer", nil, "warn the service does not tell its time"},
		{"no header", []firecrest.RequestInfo{{Start: start}}, "warn the service does not tell its time"},
		{"right", []firecrest.RequestInfo{answer(2*time.Second, 0)}, "ok agrees with the service's within 1s"},
		{"a little off", []firecrest.RequestInfo{answer(0, -20*time.Second)}, "ok agrees with the service's within 20s"},
		{"slow", []firecrest.RequestInfo{answer(0, time.Minute)}, "warn this clock is 1m0s behind the service's"},
		{"fast", []firecrest.RequestInfo{answer(0, -time.Hour)}, "warn this clock is 1h0m0s ahead of the service's"},
		{"the quickest counts", []firecrest.RequestInfo{answer(time.Minute, time.Minute), answer(time.Second, 3*time.Second), answer(time.Minute, time.Hour)},
			"ok agrees with the service's within 3s"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var c clock
			for _, a := range test.answers {
				c.observe(a)
			}
			if got := judged(c.judge()); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"2.5.7":  "2.5.7, with everything that runs make use of",
		"3.0.0":  "3.0.0, with everything that runs make use of",
		"2.5.5":  "2.5.5; newer ones tell or take also: commands of several users at once (2.5.6), jobs by name, the window of lists (2.5.7)",
		"2.x.x":  `"2.x.x", which is no release`,
		"local":  `"local", which is no release`,
		"2.10.0": "2.10.0, with everything",
	} {
		if got, err := releaseText(version); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, %v; want %q", version, got, err, want)
		}
	}
	for version, want := range map[string]string{
		"2.5.7": "as far as a run asks", "2.x.x": "as far as a run asks", "2.5.6": "7 days", "2.4.1": "7 days",
		"2.4.0": "to midnight", "local": "as far as the server likes",
	} {
		if got := listWindow(version); got != want {
			t.Errorf("%s lists %q, want %q", version, got, want)
		}
	}
	for version, want := range map[string]bool{"2.5.0": true, "2.x.x": true, "3.1.0": true, "2.4.2": false, "local": false, "": false} {
		if got := tellsTransfer(version); got != want {
			t.Errorf("%q tells how large files are moved: %t, want %t", version, got, want)
		}
	}
}
