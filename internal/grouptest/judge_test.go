package grouptest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// judge holds the three witnesses against what a group promises.
func (c *campaign) judge() {
	for _, wrong := range c.watcher.wrong {
		c.t.Error(wrong)
	}
	c.judgeLedger()
	c.judgeHistories()
	if c.watcher.handovers < len(c.members)/2 {
		c.t.Errorf("only %d of the places that were handed over were seen", c.watcher.handovers)
	}
	if c.holders == 0 || c.heard == 0 {
		c.t.Error("no run was killed that held a place, or nobody waited then")
	}
	c.sweep()
	if files, err := filepath.Glob(filepath.Join(c.dir, "state", "groups", "*", "01*")); err != nil || len(files) > 0 {
		c.t.Errorf("%s stay, %v", files, err)
	}
}

// sweep has one more run join the group: it removes the entry of who was killed
// between its end and leaving.
func (c *campaign) sweep() {
	text, err := os.ReadFile("testdata/sweep.yaml")
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, "sweep.yaml"), text, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := start(c.bin, c.dir, "sweep", "run", "sweep.yaml")
	if err != nil {
		c.t.Fatal(err)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		c.t.Errorf("a run that joins when all have left exits with %d", code)
	}
}

// judgeLedger goes through what the steps wrote: from its first begin to its first
// end a run holds a place.
func (c *campaign) judgeLedger() {
	active, ended := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(read(filepath.Join(c.dir, "ledger"))) {
		word, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "end":
			delete(active, number)
			ended[number] = true
		case !ended[number]:
			active[number] = true
		}
		if len(active) > limit {
			c.t.Errorf("the steps of %d runs went on at once: %v", len(active), active)
		}
	}
	if len(ended) != len(c.members) {
		c.t.Errorf("%d runs ended", len(ended))
	}
}

// turn is the start or the end of a run.
type turn struct {
	at    time.Time
	begin bool
}

// judgeHistories counts the runs between their start and their end, and makes sure
// that none lost its place between them, however often it was killed.
func (c *campaign) judgeHistories() {
	var turns []turn
	for _, m := range c.members {
		began, ended := c.span(m)
		if began.IsZero() || ended.IsZero() {
			c.t.Errorf("run %d: from %s to %s", m.number, began, ended)
			continue
		}
		turns = append(turns, turn{began, true}, turn{ended, false})
		for _, l := range c.watcher.left {
			if l.run == m.run && !began.After(l.since) && ended.After(l.until) {
				c.t.Errorf("run %d gave its place back between %s and %s, and went on from %s to %s", m.number, l.since, l.until, began, ended)
			}
		}
	}
	slices.SortFunc(turns, func(p, q turn) int {
		if order := p.at.Compare(q.at); order != 0 || p.begin == q.begin {
			return order
		}
		if p.begin { // instants are cut to milliseconds: an end comes first
			return 1
		}
		return -1
	})
	active := 0
	for _, t := range turns {
		if !t.begin {
			active--
			continue
		}
		if active++; active > limit {
			c.t.Errorf("%d runs had started and not ended at %s", active, t.at)
		}
	}
}
