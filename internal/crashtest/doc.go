// Package crashtest starts the real program, kills it, and looks at what is
// left. It holds nothing but tests, and those know of fcflow what a person
// knows: its command line, its exit codes and what it prints.
//
// Every payload of a workflow under test appends a line to a ledger of its own
// when it starts, which is how a test knows what really ran, whatever fcflow
// believes. The ledger of the sandbox's batch system is a second witness.
package crashtest
