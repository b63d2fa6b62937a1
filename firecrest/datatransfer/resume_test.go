package datatransfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/sandbox"
)

// journal outlives the transfer that writes it.
type journal struct {
	mu     sync.Mutex
	values map[string][]byte
}

func newJournal() *journal { return &journal{values: map[string][]byte{}} }

func (j *journal) Put(key string, v any) error {
	text, err := json.Marshal(v)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.values[key] = text
	return err
}

func (j *journal) Load(key string, v any) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text, ok := j.values[key]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(text, v)
}

func (j *journal) Flush(context.Context) error     { return nil }
func (j *journal) KeepPrivate(v any) error         { return j.Put("private", v) }
func (j *journal) LoadPrivate(v any) (bool, error) { return j.Load("private", v) }

// over waits until the job of the transfer is.
func (j *journal) over(t *testing.T, c *firecrest.Client, key string) {
	t.Helper()
	var state struct{ Job firecrest.TransferJob }
	if found, err := j.Load(key, &state); !found || err != nil {
		t.Fatalf("%t, %v", found, err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(10 * time.Millisecond) {
		jobs, err := c.Compute.Get(t.Context(), system, state.Job.ID)
		if err != nil {
			t.Fatal(err)
		}
		if jobs[0].Status.State.IsTerminal() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the job of a stream that was cut goes on")
		}
	}
}

// TestStreamResumed: a stream that was interrupted here, and whose job is over by
// the time somebody goes on, begins again.
func TestStreamResumed(t *testing.T) {
	t.Parallel()
	client, home := service(t, sandbox.TransferConfig{Method: "streamer", PortRange: [2]int{25665, 25675}})
	mover := datatransfer.New(client, datatransfer.Settings{})
	defer mover.Close()
	dir := t.TempDir()
	content := bytes.Repeat([]byte("twelve bytes"), 1<<20)
	if err := os.WriteFile(filepath.Join(dir, "a"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	interrupted := func() (context.Context, func(done, total int64)) {
		ctx, cancel := context.WithCancelCause(t.Context())
		return ctx, func(done, _ int64) {
			if done > 0 {
				cancel(enough)
			}
		}
	}

	j := newJournal()
	ctx, progress := interrupted()
	_, err := mover.Upload(ctx, &datatransfer.Upload{System: system, From: filepath.Join(dir, "a"), To: home + "/a", Journal: j, Progress: progress})
	if !errors.Is(err, enough) {
		t.Fatalf("upload: %v", err)
	}
	j.over(t, client, "upload")
	up, err := mover.Upload(t.Context(), &datatransfer.Upload{System: system, From: filepath.Join(dir, "a"), To: home + "/a", Journal: j})
	if err != nil || up.Verified != datatransfer.VerifiedDigest {
		t.Fatalf("upload, resumed: %+v, %v", up, err)
	}

	j = newJournal()
	ctx, progress = interrupted()
	_, err = mover.Download(ctx, &datatransfer.Download{System: system, From: home + "/a", To: filepath.Join(dir, "b"), Journal: j, Progress: progress})
	if !errors.Is(err, enough) {
		t.Fatalf("download: %v", err)
	}
	j.over(t, client, "download")
	down, err := mover.Download(t.Context(), &datatransfer.Download{System: system, From: home + "/a", To: filepath.Join(dir, "b"), Journal: j})
	if err != nil || down.SHA256 != up.SHA256 {
		t.Fatalf("download, resumed: %+v, %v", down, err)
	}
}

// TestCancelledDownload: when the job was cancelled before it could say anything,
// the error is not only that its object is missing.
func TestCancelledDownload(t *testing.T) {
	t.Parallel()
	client, home := service(t, sandbox.TransferConfig{})
	empty := roundTrip(func(*http.Request) (*http.Response, error) {
		answer := httptest.NewRecorder()
		answer.WriteHeader(http.StatusNotFound)
		return answer.Result(), nil
	})
	mover := datatransfer.New(client, datatransfer.Settings{Transport: empty})
	defer mover.Close()
	if err := os.WriteFile(filepath.Join(home, "a"), make([]byte, 200_000), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &datatransfer.Download{Mover: mover, System: system, From: home + "/a", To: filepath.Join(t.TempDir(), "b")}
	defer d.Close()
	_, pending, err := d.Continue(t.Context(), nil)
	if err != nil || pending == nil {
		t.Fatalf("%v, %v", pending, err)
	}
	for ended := false; !ended; <-time.After(10 * time.Millisecond) {
		jobs, err := client.Compute.Get(t.Context(), system, pending.Job.ID)
		if err != nil {
			t.Fatal(err)
		}
		ended = jobs[0].Status.State.IsTerminal()
	}
	logs, err := filepath.Glob(filepath.Join(home, ".f7t_file_handling_job_*")) // as if it had not begun
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %v", logs, err)
	}
	for _, log := range logs {
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = d.Continue(t.Context(), &datatransfer.Seen{ID: pending.Job.ID, State: "CANCELLED"})
	var job *datatransfer.JobError
	if !errors.As(err, &job) || !strings.Contains(err.Error(), "CANCELLED") {
		t.Errorf("%v", err)
	}
}
