// Package store keeps runs on disk: one directory and one bbolt file per run,
// so that processes share a state directory without a server, a crash releases
// exactly the runs of the process that crashed, and a damaged file costs one run.
//
//	<state directory>/           0700, files 0600
//	├── groups/<digest>/         concurrency groups: a file for each run, and their lock
//	├── scheduler.db             what became of the slots of schedules
//	├── scheduler.json           who has it
//	└── runs/
//	    ├── <run id>/
//	    │   ├── run.db           the history: the truth
//	    │   ├── owner.json       who holds the run
//	    │   ├── run.json         the summary, for lists
//	    │   ├── workflow.yaml    a copy, for people, of the workflow the run executes
//	    │   ├── workflow.1.yaml  the one that it executed before the first change of it
//	    │   ├── plan.1.json      what that change came to
//	    │   └── logs/  private/
//	    ├── .tmp/                runs that are being made or removed
//	    └── .lock                held while they are
//
// Whoever holds the exclusive lock of run.db owns the run; the operating system
// releases it however the owner ends. Readers never wait for an owner: they get
// [workflow.ErrOwned] and ask the owner, or make do with the summary.
//
// The package implements [workflow.Store], [workflow.History] and [workflow.Book]; only the
// command line imports it.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Options says who opens the store.
type Options struct {
	// Owner is written beside each run this process owns. Empty fields except
	// Socket are filled in; Epoch is that of the run.
	Owner workflow.Owner
	// Fold makes the summary of a run from its workflow text and events, for
	// runs whose owner died before it wrote one. Without it such runs are listed
	// as their last summary shows them.
	Fold func(frozen []byte, events func(yield func(workflow.Event) error) error) (workflow.Summary, error)
}

// Store implements [workflow.Store] on a state directory. It is safe for
// concurrent use, by many processes too, and holds nothing open.
type Store struct {
	runs     string
	options  Options
	warning  string
	takeOver bool
}

// Paths are the places of a run on disk. The directories exist.
type Paths struct {
	Dir     string
	Logs    string // output of jobs and local steps
	Private string // what must never be exported
	Frozen  string // the copy of the workflow text
}

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	tempName    = ".tmp"
	lockName    = ".lock"
	dbName      = "run.db"
	ownerName   = "owner.json"
	summaryName = "run.json"
	frozenName  = "workflow.yaml"
	logsName    = "logs"
	privateName = "private"

	// ownerPatience is how long taking a run waits for readers, or for an owner
	// that is letting go.
	ownerPatience = 5 * time.Second
	// readerPatience is how long a reader waits before it asks the owner instead.
	readerPatience = 250 * time.Millisecond
)

// Open opens the state directory, making it if need be. It refuses a directory
// that others can write to or that belongs to somebody else, and a file system
// whose locks do not work.
func Open(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if o.Owner, err = fillOwner(o.Owner); err != nil {
		return nil, err
	}
	s := &Store{runs: filepath.Join(dir, "runs"), options: o}
	for _, d := range []string{dir, s.runs, s.temp()} {
		if err := ownDirectory(d); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	name, network := FileSystem(dir)
	if err := s.testLocks(); err != nil {
		return nil, fmt.Errorf("state directory %s on %s: %w: choose a local directory with --state-dir", dir, name, err)
	}
	if network {
		s.warning = fmt.Sprintf("the state directory %s is on a network file system (%s), which can be slow and, if its locks "+
			"fail between hosts, let two processes drive one run: choose a local directory with --state-dir", dir, name)
	}
	return s, nil
}

func (s *Store) testLocks() error {
	unlock, err := s.lockTemp(context.Background())
	if err != nil {
		return fmt.Errorf("file locks do not work: %w", err)
	}
	defer unlock()
	return testLocks(s.temp())
}

// TakingOver is the store for somebody who knows that a process on another host is
// dead: runs whose last owner was on another one, and did not let go, are nobody's.
// One whose lock is held stays its owner's all the same.
func (s *Store) TakingOver() *Store {
	taking := *s
	taking.takeOver = true
	return &taking
}

// Warning is what a person should know about the state directory; usually "".
func (s *Store) Warning() string { return s.warning }

// Self is how this process signs the runs it owns.
func (s *Store) Self() workflow.Owner { return s.options.Owner }

// Create makes a run and owns it. The run appears whole or, after a crash, not
// at all.
func (s *Store) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	h, err := s.create(ctx, id, frozen, first, blobs)
	if err != nil {
		return nil, fmt.Errorf("create run %s: %w", id, err)
	}
	return h, nil
}

func (s *Store) create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (_ *history, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !valid(id) {
		return nil, errors.New("the id is not a ULID")
	}
	if len(first) == 0 {
		return nil, errors.New("no first event")
	}
	s.sweep()
	unlock, err := s.lockTemp(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Lstat(s.dir(id)); err == nil {
		return nil, fmt.Errorf("the run exists: %w", workflow.ErrConflict)
	}
	temp, err := os.MkdirTemp(s.temp(), string(id)+"-")
	if err != nil {
		return nil, err
	}
	h := &history{id: id, dir: temp, epoch: 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close(), os.RemoveAll(temp))
		}
	}()
	if err := s.furnish(h, frozen, first); err != nil {
		return nil, err
	}
	if err := h.initialize(ctx, frozen, first, blobs); err != nil {
		return nil, err
	}
	if err := SyncDir(temp); err != nil {
		return nil, err
	}
	if err := os.Rename(temp, s.dir(id)); errors.Is(err, fs.ErrExist) { // or not empty
		return nil, fmt.Errorf("the run exists: %w", workflow.ErrConflict)
	} else if err != nil {
		return nil, err
	}
	temp = s.dir(id)
	h.dir = temp
	return h, SyncDir(s.runs)
}

// furnish puts into a new run directory what is not the history. None of it
// needs to survive a power failure.
func (s *Store) furnish(h *history, frozen []byte, first []workflow.Event) error {
	for _, name := range []string{"", logsName, privateName} {
		if err := ownDirectory(filepath.Join(h.dir, name)); err != nil {
			return err
		}
	}
	if err := writeFile(h.dir, frozenName, frozen); err != nil {
		return err
	}
	if err := s.sign(h); err != nil {
		return err
	}
	summary := workflow.Summary{ID: h.id, State: workflow.RunQueued, CreatedAt: first[0].At, Units: map[workflow.State]int{}}
	if c, ok := first[0].Data.(*workflow.RunCreated); ok {
		summary.Workflow, summary.Trigger, summary.Parent, summary.By, summary.Concurrency = c.Workflow, c.Trigger, c.Parent, c.By, c.Concurrency
	}
	return writeJSON(h.dir, summaryName, summary)
}

// Open takes ownership of a run. It waits a few seconds for readers and for an
// owner that is just letting go.
func (s *Store) Open(ctx context.Context, id workflow.RunID) (workflow.History, error) {
	if err := s.mayTake(ctx, id); err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	h := &history{id: id, dir: s.dir(id)}
	if err := s.take(ctx, h); err != nil {
		return nil, fmt.Errorf("run %s: %w", id, errors.Join(err, h.Close()))
	}
	return h, nil
}

func (s *Store) take(ctx context.Context, h *history) error {
	err := h.open(ctx)
	if errors.Is(err, errHeld) {
		return s.owned(h.id)
	}
	if err != nil {
		return err
	}
	if err := removeTemporary(h.dir); err != nil {
		return err
	}
	return s.sign(h)
}

// List returns the ids of all runs, newest first.
func (s *Store) List(ctx context.Context) ([]workflow.RunID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.sweep()
	dir, err := os.Open(s.runs)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	ids := make([]workflow.RunID, 0, len(names))
	for _, name := range names {
		if id := workflow.RunID(name); valid(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}

// Delete removes a run that nobody owns, with its whole directory.
func (s *Store) Delete(ctx context.Context, id workflow.RunID) error {
	if err := s.delete(ctx, id); err != nil {
		return fmt.Errorf("delete run %s: %w", id, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, id workflow.RunID) error {
	if err := s.mayTake(ctx, id); err != nil {
		return err
	}
	unlock, err := s.lockTemp(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := lockFile(ctx, filepath.Join(s.dir(id), dbName), os.O_RDWR, syscall.LOCK_EX, readerPatience)
	switch {
	case errors.Is(err, errHeld):
		return s.owned(id)
	case err == nil:
		defer f.Close()
	case !errors.Is(err, fs.ErrNotExist): // without its history a run can go
		return err
	}
	grave, err := os.MkdirTemp(s.temp(), string(id)+"-")
	if err != nil {
		return err
	}
	if err := os.Rename(s.dir(id), filepath.Join(grave, string(id))); err != nil {
		return err
	}
	if err := SyncDir(s.runs); err != nil {
		return err
	}
	return os.RemoveAll(grave)
}

// Paths returns where a run lies.
func (s *Store) Paths(id workflow.RunID) Paths {
	dir := s.dir(id)
	return Paths{
		Dir: dir, Logs: filepath.Join(dir, logsName), Private: filepath.Join(dir, privateName),
		Frozen: filepath.Join(dir, frozenName),
	}
}

func (s *Store) dir(id workflow.RunID) string { return filepath.Join(s.runs, string(id)) }

func (s *Store) temp() string { return filepath.Join(s.runs, tempName) }

// find checks that a run of that id exists.
func (s *Store) find(ctx context.Context, id workflow.RunID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !valid(id) {
		return workflow.ErrNotFound
	}
	if _, err := os.Lstat(s.dir(id)); errors.Is(err, fs.ErrNotExist) {
		return workflow.ErrNotFound
	} else if err != nil {
		return err
	}
	return nil
}

// valid reports whether id has the form of a ULID, which makes it a safe name.
func valid(id workflow.RunID) bool {
	return len(id) == ulidLength && id[0] <= '7' && strings.Trim(string(id), ulidAlphabet) == ""
}

const (
	ulidLength   = 26
	ulidAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// lockTemp keeps sweep from touching what is being made or removed.
func (s *Store) lockTemp(ctx context.Context) (unlock func(), err error) {
	f, err := lockFile(ctx, filepath.Join(s.runs, lockName), os.O_RDWR|os.O_CREATE, syscall.LOCK_SH, ownerPatience)
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// sweep removes what a crash left in the temporary directory. It is a courtesy:
// when it fails, or somebody is at work there, the next one will do.
func (s *Store) sweep() {
	left, err := os.ReadDir(s.temp())
	if err != nil || len(left) == 0 {
		return
	}
	f, err := lockFile(context.Background(), filepath.Join(s.runs, lockName), os.O_RDWR|os.O_CREATE, syscall.LOCK_EX, 0)
	if err != nil {
		return
	}
	defer f.Close()
	for _, e := range left {
		_ = os.RemoveAll(filepath.Join(s.temp(), e.Name()))
	}
}
