// Package naive is the executor that everybody writes first: submit, keep the
// replied id, retry any error, poll the list; COMPLETED means success, and a job
// that the list does not have is over. It is the control of the simulation: a
// harness in which it does no harm proves nothing.
package naive
