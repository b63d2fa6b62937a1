package firecrest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// JobReader is what a [Poller] asks; [ComputeService] is one.
type JobReader interface {
	List(ctx context.Context, system string, opts *JobListOptions) ([]Job, error)
	Get(ctx context.Context, system string, id JobID) ([]Job, error)
}

// PollSettings are the intervals of a [Poller]. Zero fields take the defaults,
// which are for a real site.
type PollSettings struct {
	// First are the pauses before the first lists after the poller was idle, for
	// jobs that are new; when all are older than a minute, only the first of them
	// is. Default 2, 5, 10, 20 s, each at most Max.
	First []time.Duration
	// Min is the pause while things change or an end is expected, default 20 s.
	// While nothing happens it grows by half each time, up to Max, default
	// 300 s. Every pause is lengthened by a random part of up to a fifth.
	Min, Max time.Duration
	// LookupEvery is how often one job that the list does not show is asked for
	// by its id, default 5 min. LookupsPerMinute bounds such requests for all
	// jobs together, default 10.
	LookupEvery      time.Duration
	LookupsPerMinute int
	// Grace is how long after its submission an unknown id means nothing,
	// default 120 s.
	Grace time.Duration
}

func (s PollSettings) withDefaults() PollSettings {
	setDefault(&s.Min, 20*time.Second)
	setDefault(&s.Max, 300*time.Second)
	s.Max = max(s.Max, s.Min)
	if len(s.First) == 0 {
		for _, seconds := range []time.Duration{2, 5, 10, 20} {
			s.First = append(s.First, min(seconds*time.Second, s.Max))
		}
	}
	setDefault(&s.LookupEvery, 5*time.Minute)
	setDefault(&s.Grace, 120*time.Second)
	if s.LookupsPerMinute <= 0 {
		s.LookupsPerMinute = 10
	}
	return s
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Query says which job to watch, by Token or ID or both.
type Query struct {
	// Token is what the job's name begins with. A row with the right id and
	// another name is not the job: ids are used again.
	Token string
	// ID is the scheduler's id. Without it the job is found by Token alone.
	ID JobID
	// Since is when the job was submitted; the zero time means now. It decides
	// how far back finished jobs are listed.
	Since time.Time
}

// Observation is something new about a watched job. In all but the first case
// Job is what was known last, with an empty id if nothing was.
type Observation struct {
	// At is when the answer that told this was asked for. Whatever was true
	// before then, the answer could show.
	At time.Time
	// Job is what its rows say, see [Aggregate]. A terminal one is the last
	// observation of a watch.
	Job Job
	// Outage is why jobs cannot be read at present. It says nothing about the
	// job. The observation that follows an outage has none.
	Outage error
	// Unknown says that the scheduler does not know the id, after the grace
	// period. It is no proof that the job ended, or that it never ran.
	Unknown bool
	// Absent says that a list which reaches back to Since shows no job of the
	// token. It is told of each such list, but only to a query without an id.
	// One list proves nothing: schedulers show a new job late, and leave out
	// rows.
	Absent bool
	// Witness says that the list of Absent did show another watched job.
	Witness bool
}

// Poller watches the jobs of one system for everybody who waits, with one list
// for all of them. It sends nothing while nobody waits.
//
// A job is reported when its state or the reason for it changes, and is over
// only when a row says so: a row that is missing, or a list that fails, changes
// nothing. Nothing here survives the process; watch again after a restart.
type Poller struct {
	reader   JobReader
	system   string
	settings PollSettings
	context  context.Context
	stop     context.CancelFunc
	budget   *rate.Limiter // of rounds, whatever comes and goes
	chance   *chance
	done     sync.WaitGroup

	mu      sync.Mutex
	watches map[*watch]struct{}
	added   int          // watches ever, to tell their order
	lookups []*time.Time // when the answers came of the last minute; zero: not yet
	running bool
	pausing time.Duration // from the last list to the next one
	wake    chan struct{} // a watch was added: do not sleep on

	// Of the goroutine alone.
	next      time.Time // of the next list, also while nobody waits
	asked     time.Time // when the last answer came, or the first watch
	starved   bool      // lookups had to be left for later in this round
	maxWindow int       // widest window whose list the server can give; -1: none
}

// NewPoller returns a poller for one system. Use [Client.Poller] to share one.
func NewPoller(reader JobReader, system string, settings PollSettings) *Poller {
	settings = settings.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	// A little slower than the shortest pause, so that with the burst, which
	// the first pauses need, ten minutes see no more than 31 rounds.
	budget := rate.NewLimiter(rate.Every(settings.Min+settings.Min/20), 3)
	p := &Poller{
		reader: reader, system: system, settings: settings,
		context: ctx, stop: cancel, budget: budget,
		watches: map[*watch]struct{}{}, wake: make(chan struct{}, 1),
	}
	if compute, ok := reader.(*ComputeService); ok {
		p.chance = compute.client.settings.chance
	}
	return p
}

// watch is one job that somebody waits for.
type watch struct {
	query  Query
	number int // in the order of Watch
	notify func(Observation)

	release func() bool // of the context

	// Of the poller's goroutine alone.
	seen      bool      // a pause has taken it into account
	job       Job       // as last reported
	looked    time.Time // last asked for by id
	outage    bool      // was told of an outage
	unknown   bool      // was told that the id is unknown
	confirmed bool      // its terminal row without exit code was looked up
}

// Watch reports what happens to a job until it is over, ctx ends or the poller
// is closed. The first observation is what the job is now, whenever the next
// list comes. notify is called from one goroutine, which it must not hold up;
// it may be called once more after ctx ended.
func (p *Poller) Watch(ctx context.Context, query Query, notify func(Observation)) {
	if query.Since.IsZero() {
		query.Since = time.Now()
	}
	w := &watch{query: query, notify: notify}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.context.Err() != nil || ctx.Err() != nil {
		return
	}
	w.number, p.added = p.added, p.added+1
	p.watches[w] = struct{}{}
	w.release = context.AfterFunc(ctx, func() { p.forget(w) })
	if p.running {
		p.nudge()
		return
	}
	p.running = true
	p.done.Go(p.poll)
}

// BeginLookup reports whether the caller may ask for a job by its id now, which is
// one of the LookupsPerMinute; end must be called when the answer is there. Who
// may not waits for what the lists tell.
func (p *Poller) BeginLookup() (end func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A minute from the answer on: the request itself may have waited for its turn.
	p.lookups = slices.DeleteFunc(p.lookups, func(t *time.Time) bool { return !t.IsZero() && time.Since(*t) >= time.Minute })
	if len(p.lookups) >= p.settings.LookupsPerMinute {
		return nil, false
	}
	ended := new(time.Time)
	p.lookups = append(p.lookups, ended)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		*ended = time.Now()
	}, true
}

// Interval is the time from the last list to the next one as it is planned now;
// false while nobody waits, and nothing is asked.
func (p *Poller) Interval() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pausing, p.running && p.pausing > 0
}

// plan notes when the next list will be asked for.
func (p *Poller) plan(next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pausing = max(next.Sub(p.asked), 0)
}

// Close ends all watches, without further observations, and waits for the
// request in flight.
func (p *Poller) Close() {
	p.mu.Lock()
	p.stop() // under the lock, so that no Watch starts the goroutine hereafter
	p.mu.Unlock()
	p.done.Wait()
}

func (p *Poller) forget(w *watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watches, w)
	p.nudge()
}

// nudge makes the goroutine think again about how long it sleeps.
func (p *Poller) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// current returns the watches there are, first those whose job was asked for by
// id longest ago; with none, the goroutine ends.
func (p *Poller) current() []*watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.watches) == 0 || p.context.Err() != nil {
		p.running = false
		return nil
	}
	return slices.SortedFunc(maps.Keys(p.watches), func(a, b *watch) int {
		return cmp.Or(a.looked.Compare(b.looked), a.number-b.number)
	})
}

// poll is the goroutine: pause, ask, tell, until nobody waits.
func (p *Poller) poll() {
	p.maxWindow = len(windows) - 1
	first, interval := p.settings.First, p.settings.Min
	next := time.Now().Add(p.jitter(first[0]))
	if p.next.After(next) && !p.awaitsNew() {
		// Who was told something watches again: that is no reason to ask sooner.
		next, first = p.next, first[len(first)-1:]
	} else {
		p.asked = time.Now()
	}
	for {
		p.next = next
		watches := p.current()
		if watches == nil {
			return
		}
		for _, w := range watches {
			if !w.seen {
				w.seen, interval = true, p.settings.Min
				next = earlier(next, time.Now().Add(p.jitter(interval)))
			}
		}
		p.plan(next)
		if !p.pause(time.Until(next)) {
			continue
		}
		wait := p.budget.Reserve()
		p.plan(time.Now().Add(wait.Delay()))
		if !p.pause(wait.Delay()) {
			wait.Cancel()
			continue
		}
		if p.ask(watches) || p.starved {
			interval = p.settings.Min
		}
		p.asked = time.Now()
		if len(first) > 1 && anyNew(watches) {
			first = first[1:]
			next = time.Now().Add(p.jitter(first[0]))
			continue
		}
		pause := p.jitter(interval)
		if end := p.untilExpectedEnd(watches); end < pause {
			pause = p.jitter(p.settings.Min) + max(0, end-p.settings.Min)
		}
		next = time.Now().Add(pause)
		interval = min(interval+interval/2, p.settings.Max)
	}
}

// pause waits, and reports false if it was cut short by a change of the
// watches.
func (p *Poller) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.wake:
		return false
	case <-p.context.Done():
		return false
	}
}

// awaitsNew is anyNew of all watches.
func (p *Poller) awaitsNew() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return anyNew(slices.Collect(maps.Keys(p.watches)))
}

// anyNew reports whether a job was submitted in the last minute.
func anyNew(watches []*watch) bool {
	return slices.ContainsFunc(watches, func(w *watch) bool { return time.Since(w.query.Since) < time.Minute })
}

// untilExpectedEnd is when the first job is at its wall time limit. Jobs long
// past theirs do not count.
func (p *Poller) untilExpectedEnd(watches []*watch) time.Duration {
	const past = 5 * time.Minute
	until := p.settings.Max
	for _, w := range watches {
		t := w.job.Time
		if !w.job.Status.State.IsActive() || t.Start.IsZero() || t.Limit == 0 {
			continue
		}
		if left := time.Until(t.Start.Add(t.Limit)); left > -past {
			until = min(until, left)
		}
	}
	return until
}

// jitter lengthens a pause by up to a fifth, so that clients do not march in
// step.
func (p *Poller) jitter(d time.Duration) time.Duration { return d + p.chance.below(d/5+1) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
