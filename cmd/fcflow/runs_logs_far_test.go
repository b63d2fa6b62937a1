package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
)

// tails serves files that grow with time, as ops/tail and ops/stat do, and notes
// when it was asked.
type tails struct {
	began time.Time
	grown func(path string, after time.Duration) []byte // what the file holds then
	limit int                                           // of an answer
	fail  func() error
	asked map[string][]time.Duration // by system
}

func (s *tails) content(system, path string) ([]byte, error) {
	s.asked[system] = append(s.asked[system], time.Since(s.began))
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return nil, err
		}
	}
	text := s.grown(path, time.Since(s.began))
	if text == nil {
		return nil, fmt.Errorf("tail: cannot open: %w", firecrest.ErrNotFound)
	}
	return text, nil
}

func (s *tails) read(_ context.Context, system, path string, part *firecrest.PartOptions) (string, error) {
	text, err := s.content(system, path)
	if err != nil {
		return "", err
	}
	text = partOf(text, part)
	if len(text) > s.limit {
		return "", firecrest.ErrTooLarge
	}
	return decoded(text), nil
}

// partOf is what "tail -c +N" and "tail -n +N" print.
func partOf(text []byte, part *firecrest.PartOptions) []byte {
	if part.Bytes > 0 {
		return text[min(int(part.Bytes)-1, len(text)):]
	}
	for range part.Lines - 1 {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	return text
}

func (s *tails) size(_ context.Context, system, path string) (int64, error) {
	text, err := s.content(system, path)
	return int64(len(text)), err
}

// decoded is what the service makes of bytes: U+FFFD stands for the beginning of
// a character that is cut off, or for a byte that begins none.
func decoded(text []byte) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			for size < len(text) && size < 4 && !utf8.FullRune(text[:size]) && text[size]&0xc0 == 0x80 {
				size++
			}
		}
		b.WriteRune(r)
		text = text[size:]
	}
	return b.String()
}

// watching is a lookout on files that grow, and what it has printed.
type watching struct {
	lookout
	site      *tails
	screen    *logScreen
	out, said bytes.Buffer
}

func newWatching(grown func(path string, after time.Duration) []byte) *watching {
	w := &watching{site: &tails{began: time.Now(), grown: grown, limit: 5 << 20, asked: map[string][]time.Duration{}}}
	w.screen = &logScreen{app: newApp(console.Plain(nil, &w.out, &w.said), func(string) string { return "" })}
	w.lookout = lookout{read: w.site.read, size: w.site.size, min: 20 * time.Second, max: 5 * time.Minute}
	return w
}

func (w *watching) file(system, path string) *farFile {
	f := &farFile{system: system, path: path, out: w.screen.output(path)}
	w.add(f)
	return f
}

// run looks whenever a look is due, and ends with every file after a while.
func (w *watching) run(t *testing.T, long time.Duration) {
	t.Helper()
	end := time.Now().Add(long)
	for {
		due, ok := w.next()
		if !ok {
			return
		}
		if due.After(end) {
			time.Sleep(time.Until(end))
			w.finishAll()
			due, _ = w.next()
		}
		time.Sleep(time.Until(due))
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// ticking is a file that gets a line each second.
func ticking(path string, after time.Duration) []byte {
	var b bytes.Buffer
	for i := range int(after / time.Second) {
		fmt.Fprintf(&b, "%s %d\n", path, i)
	}
	return b.Bytes()
}

// TestFollowsGently: however many jobs of a system are followed, it gets one
// request in 20 seconds at most; every line is printed, once and in order.
func TestFollowsGently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(ticking)
		systems := map[string]string{"a": "daint", "b": "daint", "c": "daint", "d": "eiger"}
		for name, system := range systems {
			w.file(system, name)
		}
		w.run(t, time.Hour)
		for system, asked := range w.site.asked {
			for i := 1; i < len(asked); i++ {
				if gap := asked[i] - asked[i-1]; gap < 20*time.Second {
					t.Errorf("%s: %s between two requests", system, gap)
				}
			}
			if n := len(asked); n > 184 || n < 170 {
				t.Errorf("%s: %d requests in an hour", system, n)
			}
		}
		for name := range systems {
			var got strings.Builder
			for line := range strings.Lines(w.out.String()) {
				if strings.HasPrefix(line, name) {
					got.WriteString(line)
				}
			}
			if whole := string(ticking(name, 2*time.Hour)); got.Len() < 50_000 && got.Len() < len(whole)/3 || !strings.HasPrefix(whole, got.String()) {
				t.Errorf("%s: %d bytes printed, of which not all belong there", name, got.Len())
			}
		}
	})
}

// TestFollowsLessOften: a file in which nothing happens, or that is not there, is
// looked at less and less often, and at once again when something came.
func TestFollowsLessOften(t *testing.T) {
	t.Parallel()
	for name, grown := range map[string]func(string, time.Duration) []byte{
		"silent":  func(string, time.Duration) []byte { return []byte("begins\n") },
		"missing": func(string, time.Duration) []byte { return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWatching(grown)
			w.file("daint", "out")
			w.run(t, time.Hour)
			if n := len(w.site.asked["daint"]); n > 20 || n < 12 {
				t.Errorf("%s: %d requests in an hour", name, n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(func(path string, after time.Duration) []byte { return ticking(path, max(0, after-time.Hour)) })
		w.file("daint", "out")
		w.run(t, 2*time.Hour)
		if n := len(w.site.asked["daint"]); n < 180 || n > 200 {
			t.Errorf("%d requests in two hours, of which the second was busy", n)
		}
	})
}

// TestFollowsHeldLines: a line in whose end a secret may begin is printed when
// nothing followed it; a secret that goes on in the next line is not.
func TestFollowsHeldLines(t *testing.T) {
	t.Parallel()
	text := "step 2\nkey 2secret-\nand-more\nstep 2\n"
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(func(_ string, after time.Duration) []byte {
			if after < 10*time.Minute {
				return []byte(text[:7])
			}
			return []byte(text)
		})
		w.screen.app.streams.Secrets.Add("2secret-and-more")
		w.file("daint", "out")
		for range 3 {
			due, _ := w.next()
			time.Sleep(time.Until(due))
			if err := w.look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.out.String(); got != "step 2\n" {
			t.Errorf("after a while: %q", got)
		}
		w.run(t, time.Hour)
		if got := w.out.String(); strings.Contains(got, "secret") || !strings.HasPrefix(got, "step 2\nkey ") || !strings.HasSuffix(got, "\nstep 2\n") {
			t.Errorf("in the end: %q", got)
		}
	})
}

// TestFollowsEveryByte: whatever is written, and wherever it is cut while it is
// read, comes out as the service shows it as a whole.
func TestFollowsEveryByte(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"step 1\n", "x", "\n", "ö", "\u2028", "😀", "ends\r\n", "\xe9t\xe9", "\xf0\x9f", strings.Repeat("long ", 50), "\ufffd"}
	for range 300 {
		var whole bytes.Buffer
		for range random.IntN(60) {
			whole.WriteString(pieces[random.IntN(len(pieces))])
		}
		cuts := make([]int, 40)
		for i := range cuts[1:] {
			cuts[i+1] = min(cuts[i]+random.IntN(40), whole.Len())
		}
		f := &farFile{at: -1}
		var got strings.Builder
		for _, cut := range append(cuts, whole.Len()) {
			f.last = cut == whole.Len()
			got.WriteString(f.take(decoded(partOf(whole.Bytes()[:cut], f.part()))))
			if f.last {
				break
			}
		}
		if diff := cmp.Diff(decoded(whole.Bytes()), got.String()); diff != "" {
			t.Fatalf("seed %d: %q (-want +got):\n%s", seed, whole.String(), diff)
		}
	}
}

// TestFollowsLargeFiles: of what is too large to be handed out at once the end is
// printed, from the beginning of a line.
func TestFollowsLargeFiles(t *testing.T) {
	t.Parallel()
	for tail, want := range map[int]int{0: 5000, 3: 4} {
		synctest.Test(t, func(t *testing.T) {
			w := newWatching(func(path string, after time.Duration) []byte {
				return ticking(path, time.Hour*20+after)
			})
			w.site.limit = 100 << 10
			f := w.file("daint", "out")
			f.tail, f.jump = tail, tail > 0
			w.run(t, time.Second)
			whole := string(ticking("out", 20*time.Hour+time.Minute))
			got := w.out.String()
			n := strings.Count(got, "\n")
			if !strings.Contains(whole, "\n"+got) || !strings.HasPrefix(got, "out ") || n < want-1 || n > want*8 {
				t.Errorf("tail %d: %d lines, beginning with %.20q", tail, n, got)
			}
			if said := strings.Contains(w.said.String(), "the end of it follows"); said != (tail == 0) {
				t.Errorf("tail %d: said %q", tail, w.said.String())
			}
		})
	}
}

// TestFollowsThroughTrouble: an outage is told once and goes by; where it does
// not, a file that nothing is written to any more is given up.
func TestFollowsThroughTrouble(t *testing.T) {
	t.Parallel()
	for outage, complete := range map[time.Duration]bool{10 * time.Minute: true, 100 * time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWatching(ticking)
			w.site.fail = func() error {
				if time.Since(w.site.began) < outage {
					return firecrest.ErrUnavailable
				}
				return nil
			}
			w.file("daint", "out")
			w.run(t, time.Hour)
			if got := strings.Contains(w.out.String(), "out 3500\n"); got != complete {
				t.Errorf("outage of %s: complete %v", outage, got)
			}
			if n := strings.Count(w.said.String(), "cannot be read"); n > 2 || n < 1 {
				t.Errorf("outage of %s: told %d times", outage, n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(ticking)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.site.fail = func() error { cancel(errInterrupted); return io.ErrUnexpectedEOF }
		w.file("daint", "out")
		if err := w.look(ctx); !errors.Is(err, errInterrupted) {
			t.Errorf("after Ctrl-C: %v", err)
		}
	})
}
