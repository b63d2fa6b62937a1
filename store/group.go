package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/fcflow/fcflow/workflow"
)

// Group is a concurrency group of the state directory: which runs hold one of its
// places and which wait for one. A place belongs to a run, not to a process: a run
// that has started keeps it until its end, whoever owns it or nobody. Waiting is
// first come, first served by run id; a run that waits and that nobody owns is
// passed over and keeps its turn.
//
// The entry of a run is a file of its id, which is changed only under the lock of
// the group, and only for itself by a process that owns the run. What a crash leaves
// of a run that has ended, was removed or never started is put right by whoever has
// the lock next.
type Group struct {
	store *Store
	name  string
	dir   string
}

// Entry is what the file of a run in a group says.
type Entry struct {
	Group string     `json:"group"` // for people: the directory has only its digest
	State GroupState `json:"state"`
	// Position counts the places that were given: of two holders, the one with the
	// smaller position holds its place for longer.
	Position int64 `json:"position"`
}

// GroupState says whether a run of a group waits for a place or holds one.
type GroupState string

const (
	GroupQueued  GroupState = "queued"
	GroupHolding GroupState = "holding"
)

// Holder is a run that holds a place. Nobody drives it if it is not Live.
type Holder struct {
	Run   workflow.RunID
	Live  bool
	Owner workflow.Owner

	position int64
}

// Place is what a run sees of its group. Holders are in the order in which they
// got their places; that of the run itself is not among them.
type Place struct {
	Held bool
	// Next: no other run that somebody owns waits for longer.
	Next    bool
	Holders []Holder
}

const (
	groupsName    = "groups"
	groupLockName = "lock"
)

// Group returns the concurrency group of a name.
func (s *Store) Group(name string) *Group {
	digest := sha256.Sum256([]byte(name))
	return &Group{store: s, name: name, dir: filepath.Join(filepath.Dir(s.runs), groupsName, hex.EncodeToString(digest[:])[:16])}
}

// Join takes a place for a run that the caller owns and that has not started, if
// fewer than limit are held and it is the run's turn. Otherwise it queues the run
// if that is wanted.
func (g *Group) Join(ctx context.Context, id workflow.RunID, limit int, queue bool) (p Place, err error) {
	err = g.locked(ctx, func() error {
		entries, err := g.entries()
		if err != nil {
			return err
		}
		if p.Holders, err = g.settle(ctx, entries, id); err != nil {
			return err
		}
		mine, there := entries[id]
		if p.Held = mine.State == GroupHolding; p.Held {
			return nil
		}
		if p.Next, err = g.next(ctx, entries, id); err != nil {
			return err
		}
		if p.Held = p.Next && len(p.Holders) < limit; p.Held {
			return g.hold(entries, id)
		}
		if there || !queue {
			return nil
		}
		return g.put(id, Entry{State: GroupQueued}, false)
	})
	return p, err
}

// Keep gives a run that has started its place back if that was lost.
func (g *Group) Keep(ctx context.Context, id workflow.RunID) error {
	return g.locked(ctx, func() error {
		entries, err := g.entries()
		if err != nil || entries[id].State == GroupHolding {
			return err
		}
		return g.hold(entries, id)
	})
}

// Leave gives up the place of a run, or its turn.
func (g *Group) Leave(ctx context.Context, id workflow.RunID) error {
	return g.locked(ctx, func() error {
		if err := g.remove(id); err != nil {
			return err
		}
		left, err := os.ReadDir(g.dir)
		if err != nil || len(left) > 1 {
			return err
		}
		// The lock goes first: who opens it afterwards makes another one, and then the
		// directory stays. Nothing is done under the old one any more.
		return errors.Join(os.Remove(g.lock()), ignore(os.Remove(g.dir), fs.ErrExist))
	})
}

// Holders says who holds the places, for people: without the lock, so that it
// may be old when it is read.
func (g *Group) Holders(ctx context.Context) ([]Holder, error) {
	entries, err := g.entries()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("concurrency group %s: %w", g.name, err)
	}
	var holders []Holder
	for id, e := range entries {
		if e.State != GroupHolding {
			continue
		}
		h, fate, err := g.holder(ctx, id, e)
		if err != nil {
			return nil, fmt.Errorf("concurrency group %s: %w", g.name, err)
		}
		if fate != runOver {
			holders = append(holders, h)
		}
	}
	sortHolders(holders)
	return holders, nil
}

func (g *Group) lock() string { return filepath.Join(g.dir, groupLockName) }

// locked runs f while nobody else changes the group.
func (g *Group) locked(ctx context.Context, f func() error) error {
	if err := g.underLock(ctx, f); err != nil {
		return fmt.Errorf("concurrency group %s: %w", g.name, err)
	}
	return nil
}

func (g *Group) underLock(ctx context.Context, f func() error) error {
	for {
		err := errors.Join(ownDirectory(filepath.Dir(g.dir)), ownDirectory(g.dir))
		var lock *os.File
		if err == nil {
			lock, err = lockFile(ctx, g.lock(), os.O_RDWR|os.O_CREATE, syscall.LOCK_EX, ownerPatience)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // the last run has just left
		}
		if err != nil {
			return err
		}
		if err := removeTemporary(g.dir); err != nil {
			return errors.Join(err, lock.Close())
		}
		return errors.Join(f(), lock.Close())
	}
}

// entries reads the entries of all runs. One that is damaged counts as waiting:
// if its run has started, whoever drives it next takes the place back.
func (g *Group) entries() (map[workflow.RunID]Entry, error) {
	files, err := os.ReadDir(g.dir)
	if err != nil {
		return nil, err
	}
	entries := map[workflow.RunID]Entry{}
	for _, f := range files {
		id := workflow.RunID(f.Name())
		if !valid(id) {
			continue
		}
		var e Entry
		switch err := readJSON(filepath.Join(g.dir, f.Name()), &e); {
		case errors.Is(err, fs.ErrNotExist): // left, as seen without the lock
		case errors.Is(err, errDamaged):
			entries[id] = Entry{State: GroupQueued}
		case err != nil:
			return nil, err
		default:
			entries[id] = e
		}
	}
	return entries, nil
}

// settle puts the entries right of runs other than id that say they hold a place,
// and returns who does.
func (g *Group) settle(ctx context.Context, entries map[workflow.RunID]Entry, id workflow.RunID) ([]Holder, error) {
	var holders []Holder
	for other, e := range entries {
		if other == id || e.State != GroupHolding {
			continue
		}
		h, fate, err := g.holder(ctx, other, e)
		if err != nil {
			return nil, err
		}
		switch fate {
		case runOver:
			err = g.drop(entries, other)
		case runIdle: // its owner died between taking the place and starting the run
			entries[other] = Entry{State: GroupQueued}
			err = g.put(other, entries[other], false)
		default:
			holders = append(holders, h)
		}
		if err != nil {
			return nil, err
		}
	}
	sortHolders(holders)
	return holders, nil
}

// next reports whether no other run has a right to a place before id does.
func (g *Group) next(ctx context.Context, entries map[workflow.RunID]Entry, id workflow.RunID) (bool, error) {
	for other, e := range entries {
		if other >= id || e.State != GroupQueued {
			continue
		}
		_, fate, err := g.holder(ctx, other, e)
		if err != nil {
			return false, err
		}
		switch fate {
		case runOwned:
			return false, nil
		case runOver:
			if err := g.drop(entries, other); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// fate is what a group has to know of a run.
type fate int

const (
	runOwned fate = iota // a process has it
	runIdle              // nobody has it, and it has not started
	runLeft              // nobody has it, and it has started and not ended
	runOver              // it has ended, or there is no such run
)

// holder looks at a run. The lock of its history tells whether a process has it:
// a process of another host is believed dead where locks do not reach, as then
// the lock of the group does not either.
func (g *Group) holder(ctx context.Context, id workflow.RunID, e Entry) (Holder, fate, error) {
	h := Holder{Run: id, position: e.Position}
	if _, err := os.Lstat(g.store.dir(id)); errors.Is(err, fs.ErrNotExist) {
		return h, runOver, nil
	}
	held, err := g.store.held(id)
	if err != nil {
		return h, 0, err
	}
	if held {
		h.Live = true
		h.Owner, _, err = g.store.owner(id)
		return h, runOwned, err
	}
	l, err := g.store.Summary(ctx, id)
	switch {
	case errors.Is(err, workflow.ErrNotFound), err == nil && l.State.Terminal():
		return h, runOver, nil
	case err != nil:
		return h, 0, err
	}
	h.Owner = l.Owner
	switch {
	case errors.Is(l.Err, workflow.ErrOwned): // since we asked for its lock
		h.Live = true
		return h, runOwned, nil
	case l.Err == nil && l.State == workflow.RunQueued:
		return h, runIdle, nil
	}
	return h, runLeft, nil
}

// hold gives a run a place. It must outlast a power failure: the run starts next,
// and then nobody else may have the place.
func (g *Group) hold(entries map[workflow.RunID]Entry, id workflow.RunID) error {
	last := int64(0)
	for _, e := range entries {
		last = max(last, e.Position)
	}
	return g.put(id, Entry{State: GroupHolding, Position: last + 1}, true)
}

func (g *Group) put(id workflow.RunID, e Entry, durable bool) error {
	e.Group = g.name
	if err := writeJSON(g.dir, string(id), e); err != nil || !durable {
		return err
	}
	return errors.Join(syncFile(filepath.Join(g.dir, string(id))), SyncDir(g.dir))
}

func (g *Group) drop(entries map[workflow.RunID]Entry, id workflow.RunID) error {
	delete(entries, id)
	return g.remove(id)
}

func (g *Group) remove(id workflow.RunID) error {
	return ignore(os.Remove(filepath.Join(g.dir, string(id))), fs.ErrNotExist)
}

func sortHolders(holders []Holder) {
	slices.SortFunc(holders, func(p, q Holder) int {
		if p.position != q.position {
			return int(p.position - q.position)
		}
		return strings.Compare(string(p.Run), string(q.Run))
	})
}
