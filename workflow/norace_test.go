//go:build !race

package workflow

const slower = 1
