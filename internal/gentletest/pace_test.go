package gentletest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// crowd asks for something all the time, from 120 callers at once.
func crowd(ctx context.Context, clients ...*firecrest.Client) {
	var callers sync.WaitGroup
	for i := range 120 {
		callers.Go(func() {
			client := clients[i%len(clients)]
			for ctx.Err() == nil {
				switch i % 3 { // whatever comes of it
				case 0:
					_, _ = client.Status.Systems(ctx)
				case 1:
					_, _ = client.Compute.List(ctx, "alps", nil)
				default:
					_, _ = client.Status.UserInfo(ctx, "eiger")
				}
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
		})
	}
	callers.Wait()
}

// TestTooManyRequests: one refusal slows all callers of a host, of whatever
// client and system, and at most four requests follow before the time that the
// host asked for is over.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	for _, sliding := range []bool{false, true} {
		for _, tells := range []string{"seconds", "date", "nothing"} {
			t.Run(fmt.Sprintf("sliding=%t/%s", sliding, tells), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, "alps", "eiger")
					s.wire.limit = &limit{sliding: sliding, tells: tells}
					shared := firecrest.WithLimiter(firecrest.NewLimiter(4, 0))
					one, other := s.client(shared), s.client(shared)
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
					defer cancel()
					crowd(ctx, one, other)
					one.Close()
					other.Close()
					s.checkRefusals(s.wire.take())
				})
			})
		}
	}
}

// checkRefusals looks at each refusal that did not follow upon another.
func (s *site) checkRefusals(all requests) {
	s.t.Helper()
	episodes, follow := 0, 0
	var until time.Time
	for _, r := range all {
		switch {
		case r.at.Before(until):
			if follow++; follow > 4 {
				s.t.Errorf("request %d after a refusal came at %s, and not before %s was asked for", follow, r.at, until)
			}
		case r.status == http.StatusTooManyRequests:
			episodes, follow, until = episodes+1, 0, r.at.Add(max(r.asked, time.Second))
		}
	}
	s.t.Logf("%d requests in 20 minutes, %d refused in %d episodes", len(all), all.refused(), episodes)
	if episodes < 10 {
		s.t.Errorf("%d episodes: the limit was hardly reached", episodes)
	}
}

// TestRequestsPerMinute: with the limit in the profile no refusal is seen in an
// hour, however the host counts, and even if some requests take seconds longer
// to get there than others.
func TestRequestsPerMinute(t *testing.T) {
	t.Parallel()
	for _, sliding := range []bool{false, true} {
		t.Run(fmt.Sprintf("sliding=%t", sliding), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const seed = 1
				s := newSite(t, "alps", "eiger")
				s.wire.limit, s.wire.strays = &limit{sliding: sliding}, rand.New(rand.NewPCG(seed, 0))
				shared := firecrest.WithLimiter(firecrest.NewLimiter(4, perMinute))
				one, other := s.client(shared), s.client(shared)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				crowd(ctx, one, other)
				one.Close()
				other.Close()
				seen := s.wire.take()
				t.Logf("%d requests in an hour, at most %d in any minute", len(seen), seen.busiest(time.Minute))
				if n := seen.refused(); n > 0 {
					t.Errorf("seed %d: %d of %d requests refused", seed, n, len(seen))
				}
				if len(seen) < 50*60 {
					t.Errorf("%d requests in an hour: that is no use of 60 a minute", len(seen))
				}
			})
		})
	}
}
