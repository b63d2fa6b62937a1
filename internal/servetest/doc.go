// Package servetest has `fcflow serve` of the real program start the runs of many
// schedules and drive many others, kills it at random and starts it again, and
// judges by what the jobs wrote and by what the server says of each slot. It holds
// nothing but tests.
package servetest
