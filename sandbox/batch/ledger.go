package batch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// ledger is an append-only account of what the batch system did, one JSON
// object a line, for whoever wants to check the clients of the sandbox without
// believing them. Every job has one line "accepted", at most one "ended", and
// at most one "started" for each of its restarts, which follow on "requeued".
type ledger struct {
	mu   sync.Mutex
	file *os.File
}

// entry is one line of the ledger.
type entry struct {
	At     time.Time `json:"at"`
	Event  string    `json:"event"` // accepted, requeued, started, ended
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	System string    `json:"system"`
	State  State     `json:"state"`
	// Restarts of the job before this line, its own included.
	Restarts int `json:"restarts,omitempty"`
}

// events is what the ledger says about a job in the state of r, oldest first.
func (r *record) events() []entry {
	e := entry{At: r.Submitted, Event: "accepted", ID: r.ID, Name: r.Spec.Name, System: r.Spec.System, State: Pending}
	events := []entry{e}
	if e.Restarts = r.Restarts; e.Restarts > 0 {
		e.At, e.Event = r.Requeued, "requeued"
		events = append(events, e)
	}
	if !r.Started.IsZero() {
		e.At, e.Event, e.State = r.Started, "started", Running
		events = append(events, e)
	}
	if r.State.Terminal() {
		e.At, e.Event, e.State = r.Ended, "ended", r.State
		events = append(events, e)
	}
	return events
}

// openLedger opens the file for appending and adds the lines that a crash
// between a job's record and its ledger kept from being written.
func openLedger(path string, records []*record) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("batch ledger: %w", err)
	}
	l := &ledger{file: f}
	if err := l.reconcile(records); err != nil {
		return nil, errors.Join(fmt.Errorf("batch ledger: %w", err), f.Close())
	}
	return l, nil
}

func (l *ledger) reconcile(records []*record) error {
	type key struct {
		id, event string
		restarts  int
	}
	have := map[key]bool{}
	for r := bufio.NewReader(l.file); ; {
		line, err := r.ReadBytes('\n')
		var e entry
		if json.Unmarshal(line, &e) == nil {
			have[key{e.ID, e.Event, e.Restarts}] = true
		}
		if err == nil {
			continue
		}
		if err != io.EOF {
			return err
		}
		if len(line) > 0 { // torn: what follows must not be part of it
			if _, err := l.file.WriteString("\n"); err != nil {
				return err
			}
		}
		break
	}
	var lost []entry
	for _, rec := range records {
		for _, e := range rec.events() {
			if !have[key{e.ID, e.Event, e.Restarts}] {
				lost = append(lost, e)
			}
		}
	}
	return l.write(lost...)
}

func (l *ledger) write(entries ...entry) error {
	var lines bytes.Buffer
	for _, e := range entries {
		if err := json.NewEncoder(&lines).Encode(e); err != nil { // with a line feed
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.file.Write(lines.Bytes())
	return err
}
