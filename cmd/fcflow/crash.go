package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

// Two variables let a test decide where a real SIGKILL falls, and see which
// events became durable together. They change nothing else, and nothing at all
// unless they are set; docs/crashes.md describes them.
const (
	// crashVariable is WHAT:N[:before|:after|:fail]: the process kills itself right
	// before or after (the default) its N-th commit of run histories, or that commit
	// fails; WHAT is "commit", or an event kind to count only commits that hold one. With
	// "request" it is the N-th request to a sandbox: before it leaves, or after it
	// had its effect and before anybody heard of it. "submission" counts only those
	// that submit a job.
	crashVariable = "FCFLOW_CRASH_AT"
	// commitsVariable names a file that gets a line before each commit.
	commitsVariable = "FCFLOW_COMMIT_LOG"
)

// crashing wraps a store according to the variables.
func crashing(getenv func(string) string, s workflow.Store) (workflow.Store, error) {
	point, file := getenv(crashVariable), getenv(commitsVariable)
	if point == "" && file == "" {
		return s, nil
	}
	c := &crash{file: file}
	if point != "" {
		if err := c.parse(point); err != nil {
			return nil, fmt.Errorf("%w: %s=%q: %w", settings.ErrInvalid, crashVariable, point, err)
		}
	}
	return crashStore{s, c}, nil
}

// crash counts the commits of this process.
type crash struct {
	what   string // "commit" or an event kind
	at     int    // 0 = never
	before bool
	fail   bool
	file   string // of the log of commits; "" = none

	mu      sync.Mutex
	counted int
}

func (c *crash) parse(point string) (err error) {
	fields := strings.Split(point, ":")
	if len(fields) == 2 {
		fields = append(fields, "after")
	}
	if len(fields) != 3 || fields[0] == "" || !slices.Contains([]string{"before", "after", "fail"}, fields[2]) {
		return errors.New("want WHAT:N[:before|:after|:fail]")
	}
	c.what, c.before, c.fail = fields[0], fields[2] == "before", fields[2] == "fail"
	if c.at, err = strconv.Atoi(fields[1]); err != nil || c.at < 1 {
		return errors.New("the count must be a number from 1")
	}
	return nil
}

// errMadeToFail is what a commit fails with that is made to.
var errMadeToFail = errors.New("made to fail by " + crashVariable)

// around makes a commit, unless the process ends before it or it is to fail.
func (c *crash) around(events []workflow.Event, commit func() error) error {
	here := c.hit(events)
	switch {
	case here && c.before:
		die()
	case here && c.fail:
		return errMadeToFail
	}
	if err := c.log(events); err != nil {
		return err
	}
	err := commit()
	if here {
		die()
	}
	return err
}

// hit counts a commit and reports whether the process is to end at it.
func (c *crash) hit(events []workflow.Event) bool {
	counts := c.what == "commit"
	for _, e := range events {
		counts = counts || string(e.Data.Kind()) == c.what
	}
	return counts && c.count()
}

func (c *crash) count() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counted++
	return c.counted == c.at
}

// commitLine is a line of the log of commits. The events of one line became
// durable together, or not at all.
type commitLine struct {
	Epoch int64                `json:"epoch"`
	Last  int64                `json:"last"` // sequence number of the last event
	Kinds []workflow.EventKind `json:"kinds"`
}

func (c *crash) log(events []workflow.Event) error {
	if c.file == "" || len(events) == 0 {
		return nil
	}
	last := events[len(events)-1]
	line := commitLine{Epoch: last.Epoch, Last: last.Seq}
	for _, e := range events {
		line.Kinds = append(line.Kinds, e.Data.Kind())
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}

// crashingTransport is a transport whose requests are counted, if that is wanted.
func crashingTransport(getenv func(string) string, next http.RoundTripper) (http.RoundTripper, error) {
	c := &crash{}
	point := getenv(crashVariable)
	if point == "" {
		return next, nil
	}
	if err := c.parse(point); err != nil {
		return nil, fmt.Errorf("%w: %s=%q: %w", settings.ErrInvalid, crashVariable, point, err)
	}
	return crashTransport{next, c}, nil
}

type crashTransport struct {
	next  http.RoundTripper
	crash *crash
}

func (t crashTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	submits := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/jobs")
	here := (t.crash.what == "request" || t.crash.what == "submission" && submits) && t.crash.count()
	if here && t.crash.before {
		die()
	}
	answer, err := t.next.RoundTrip(r)
	if here {
		die()
	}
	return answer, err
}

// die ends the process as nothing can prevent, and does not return.
func die() {
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {}
}

// crashStore is a store whose commits are counted.
type crashStore struct {
	workflow.Store
	crash *crash
}

func (s crashStore) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	var h workflow.History
	err := s.crash.around(first, func() (err error) {
		h, err = s.Store.Create(ctx, id, frozen, first, blobs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return crashHistory{h, s.crash}, nil
}

func (s crashStore) Open(ctx context.Context, id workflow.RunID) (workflow.History, error) {
	h, err := s.Store.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return crashHistory{h, s.crash}, nil
}

// crashHistory is a history whose commits are counted.
type crashHistory struct {
	workflow.History
	crash *crash
}

func (h crashHistory) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	return h.crash.around(events, func() error { return h.History.Append(ctx, after, events, blobs...) })
}

// Compact does what the history can do, so that a run ends as it does without a
// test.
func (h crashHistory) Compact(ctx context.Context) error {
	if c, ok := h.History.(interface{ Compact(context.Context) error }); ok {
		return c.Compact(ctx)
	}
	return nil
}
