package steps

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// whenWaiting calls f once, when the first step waits.
func (s *site) whenWaiting(f func(*workflow.Run)) {
	var once sync.Once
	s.observe(func(r *workflow.Run) {
		if waiting(workflow.WaitTimer)(r) {
			once.Do(func() { f(r) })
		}
	})
}

// TestWaitForLocalFile: without a system, a file that comes while it is waited for.
func TestWaitForLocalFile(t *testing.T) {
	t.Parallel()
	s := local(t)
	s.library.files.nearby = pauses{10 * time.Millisecond, 10 * time.Millisecond}
	path := filepath.Join(s.dir, "in", "mesh.nc")
	s.whenWaiting(func(r *workflow.Run) {
		if u := r.Steps[0].Units[0]; u.Wait.Message != "in/mesh.nc is not there yet" {
			t.Errorf("%q", u.Wait.Message)
		}
		s.file("in/mesh.nc", "part")
		go func() {
			if err := os.WriteFile(path, []byte("whole mesh"), 0o644); err != nil {
				t.Error(err)
			}
		}()
	})
	x := s.create(s.load("- { id: x, uses: wait_for_file, with: { local: in/mesh.nc, min_size: 10B, stable_for: 30ms } }"))
	r := s.drive(x)
	out := s.outputs(r, "x")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if out["path"] != path || out["size_bytes"] != 10.0 || out["modified_at"] != info.ModTime().UTC().Format(time.RFC3339) {
		t.Errorf("%v", out)
	}
	if n := len(s.library.files.waits); n != 0 {
		t.Errorf("%d waits are left", n)
	}
}

// TestWaitEnds: what is no file, what may not be looked at, a deadline.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes", "x")
	s.faults("/ops/stat", func(int) *sandbox.Fault {
		return &sandbox.Fault{Status: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"errorType":"error","message":"Permission denied","data":null,"user":"x"}`}
	})
	r := s.run(`
		- { id: dir, uses: wait_for_file, with: { local: . } }
		- { id: below, uses: wait_for_file, with: { local: notes/x } }
		- { id: never, uses: wait_for_file, timeout: 100ms, with: { local: never } }
		- { id: here, uses: wait_for_file, with: { local: notes } }
		- { id: denied, uses: wait_for_file, with: { remote: x } }
		- { id: keys, uses: wait_for_file, with: { object: "s3://demo/x", access_key: a, secret_key: b } }
		- { id: bucket, uses: wait_for_file, with: { object: "s3://demo/" } }
	`)
	for step, want := range map[string]workflow.Cause{
		"dir": workflow.CauseRejected, "below": workflow.CauseRejected, "never": workflow.CauseTimedOut, "here": "",
		"denied": workflow.CauseRejected, "keys": workflow.CauseRejected, "bucket": workflow.CauseRejected,
	} {
		if u := unit(t, r, step); u.Cause != want {
			t.Errorf("%s: %s %s", step, u.Cause, u.Message)
		}
	}
}

// TestWaitForRemoteFile: in trouble, interrupted, and then the file comes.
func TestWaitForRemoteFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	enough := make(chan struct{})
	s.faults("/ops/stat", func(n int) *sandbox.Fault {
		if n == 8 {
			close(enough)
		}
		if n == 3 || n == 4 {
			return &sandbox.Fault{Status: http.StatusBadGateway}
		}
		return nil
	})
	x := s.create(s.load("- { id: x, uses: wait_for_file, with: { remote: in/mesh.nc, stable_for: 20ms } }"))
	s.interrupt(x, enough)
	x = s.reopen(x)
	s.whenWaiting(func(r *workflow.Run) {
		dir := filepath.Join(r.Sites[system].RemoteDir, "in")
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "mesh.nc"), []byte("mesh"), 0o644)); err != nil {
			t.Error(err)
		}
	})
	r := s.drive(x)
	out := s.outputs(r, "x")
	if out["path"] != r.Sites[system].RemoteDir+"/in/mesh.nc" || out["size_bytes"] != 4.0 {
		t.Errorf("%v", out)
	}
	h, err := s.store.Open(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var said []string
	err = h.Read(t.Context(), 0, func(e workflow.Event) error {
		if w, ok := e.Data.(*workflow.AttemptWaiting); ok {
			said = append(said, string(w.Reason)+" "+w.Message)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Eight looks in vain, and more: what is recorded are trouble and the next process.
	if len(said) < 3 || len(said) > 6 || !strings.HasPrefix(strings.Join(said, "\n"), "timer in/mesh.nc is not there yet\noutage ") {
		t.Errorf("recorded: %q", said)
	}
}

// TestOnlyRemoteNeedsASystem: a step that waits on this machine or at a store runs
// where no system is named.
func TestOnlyRemoteNeedsASystem(t *testing.T) {
	t.Parallel()
	for with, remote := range map[string]bool{
		"local: x": false, `object: "s3://bucket/key"`: false, "remote: x": true, `remote: "${{ run.id }}"`: true,
	} {
		text := "version: 1\nname: test\nsteps:\n  - { id: x, uses: wait_for_file, with: { " + with + " } }\n"
		w, problems := workflow.Load("test.yaml", []byte(text), Catalogue(), workflow.CheckOptions{})
		if remote != (len(problems) == 1 && problems[0].Code == workflow.CodeMissingSystem) || w.Steps[0].Remote() != remote {
			t.Errorf("%s: %v, %v", with, problems, w.Steps[0].Remote())
		}
	}
}

// TestWaitForObject: an object that another program puts.
func TestWaitForObject(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	store, err := datatransfer.NewObjectStore(s.objects)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	file := s.file("notes.txt", "notes\n")
	s.whenWaiting(func(*workflow.Run) {
		s.run(`- { id: put, uses: s3_put, with: { from: notes.txt, to: "s3://demo/in/" } }`)
	})
	r := s.run(`- { id: x, uses: wait_for_file, with: { object: "s3://demo/in/notes.txt", min_size: 6B } }`)
	if out := s.outputs(r, "x"); out["path"] != "s3://demo/in/notes.txt" || out["size_bytes"] != 6.0 {
		t.Errorf("%v of %s", out, file)
	}
}

// TestLooks: how often a real site is asked, in virtual time.
func TestLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFileWatcher(firecrest.PollSettings{})
		began := time.Now()
		var mu sync.Mutex
		var looks []time.Duration
		var there *foundFile
		seen := func() string {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(looks)
		}
		wait := w.begin("file:one", &fileWait{
			pauses: w.pause, turn: func() time.Time { return w.turn("one") }, stableFor: time.Minute,
			look: func(context.Context) (*foundFile, error) {
				mu.Lock()
				defer mu.Unlock()
				looks = append(looks, time.Since(began).Round(time.Second))
				return there, nil
			},
		})
		if found, err := wait.ready(t.Context()); found != nil || err != nil {
			t.Fatal(found, err)
		}
		fired := make(chan struct{})
		stop := w.watch("file:one", func() { close(fired) })
		time.Sleep(24 * time.Minute)
		synctest.Wait()
		const before = "[0s 20s 50s 1m35s 2m43s 4m24s 6m56s 10m43s 15m43s 20m43s"
		if got := seen(); got != before+"]" {
			t.Errorf("looked at %s", got)
		}
		mu.Lock()
		there = &foundFile{size: 1}
		mu.Unlock()
		<-fired
		if got := seen(); got != before+" 25m43s 26m43s]" {
			t.Errorf("looked at %s once it was there", got)
		}
		stop()
		if len(w.waits) != 1 {
			t.Error("what was told is forgotten before anybody came for it")
		}
		w.close()
	})
}

// TestLooksOfMany: a thousand attempts together ask a system once a second; those
// that nobody waits for any more do not ask.
func TestLooksOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFileWatcher(firecrest.PollSettings{})
		var looks atomic.Int64
		var stops []func()
		for i := range 1000 {
			topic := fmt.Sprintf("file:%d", i)
			w.begin(topic, &fileWait{pauses: w.pause, turn: func() time.Time { return w.turn("one") }, look: func(context.Context) (*foundFile, error) {
				looks.Add(1)
				return nil, nil
			}})
			stops = append(stops, w.watch(topic, func() { t.Error("fired") }))
		}
		time.Sleep(time.Hour)
		if n := looks.Load(); n < 3000 || n > 3600 {
			t.Errorf("%d looks in an hour", n)
		}
		for _, stop := range stops {
			stop()
		}
		synctest.Wait()
		before := looks.Load()
		time.Sleep(time.Hour)
		if looks.Load() != before || len(w.waits) != 0 {
			t.Errorf("%d looks for nobody, %d waits", looks.Load()-before, len(w.waits))
		}
		w.close()
	})
}
