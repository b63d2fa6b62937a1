package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// What TestGroupKilled does: each lane is a process that takes runs through the
// group one after another, from where the one before it was killed.
const (
	lanes      = 4
	laneRuns   = 8
	laneLimit  = 2
	laneLedger = "ledger"
)

// takeLane is the process of a lane; dir ends in its number.
func takeLane(dir string) error {
	dir, number, _ := strings.Cut(dir, "#")
	lane, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	s, err := store.Open(filepath.Join(dir, "state"), store.Options{Fold: stateFold})
	if err != nil {
		return err
	}
	for i := range laneRuns {
		if err := takeRun(s, filepath.Join(dir, laneLedger), storetest.ID(lanes*i+lane)); err != nil {
			return err
		}
		fmt.Println(i)
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until it may leave
	return err
}

// takeRun creates a run, or goes on with it, and sees it to its end.
func takeRun(s *store.Store, ledger string, id workflow.RunID) error {
	ctx, group := context.Background(), s.Group("lanes")
	l, err := s.Summary(ctx, id)
	var h workflow.History
	switch {
	case errors.Is(err, workflow.ErrNotFound):
		h, err = s.Create(ctx, id, []byte("name: test"), []workflow.Event{storetest.Created(id)}, nil)
		l.State, l.Seq = workflow.RunQueued, 1
	case err == nil && l.State.Terminal():
		return nil
	case err == nil:
		h, err = s.Open(ctx, id)
	}
	if err != nil {
		return err
	}
	defer h.Close()
	note := func(p workflow.Payload) error {
		e := workflow.Event{Seq: l.Seq + 1, At: time.Now().UTC(), Epoch: h.Epoch(), Data: p}
		err := h.Append(ctx, l.Seq, []workflow.Event{e})
		l.Seq++
		return err
	}
	if l.State == workflow.RunQueued {
		if err := group.Await(ctx, id, laneLimit, func(store.Place) error { return nil }); err != nil {
			return err
		}
		if err := note(&workflow.RunStarted{}); err != nil {
			return err
		}
	} else if err := group.Keep(ctx, id); err != nil {
		return err
	}
	for _, word := range []string{"begin", "end"} {
		f, err := os.OpenFile(ledger, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(f, word, id)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if err := note(&workflow.RunFinished{State: workflow.RunSucceeded}); err != nil {
		return err
	}
	return group.Leave(ctx, id)
}

// TestGroupKilled kills processes in the middle of what they do to the files of a
// group. Never do more runs go on than its limit allows, and all get their turn.
func TestGroupKilled(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir, random := t.TempDir(), rand.New(rand.NewPCG(seed, 0))
	kills := make(chan int, lanes)
	for lane := range lanes {
		source := rand.New(rand.NewPCG(random.Uint64(), 0))
		go func() { kills <- driveLane(t, dir, lane, source) }()
	}
	killed := 0
	for range lanes {
		killed += <-kills
	}
	t.Logf("%d kills", killed)
	if killed < lanes {
		t.Error("hardly anything was killed")
	}
	text, err := os.ReadFile(filepath.Join(dir, laneLedger))
	if err != nil {
		t.Fatal(err)
	}
	active, ended := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		word, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "end":
			delete(active, id)
			ended[id] = true
		case !ended[id]:
			active[id] = true
		}
		if len(active) > laneLimit {
			t.Fatalf("at once go on %v", active)
		}
	}
	if len(ended) != lanes*laneRuns {
		t.Errorf("%d runs ended", len(ended))
	}
	left, err := filepath.Glob(filepath.Join(dir, "state", "groups", "*", "01*"))
	if err != nil || len(left) > lanes { // of processes that were killed when their last run had ended
		t.Errorf("%s stay, %v", left, err)
	}
}

// driveLane kills the process of a lane again and again until its runs are done, the
// first while it does one of the first of them, the others after a while. It leaves them
// more time after each kill: processes take long to start on a busy machine.
func driveLane(t *testing.T, dir string, lane int, random *rand.Rand) (kills int) {
	for {
		c := start(t, "lane", fmt.Sprintf("%s#%d", dir, lane))
		if kills == 0 { // however slow or fast the machine is: it may not leave
			for range 1 + random.IntN(laneRuns/2) {
				c.lines.Scan()
			}
			_ = c.Process.Kill()
		} else {
			_ = c.leave.Close()
		}
		alarm := time.AfterFunc(time.Duration(10+random.IntN(400+200*kills))*time.Millisecond, func() { _ = c.Process.Kill() })
		for c.lines.Scan() { // until it ends
		}
		err := c.Wait()
		alarm.Stop()
		if err == nil {
			return kills
		}
		if c.ProcessState.ExitCode() != -1 {
			t.Errorf("lane %d: %v", lane, err)
			return kills
		}
		kills++
	}
}
