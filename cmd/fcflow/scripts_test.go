//go:build !race

package main

// scriptPatterns are the scripts that are run.
func scriptPatterns() []string { return []string{"*"} }
