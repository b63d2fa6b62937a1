package firecrest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scheduler is a JobReader in memory.
type scheduler struct {
	mu      sync.Mutex
	rows    []Job // what lists show
	hidden  []Job // what can be had by id only
	listErr func(Window) error
	getErr  error
	lists   []time.Time
	windows []Window
	gets    []time.Time
}

func (s *scheduler) List(ctx context.Context, _ string, opts *JobListOptions) ([]Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Value(noRetryKey) == nil {
		return nil, errors.New("the poller must not have its requests repeated")
	}
	s.lists = append(s.lists, time.Now())
	s.windows = append(s.windows, opts.Window)
	if s.listErr != nil {
		if err := s.listErr(opts.Window); err != nil {
			return nil, err
		}
	}
	return slices.Clone(s.rows), nil
}

func (s *scheduler) Get(_ context.Context, _ string, id JobID) ([]Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets = append(s.gets, time.Now())
	if s.getErr != nil {
		return nil, s.getErr
	}
	var found []Job
	for _, r := range append(slices.Clone(s.rows), s.hidden...) {
		if r.ID.Base() == id {
			found = append(found, r)
		}
	}
	if found == nil {
		return nil, &Error{Status: 404, ServerVersion: "2.5.6", Message: "Job not found."}
	}
	return found, nil
}

func (s *scheduler) set(rows ...Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = rows
}

// fail makes lists fail with err, or not at all.
func (s *scheduler) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listErr = func(Window) error { return err }
}

// notes keeps what a watch was told.
type notes struct {
	mu  sync.Mutex
	all []Observation
}

func (n *notes) add(o Observation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, o)
}

// take returns what was told since the last time, as words.
func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var words []string
	for _, o := range n.all {
		word := fmt.Sprintf("%s %s", o.Job.ID, o.Job.Status.State)
		if o.Outage != nil {
			word += " outage"
		}
		if o.Unknown {
			word += " unknown"
		}
		if o.Absent {
			word += " absent"
		}
		if o.Witness {
			word += " witness"
		}
		words = append(words, word)
	}
	n.all = nil
	return words
}

func (n *notes) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := n.take(); !slices.Equal(got, want) {
		t.Errorf("after %s: told %q, want %q", time.Since(epoch), got, want)
	}
}

// pass lets time pass in a bubble, and everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// epoch is when time begins in a bubble.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func startPoller(t *testing.T, s *scheduler, settings PollSettings) *Poller {
	t.Helper()
	p := NewPoller(s, "alps", settings)
	t.Cleanup(p.Close)
	return p
}

func named(name string, j Job) Job { j.Name = name; return j }

func TestPollerTellsChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set(row("7", "PENDING", 0), named("other", row("8", "FAILED", 1)))
		p := startPoller(t, s, PollSettings{})
		var byID, byToken, both notes
		p.Watch(t.Context(), Query{ID: "7"}, byID.add)
		p.Watch(t.Context(), Query{Token: "T-"}, byToken.add)
		p.Watch(t.Context(), Query{ID: "8", Token: "T-"}, both.add) // id in use by somebody else
		pass(3 * time.Second)
		byID.expect(t, "7 PENDING")
		byToken.expect(t, "7 PENDING")
		pass(time.Minute)
		byID.expect(t)
		s.set(row("7", "RUNNING", 0))
		pass(time.Minute)
		byID.expect(t, "7 RUNNING")
		s.set() // a missing row is nothing
		pass(time.Hour)
		byID.expect(t, "7 RUNNING unknown")
		s.set(row("7", "COMPLETED", 0))
		pass(7 * time.Minute)
		if got := byID.take(); !slices.Equal(got, []string{"7 COMPLETED"}) {
			t.Errorf("told %q", got)
		}
		s.set(row("7", "RUNNING", 0)) // over is over
		pass(time.Hour)
		byID.expect(t)
		told := byToken.take()
		if n := len(told) - 1; told[0] != "7 RUNNING" || told[n] != "7 COMPLETED" || n < 12 ||
			slices.ContainsFunc(told[1:n], func(s string) bool { return s != "7 RUNNING absent" }) {
			t.Errorf("told %q of a job that the lists of an hour did not show", told)
		}
		both.expect(t, "  unknown")
	})
}

func TestPollerAsksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set(row("7", "RUNNING", 0))
		p := startPoller(t, s, PollSettings{})
		var n notes
		for range 1000 {
			p.Watch(t.Context(), Query{ID: "7"}, n.add)
		}
		pass(4 * time.Hour)
		for i, most := range []time.Duration{2, 5, 10, 20, 20, 30, 45, 67, 101, 151, 227, 300, 300} {
			least := most * time.Second
			before := epoch
			if i > 0 {
				before = s.lists[i-1]
			}
			if d := s.lists[i].Sub(before); d < least || d > least*6/5+2*time.Second {
				t.Errorf("list %d came after %s, want %s and up to a fifth", i, d, least)
			}
		}
		if got := len(n.take()); got != 1000 {
			t.Errorf("told %d times", got)
		}
	})
}

// Whatever comes and goes, no more than 32 lists in any ten minutes.
func TestPollerStaysWithinBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		p := startPoller(t, s, PollSettings{})
		for i := range 400 { // one short job after the other
			id := JobID(fmt.Sprint(i + 1))
			s.set(row(id, "COMPLETED", 0))
			over := make(chan struct{})
			p.Watch(t.Context(), Query{ID: id}, func(o Observation) { close(over) })
			<-over
		}
		synctest.Wait()
		for i := range s.lists {
			if i >= 32 && s.lists[i].Sub(s.lists[i-32]) < 10*time.Minute {
				t.Fatalf("lists %d to %d came within %s", i-32, i, s.lists[i].Sub(s.lists[i-32]))
			}
		}
		if len(s.gets) > 0 {
			t.Errorf("%d lookups by id", len(s.gets))
		}
	})
}

func TestPollerQuickensForANewJobAndAnExpectedEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		long := row("7", "RUNNING", 0)
		long.Time.Start, long.Time.Limit = time.Now(), 90*time.Minute
		s.set(long)
		p := startPoller(t, s, PollSettings{})
		p.Watch(t.Context(), Query{ID: "7"}, func(Observation) {})
		pass(time.Hour)
		var n notes
		s.set(long, row("8", "PENDING", 0))
		p.Watch(t.Context(), Query{ID: "8"}, n.add)
		pass(25 * time.Second)
		n.expect(t, "8 PENDING")
		pass(30*time.Minute + 35*time.Second) // the limit was reached a minute ago
		nearest := time.Hour
		for _, at := range s.lists {
			nearest = min(nearest, at.Sub(epoch.Add(90*time.Minute)).Abs())
		}
		if nearest > 12*time.Second {
			t.Errorf("the list nearest to the expected end is %s off", nearest)
		}
	})
}

func TestPollerTellsOutages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set(row("7", "RUNNING", 0))
		p := startPoller(t, s, PollSettings{})
		var n, missing notes
		p.Watch(t.Context(), Query{ID: "7"}, n.add)
		p.Watch(t.Context(), Query{Token: "missing"}, missing.add)
		pass(3 * time.Second)
		s.fail(&Error{Status: 500, ServerVersion: "2.5.6", CausedBy: []string{"slurmdbd"}})
		pass(time.Hour)
		n.expect(t, "7 RUNNING", "7 RUNNING outage")
		missing.expect(t, "  absent witness", "  outage")
		s.fail(nil)
		pass(5 * time.Minute)
		n.expect(t, "7 RUNNING")
		missing.expect(t, "  absent witness")
		s.fail(errors.New("down"))
		pass(10 * time.Minute)
		n.expect(t, "7 RUNNING outage")
		s.set(row("7", "FAILED", 3))
		s.fail(nil)
		pass(10 * time.Minute)
		n.expect(t, "7 FAILED")
	})
}

func TestPollerLooksUpWhatIsNotListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		p := startPoller(t, s, PollSettings{})
		told := make([]notes, 30)
		for i := range told {
			id := JobID(fmt.Sprint(100 + i))
			if i > 0 {
				s.hidden = append(s.hidden, row(id, "RUNNING", 0))
			}
			p.Watch(t.Context(), Query{ID: id}, told[i].add)
		}
		pass(90 * time.Second)
		told[0].expect(t) // unknown, but so young
		pass(30 * time.Minute)
		told[0].expect(t, "  unknown")
		for i := range told[1:] {
			told[i+1].expect(t, fmt.Sprintf("%d RUNNING", 101+i))
		}
		for i := range s.gets {
			if i >= 10 && s.gets[i].Sub(s.gets[i-10]) < time.Minute {
				t.Fatalf("lookups %d to %d came within %s", i-10, i, s.gets[i].Sub(s.gets[i-10]))
			}
		}
		if most := 30 * 7; len(s.gets) > most || len(s.gets) < 100 {
			t.Errorf("%d lookups in half an hour, want at most %d", len(s.gets), most)
		}
	})
}

func TestPollerCompletesARowOfTheQueue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		getErr error
		exit   bool
	}{"found": {nil, true}, "not found": {ErrNotFound, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bare := row("7", "COMPLETED", 0)
				bare.Status.ExitCode = nil
				s := &scheduler{getErr: test.getErr, hidden: []Job{row("7", "COMPLETED", 0)}}
				s.set(bare)
				if test.exit {
					s.rows[0].ID, s.hidden[0].ID = "7+0", "7" // so that the lookup finds the whole row first
				}
				p := startPoller(t, s, PollSettings{})
				var job Job
				p.Watch(t.Context(), Query{ID: "7"}, func(o Observation) { job = o.Job })
				pass(3 * time.Second)
				if len(s.gets) != 1 || job.Status.State != "COMPLETED" {
					t.Errorf("%d lookups, told %+v", len(s.gets), job.Status)
				}
			})
		})
	}
}

func TestPollerWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{hidden: []Job{row("7", "RUNNING", 0)}}
		p := startPoller(t, s, PollSettings{})
		var n notes
		p.Watch(t.Context(), Query{ID: "7", Since: time.Now().Add(-50 * time.Hour)}, n.add)
		p.Watch(t.Context(), Query{ID: "7"}, func(Observation) {})
		pass(3 * time.Second)
		if want := []Window{Window3d}; !slices.Equal(s.windows, want) {
			t.Errorf("asked for %q, want %q", s.windows, want)
		}
		s.mu.Lock()
		s.windows = nil
		s.listErr = func(w Window) error {
			if w == Window1h {
				return nil
			}
			return &Error{Status: 500, ServerVersion: "2.5.7", Message: "Error executing Slurm command.", CausedBy: []string{"Command output exceeded buffer limit."}}
		}
		s.mu.Unlock()
		pass(20 * time.Second)
		if want := []Window{Window3d, Window24h, Window8h, Window1h, Window1h}; !slices.Equal(s.windows, want) {
			t.Errorf("asked for %q, want %q", s.windows, want)
		}
		s.mu.Lock()
		s.listErr = func(Window) error { return &Error{Status: 413, ServerVersion: "2.5.7"} }
		s.windows = nil
		s.mu.Unlock()
		pass(20 * time.Minute) // from now on by id only
		if want := []Window{Window1h}; !slices.Equal(s.windows, want) {
			t.Errorf("asked for %q, want %q", s.windows, want)
		}
		n.expect(t, "7 RUNNING")
		s.mu.Lock()
		s.getErr = errors.New("down")
		s.mu.Unlock()
		pass(20 * time.Minute)
		n.expect(t, "7 RUNNING outage")
	})
}

// TestPollerTellsAbsence: of every list that would show the job, and of no
// other.
func TestPollerTellsAbsence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		p := startPoller(t, s, PollSettings{})
		var young, old, ancient notes
		p.Watch(t.Context(), Query{Token: "young"}, young.add)
		p.Watch(t.Context(), Query{Token: "old", Since: epoch.Add(-2 * time.Hour)}, old.add)
		p.Watch(t.Context(), Query{Token: "ancient", Since: epoch.Add(-8 * 24 * time.Hour)}, ancient.add)
		pass(10 * time.Second)
		for i, o := range young.all {
			if !o.At.Equal(s.lists[i]) {
				t.Errorf("told of a list of %s, not of %s", o.At, s.lists[i])
			}
		}
		young.expect(t, "  absent", "  absent")
		old.expect(t, "  absent", "  absent")
		ancient.expect(t) // the longest list does not go back so far

		s.set(named("young", row("8", "PENDING", 0)))
		pass(15 * time.Second)
		young.expect(t, "8 PENDING")
		old.expect(t, "  absent witness")

		s.mu.Lock()
		s.listErr = func(w Window) error {
			if w == Window1h {
				return nil
			}
			return &Error{Status: 413, ServerVersion: "2.5.7"}
		}
		s.rows = nil
		s.mu.Unlock()
		pass(25 * time.Second)
		young.expect(t, "8 PENDING absent")
		old.expect(t) // an hour is not enough
		s.fail(&Error{Status: 413, ServerVersion: "2.5.7"})
		pass(time.Hour)
		young.expect(t)
	})
}

// TestPollerIsRepeatable: with the same generator everything happens at the
// same time again, and to everybody in the same order.
func TestPollerIsRepeatable(t *testing.T) {
	t.Parallel()
	history := func(seed uint64) (told []string) {
		synctest.Test(t, func(t *testing.T) {
			client := memoryClient(t, func(*http.Request) (*http.Response, error) {
				return answer(503, errorBody("busy")), nil
			}, WithRandom(rand.New(rand.NewPCG(seed, 0))))
			for i := range 30 {
				client.Poller("alps").Watch(t.Context(), Query{Token: fmt.Sprint(i)}, func(o Observation) {
					told = append(told, fmt.Sprintf("%d %s", i, time.Since(epoch)))
				})
			}
			pass(time.Hour)
			_, err := client.Status.Systems(t.Context())
			told = append(told, fmt.Sprintf("%v %s", err != nil, time.Since(epoch)))
			client.Close()
			synctest.Wait()
		})
		return told
	}
	first, second, other := history(1), history(1), history(2)
	if len(first) != 31 || !slices.Equal(first, second) {
		t.Errorf("%q and then %q", first, second)
	}
	for _, i := range []int{0, 30} {
		if first[i] == other[i] {
			t.Errorf("another generator changes nothing about %q", first[i])
		}
	}
}

func TestPollerNeverPausesLongerThanMax(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set(row("7", "RUNNING", 0))
		p := startPoller(t, s, PollSettings{Min: time.Second, Max: 2 * time.Second})
		p.Watch(t.Context(), Query{ID: "7"}, func(Observation) {})
		pass(time.Minute)
		for i := 1; i < len(s.lists); i++ {
			if gap := s.lists[i].Sub(s.lists[i-1]); gap > 2400*time.Millisecond { // a fifth is chance
				t.Errorf("list %d came %s after the one before it", i, gap)
			}
		}
	})
}

func TestPollerEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set(row("7", "RUNNING", 0))
		p := startPoller(t, s, PollSettings{First: []time.Duration{time.Second}, Min: time.Second, Max: time.Second})
		var n notes
		ctx, cancel := context.WithCancel(t.Context())
		p.Watch(ctx, Query{ID: "7"}, n.add)
		pass(5 * time.Second)
		n.expect(t, "7 RUNNING")
		cancel()
		synctest.Wait()
		if p.running {
			t.Error("the poller runs on though nobody waits")
		}
		asked := len(s.lists)
		pass(time.Hour)
		if len(s.lists) != asked {
			t.Errorf("%d lists while nobody waits", len(s.lists)-asked)
		}
		p.Watch(t.Context(), Query{ID: "7"}, n.add)
		pass(2 * time.Second)
		n.expect(t, "7 RUNNING")
		p.Close()
		p.Watch(t.Context(), Query{ID: "7"}, n.add)
		pass(time.Hour)
		n.expect(t)
	})
}

func TestPollerMatchesTheFirstJobOfAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set(row("100", "RUNNING", 0), row("99_1", "FAILED", 2), row("99_[2-3]", "PENDING", 0), named("U", row("1", "FAILED", 1)))
		p := startPoller(t, s, PollSettings{})
		var n notes
		p.Watch(t.Context(), Query{Token: "T"}, n.add)
		pass(3 * time.Second)
		n.expect(t, "99 PENDING")
	})
}

func TestClientSharesPollers(t *testing.T) {
	t.Parallel()
	client, err := New("https://f7t.example.org", WithPollSettings(PollSettings{Min: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	first, second, other := client.Poller("alps"), client.Poller("alps"), client.Poller("eiger")
	if first != second || first == other {
		t.Error("pollers are not one per system")
	}
	if got := first.settings.Min; got != time.Second {
		t.Errorf("pause %s", got)
	}
}

// TestPollerKeepsItsPace: those who watch again after they were told something
// have the next list come no sooner.
func TestPollerKeepsItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{rows: []Job{{ID: "7", Name: "ftoken-x", Status: JobStatus{State: "RUNNING"}}}}
		p := NewPoller(s, "one", PollSettings{})
		defer p.Close()
		began := time.Now()
		for time.Since(began) < time.Minute {
			ctx, cancel := context.WithCancel(t.Context())
			told := make(chan struct{})
			p.Watch(ctx, Query{Token: "ftoken", ID: "7", Since: began.Add(-time.Hour)}, func(Observation) { close(told) })
			<-told
			cancel()
			synctest.Wait() // nobody watches
		}
		if n := len(s.lists); n > 4 {
			t.Errorf("%d lists in a minute", n)
		}
	})
}

// TestPollerTellsItsInterval: what it says is the time between two lists, which
// grows while nothing happens, is short again for a new job, and is none when
// nobody waits.
func TestPollerTellsItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scheduler{}
		s.set(row("7", "RUNNING", 0))
		p := startPoller(t, s, PollSettings{})
		if d, asks := p.Interval(); asks {
			t.Errorf("nobody waits, and it asks every %s", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		p.Watch(ctx, Query{ID: "7", Since: time.Now().Add(-time.Hour)}, func(Observation) {})
		var longest time.Duration
		follow := func(until time.Duration) {
			for seen := len(s.lists); time.Since(epoch) < until; {
				said, asks := p.Interval()
				pass(time.Second)
				if n := len(s.lists); n > max(seen, 1) {
					gap := s.lists[n-1].Sub(s.lists[n-2])
					if seen = n; !asks || said != gap {
						t.Errorf("list %d came after %s, said were %s (%v)", n, gap, said, asks)
					}
					longest = max(longest, gap)
				}
				seen = len(s.lists)
			}
		}
		follow(2 * time.Hour)
		if longest < 300*time.Second {
			t.Errorf("the longest pause was %s", longest)
		}
		p.Watch(ctx, Query{ID: "8"}, func(Observation) {})
		follow(2*time.Hour + 5*time.Minute)
		cancel()
		pass(time.Second)
		if d, asks := p.Interval(); asks {
			t.Errorf("nobody waits any more, and it asks every %s", d)
		}
	})
}
