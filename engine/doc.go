// Package engine executes runs: it decides what to do from the folded state of
// a run, makes every event durable before it acts on it, and lets attempts of
// steps run in their own goroutines.
//
// It imports of fcflow the workflow package only. Step types come in through
// [Library], systems through [Binder] and [Watcher], persistence through
// workflow.Store.
package engine
