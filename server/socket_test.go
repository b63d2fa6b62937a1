package server

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func getenv(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func listen(t *testing.T, env func(string) string) net.Listener {
	t.Helper()
	l, err := Listen(env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestSocketIsPrivate(t *testing.T) {
	t.Parallel()
	runtime := t.TempDir()
	l := listen(t, getenv("XDG_RUNTIME_DIR", runtime))
	path := l.Addr().String()
	if dir := filepath.Dir(path); dir != filepath.Join(runtime, "fcflow") {
		t.Errorf("socket in %s", dir)
	}
	for name, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", name, info.Mode().Perm(), want, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestSocketDirectoryOfOthersIsNotUsed(t *testing.T) {
	t.Parallel()
	tests := map[string]func(dir string) error{
		"open to others": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)) },
		"link": func(dir string) error {
			mine := t.TempDir()
			return errors.Join(os.Chmod(mine, 0o700), os.Symlink(mine, dir))
		},
		"file":      func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"long path": nil,
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runtime, temporary := t.TempDir(), t.TempDir()
			if prepare == nil {
				runtime = filepath.Join(runtime, strings.Repeat("x", 120))
			} else if err := prepare(filepath.Join(runtime, "fcflow")); err != nil {
				t.Fatal(err)
			}
			l := listen(t, getenv("XDG_RUNTIME_DIR", runtime, "TMPDIR", temporary))
			if path := l.Addr().String(); !strings.HasPrefix(path, temporary) {
				t.Errorf("socket at %s, want it below %s", path, temporary)
			}
		})
	}
}

// TestOthersAreTurnedAway: a directory and a process of another user, which here is
// a matter of who we say that we are.
func TestOthersAreTurnedAway(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mine")
	for me, good := range map[int]bool{os.Geteuid(): true, os.Geteuid() + 1: false} {
		if err := privateDir(dir, me); (err == nil) != good {
			t.Errorf("a directory of user %d, for user %d: %v", os.Geteuid(), me, err)
		}
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		s := New(histories{newHistory("A")})
		served := make(chan error, 1)
		go func() { served <- s.Serve(&ownListener{l, me}) }()
		c, err := Dial(t.Context(), l.Addr().String())
		if err == nil {
			_, err = c.List(t.Context())
			c.Close()
		}
		if (err == nil) != good {
			t.Errorf("a process of user %d, for user %d: %v", os.Geteuid(), me, err)
		}
		other := listen(t, getenv("XDG_RUNTIME_DIR", t.TempDir()))
		c, err = dialAs(t.Context(), other.Addr().String(), me)
		if err == nil {
			c.Close()
		}
		if (err == nil) != good || err != nil && errors.Is(err, ErrGone) {
			t.Errorf("an owner of user %d, for user %d: %v", os.Geteuid(), me, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}
}

func TestStaleSocketsAreRemoved(t *testing.T) {
	t.Parallel()
	runtime := t.TempDir()
	env := getenv("XDG_RUNTIME_DIR", runtime)
	alive := listen(t, env).Addr().String()
	dead := filepath.Join(filepath.Dir(alive), "dead.sock")
	young := filepath.Join(filepath.Dir(alive), "young.sock")
	for _, path := range []string{dead, young} {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // as after SIGKILL
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	for _, path := range []string{alive, dead} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	listen(t, env)
	for path, want := range map[string]bool{alive: true, young: true, dead: false} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(path), err == nil, want)
		}
	}
}

func TestDialNobody(t *testing.T) {
	t.Parallel()
	if _, err := Dial(t.Context(), filepath.Join(t.TempDir(), "none.sock")); !errors.Is(err, ErrGone) {
		t.Errorf("error = %v, want ErrGone", err)
	}
}
