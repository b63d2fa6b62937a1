package workflow

import (
	"strings"
	"testing"
)

func TestPrint(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 20)
	for name, c := range map[string]struct {
		text string
		p    Problem
		want string
	}{
		"hint": {
			"a: b\n",
			Problem{Pos: Pos{1, 4}, Message: "m", Hint: "h"},
			"f:1:4: m\n    a: b\n       ^\n    hint: h\n",
		},
		"line only":        {"a: b\n", Problem{Pos: Pos{1, 0}, Message: "m"}, "f:1: m\n    a: b\n"},
		"no place":         {"", Problem{Message: "m"}, "f: m\n"},
		"empty line":       {"a\n\nb\n", Problem{Pos: Pos{2, 1}, Message: "m"}, "f:2:1: m\n"},
		"beyond the file":  {"a\n", Problem{Pos: Pos{9, 1}, Message: "m"}, "f:9:1: m\n"},
		"beyond the line":  {"ab\n", Problem{Pos: Pos{1, 5}, Message: "m"}, "f:1:5: m\n    ab\n        ^\n"},
		"tab":              {"a:\tb\n", Problem{Pos: Pos{1, 4}, Message: "m"}, "f:1:4: m\n    a:\tb\n      \t^\n"},
		"wide characters":  {"日本: x\n", Problem{Pos: Pos{1, 5}, Message: "m"}, "f:1:5: m\n    日本: x\n    \u3000\u3000  ^\n"},
		"windows":          {"\ufeffa: b\r\n", Problem{Pos: Pos{1, 4}, Message: "m"}, "f:1:4: m\n    a: b\n       ^\n"},
		"terminal escapes": {"a: \x1b[2J\n", Problem{Pos: Pos{1, 1}, Message: "m \x1b]0;x\a"}, "f:1:1: m \ufffd]0;x\ufffd\n    a: \ufffd[2J\n    ^\n"},
		"right to left":    {"a: \u202eb\n", Problem{Pos: Pos{1, 1}, Message: "m"}, "f:1:1: m\n    a: \ufffdb\n    ^\n"},
		"wide line, left":  {long, Problem{Pos: Pos{1, 3}, Message: "m"}, "f:1:3: m\n    " + long[:110] + "…\n      ^\n"},
		"wide line, right": {long, Problem{Pos: Pos{1, 200}, Message: "m"}, "f:1:200: m\n    …" + long[90:] + "\n" + strings.Repeat(" ", 4+110) + "^\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := printed(t, Problems{c.p}, "f", []byte(c.text)); got != c.want {
				t.Errorf("got\n%q, want\n%q", got, c.want)
			}
		})
	}
}

func TestPrintStops(t *testing.T) {
	t.Parallel()
	got := printed(t, make(Problems, 60), "f", nil)
	if want := "… and 10 more problems\n"; !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 51 {
		t.Errorf("got %q", got)
	}
}

func TestProblemsSorted(t *testing.T) {
	t.Parallel()
	a, b, c := Problem{Pos: Pos{1, 2}, Message: "a"}, Problem{Pos: Pos{1, 10}, Message: "b"}, Problem{Pos: Pos{2, 1}, Message: "c", Hint: "h"}
	if got, want := (Problems{c, b, a, b}).sorted().Error(), "1:2: a\n1:10: b\n2:1: c (h)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
