package transfertest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

var (
	count = flag.Int("transfers", 60, "how many transfers TestTransfers makes; from 1000 on every kind of fault must have struck 50 of them")
	seed  = flag.Uint64("seed", 0, "`seed` of the campaign; 0 chooses one")
	odd   = flag.Int("odd", 8, "how many random names TestNames tries besides its own")
	only  = flag.String("only", "", "make one `transfer`, as a test prints its name")
)

const (
	full   = 1000 // transfers from which on
	enough = 50   // of them must be struck by a fault of each counted class

	sites   = 8 // a job list grows with the transfers of its sandbox
	workers = 3 // of each site
)

// theSeed is the one that was asked for, or a new one.
var theSeed = sync.OnceValue(func() uint64 {
	if *seed != 0 {
		return *seed
	}
	return 1 + rand.Uint64N(1<<40)
})

// TestTransfers makes many transfers, each with a fault.
func TestTransfers(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", net.JoinHostPort(proxyIP, "0")); err != nil {
		t.Skipf("streams need a second loopback address: %v", err)
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	transfers := plan(t)
	began := time.Now()
	sum := &summary{classes: map[string]*tally{}}
	var all sync.WaitGroup
	for n := range min(sites, len(transfers)) {
		var own []transfer
		for i := n; i < len(transfers); i += sites {
			own = append(own, transfers[i])
		}
		all.Go(func() {
			t.Run(fmt.Sprintf("site%d", n), func(t *testing.T) { newSite(t, workers, toggles(own)).make(t, own, sum) })
		})
	}
	all.Wait()
	t.Logf("%s\n%s", time.Since(began).Round(time.Second), sum)
	if *only == "" && len(transfers) >= full {
		for _, class := range counted {
			if n := sum.classes[class].struck; n < enough {
				t.Errorf("only %d transfers were struck by a fault of class %s, want %d", n, class, enough)
			}
		}
	}
}

// plan makes the transfers, of every class as many.
func plan(t *testing.T) []transfer {
	t.Helper()
	if *only != "" {
		one, err := parseTransfer(*only)
		if err != nil {
			t.Fatal(err)
		}
		return []transfer{one}
	}
	t.Logf("seed %d", theSeed())
	random := rand.New(rand.NewPCG(theSeed(), 0))
	names := slices.Sorted(maps.Keys(classes))
	var transfers []transfer
	for i := range *count {
		transfers = append(transfers, newTransfer(names[i%len(names)], random.Uint64N(1<<40)))
	}
	return transfers
}

// make carries transfers out, those first that wait for a second attempt.
func (s *site) make(t *testing.T, transfers []transfer, sum *summary) {
	t.Helper()
	slices.SortStableFunc(transfers, func(a, b transfer) int { return b.attempts - a.attempts })
	queue := make(chan transfer)
	var running sync.WaitGroup
	lost := make(chan int, len(transfers))
	var done []*move
	var mu sync.Mutex
	for worker := range workers {
		running.Go(func() {
			for tr := range queue {
				m := &move{transfer: tr, site: s, place: s.place(tr, worker)}
				s.add(m)
				s.streams[worker].carry(m)
				ok := t.Run(tr.String(), func(t *testing.T) { m.make(t, sum) })
				lost <- m.lost
				if ok {
					mu.Lock()
					done = append(done, m)
					mu.Unlock()
				}
			}
		})
	}
	for _, tr := range transfers {
		queue <- tr
	}
	close(queue)
	running.Wait()
	close(lost)
	most := 0
	for n := range lost {
		most += n
	}
	if left := s.endJobs(); left > most {
		t.Errorf("%d jobs are live that nobody waits for; the ids of %d were lost", left, most)
	}
	for _, m := range done { // and no job has written to them late
		if m.succeeded {
			if err := m.same(); err != nil {
				t.Errorf("%s: after all transfers: %v", m, err)
			}
		}
	}
}

// make carries one transfer out and judges it.
func (m *move) make(t *testing.T, sum *summary) {
	t.Helper()
	began := time.Now()
	end, err := m.run(t.Context())
	if m.fault.toggle != nil {
		m.struck = m.site.toggled(m.fault.toggle(&m.transfer))
	}
	if err == nil {
		err = errors.Join(m.judge(end), m.notLive(end))
	}
	sum.add(m, end, err)
	m.succeeded = end.State == workflow.Succeeded
	if err != nil {
		t.Errorf("%v\n%s", err, m.report(end, time.Since(began)))
	}
}

// run carries the transfer out, in this process or in one that is killed.
func (m *move) run(ctx context.Context) (ending, error) {
	if err := m.prepare(); err != nil {
		return ending{}, err
	}
	library, closeAll, err := m.place.library(m.String(), m.site.transport)
	if err != nil {
		return ending{}, err
	}
	defer closeAll()
	w, err := m.place.workflow(m.transfer, m.place.with(m.transfer), library)
	if err != nil {
		return ending{}, err
	}
	var runs workflow.Store = memory.New()
	if !m.fault.kill {
		err = m.place.carryOut(ctx, w, "", library, runs)
	} else if err = m.carryOutKilled(ctx); err == nil {
		runs, err = store.Open(m.place.state(), store.Options{})
	}
	if err != nil {
		return ending{}, err
	}
	return endingOf(ctx, w, runs)
}

// tally counts the transfers of a class.
type tally struct{ made, struck, hits, identical, failed, wrong int }

// summary counts how transfers ended.
type summary struct {
	mu      sync.Mutex
	classes map[string]*tally
	names   map[string]int // of faults: transfers struck
}

func (s *summary) add(m *move, end ending, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.classes[m.class]
	if c == nil {
		c = &tally{}
		s.classes[m.class] = c
	}
	c.made++
	c.hits += m.struck
	if m.struck > 0 {
		c.struck++
		if s.names == nil {
			s.names = map[string]int{}
		}
		s.names[m.class+": "+m.fault.name]++
	}
	switch {
	case err != nil:
		c.wrong++
	case end.State == workflow.Succeeded:
		c.identical++
	default:
		c.failed++
	}
}

func (s *summary) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %9s %7s %6s %10s %6s %6s\n", "class", "transfers", "struck", "hits", "identical", "error", "wrong")
	total := tally{}
	for _, class := range slices.Sorted(maps.Keys(s.classes)) {
		c := s.classes[class]
		fmt.Fprintf(&b, "%-16s %9d %7d %6d %10d %6d %6d\n", class, c.made, c.struck, c.hits, c.identical, c.failed, c.wrong)
		total.made, total.struck, total.hits = total.made+c.made, total.struck+c.struck, total.hits+c.hits
		total.identical, total.failed, total.wrong = total.identical+c.identical, total.failed+c.failed, total.wrong+c.wrong
	}
	fmt.Fprintf(&b, "%-16s %9d %7d %6d %10d %6d %6d\n", "all", total.made, total.struck, total.hits, total.identical, total.failed, total.wrong)
	b.WriteString("transfers struck, by fault:\n")
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		fmt.Fprintf(&b, "%5d  %s\n", s.names[name], name)
	}
	return b.String()
}
