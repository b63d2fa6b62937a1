package gentletest

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

func TestRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "alps")
		p := s.start(nil)
		defer p.end()
		random := rand.New(rand.NewPCG(1, 0))
		var jobs []job
		for range 1000 {
			jobs = append(jobs, job{system: "alps", takes: 5*time.Minute + time.Duration(random.IntN(3600))*time.Second})
		}
		x := s.create(p, memory.New(), s.load(p, source(jobs)))
		began := time.Now()
		s.drive(t.Context(), x)
		if x.Run().State != workflow.RunSucceeded {
			t.Fatal(x.Run().State)
		}
		seen := s.wire.take()
		t.Logf("after %s: %v", time.Since(began), seen.count())
		posts := seen.of("POST jobs")
		t.Logf("posts %s, in flight %d", posts[len(posts)-1].at.Sub(posts[0].at), s.wire.most)
		t.Logf("state: %d in ten minutes", seen.of("GET jobs").busiest(10*time.Minute))
		t.Logf("by id: %d in a minute", seen.of("GET job").busiest(time.Minute))
	})
}
