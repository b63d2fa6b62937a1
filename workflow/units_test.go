package workflow

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "6h": 6 * time.Hour, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour,
		"1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "0s": 0,
		"30:00": 30 * time.Minute, "01:30:00": 90 * time.Minute, "1-00:00:00": 24 * time.Hour,
		"1-12": 36 * time.Hour, "2-01:30": 49*time.Hour + 30*time.Minute, "100:00:00": 100 * time.Hour,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "5", "-5m", "5 m", "5min", "1h 30m", "h", "1:2:3:4", "1e3s", "∞", "300000d", "99999999999999999999d", "1-", "+1h", "5M", "1_0s",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0B": 0, "1B": 1, "1kB": 1000, "1KiB": 1024, "16GiB": 16 << 30, "2.5MB": 2_500_000, "1.5TiB": 3 << 39, "7PiB": 7 << 50, "3PB": 3e15,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "64", "64G", "64 GB", "-1B", "1gb", "1e3B", "9000PiB", "GiB", "1EiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
}

func TestParseFactor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"x2": 2, "x1.5": 1.5, "x100": 100} {
		if got, err := ParseFactor(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2", "x", "x1", "x0.5", "x101", "2x", "x-2", "x1e1", "X2"} {
		if got, err := ParseFactor(text); err == nil {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
}
