package batch

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Table is the batch system of one folder. Its methods may be called from any
// goroutine.
type Table struct {
	cfg    Config
	lock   *os.File
	disk   disk
	ledger *ledger

	builtins *builtins

	// life is held for reading by every call that writes, so that Close does
	// not release the folder under one of them.
	life   sync.RWMutex
	closed bool

	// desk is held from the admission of a job to its entry, so that the limits
	// of a Cluster count it.
	desk sync.Mutex

	// turn is held through each change of a job's state, from the decision to
	// the write on disk. Readers do without it. It guards the next two too.
	turn   sync.Mutex
	acts   map[string]*acts
	writes uint64 // the highest of any record

	mu     sync.Mutex          // guards what follows; never held during I/O
	jobs   map[string]*record  // a record is replaced, never changed
	arrays map[string][]string // the ids of an array's parts, by index
	order  []uint64            // all ids, ascending
	live   []uint64            // those of the jobs that are not terminal, ascending
	last   uint64              // the highest id given out
	fault  error               // the last write that failed in the background

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
}

// Open reads the table in cfg.Dir back, making it if it does not exist, and
// takes up its work. It fails when another process has the folder open, and
// when a file of the table cannot be read: a job is never silently forgotten.
func Open(cfg Config) (*Table, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	d := disk{filepath.Join(cfg.Dir, "jobs"), !cfg.NoSync}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("batch table: %w", err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	t := &Table{
		cfg:      cfg,
		lock:     lock,
		disk:     d,
		acts:     map[string]*acts{},
		builtins: newBuiltins(cfg.Builtins, cfg.Now),
		jobs:     map[string]*record{},
		arrays:   map[string][]string{},
		wake:     make(chan struct{}, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	if err := t.read(); err != nil {
		unlock(lock)
		return nil, err
	}
	go t.watch()
	return t, nil
}

// complete fills in the defaults.
func (c *Config) complete() error {
	if c.Dir == "" || c.Runner == nil {
		return errors.New("batch table: Config needs Dir and Runner")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("batch table: %w", err)
	}
	c.Dir = dir
	if c.Bin == "" {
		c.Bin = filepath.Join(dir, "bin")
	}
	if c.Bin, err = filepath.Abs(c.Bin); err != nil {
		return fmt.Errorf("batch table: %w", err)
	}
	if c.Slots == 0 {
		c.Slots = 8
	}
	if c.KillWait == 0 {
		c.KillWait = 5 * time.Second
	}
	if c.Interval == 0 {
		c.Interval = 100 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// lockFolder takes the lock that keeps a second process out of dir. It tries
// for half a second: a child that a killed process was just forking holds the
// lock until it has become another program.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("batch table: %w", err)
	}
	for range 50 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return f, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.Close()
	return nil, fmt.Errorf("batch table: %q is in use by another process: %w", dir, err)
}

// unlock lets go at once, even if a child that is being forked just now holds
// a copy of the descriptor.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// read loads every job and brings the ledger and the stand-ins up to date.
func (t *Table) read() error {
	records, err := t.disk.load()
	if err != nil {
		return err
	}
	t.insert(records)
	for _, rec := range records {
		t.writes = max(t.writes, rec.Write)
	}
	if err := writeStandIns(t.cfg.Bin, t.disk.dir); err != nil {
		return err
	}
	t.ledger, err = openLedger(filepath.Join(t.cfg.Dir, "ledger.jsonl"), records)
	return err
}

// Submit accepts a job and returns its id, or a *RejectedError. When it
// returns an id the job is on disk; a process killed before that may leave the
// job accepted or not.
func (t *Table) Submit(spec Spec) (id string, err error) {
	t.life.RLock()
	defer t.life.RUnlock()
	if t.closed {
		return "", errClosed
	}
	c := t.cluster(spec.System)
	rec, err := newRecord(spec, c.PBS, t.now())
	if err != nil {
		return "", err
	}
	t.desk.Lock()
	defer t.desk.Unlock()
	if err := t.admit(rec, c); err != nil {
		return "", err
	}
	parts := t.number(rec)
	for _, part := range parts {
		part.Submitted = t.now()
		if c.PBS {
			part.resolvePBSPaths()
		} else {
			part.Spec = resolvePaths(part.Job)
		}
	}
	if rec.array != nil {
		err = t.disk.saveArray(parts)
	} else {
		err = t.disk.save(rec)
	}
	if err != nil {
		return "", fmt.Errorf("accept job: %w", err)
	}
	t.enter(parts...)
	t.mu.Lock()
	t.insert(parts)
	t.mu.Unlock()
	t.rouse()
	return parts[len(parts)-1].ID, nil
}

// admit asks the system, and whoever opened the table.
func (t *Table) admit(rec *record, c Cluster) error {
	count := 1
	if rec.array != nil {
		count = len(rec.array.tasks)
	}
	var others []*record
	t.mu.Lock()
	for _, n := range t.live {
		if other := t.jobs[strconv.FormatUint(n, 10)]; other.Spec.System == rec.Spec.System {
			others = append(others, other)
		}
	}
	t.mu.Unlock()
	if err := c.admit(rec, others, count, t.now()); err != nil {
		return err
	}
	if err := t.checkDependencies(rec, c); err != nil {
		return err
	}
	if t.cfg.Admit == nil {
		return nil
	}
	return t.cfg.Admit(&rec.Spec)
}

// number gives rec its id, or the parts of its array theirs.
func (t *Table) number(rec *record) []*record {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.last + 1
	if rec.array != nil {
		t.last += uint64(len(rec.array.tasks))
		return rec.split(*rec.array, first)
	}
	t.last = first
	rec.ID = strconv.FormatUint(first, 10)
	return []*record{rec}
}

// insert makes records known. The caller holds mu, or is Open.
func (t *Table) insert(records []*record) {
	for _, rec := range records {
		n := rec.number()
		t.jobs[rec.ID] = rec
		t.order = insert(t.order, n)
		if !rec.State.Terminal() {
			t.live = insert(t.live, n)
		}
		t.last = max(t.last, n)
		if a := rec.Array; a != nil {
			ids := t.arrays[a.Job]
			i, _ := slices.BinarySearchFunc(ids, a.Task, func(id string, task int) int { return cmp.Compare(t.jobs[id].Array.Task, task) })
			t.arrays[a.Job] = slices.Insert(ids, i, rec.ID)
		}
	}
}

// Find returns the jobs an id stands for: all parts of an array by ascending
// index, or the one job of that id. Of an array all parts but the last have ids
// of their own too.
func (t *Table) Find(system, id string) []Job {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := t.arrays[id]
	if ids == nil {
		ids = []string{id}
	}
	var jobs []Job
	for _, id := range ids {
		if rec, ok := t.jobs[id]; ok && rec.Spec.System == system {
			jobs = append(jobs, rec.Job)
		}
	}
	return jobs
}

// Get returns one job of a system; of an array, its last part.
func (t *Table) Get(system, id string) (Job, bool) {
	rec, ok := t.lookup(system, id)
	if !ok {
		return Job{}, false
	}
	return rec.Job, true
}

// List returns every job a system ever had, by ascending id.
func (t *Table) List(system string) []Job {
	t.mu.Lock()
	defer t.mu.Unlock()
	var jobs []Job
	for _, n := range t.order {
		if rec := t.jobs[strconv.FormatUint(n, 10)]; rec.Spec.System == system {
			jobs = append(jobs, rec.Job)
		}
	}
	return jobs
}

// Close releases the folder and leaves running jobs running; the next Open
// picks them up. Builtins are interrupted; the next Open repeats them. A
// goroutine per other job that this process started stays until
// that job ends. The error is the last write that failed in the background,
// whether or not repeating it has helped since.
func (t *Table) Close() error {
	t.life.Lock()
	defer t.life.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	close(t.quit)
	<-t.done
	t.builtins.close()
	return errors.Join(t.fault, t.ledger.file.Close(), unlock(t.lock))
}

var errClosed = errors.New("the batch table is closed")

func (t *Table) lookup(system, id string) (*record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rec, ok := t.jobs[id]
	return rec, ok && rec.Spec.System == system
}

// replace makes changed copies the records of their jobs, one or some parts of an
// array: on disk, then in the ledger, then in memory. The caller holds turn.
func (t *Table) replace(records ...*record) error {
	if err := t.save(records); err != nil {
		t.failed(err)
		return err
	}
	var moved []*record
	for _, rec := range records {
		if old, _ := t.lookup(rec.Spec.System, rec.ID); old.State != rec.State {
			moved = append(moved, rec)
		}
	}
	t.enter(moved...)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rec := range records {
		t.jobs[rec.ID] = rec
		if rec.State.Terminal() {
			delete(t.acts, rec.ID)
			t.builtins.forget(rec.ID)
			t.live = remove(t.live, rec.number())
		}
	}
	return nil
}

// save writes records. Of an array either one part is written, or all.
func (t *Table) save(records []*record) error {
	t.writes++
	for _, rec := range records {
		rec.Write = t.writes
	}
	if len(records) == 1 {
		return t.disk.save(records[0])
	}
	return t.disk.saveArray(t.parts(records))
}

// parts are all parts of an array, of which some have changed.
func (t *Table) parts(changed []*record) []*record {
	now := map[string]*record{}
	for _, rec := range changed {
		now[rec.ID] = rec
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []*record
	for _, id := range t.arrays[changed[0].Array.Job] {
		parts = append(parts, cmp.Or(now[id], t.jobs[id]))
	}
	return parts
}

// enter writes the newest event of each job to the ledger. A line that could not
// be written is added by the next Open.
func (t *Table) enter(records ...*record) {
	var newest []entry
	for _, rec := range records {
		events := rec.events()
		newest = append(newest, events[len(events)-1])
	}
	if err := t.ledger.write(newest...); err != nil {
		t.failed(err)
	}
}

// failed keeps an error that has no caller to go to, for Close.
func (t *Table) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fault = err
}

// rouse makes the watcher look at once.
func (t *Table) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// runner is who executes the payload of a job.
func (t *Table) runner(job Job) Runner {
	if job.Spec.Builtin != nil {
		return t.builtins
	}
	return t.cfg.Runner
}

func (t *Table) now() time.Time { return t.cfg.Now().UTC() }

func insert(ids []uint64, n uint64) []uint64 {
	i, _ := slices.BinarySearch(ids, n)
	return slices.Insert(ids, i, n)
}

func remove(ids []uint64, n uint64) []uint64 {
	if i, ok := slices.BinarySearch(ids, n); ok {
		return slices.Delete(ids, i, i+1)
	}
	return ids
}
