package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// reopened is the same root in a new server; the old one was not closed in any
// special way, but its lock is gone as after a kill.
func (r *rig) reopened(change ...func(*Config)) *rig {
	r.t.Helper()
	root := r.srv.Root()
	if err := r.srv.Close(); err != nil {
		r.t.Fatal(err)
	}
	return newRig(r.t, append([]func(*Config){func(c *Config) { c.Root, c.Systems = root, nil }}, change...)...)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.srv.AddSystems("daint"); err != nil {
		t.Fatal(err)
	}
	want(t, r.upload(r.home, "kept", "content"), 204)
	id := strings.TrimPrefix(r.finished("#!/bin/sh\nexit 5\n", "name", "old"), jobs+"/")
	creds, token := r.srv.Credentials(), r.token

	again := r.reopened()
	if again.srv.Credentials() != creds {
		t.Errorf("credentials changed")
	}
	again.token = token // the key is the same
	if got := again.view(again.home + "/kept"); got != "content" {
		t.Errorf("file %q", got)
	}
	job := again.jobs(jobs)[0]
	if job.JobID != id || job.Name != "old" || job.Status.State != "FAILED" || *job.Status.ExitCode != 5 {
		t.Errorf("job %+v", job)
	}
	want(t, again.do("GET", "/status/daint/userinfo", nil), 200)
	if newer := again.finished("#!/bin/sh\n"); newer <= jobs+"/"+id {
		t.Errorf("job %s after %s: ids go up", newer, id)
	}
}

// TestJobsOutliveTheSandbox: a job that runs across a restart is picked up.
func TestJobsOutliveTheSandbox(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := r.running("#!/bin/sh\nuntil test -e go; do sleep 0.05; done\necho done >result\nexit 7\n")
	id := filepath.Base(path)
	r.write("go", "")
	again := r.reopened()
	if job := again.wait(id); job.State != batch.Failed || job.ExitCode != 7 {
		t.Errorf("job %+v", job)
	}
	if got := again.view(again.home + "/result"); got != "done\n" {
		t.Errorf("result %q", got)
	}
}

// TestRootIsPrivate: nothing but the files of users is open to others, and the
// documentation of the package lists all there is.
func TestRootIsPrivate(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	r := newRig(t, func(c *Config) { c.Root = root })
	r.finished("#!/bin/sh\n")
	up := r.transfer("upload", s3Upload(r.home+"/f", 3))
	up.send(t, []byte("abc"))
	r.wait(up.Job.ID)
	want(t, r.do("PUT", "/filesystem/alps/ops/chown", members{"path": r.home + "/f", "group": "proj"}), 200)
	if err := writeJSON(addressFile(root), r.srv.address("127.0.0.1:1")); err != nil {
		t.Fatal(err)
	}
	modes := map[string]os.FileMode{}
	entries, err := os.ReadDir(root)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			modes[e.Name()] = info.Mode()
		}
	}
	private, dir := os.FileMode(0o600), fs.ModeDir|0o700
	if diff := cmp.Diff(map[string]os.FileMode{
		"lock": private, "address": private, "site.json": private, "groups.json": private, "key.json": private,
		"batch": dir, "objects": dir, "bin": dir, "home": fs.ModeDir | 0o755, "scratch": fs.ModeDir | 0o755,
	}, modes); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if info, err := os.Stat(root); err != nil || info.Mode() != dir {
		t.Errorf("the root has mode %v, %v", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no root":       func(c *Config) { c.Root = "" },
		"a quote":       func(c *Config) { c.Root += "/it's" },
		"system name":   func(c *Config) { c.Systems = []string{"a/b"} },
		"algorithm":     func(c *Config) { c.TokenAlgorithm = "none" },
		"damaged site":  func(c *Config) { damage(t, c.Root, "site.json") },
		"damaged key":   func(c *Config) { damage(t, c.Root, "key.json") },
		"a file as dir": func(c *Config) { damage(t, c.Root, "home") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Root: t.TempDir()}
			change(&cfg)
			srv, err := Open(cfg)
			if err == nil {
				t.Error("opened", srv.Close())
			}
			if cfg.Root == "" || strings.Contains(cfg.Root, "'") {
				return
			}
			if lock, err := lockRoot(cfg.Root, 0); err != nil || lock.release() != nil {
				t.Errorf("the lock was kept: %v", err)
			}
		})
	}
}

// TestOpenWaitsForTheDying: the lock of a killed process is held a moment
// longer by a child it was just starting.
func TestOpenWaitsForTheDying(t *testing.T) {
	t.Parallel()
	cfg := Config{Root: t.TempDir()}
	dying, err := lockRoot(cfg.Root, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(lockPatience/10, func() { _ = dying.release() })
	srv, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

func damage(t *testing.T, root, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, name), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
}
