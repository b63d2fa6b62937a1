package firecresttest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Report says which subtests of a run were carried out.
type Report struct {
	mu      sync.Mutex
	ran     map[string]bool
	skipped map[string]string
}

func (r *Report) note(subtest string, skipped bool, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ran == nil {
		r.ran, r.skipped = map[string]bool{}, map[string]string{}
	}
	if skipped {
		r.skipped[subtest] = reason
	} else {
		r.ran[subtest] = true
	}
}

// Skipped are the subtests that were skipped, each with the reason, sorted.
func (r *Report) Skipped() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(r.skipped)) {
		lines = append(lines, name+": "+r.skipped[name])
	}
	return lines
}

// Unshown are the points of which a subtest was not carried out, each with the
// reason, in the order of their numbers.
func (r *Report) Unshown() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, p := range points {
		for _, name := range p.shown {
			if r.ran[name] {
				continue
			}
			reason := "it did not run"
			if why, skipped := r.skipped[name]; skipped {
				reason = why
			}
			lines = append(lines, fmt.Sprintf("%d, %s: %q: %s", p.number, p.text, name, reason))
		}
	}
	return lines
}
