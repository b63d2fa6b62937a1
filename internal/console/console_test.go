package console

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func plain() (*Stream, *bytes.Buffer) {
	var b bytes.Buffer
	return Plain(nil, &b, &b).Out, &b
}

// terminal is a stream that believes to be a terminal of 40 by 6 characters.
func terminal(colour bool) (*Stream, *bytes.Buffer) {
	s, b := plain()
	s.terminal, s.colour = true, colour
	s.size = func() (int, int) { return 40, 6 }
	return s, b
}

func TestTable(t *testing.T) {
	t.Parallel()
	s, b := plain()
	s.Table([]string{"RUN", "STATE", "NOTE"}, [][]Text{
		{Say("01J"), State("succeeded"), Say("")},
		{Say("02JX\x1b[2J"), State("failed"), Say("two\nlines")},
		{Say("終了")},
	})
	want := "RUN          STATE        NOTE\n" +
		"01J          ✓ succeeded\n" +
		"02JX\\x1b[2J  ✗ failed     two lines\n" +
		"終了\n"
	if got := b.String(); got != want {
		t.Errorf("table:\n%s\nwant:\n%s", got, want)
	}
}

func TestTableFitsTerminal(t *testing.T) {
	t.Parallel()
	s, b := terminal(false)
	s.Table([]string{"STEP", "MESSAGE"}, [][]Text{{Say("prepare"), Say(strings.Repeat("long ", 20))}})
	for line := range strings.Lines(b.String()) {
		if w := Width(strings.TrimSuffix(line, "\n")); w > 40 {
			t.Errorf("%d columns: %q", w, line)
		}
	}
}

func TestColourOnlyOnTerminals(t *testing.T) {
	t.Parallel()
	s, b := plain()
	s.Println(State("failed"))
	if got := b.String(); got != "✗ failed\n" {
		t.Errorf("pipe: %q", got)
	}
	s, b = terminal(true)
	s.Println(State("failed"))
	if got := b.String(); got != "\x1b[31m✗ failed\x1b[0m\n" {
		t.Errorf("terminal: %q", got)
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	s, b := terminal(false)
	live := s.Live()
	live.Draw(nil, []Line{{Say("one")}, {Say(strings.Repeat("x", 60))}})
	live.Draw([]Line{{Say("done")}}, []Line{{Say("1")}, {Say("2")}, {Say("3")}, {Say("4")}, {Say("5")}})
	live.Draw(nil, nil)
	const end = "\x1b[K\n"
	want := "\rone" + end + strings.Repeat("x", 38) + "…" + end + "\x1b[J" +
		"\x1b[2A\rdone" + end + "1" + end + "2" + end + "3" + end + "4" + end + "\x1b[J" +
		"\x1b[4A\r\x1b[J"
	if got := b.String(); got != want {
		t.Errorf("drawn %q\nwant  %q", got, want)
	}
}

// TestLiveResized: a terminal that became narrower has broken the lines of the
// region, and all of their rows are written over.
func TestLiveResized(t *testing.T) {
	t.Parallel()
	s, b := terminal(false)
	width := 80
	s.size = func() (int, int) { return width, 24 }
	live := s.Live()
	live.Draw(nil, []Line{{Say(strings.Repeat("x", 50))}, {Say("日本語")}})
	width = 40
	b.Reset()
	live.Draw([]Line{{Say(strings.Repeat("y", 80))}}, nil)
	want := "\x1b[3A\r" + strings.Repeat("y", 80) + "\n\x1b[J"
	if got := b.String(); got != want {
		t.Errorf("drawn %q\nwant  %q", got, want)
	}
}

func TestStreamMasksAndCleans(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	streams := Plain(nil, &b, &b)
	streams.Secrets.Add("hunter2")
	streams.Out.Printf("%s\n", "hunter2\x1b[2J")
	streams.Err.Println(Say("job says hunter2"))
	if err := streams.Out.JSONLine(map[string]string{"tail": "hunter2 \u202e"}); err != nil {
		t.Fatal(err)
	}
	want := "«redacted»\\x1b[2J\njob says «redacted»\n{\"tail\":\"«redacted» \\u202e\"}\n"
	if got := b.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second:                       "0s",
		340 * time.Millisecond:             "0.3s",
		9990 * time.Millisecond:            "9.9s",
		59 * time.Second:                   "59s",
		3*time.Minute + 5*time.Second:      "3m05s",
		2*time.Hour + 3*time.Minute:        "2h03m",
		4*24*time.Hour + 7*time.Hour + 200: "4d07h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 20, 12, 0, 0, 0, time.Local)
	for d, want := range map[time.Duration]string{
		10 * time.Second:    "just now",
		5 * time.Minute:     "5 min ago",
		47 * time.Hour:      "47 h ago",
		72 * time.Hour:      "3 days ago",
		40 * 24 * time.Hour: "2026-04-10",
	} {
		if got := Ago(now.Add(-d), now); got != want {
			t.Errorf("Ago(%v) = %q, want %q", d, got, want)
		}
	}
	if got := Ago(time.Time{}, now); got != "" {
		t.Errorf("Ago(zero) = %q", got)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 20 << 20: "20 MiB", 3 << 60: "3.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
