package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// logChunk is how much of a log is read at once.
const logChunk = 256 << 10

// Log implements [server.Host].
func (h *host) Log(ctx context.Context, id workflow.RunID, q server.LogQuery) (server.LogPart, error) {
	var ref workflow.UnitRef
	var t workflow.AttemptView
	var profile workflow.Profile
	part := server.LogPart{Next: q.From}
	err := h.foldedUnit(ctx, id, q.Unit, func(f *folded, u *workflow.Unit) error {
		view, found := u.Describe(), false
		if t, found = chosenAttempt(&view, q.Attempt); !found {
			return fmt.Errorf("%s has no such attempt: %w", u.Ref(), workflow.ErrNotFound)
		}
		ref, profile, part.Over = u.Ref(), f.run.Created.Profile, !t.EndedAt.IsZero() || !f.driven
		return nil
	})
	if err != nil {
		return server.LogPart{}, err
	}
	text, known, err := h.localLog(id, ref, t.Attempt, q)
	part.All = len(text) < logChunk
	if err == nil && !known {
		text, err = h.farLog(ctx, profile, &t, q, part.Over)
		part.All = true // that is not read in pieces
	}
	if err != nil {
		return part, err
	}
	text = wholeLines(text, part.Over && part.All)
	part.Next += int64(len(text))
	part.Text = []byte(h.session.app.streams.Secrets.Redact(string(text)))
	return part, nil
}

// wholeLines cuts a text after its last line, so that no secret is cut in two,
// unless nothing follows. A line that is very long is cut between characters.
func wholeLines(text []byte, last bool) []byte {
	if last {
		return text
	}
	if end := bytes.LastIndexByte(text, '\n'); end >= 0 || len(text) < logChunk {
		return text[:end+1]
	}
	for n := 1; n < utf8.UTFMax; n++ {
		if start := len(text) - n; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				return text[:start]
			}
			break
		}
	}
	return text
}

// localLog reads what is kept here of an attempt. Who has read more than that has read
// it on the system, and goes on there.
func (h *host) localLog(id workflow.RunID, u workflow.UnitRef, attempt int, q server.LogQuery) (text []byte, known bool, err error) {
	kept, err := listLogs(h.session.store.Paths(id).Logs)
	logs := kept.of(u, attempt)
	if len(logs) == 0 {
		return nil, false, err
	}
	for _, log := range logs {
		stream := log.name
		// A local command and a job have both streams in one log.
		if !strings.HasPrefix(stream, q.Stream) && (q.Stream != "stdout" || stream != "log" && stream != "job.log") {
			continue
		}
		f, err := os.Open(log.path)
		if err != nil {
			return nil, true, err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || info.Size() < q.From {
			return nil, false, err
		}
		text, err := io.ReadAll(io.NewSectionReader(f, q.From, logChunk))
		return text, true, err
	}
	return nil, true, nil
}

// farLogs hold back questions to a system about one file.
type farLogs struct {
	mu   sync.Mutex
	free map[look]time.Time
}

// look is what has a pace of its own: those who follow a file share the looks at it,
// and so do those who want it now, who are not to go without because somebody follows.
type look struct {
	system, path string
	follow       bool
}

// may reports how long it is until a file may be asked for; if that is now, it notes
// that it was.
func (f *farLogs) may(l look, pause time.Duration) (wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if wait = f.free[l].Sub(now); wait > 0 {
		return wait
	}
	if f.free == nil || len(f.free) > 1000 {
		f.free = map[look]time.Time{}
	}
	f.free[l] = now.Add(pause)
	return 0
}

// farLog reads what a job has written on its system, at the pace of the profile
// while the job goes on: who follows it gets nothing meanwhile, who wants it now is
// told when to ask.
func (h *host) farLog(ctx context.Context, p workflow.Profile, t *workflow.AttemptView, q server.LogQuery, over bool) ([]byte, error) {
	if t.Job == nil || t.System == "" {
		return nil, nil
	}
	path := t.Job.Stdout
	if q.Stream == "stderr" {
		path = t.Job.Stderr
		if path == t.Job.Stdout {
			return nil, nil
		}
	}
	if path == "" {
		return nil, nil
	}
	v, err := h.session.connect(h.ctx, h.settings, p, []string{t.System})
	if err != nil || v.client == nil {
		return nil, err
	}
	pause := v.poll.Min
	if p.Sandbox == "" {
		pause = max(pause, gentlePause)
	}
	if !over {
		switch wait := h.far.may(look{t.System, path, q.Follow}, pause); {
		case wait > 0 && q.Follow:
			return nil, nil
		case wait > 0:
			return nil, fmt.Errorf("%w: the output of job %s was just read on %s, where that is done every %s at most: ask again in %s",
				server.ErrBusy, t.JobID, t.System, pause, max(wait.Round(time.Second), time.Second))
		}
	}
	content, err := v.client.Filesystem.Tail(ctx, t.System, path, &firecrest.PartOptions{Bytes: q.From + 1, Skip: true})
	if err != nil {
		return nil, fmt.Errorf("output of job %s: %w", t.JobID, err)
	}
	return []byte(content.Content), nil
}
