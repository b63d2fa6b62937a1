//go:build race

package main

// scriptPatterns are the scripts in which a process does several things at the same
// time. With the detector it takes long to start one, and the scripts that start many,
// one after another, show it nothing.
func scriptPatterns() []string {
	return []string{"approve", "child*", "group*", "interrupted", "replan", "retry", "serve*", "watch"}
}
