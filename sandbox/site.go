package sandbox

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// site is what the root remembers about the imitated site. Without a
// description it is open: every system that was asked for exists, with the same
// scheduler, and takes whatever partition or account a job names.
type site struct {
	ClientID     string      `json:"clientId"` // of the user demo
	ClientSecret string      `json:"clientSecret"`
	AdminSecret  string      `json:"adminSecret"`
	Scheduler    string      `json:"scheduler,omitempty"` // of an open site; "" is slurm
	Systems      []string    `json:"systems"`             // of an open site
	Description  *SiteConfig `json:"site,omitempty"`

	mu      sync.RWMutex
	file    string
	release release
}

func openSite(root string, cfg Config) (*site, error) {
	st := &site{file: filepath.Join(root, "site.json")}
	systems := cfg.Systems
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
	if err := st.describe(cfg); err != nil {
		return nil, err
	}
	return st, st.addSystems(systems)
}

// describe takes up the description and the scheduler of cfg, if it has any.
func (st *site) describe(cfg Config) error {
	if err := oneOf("scheduler", cfg.Scheduler, "slurm", "pbs"); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if cfg.Scheduler != "" {
		st.Scheduler = cfg.Scheduler
	}
	if cfg.Site != nil {
		if err := cfg.Site.check(); err != nil {
			return fmt.Errorf("sandbox: site description: %w", err)
		}
		described := *cfg.Site
		described.Users = st.withSecrets(described.Users)
		st.Description = &described
	}
	if cfg.Site == nil && cfg.Scheduler == "" {
		return nil
	}
	return writeJSON(st.file, st)
}

// withSecrets gives every user a number and a secret. Who was made up one
// before keeps it.
func (st *site) withSecrets(users []UserConfig) []UserConfig {
	users = slices.Clone(users)
	for i := range users {
		u := &users[i]
		u.ClientID = u.client()
		u.UID = u.number(i)
		if len(u.Groups) == 0 {
			u.Groups = []GroupConfig{{"users", 100}}
		}
		if u.ClientSecret != "" {
			continue
		}
		u.ClientSecret = rand.Text()
		if before, known := st.client(u.ClientID); known {
			u.ClientSecret = before.ClientSecret
		}
	}
	return users
}

// people are the users of the site, the default one first.
func (st *site) people() []UserConfig {
	if st.Description != nil && len(st.Description.Users) > 0 {
		return st.Description.Users
	}
	return []UserConfig{{
		Name: "demo", UID: 1000, ClientID: st.ClientID, ClientSecret: st.ClientSecret,
		Groups:   []GroupConfig{{"users", 100}, {"proj", 200}},
		Accounts: []string{"proj"},
	}}
}

// client is the user a client gets tokens for.
func (st *site) client(id string) (UserConfig, bool) {
	for _, u := range st.people() {
		if sameText(id, u.ClientID) {
			return u, true
		}
	}
	return UserConfig{}, false
}

// open says whether the site takes every name.
func (st *site) open() bool { return st.Description == nil }

// addSystems stores names in lower case, as the API returns them. A site with a
// description has the systems in it and no others: what it lacks is not there
// for clients either.
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
	if !st.open() || len(all) == len(st.Systems) {
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

// all systems, in the order of GET /status/systems.
func (st *site) all() []*SystemConfig {
	st.mu.RLock()
	defer st.mu.RUnlock()
	var systems []*SystemConfig
	if st.Description != nil {
		for i := range st.Description.Systems {
			systems = append(systems, st.release.system(&st.Description.Systems[i]))
		}
		return systems
	}
	for _, name := range st.Systems {
		systems = append(systems, st.release.system(&SystemConfig{Name: name, Scheduler: st.Scheduler}))
	}
	return systems
}

// systems are their names.
func (st *site) systems() []string {
	var names []string
	for _, sys := range st.all() {
		names = append(names, sys.Name)
	}
	return names
}

// system is what is known about one system, nil if there is none of that name.
// It must not be changed.
func (st *site) system(name string) *SystemConfig {
	for _, sys := range st.all() {
		if sys.Name == name {
			return sys
		}
	}
	return nil
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
