// Package oracle says how a run must end: a small second interpreter of the
// execution semantics, for a test that compares it with the engine. It shares no
// line with it, imports nothing but the standard library, and reads workflow
// files through a decoder of its own.
//
// It is written to be compared with docs/semantics.md by eye, and to be as unlike
// the engine as it can be. Nothing is counted and nothing queued: after each thing
// that happens every rule is held against every unit, again and again, until no
// rule changes anything any more (settle.go). Each rule is a function of its
// own (law.go), so that a test can put a mistake in its place.
//
// Most runs end the same in whatever order their attempts end, and for those the
// interpreter makes up an order, by the lengths that the script gives its attempts
// ([Play]). How a run with fail_fast or a cancel ends depends on what had started by
// then, and not even the semantics say who is faster: there the order that was
// observed is an input ([Replay]), as a list of what happened to which unit. What it
// came to is never part of it: whether an attempt failed is the script's to say, all
// else the rules'. An order that the rules do not allow is an error.
//
// A [Script] says what attempts do. [Generate] makes random workflows and scripts.
package oracle
