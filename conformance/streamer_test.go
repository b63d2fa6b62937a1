package conformance

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/sandbox"
)

// job starts the published streamer as a batch job would.
func job(t *testing.T, operation, path string) (*program, firecrest.Secret) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	const secret = "c2VjcmV0IG9mIHN0cmVhbQ"
	p := start(t, "streamer", "server", "--secret", secret, "--host", "127.0.0.1", "--wait-timeout", "60",
		"--port-range", strconv.Itoa(port), strconv.Itoa(port+3), operation, "--path", path)
	text := fmt.Sprintf(`{"ports":[%d,%d],"ips":["127.0.0.1"],"secret":"%s"}`, port, port+3, secret)
	return p, firecrest.Secret(base64.URLEncoding.EncodeToString([]byte(text)))
}

// bounded fails a test that holds a whole large file in memory.
func bounded(t *testing.T, do func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestSendToPublishedStreamer(t *testing.T) {
	each(t, func(t *testing.T, dir, file string) {
		target := filepath.Join(dir, "target")
		peer, coordinates := job(t, "receive", target)
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, func() {
			sum, err := datatransfer.SendStream(deadline(t), coordinates, f, info.Size(), func(int64) {})
			if err != nil || sum != sumOf(t, file) {
				t.Errorf("sum %s, error %v", sum, err)
			}
		})
		peer.wait(t)
		same(t, target, file)
	})
}

func TestReceiveFromPublishedStreamer(t *testing.T) {
	each(t, func(t *testing.T, dir, file string) {
		target := filepath.Join(dir, "target")
		peer, coordinates := job(t, "send", file)
		f, err := os.Create(target)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		bounded(t, func() {
			_, sum, err := datatransfer.ReceiveStream(deadline(t), coordinates, f, func(_, _ int64) {})
			if err != nil || sum != sumOf(t, file) {
				t.Errorf("sum %s, error %v", sum, err)
			}
		})
		peer.wait(t)
		same(t, target, file)
	})
}

// What the published streamer refuses has the same meaning here.
func TestPublishedStreamerRefuses(t *testing.T) {
	needPeers(t)
	dir := t.TempDir()
	file := content(t, filepath.Join(dir, "file"), 100)
	_, coordinates := job(t, "receive", file)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := datatransfer.SendStream(deadline(t), coordinates, f, 100, func(int64) {}); !isKind(err, firecrest.ErrExists) {
		t.Errorf("target exists: %v", err)
	}
	_, coordinates = job(t, "send", filepath.Join(dir, "missing"))
	if _, _, err := datatransfer.ReceiveStream(deadline(t), coordinates, f, func(_, _ int64) {}); !isKind(err, firecrest.ErrNotFound) {
		t.Errorf("source missing: %v", err)
	}
}

func TestPublishedStreamerSendsToSandbox(t *testing.T) {
	each(t, func(t *testing.T, _, file string) {
		s := newSite(t, sandbox.TransferConfig{Method: "streamer"})
		target := filepath.Join(s.home, "target")
		up, err := s.Transfer.Upload(t.Context(), system, target, firecrest.UploadRequest{Method: firecrest.MethodStreamer})
		if err != nil {
			t.Fatal(err)
		}
		s.until(t, up.Job.ID, firecrest.JobState.IsActive)
		start(t, "streamer", "send", "--coordinates", string(up.Coordinates), "--path", file).wait(t)
		s.until(t, up.Job.ID, firecrest.JobState.IsTerminal)
		same(t, target, file)
	})
}

// The published receiver takes the closing that the published sender sends for
// a part of the file: 98 bytes more, from the sandbox too.
func TestPublishedStreamerReceivesFromSandbox(t *testing.T) {
	each(t, func(t *testing.T, dir, file string) {
		s := newSite(t, sandbox.TransferConfig{Method: "streamer"})
		source, target := filepath.Join(s.home, "source"), filepath.Join(dir, "target")
		if err := os.Rename(file, source); err != nil {
			t.Fatal(err)
		}
		down, err := s.Transfer.Download(t.Context(), system, source, firecrest.DownloadRequest{Method: firecrest.MethodStreamer})
		if err != nil {
			t.Fatal(err)
		}
		s.until(t, down.Job.ID, firecrest.JobState.IsActive)
		start(t, "streamer", "receive", "--coordinates", string(down.Coordinates), "--path", target).wait(t)
		s.until(t, down.Job.ID, firecrest.JobState.IsTerminal)
		closing := fmt.Sprintf(`{"type": "eof", "sha256_hash": "%s"}`, sumOf(t, source))
		cutClosing(t, target, closing)
		same(t, target, source)
	})
}

// cutClosing takes a text off the end of a file.
func cutClosing(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	end := make([]byte, len(text))
	if _, err := f.ReadAt(end, max(0, info.Size()-int64(len(end)))); err != nil || string(end) != text {
		t.Fatalf("the file ends with %q (%v), not with %q", end, err, text)
	}
	if err := f.Truncate(info.Size() - int64(len(text))); err != nil {
		t.Fatal(err)
	}
}
