package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// TestWholeLines: what is served ends with a line as long as more may follow, and
// never within a character.
func TestWholeLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", logChunk-2)
	for _, test := range []struct {
		name, text string
		last       bool
		want       int
	}{
		{"a line and a half", "one\ntwo", false, 4},
		{"half a line", "one", false, 0},
		{"the end", "one\ntwo", true, 7},
		{"a chunk with lines", "one\n" + long, false, 4},
		{"a chunk of one line", long + "xx", false, logChunk},
		{"a long line that ends within one", long + "x" + "ö"[:1], false, logChunk - 1},
		{"a long line that ends with one", long + "ö", false, logChunk},
	} {
		if got := wholeLines([]byte(test.text), test.last); len(got) != test.want {
			t.Errorf("%s: %d bytes, want %d", test.name, len(got), test.want)
		}
	}
}

// TestFarLogPace: a file is read once in a pause for those who follow it, and once for
// those who want it now.
func TestFarLogPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var far farLogs
		follower, other := look{"daint", "/out", true}, look{"daint", "/out", false}
		if far.may(follower, gentlePause) != 0 || far.may(other, gentlePause) != 0 {
			t.Error("the first look is held back")
		}
		time.Sleep(15 * time.Second)
		if a, b := far.may(follower, gentlePause), far.may(other, gentlePause); a != 5*time.Second || b != 5*time.Second {
			t.Errorf("another look after %s and %s", a, b)
		}
		time.Sleep(5 * time.Second)
		if far.may(other, gentlePause) != 0 || far.may(follower, gentlePause) != 0 {
			t.Error("the next look is held back")
		}
	})
}

// lastingHost is a server with a run of one step, which prints something and goes on
// until the test is over.
func lastingHost(t *testing.T, uses, print string) (*host, workflow.RunID) {
	t.Helper()
	more := filepath.Join(t.TempDir(), "more") // goes with its directory
	if err := os.WriteFile(more, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return foldedHost(t, `version: 1
name: flow
defaults: { system: sandbox }
steps:
  - id: it
    uses: `+uses+`
    with:
      script: |
        #!/bin/sh
        `+print+`
        while [ -e '`+more+`' ]; do sleep 0.1; done
`)
}

// TestFollowedLogIsThere: what a job has printed so far is answered also while somebody
// follows it.
func TestFollowedLogIsThere(t *testing.T) {
	t.Parallel()
	h, id := lastingHost(t, "job", "echo said")
	follow := server.LogQuery{Unit: "it", Stream: "stdout", Follow: true}
	var part server.LogPart
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && len(part.Text) == 0; time.Sleep(10 * time.Millisecond) {
		part, _ = h.Log(t.Context(), id, follow) // it may not be there yet
	}
	if string(part.Text) != "said\n" || part.Over {
		t.Fatalf("followed: %q, over %v", part.Text, part.Over)
	}
	follow.From = part.Next
	if _, err := h.Log(t.Context(), id, follow); err != nil {
		t.Fatal(err)
	}
	part, err := h.Log(t.Context(), id, server.LogQuery{Unit: "it", Stream: "stdout"})
	if err != nil || string(part.Text) != "said\n" || !part.All {
		t.Errorf("asked for beside it: %q, %v", part.Text, err)
	}
}

// TestLongLocalLog: a long log that grows is served in pieces that end with a line.
func TestLongLocalLog(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("ö", 5000)
	h, id := lastingHost(t, "run", "for n in $(seq 60); do echo '"+line+"'; done")
	log := filepath.Join(h.session.store.Paths(id).Logs, engine.LogName(workflow.UnitRef{Step: "it"}, 1, "log"))
	size := int64(60 * (len(line) + 1))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(log); err == nil && info.Size() == size {
			break
		}
	}
	q := server.LogQuery{Unit: "it", Stream: "stdout"}
	for q.From < size {
		part, err := h.Log(t.Context(), id, q)
		if err != nil || part.Over || !strings.HasSuffix(string(part.Text), "\n") || !utf8.Valid(part.Text) {
			t.Fatalf("from %d: %d bytes, over %v, %v", q.From, len(part.Text), part.Over, err)
		}
		q.From = part.Next
	}
}
