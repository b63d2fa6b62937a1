package engine

import (
	"maps"
	"sync"

	"github.com/fcflow/fcflow/workflow"
)

// requests counts what an entry of an attempt asks the service for, from any
// goroutine.
type requests struct {
	mu   sync.Mutex
	made map[string]int
}

// Requested notes that the attempt has made a request, whatever came of it. The
// sum is recorded with the end of the entry.
func (inv *Invocation) Requested(operation string) {
	r := &inv.requests
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made == nil {
		r.made = map[string]int{}
	}
	r.made[operation]++
}

func (r *requests) count() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.made)
}

// withRequests puts what an entry asked for into the event that ends it.
func withRequests(p workflow.Payload, made map[string]int) {
	switch p := p.(type) {
	case *workflow.AttemptWaiting:
		p.Requests = made
	case *workflow.AttemptFinished:
		p.Requests = made
	}
}
