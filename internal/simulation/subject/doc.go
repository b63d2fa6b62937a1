// Package subject makes fcflow a program of a simulation: the real engine, step
// library, client and language, on the store in memory, each life of it a
// process that may be killed.
package subject
