package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Owner says who holds a run, without waiting and without disturbing them.
// Alive means that the run may not be taken: its lock is held, or its last
// owner was on another host, from where locks may not reach us, and did not let
// go. The owner is empty if nobody left a name.
func (s *Store) Owner(ctx context.Context, id workflow.RunID) (owner workflow.Owner, alive bool, err error) {
	if err := s.find(ctx, id); err != nil {
		return owner, false, fmt.Errorf("run %s: %w", id, err)
	}
	owner, alive, err = s.owner(id)
	if err != nil {
		return owner, alive, fmt.Errorf("owner of run %s: %w", id, err)
	}
	return owner, alive, nil
}

func (s *Store) owner(id workflow.RunID) (owner workflow.Owner, alive bool, err error) {
	held, err := s.held(id)
	if err != nil {
		return owner, false, err
	}
	text, err := os.ReadFile(filepath.Join(s.dir(id), ownerName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return owner, held, nil
	case err != nil:
		return owner, held, err
	}
	if err := json.Unmarshal(text, &owner); err != nil {
		return workflow.Owner{}, held, nil // a name is a courtesy; the lock decides
	}
	return owner, held || owner.Host != s.options.Owner.Host && !s.takeOver, nil
}

// held asks the lock of a run's history for its holder.
func (s *Store) held(id workflow.RunID) (bool, error) {
	f, err := os.Open(filepath.Join(s.dir(id), dbName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = tryLock(f, syscall.LOCK_SH)
	if errors.Is(err, errHeld) {
		return true, nil
	}
	return false, err
}

// owned is the error of somebody who wanted a run that another one holds.
func (s *Store) owned(id workflow.RunID) error {
	owner, _, err := s.owner(id)
	if err != nil || owner.PID == 0 {
		return workflow.ErrOwned
	}
	return fmt.Errorf("process %d on %s has it since %s: %w",
		owner.PID, owner.Host, owner.StartedAt.Local().Format(time.DateTime), workflow.ErrOwned)
}

// mayTake refuses a run that does not exist, and one whose last owner was on
// another host and did not let go: its lock may not reach this host.
func (s *Store) mayTake(ctx context.Context, id workflow.RunID) error {
	if err := s.find(ctx, id); err != nil {
		return err
	}
	owner, _, err := s.owner(id)
	if err != nil {
		return err
	}
	if owner.Host == "" || owner.Host == s.options.Owner.Host || s.takeOver {
		return nil
	}
	return fmt.Errorf("%w (if that process is dead, --take-over takes the run)", s.owned(id))
}

// sign says beside the history who owns it.
func (s *Store) sign(h *history) error {
	owner := s.options.Owner
	owner.Epoch = h.epoch
	if err := writeJSON(h.dir, ownerName, owner); err != nil {
		return err
	}
	h.signed = true
	return nil
}

// fillOwner adds what this process knows of itself.
func fillOwner(o workflow.Owner) (workflow.Owner, error) {
	if o.Host == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("name of this host: %w", err)
		}
		o.Host = host
	}
	if o.BootID == "" {
		o.BootID = bootID()
	}
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	if o.StartedAt.IsZero() {
		o.StartedAt = time.Now().UTC()
	}
	return o, nil
}
