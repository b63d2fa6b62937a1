package firecrest

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestFilesLeaveASlot: however many files are under way, something else can be
// asked.
func TestFilesLeaveASlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		uploading := make(chan struct{})
		var files atomic.Int64
		client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet {
				return answer(200, `{"systems":[]}`), nil
			}
			files.Add(1)
			<-uploading
			return answer(204, ""), nil
		}, WithMaxInFlight(3))
		for range 5 {
			go func() {
				if err := client.Filesystem.Upload(t.Context(), "alps", "/d", "f", bytes.NewReader([]byte("x")), 1); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if n := files.Load(); n != 2 {
			t.Errorf("%d files under way, want 2 of 3 slots", n)
		}
		if _, err := client.Status.Systems(t.Context()); err != nil {
			t.Error(err)
		}
		close(uploading)
		synctest.Wait()
		if n := files.Load(); n != 5 {
			t.Errorf("%d files sent, want 5", n)
		}
	})
}

// TestClientsOfOneHostShareALimiter: with each other, and the pause that one of
// them is asked for.
func TestClientsOfOneHostShareALimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter := NewLimiter(1, 0)
		release := make(chan struct{})
		var inFlight atomic.Int64
		serve := func(*http.Request) (*http.Response, error) {
			inFlight.Add(1)
			defer inFlight.Add(-1)
			<-release
			return answer(200, `{"systems":[]}`), nil
		}
		for range 2 {
			client := memoryClient(t, serve, WithLimiter(limiter), WithMaxInFlight(4))
			go client.Status.Systems(t.Context())
		}
		synctest.Wait()
		if n := inFlight.Load(); n != 1 {
			t.Errorf("%d requests in flight, want 1", n)
		}
		close(release)
		synctest.Wait()
	})
}
