package sandbox

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// makeRoot creates the root and returns its canonical path: paths below it are
// compared as text with what requests and job scripts say.
func makeRoot(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("sandbox: no root directory given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	if strings.ContainsAny(root, "'\n") {
		return "", fmt.Errorf("sandbox: root %q contains a quote or a line break, which no FirecREST path may; choose another", root)
	}
	return root, nil
}

// rootLock is the advisory lock of a root. The kernel drops it when the holder
// dies, however it dies; jobs do not inherit it.
type rootLock struct{ f *os.File }

// lockPatience is how long Open waits for the lock. A child that a killed
// process was just forking holds a copy until it has become another program.
const lockPatience = time.Second / 2

func lockRoot(root string, patience time.Duration) (*rootLock, error) {
	f, err := os.OpenFile(filepath.Join(root, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &rootLock{f}, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("sandbox: lock %s: %w", root, err), f.Close())
		case !time.Now().Before(deadline):
			f.Close()
			return nil, fmt.Errorf("%w: %s", ErrLocked, root)
		}
	}
}

// release lets go at once, also if a child that is being forked just now holds
// a copy of the descriptor.
func (l *rootLock) release() error {
	return errors.Join(syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN), l.f.Close())
}

// site is what the root remembers about the imitated site.
type site struct {
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"clientSecret"`
	AdminSecret  string   `json:"adminSecret"`
	Systems      []string `json:"systems"`

	mu   sync.RWMutex
	file string
}

func openSite(root string, systems []string) (*site, error) {
	st := &site{file: filepath.Join(root, "site.json")}
	data, err := os.ReadFile(st.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		st.ClientID, st.ClientSecret, st.AdminSecret = "fcflow-sandbox", rand.Text(), rand.Text()
		if len(systems) == 0 {
			systems = []string{"sandbox"}
		}
	case err != nil:
		return nil, fmt.Errorf("sandbox: %w", err)
	default:
		if err := json.Unmarshal(data, st); err != nil {
			return nil, fmt.Errorf("sandbox: read %s: %w", st.file, err)
		}
	}
	return st, st.addSystems(systems)
}

var systemName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// addSystems stores names in lower case, as the API returns them.
func (st *site) addSystems(names []string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := slices.Clone(st.Systems)
	for _, name := range names {
		name = strings.ToLower(name)
		if !systemName.MatchString(name) {
			return fmt.Errorf("sandbox: system name %q: want letters, digits, %q", name, "._-")
		}
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if len(all) == len(st.Systems) {
		return nil
	}
	old := st.Systems
	st.Systems = all
	if err := writeJSON(st.file, st); err != nil {
		st.Systems = old
		return err
	}
	return nil
}

func (st *site) systems() []string {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return slices.Clone(st.Systems)
}

func (st *site) hasSystem(name string) bool {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return slices.Contains(st.Systems, name)
}

// writeJSON replaces file in one step; readers see the old text or the new.
func writeJSON(file string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("sandbox: encode %s: %w", file, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	_, werr := tmp.Write(append(data, '\n'))
	err = errors.Join(werr, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sandbox: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}
