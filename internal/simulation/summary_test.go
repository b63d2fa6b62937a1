package simulation_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fcflow/fcflow/internal/simulation"
)

// summary counts how schedules came out for one program.
type summary struct {
	who string

	mu       sync.Mutex
	all      int
	endings  map[simulation.Ending]int
	broken   map[simulation.Rule][]simulation.Seed // schedules that broke a rule
	fired    map[simulation.Fault]int
	after    map[string]int // kills, by kind of event that became durable last
	kills    int
	lives    int
	jobs     int
	starts   int
	wasted   int
	attended []simulation.Seed
}

func newSummary(who string) *summary {
	return &summary{
		who: who, endings: map[simulation.Ending]int{}, broken: map[simulation.Rule][]simulation.Seed{},
		fired: map[simulation.Fault]int{}, after: map[string]int{},
	}
}

func (s *summary) add(schedule simulation.Schedule, r *simulation.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	s.endings[r.Ending]++
	s.lives += r.Lives
	s.jobs += r.Jobs
	s.starts += len(r.Starts)
	s.wasted += r.Wasted
	for _, f := range simulation.Faults() {
		s.fired[f] += r.Fired[f]
	}
	for _, k := range r.Kills {
		s.kills++
		for _, word := range strings.Fields(k.LastDurable) {
			kind, _, _ := strings.Cut(word, "=")
			s.after[kind]++
		}
	}
	broken := map[simulation.Rule]bool{}
	for _, v := range r.Violations {
		broken[v.Rule] = true
	}
	for rule := range broken {
		s.broken[rule] = append(s.broken[rule], schedule.Seed)
	}
	if r.Ending == simulation.Attention {
		s.attended = append(s.attended, schedule.Seed)
	}
}

func (s *summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d schedules, %d lives, %d kills, %d jobs, %d payloads started, %d jobs found their token taken\n",
		s.who, s.all, s.lives, s.kills, s.jobs, s.starts, s.wasted)
	for _, ending := range slices.Sorted(maps.Keys(s.endings)) {
		fmt.Fprintf(&b, "%8d  %s\n", s.endings[ending], ending)
	}
	for _, rule := range slices.Sorted(maps.Keys(s.broken)) {
		fmt.Fprintf(&b, "%8d  broke the rule %q\n", len(s.broken[rule]), rule)
	}
	b.WriteString("faults:")
	for _, f := range simulation.Faults() {
		fmt.Fprintf(&b, " %s %d", f, s.fired[f])
	}
	b.WriteString("\nkills by the last durable event:\n")
	kinds := slices.SortedFunc(maps.Keys(s.after), func(p, q string) int {
		return cmp.Or(cmp.Compare(s.after[q], s.after[p]), cmp.Compare(p, q))
	})
	for _, kind := range kinds {
		fmt.Fprintf(&b, "%8d  %-24s %s\n", s.after[kind], kind, strings.Repeat("▪", max(1, 60*s.after[kind]/max(1, s.kills))))
	}
	return b.String()
}

// verdict is one line of it, which a long campaign says now and then.
func (s *summary) verdict(first simulation.Seed) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	bad := 0
	for _, seeds := range s.broken {
		bad += len(seeds)
	}
	return fmt.Sprintf("%d schedules from seed %d, %d kills: %d double executions, %d lost results, %d without an end, %d rules broken in all",
		s.all, first, s.kills, len(s.broken[simulation.Once])+len(s.broken[simulation.OneAttempt]), len(s.broken[simulation.Lost]),
		len(s.broken[simulation.Stuck])+len(s.attended), bad)
}

// judge fails the test for what must never happen, and if too little happened
// for that to mean anything.
func (s *summary) judge(t *testing.T) {
	for _, rule := range slices.Sorted(maps.Keys(s.broken)) {
		bad := s.broken[rule]
		slices.Sort(bad)
		for _, seed := range bad[:min(len(bad), 5)] {
			t.Errorf("the rule %q was broken: go test ./internal/simulation -run TestSchedules -v -only -seed %d", rule, seed)
		}
	}
	slices.Sort(s.attended)
	for _, seed := range s.attended[:min(len(s.attended), 5)] {
		t.Errorf("a person is asked for: go test ./internal/simulation -run TestSchedules -v -only -seed %d", seed)
	}
	if s.all < enough {
		return
	}
	for _, f := range simulation.Faults() {
		if s.fired[f] < 50 {
			t.Errorf("%s struck only %d times", f, s.fired[f])
		}
	}
}

// judgeControl fails the test if the same schedules do no harm to a program
// that deserves it.
func (s *summary) judgeControl(t *testing.T) {
	if twice := len(s.broken[simulation.Once]); twice*1000 < s.all {
		t.Errorf("%s started something twice in only %d of %d schedules: these schedules prove nothing", s.who, twice, s.all)
	}
}
