package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// errHeld: the lock stayed with somebody else.
var errHeld = errors.New("locked")

// lockFile opens a file and locks it, shared or exclusively, until it is closed.
// It waits up to patience: [errHeld] after that or when ctx ends. The file is
// the one that has the name once the lock is taken.
func lockFile(ctx context.Context, name string, flag, how int, patience time.Duration) (*os.File, error) {
	const pause = 10 * time.Millisecond
	for deadline := time.Now().Add(patience); ; {
		f, err := os.OpenFile(name, flag, fileMode)
		if err != nil {
			return nil, err
		}
		if err = tryLock(f, how); err == nil {
			if sameName(f, name) {
				return f, nil
			}
			err = errHeld // replaced or removed while we waited
		}
		_ = f.Close()
		if !errors.Is(err, errHeld) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if time.Now().Add(pause).After(deadline) {
			return nil, errHeld
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errHeld, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

func tryLock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errHeld
		default:
			return err
		}
	}
}

func sameName(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(name)
	return err == nil && os.SameFile(mine, named)
}

// testLocks finds out whether a lock keeps a second descriptor out, which some
// network file systems only pretend.
func testLocks(dir string) error {
	first, err := os.CreateTemp(dir, "lock-")
	if err != nil {
		return err
	}
	defer os.Remove(first.Name())
	defer first.Close()
	second, err := os.OpenFile(first.Name(), os.O_RDWR, fileMode)
	if err != nil {
		return err
	}
	defer second.Close()
	if err := tryLock(first, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("file locks do not work: %w", err)
	}
	switch err := tryLock(second, syscall.LOCK_EX); {
	case err == nil:
		return errors.New("file locks do not work: two holders at once")
	case !errors.Is(err, errHeld):
		return fmt.Errorf("file locks do not work: %w", err)
	}
	return nil
}

// ownDirectory makes a directory that only we can enter. One that exists must
// be ours, and not writable by others.
func ownDirectory(dir string) error {
	if _, err := os.Lstat(dir); os.IsNotExist(err) {
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return err
		}
		return os.Chmod(dir, dirMode) // whatever the umask
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if p := info.Mode().Perm(); p&0o022 != 0 {
		return fmt.Errorf("%s can be written by others (mode %04o): chmod go-w it, or choose another directory", dir, p)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to user id %d: choose a directory of your own", dir, st.Uid)
	}
	return nil
}

const temporaryPrefix = ".new-"

// writeFile replaces a file as a whole: readers see the old text or the new
// one. It does not sync; what must survive a power failure is in the history.
func writeFile(dir, name string, text []byte) (err error) {
	f, err := os.CreateTemp(dir, temporaryPrefix+name+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(fileMode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

func writeJSON(dir, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return writeFile(dir, name, append(text, '\n'))
}

// errDamaged: a file is there and cannot be understood.
var errDamaged = errors.New("damaged file")

func readJSON(name string, v any) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w: %w", name, errDamaged, err)
	}
	return nil
}

// removeTemporary removes files that a crash left half written. Only an owner
// calls it, and a summary that somebody else is writing just now is lost.
func removeTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporaryPrefix) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
	}
	return nil
}

// SyncDir has the names in a directory survive a crash of the machine.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// ignore is err unless it is one of those that do not matter.
func ignore(err error, harmless ...error) error {
	for _, h := range harmless {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}
