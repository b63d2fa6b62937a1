package firecrest

import (
	"math/rand/v2"
	"sync"
	"time"
)

// chance is where the random parts of pauses come from. Nil is the generator of
// the runtime.
type chance struct {
	mu     sync.Mutex
	random *rand.Rand
}

// below returns a random duration from 0 to d, without d, which must be above 0.
func (c *chance) below(d time.Duration) time.Duration {
	if c == nil {
		return rand.N(d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.random.Int64N(int64(d)))
}
