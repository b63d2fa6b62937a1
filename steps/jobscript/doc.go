// Package jobscript makes the text that is handed to the batch system for a
// job: what the user wrote, wrapped so that it runs whole or not at all, in its
// directory, with its environment and its signals.
//
// It is pure: no I/O, no clock. The steps package submits what it makes. It
// knows Slurm; other batch systems have other directives.
package jobscript
