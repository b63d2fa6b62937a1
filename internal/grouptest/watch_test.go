package grouptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// look is what the files of the group and the locks of the runs show at an instant
// at which no process changes the group.
type look struct {
	before, after time.Time
	holding       map[string]bool
	queued        map[string]bool
	owner         map[string]int // of a queued run: the number of its process; 0 if none has it
}

// left says that a run gave its place back between two looks.
type left struct {
	run          string
	since, until time.Time
}

// watcher looks at a group again and again.
type watcher struct {
	state string
	// process returns the number of the process that a run has now; 0 if none.
	process func(run string) int

	stop    chan struct{}
	stopped sync.WaitGroup

	looks, handovers, passed, most int
	left                           []left
	wrong                          []string

	mu   sync.Mutex
	last look
}

func watch(state string, process func(string) int) *watcher {
	w := &watcher{state: state, process: process, stop: make(chan struct{})}
	w.stopped.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.look()
			}
		}
	})
	return w
}

func (w *watcher) close() {
	close(w.stop)
	w.stopped.Wait()
}

// now returns the last look.
func (w *watcher) now() look {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *watcher) look() {
	l, ok, err := w.take()
	if err != nil {
		w.wrong = append(w.wrong, err.Error())
		return
	}
	if !ok {
		return // the lock is taken, or there is no group
	}
	w.looks++
	w.compare(w.last, l)
	w.mu.Lock()
	w.last = l
	w.mu.Unlock()
}

// compare judges what happened between two looks.
func (w *watcher) compare(was, is look) {
	w.most = max(w.most, len(is.holding))
	if len(is.holding) > limit {
		w.wrong = append(w.wrong, fmt.Sprintf("%d runs hold a place: %v", len(is.holding), is.holding))
	}
	for run := range was.holding {
		if !is.holding[run] {
			w.left = append(w.left, left{run, was.before, is.after})
		}
	}
	for run := range is.holding {
		if was.holding[run] {
			continue
		}
		w.handovers++
		for other, number := range is.owner {
			switch {
			case other >= run || !was.queued[other]:
			case number == 0 || was.owner[other] != number:
				w.passed++
			default: // one process had it all the time
				w.wrong = append(w.wrong, fmt.Sprintf("%s got a place while %s waited", run, other))
			}
		}
	}
}

// take looks at everything once; false if the group cannot be locked just now.
func (w *watcher) take() (l look, ok bool, err error) {
	dirs, err := filepath.Glob(filepath.Join(w.state, "groups", "*"))
	if err != nil || len(dirs) == 0 {
		return l, false, err
	}
	if len(dirs) > 1 {
		return l, false, fmt.Errorf("there are the groups %s", dirs)
	}
	lock, err := os.Open(filepath.Join(dirs[0], "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	if err != nil {
		return l, false, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return l, false, nil
	}
	l = look{before: time.Now(), holding: map[string]bool{}, queued: map[string]bool{}, owner: map[string]int{}}
	files, err := filepath.Glob(filepath.Join(dirs[0], "01*"))
	if err != nil {
		return l, false, err
	}
	for _, file := range files {
		var entry struct {
			State string `json:"state"`
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return l, false, nil // the lock was that of a group that is gone
		}
		if err == nil {
			err = json.Unmarshal(text, &entry)
		}
		if err != nil {
			return l, false, err
		}
		run := filepath.Base(file)
		switch entry.State {
		case "holding":
			l.holding[run] = true
		case "queued":
			l.queued[run] = true
			if l.owner[run] = w.process(run); !w.owned(run) {
				l.owner[run] = 0
			}
		default:
			return l, false, fmt.Errorf("%s is %q", run, entry.State)
		}
	}
	l.after = time.Now()
	return l, true, nil
}

// owned asks the lock of a run's history.
func (w *watcher) owned(run string) bool {
	f, err := os.Open(filepath.Join(w.state, "runs", run, "run.db"))
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}
