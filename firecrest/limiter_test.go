package firecrest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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

// TestRateIsKeptAfterAStall: requests that could not be sent for a while do not
// come all at once thereafter.
func TestRateIsKeptAfterAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Time
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			mu.Lock()
			at = append(at, time.Now())
			mu.Unlock()
			if time.Since(epoch) < time.Minute { // the site is slow at first
				time.Sleep(30 * time.Second)
			}
			return answer(200, `{"systems":[]}`), nil
		}, WithRequestsPerMinute(60))
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { client.Status.Systems(t.Context()) })
		}
		callers.Wait()
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < time.Second {
				t.Fatalf("request %d came %s after the one before it", i, gap)
			}
		}
	})
}

// TestRateCountsWhatIsSentWithAnotherToken.
func TestRateCountsWhatIsSentWithAnotherToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			if at = append(at, time.Now()); len(at) == 1 {
				return answer(401, errorBody("expired")), nil
			}
			return answer(200, `{"systems":[]}`), nil
		}, WithRequestsPerMinute(60), WithTokenSource(&numbered{}))
		if _, err := client.Status.Systems(t.Context()); err != nil {
			t.Fatal(err)
		}
		if gap := at[1].Sub(at[0]); gap < time.Second {
			t.Errorf("sent again after %s", gap)
		}
	})
}

// numbered is a source of tokens that are all different.
type numbered struct{ n int }

func (s *numbered) Token(context.Context) (Token, error) {
	s.n++
	return Token{Value: Secret(fmt.Sprint("token", s.n))}, nil
}

// TestGateStaysShutLonger: if the time that the server asked for was not enough.
func TestGateStaysShutLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		refuse := true
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			at = append(at, time.Since(epoch))
			if refuse {
				return withHeader(answer(429, errorBody("slow down")), "Retry-After", "3"), nil
			}
			return answer(200, `{"systems":[]}`), nil
		}, WithRetry(RetryPolicy{MaxAttempts: 1}))
		ask := func() { client.Status.Systems(t.Context()) }
		for range 9 {
			ask()
		}
		refuse = false
		ask()
		refuse = true
		ask()
		ask()
		var pauses []int
		for i := range len(at) - 1 {
			pauses = append(pauses, int((at[i+1] - at[i]).Seconds()))
		}
		if want := []int{3, 3, 4, 8, 16, 32, 60, 60, 60, 0, 3}; !slices.Equal(pauses, want) {
			t.Errorf("seconds between requests %v, want %v", pauses, want)
		}
	})
}
