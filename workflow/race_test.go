//go:build race

package workflow

// slower is how much longer the race detector may take.
const slower = 10
