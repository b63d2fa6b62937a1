// Package simulation is a world in one process: a FirecREST server, the network
// before it, a batch system behind it and a remote file system, in virtual time.
// A program under test lives in it, is killed at any moment, lives again, and is
// judged by what really ran.
//
// Everything follows from a seed. A decision of the world — how long a request
// takes, whether its answer is lost, when a job starts — is drawn from the seed
// and the name of what it is about, such as "the second submission of this
// token", never from a running count of all things. So it stays the same in
// whatever order goroutines run, and no two things happen in the same
// nanosecond. A failing schedule is one number, and replays exactly.
//
// The world knows of the program what a site would know: its requests and its
// job scripts. It imports the standard library alone. Its witnesses are the
// ledger, in which every payload that starts writes a line, the account of the
// batch system, and the order of commits and requests; from those [Judge] makes
// its verdict, and from the program only its last account of itself.
//
// Time is that of [testing/synctest]: [Run] must be called inside a bubble. No
// lock of the world is held while anything waits.
package simulation
