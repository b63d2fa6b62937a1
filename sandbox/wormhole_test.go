package sandbox

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNewWormholeCode(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		code := newWormholeCode()
		if !wormholes.MatchString(code) {
			t.Fatalf("code %q", code)
		}
		seen[code] = true
	}
	if len(seen) < 90 {
		t.Errorf("only %d codes of 100 differ", len(seen))
	}
	if len(wormholeWords) != 64 {
		t.Errorf("%d words", len(wormholeWords))
	}
}

// fakeWormhole puts a script of that name first in PATH.
func fakeWormhole(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	syscall.ForkLock.RLock() // a program that a child just being forked has open cannot run
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(filepath.Join(dir, "wormhole"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// demoSession is one of the user demo, in a root of its own.
func demoSession(t *testing.T) session {
	t.Helper()
	root, err := makeRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	vs, err := openVolumes(root, (&site{}).users())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vs.close(); err != nil {
			t.Error(err)
		}
	})
	return session{vs, vs.users.first(), t.Context()}
}

func sendWormhole(t *testing.T, x session, source string, out, problems io.Writer) (exitCode int) {
	job := transferJob{session: x, order: order{Code: "7-alpha-beta", Source: source}, dir: t.TempDir(), stdout: out, stderr: problems}
	return job.wormholeSend()
}

// receiveWormhole has the job find what a process that was killed left behind.
func receiveWormhole(t *testing.T, x session, target string, out, problems io.Writer) (exitCode int) {
	job := transferJob{session: x, order: order{Code: "7-alpha-beta", Target: target}, dir: t.TempDir(), stdout: out, stderr: problems}
	if err := os.MkdirAll(job.dir+"/wormhole/left", 0o700); err != nil {
		t.Fatal(err)
	}
	code := job.wormholeReceive()
	if left, err := os.ReadDir(job.dir); err != nil || len(left) > 0 {
		t.Errorf("the job leaves %v, %v", left, err)
	}
	return code
}

// pretend is a program that "sends" to, and "receives" from, $WORMHOLE_PEER.
const pretend = `
command=$1; shift
while [ $# -gt 1 ]; do
  case $1 in --output-file) out=$2; shift;; --code) code=$2; shift;; esac
  shift
done
case $command in
  send) test "$code" = 7-alpha-beta && echo sending >&2 && cp "$1" "$WORMHOLE_PEER/";;
  receive) out=${out:-$1}; read code && test "$code" = 7-alpha-beta && echo receiving && cp "$WORMHOLE_PEER"/* "$out";;
esac`

func TestWormholeJobs(t *testing.T) {
	peer := t.TempDir()
	t.Setenv("WORMHOLE_PEER", peer)
	fakeWormhole(t, pretend)
	x := demoSession(t)
	home := x.home("demo")
	if err := os.WriteFile(home+"/file", []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	if code := sendWormhole(t, x, home+"/file", &out, &problems); code != 0 || problems.String() != "sending\n" {
		t.Errorf("send: exit code %d, %s", code, &problems)
	}
	problems.Reset()
	if err := os.Mkdir(home+"/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{"/new": "/new", "/file": "/file", "/dir": "/dir/file"} {
		if err := os.WriteFile(peer+"/file", []byte("of "+target), 0o600); err != nil {
			t.Fatal(err)
		}
		code := receiveWormhole(t, x, home+target, &out, &problems)
		if b, err := os.ReadFile(home + want); code != 0 || err != nil || string(b) != "of "+target {
			t.Errorf("receive to %s: exit code %d, %q (%v), %s", target, code, b, err, &problems)
		}
	}
}

// The program runs with the rights of the sandbox, its job with those of the
// user.
func TestWormholeStaysInside(t *testing.T) {
	peer := t.TempDir()
	t.Setenv("WORMHOLE_PEER", peer)
	fakeWormhole(t, pretend)
	x := demoSession(t)
	home, secret := x.home("demo"), filepath.Join(t.TempDir(), "secret")
	for file, text := range map[string]string{secret: "TOP SECRET", peer + "/file": "content"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, home+"/out"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, path := range []string{secret, home + "/out", "/etc/passwd", home, home + "/missing"} {
		if code := sendWormhole(t, x, path, &out, &out); code == 0 {
			t.Errorf("%s was sent", path)
		}
	}
	for _, path := range []string{secret, home + "/out", "/tmp/x", home + "/no/dir"} {
		if code := receiveWormhole(t, x, path, &out, &out); code == 0 {
			t.Errorf("%s was written", path)
		}
	}
	if entries, err := os.ReadDir(peer); err != nil || len(entries) != 1 {
		t.Errorf("the peer has %v, %v", entries, err)
	}
	if b, err := os.ReadFile(secret); string(b) != "TOP SECRET" {
		t.Errorf("the secret is %q, %v", b, err)
	}
}

// Credentials of the process do not reach the program.
func TestWormholeEnvironment(t *testing.T) {
	for _, name := range []string{"FCFLOW_SECRET_TOKEN", "FIRECREST_CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "SOME_TOKEN"} {
		t.Setenv(name, "hush")
	}
	t.Setenv("WORMHOLE_RELAY_URL", "ws://127.0.0.1:1/v1")
	fakeWormhole(t, "env")
	x := demoSession(t)
	var out bytes.Buffer
	receiveWormhole(t, x, x.home("demo")+"/new", &out, &out)
	if env := out.String(); strings.Contains(env, "hush") || !strings.Contains(env, "WORMHOLE_RELAY_URL=ws://127.0.0.1:1/v1") {
		t.Errorf("environment %s", env)
	}
}

func TestWormholeFails(t *testing.T) {
	x := demoSession(t)
	home := x.home("demo")
	if err := os.WriteFile(home+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		script string
		code   int
		says   string
	}{
		"it fails":               {"echo wrong password >&2; exit 3", 3, "wrong password"},
		"it sends nothing":       {"exit 0", 1, "cannot write"},
		"it sends a directory":   {`for dir; do :; done; mkdir "$dir/sub"`, 1, "cannot write"},
		"it sends several files": {`for dir; do :; done; touch "$dir/a" "$dir/b"`, 1, "cannot write"},
		"it dies":                {"kill -KILL $$", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fakeWormhole(t, c.script)
			var problems bytes.Buffer
			if code := receiveWormhole(t, x, home+"/new", &problems, &problems); code != c.code || !strings.Contains(problems.String(), c.says) {
				t.Errorf("exit code %d, want %d; %s", code, c.code, &problems)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		up := filepath.Join(t.TempDir(), "up")
		t.Setenv("WORMHOLE_UP", up)
		fakeWormhole(t, `: >"$WORMHOLE_UP"; exec sleep 60`)
		var cancel context.CancelFunc
		x := x
		x.ctx, cancel = context.WithCancel(x.ctx)
		defer cancel()
		go func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for _, err := os.Stat(up); err != nil && x.ctx.Err() == nil; _, err = os.Stat(up) {
				<-tick.C
			}
			cancel()
		}()
		var problems bytes.Buffer
		if code := sendWormhole(t, x, home+"/file", &problems, &problems); code != 1 || problems.Len() > 0 {
			t.Errorf("exit code %d, %s", code, &problems)
		}
	})
	t.Run("missing", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		var problems bytes.Buffer
		for _, code := range []int{
			receiveWormhole(t, x, home+"/new", &problems, &problems),
			sendWormhole(t, x, home+"/file", &problems, &problems),
		} {
			if code != 127 || !strings.Contains(problems.String(), "pip install magic-wormhole") {
				t.Errorf("exit code %d, %s", code, &problems)
			}
		}
	})
}
