package steps

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

// scheduler answers a poller from a table.
type scheduler struct {
	mu   sync.Mutex
	jobs []firecrest.Job
	err  error
}

func (s *scheduler) List(context.Context, string, *firecrest.JobListOptions) ([]firecrest.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs, s.err
}

func (s *scheduler) Get(_ context.Context, _ string, id firecrest.JobID) ([]firecrest.Job, error) {
	return nil, firecrest.ErrNotFound
}

func (s *scheduler) set(state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	zero := int64(0)
	s.jobs, s.err = []firecrest.Job{{ID: "12", Name: "ftoken-x", Status: firecrest.JobStatus{
		State: firecrest.JobState(state), ExitCode: &zero, Signal: &zero,
	}}}, err
}

// TestWatcherFiresOnceForNews: an attempt is woken when something changed since
// it last looked, and not again for the same.
func TestWatcherFiresOnceForNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set("PENDING", nil)
		w := newJobWatcher(Config{})
		w.pollers["one"] = firecrest.NewPoller(s, "one", firecrest.PollSettings{})
		defer w.close()
		topic := jobTopic("one", "ftoken", "12")
		fires := 0
		look := func() (states []string) { // one wait of an attempt, for an hour
			stop := w.Watch(topic, time.Now(), func() { fires++ })
			time.Sleep(time.Hour)
			synctest.Wait()
			stop()
			if o, ok := w.take(topic); ok {
				states = append(states, string(o.Job.Status.State))
				if o.Outage != nil {
					states = append(states, "outage")
				}
			}
			return states
		}
		var got [][]string
		for _, next := range []struct {
			state string
			err   error
		}{{"PENDING", nil}, {"PENDING", nil}, {"RUNNING", nil}, {"RUNNING", context.DeadlineExceeded}, {"RUNNING", context.DeadlineExceeded}, {"RUNNING", nil}, {"COMPLETED", nil}} {
			s.set(next.state, next.err)
			got = append(got, look())
		}
		want := [][]string{{"PENDING"}, nil, {"RUNNING"}, {"", "outage"}, nil, {"RUNNING"}, {"COMPLETED"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if fires != 5 {
			t.Errorf("fired %d times", fires)
		}
	})
}

// TestWatcherAfterClose: nothing is watched any more, and nothing is left
// behind.
func TestWatcherAfterClose(t *testing.T) {
	t.Parallel()
	w := newJobWatcher(Config{})
	w.close()
	w.Watch(jobTopic("one", "ftoken", ""), time.Now(), func() { t.Error("fired") })()
	if len(w.pollers) > 0 {
		t.Error("a poller was made")
	}
}
