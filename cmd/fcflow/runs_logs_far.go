package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fcflow/fcflow/firecrest"
)

// farFile is a file on a system, such as the output of a job, whose lines are
// printed as they come.
type farFile struct {
	system, path string
	out          *logOutput
	tail         int  // how many lines to begin with; 0 = all
	last         bool // nothing is written to it any more: one more look, and it is done

	at       int64 // of the line break that was printed last; -1 = none yet
	lines    int64 // how many were printed; -1 = its beginning was left out
	doubtful bool  // at is too small, perhaps
	jump     bool  // to the end, whose place has to be asked for first
	again    bool  // the last look leads to another
	due      time.Time
	pause    time.Duration // before the next look, while nothing comes
	failures int           // looks in a row that failed
}

// lookout reads files on systems: one request at a time, and per system none
// sooner than a pause after the one before. A file in which nothing happens is
// looked at less and less often.
type lookout struct {
	read     func(ctx context.Context, system, path string, part *firecrest.PartOptions) (string, error)
	size     func(ctx context.Context, system, path string) (int64, error)
	min, max time.Duration // between looks

	files []*farFile
	free  map[string]time.Time // when a system may be asked again
}

const (
	// jumpWindow is how much of a file is read that is too large to be read whole.
	jumpWindow = 64 << 10
	// lastLooks is how often a file is tried that nothing is written to any more.
	lastLooks = 3
)

// add begins with a file.
func (l *lookout) add(f *farFile) {
	f.at, f.lines, f.jump, f.due, f.pause = -1, 0, f.tail > 0, time.Now(), l.min
	l.files = append(l.files, f)
}

// finish has a file looked at once more.
func (l *lookout) finish(f *farFile) { f.last, f.due = true, time.Now() }

// finishAll has all files looked at once more.
func (l *lookout) finishAll() {
	for _, f := range l.files {
		if !f.last {
			l.finish(f)
		}
	}
}

// next is when the next look is due; ok is false if nothing is left to look at.
func (l *lookout) next() (at time.Time, ok bool) {
	for _, f := range l.files {
		if due := l.turn(f); !ok || due.Before(at) {
			at, ok = due, true
		}
	}
	return at, ok
}

// turn is when a file may be looked at.
func (l *lookout) turn(f *farFile) time.Time {
	if free := l.free[f.system]; free.After(f.due) {
		return free
	}
	return f.due
}

// look makes the one request that is most overdue, if one is. Its error is that
// of ctx.
func (l *lookout) look(ctx context.Context) error {
	now := time.Now()
	var f *farFile
	for _, other := range l.files {
		if !l.turn(other).After(now) && (f == nil || other.due.Before(f.due)) {
			f = other
		}
	}
	if f == nil {
		return nil
	}
	if l.free == nil {
		l.free = map[string]time.Time{}
	}
	l.free[f.system] = now.Add(l.min)
	news, err := l.ask(ctx, f)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.pause = min(f.pause*3/2, l.max)
	if news || f.again {
		f.pause = l.min
	}
	f.due = now.Add(f.pause)
	if err == nil || errors.Is(err, firecrest.ErrNotFound) { // it may not be there yet
		f.failures = 0
	} else if f.failures++; f.failures == 1 || f.last && f.failures == lastLooks {
		f.out.say(fmt.Sprintf("cannot be read: %v", err))
	}
	if f.last && !f.again && (f.failures == 0 || f.failures >= lastLooks) {
		l.drop(f)
	}
	return nil
}

// drop ends with a file.
func (l *lookout) drop(f *farFile) {
	f.out.close()
	for i, other := range l.files {
		if other == f {
			l.files = append(l.files[:i], l.files[i+1:]...)
			return
		}
	}
}

// ask makes one request for a file and prints what came. It reports whether that
// was something.
func (l *lookout) ask(ctx context.Context, f *farFile) (bool, error) {
	f.again = false
	if f.jump {
		size, err := l.size(ctx, f.system, f.path)
		if err != nil {
			return false, err
		}
		if size > jumpWindow {
			f.at, f.lines = size-jumpWindow, -1
		}
		f.jump, f.again = false, true
		return false, nil
	}
	text, err := l.read(ctx, f.system, f.path, f.part())
	switch {
	case errors.Is(err, firecrest.ErrTooLarge):
		f.jump, f.again = true, true
		f.out.say("more came than the service hands out at once; the end of it follows")
		return false, nil
	case err != nil:
		return false, err
	}
	lines := f.take(text)
	f.out.print(lines)
	return lines != "", nil
}

// part is what of a file has not been printed. Where it begins is known in bytes,
// which is cheapest to ask for. But what was no UTF-8 comes as U+FFFD, one for a
// byte or a few: then lines are counted, unless its beginning was left out.
func (f *farFile) part() *firecrest.PartOptions {
	if f.byLine() {
		return &firecrest.PartOptions{Lines: f.lines + 1, Skip: true}
	}
	return &firecrest.PartOptions{Bytes: max(f.at, 0) + 1, Skip: true}
}

func (f *farFile) byLine() bool { return f.doubtful && f.lines >= 0 }

// take returns the new lines in text, which is the part that was asked for. If
// that was by bytes it begins with the line break that was printed last, or a
// little before it. An unfinished line is left for later, as long as there is a
// later.
func (f *farFile) take(text string) string {
	start, end := 0, strings.LastIndexByte(text, '\n')+1
	if f.at >= 0 && !f.byLine() {
		start = strings.IndexByte(text, '\n') + 1
		if start == 0 {
			return ""
		}
	}
	if f.last {
		end = len(text)
	}
	if end <= start {
		return ""
	}
	lines := text[start:end]
	f.at = max(f.at, 0) + bytesOf(text[:end]) - 1
	f.doubtful = f.doubtful || strings.ContainsRune(lines, utf8.RuneError)
	if f.lines >= 0 {
		f.lines += int64(strings.Count(lines, "\n"))
	}
	if f.tail > 0 {
		lines, f.tail = lastLinesOf(lines, f.tail), 0
	}
	return lines
}

// bytesOf is how many bytes of a file a text stands for, at least.
func bytesOf(text string) int64 {
	return int64(len(text) - strings.Count(text, "\ufffd")*(utf8.RuneLen(utf8.RuneError)-1))
}

// lastLinesOf are the last n lines of a text, the last one finished or not.
func lastLinesOf(text string, n int) string {
	end := len(strings.TrimSuffix(text, "\n"))
	for range n {
		end = strings.LastIndexByte(text[:end], '\n')
		if end < 0 {
			return text
		}
	}
	return text[end+1:]
}
