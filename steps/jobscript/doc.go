// Package jobscript makes the text that is handed to the batch system for a
// job: what the user wrote, wrapped so that it runs whole or not at all, in its
// directory, with its environment and its signals, and so that of several jobs
// for one attempt only one runs it.
//
// It is pure: no I/O, no clock. The steps package submits what it makes. It
// knows Slurm and PBS.
package jobscript
