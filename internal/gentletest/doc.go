// Package gentletest counts what a site sees of fcflow: thousands of jobs for
// hours, on a sandbox, with the poll settings of a real site. It holds nothing
// but tests.
//
// Time is virtual. The requests go to the sandbox without a network and take as
// long as a test says, and the payloads of jobs are simulated: all else, from the
// engine to the batch system, is what runs in earnest. Requests are counted where
// the site would count them; of times, some are printed, and none is asserted.
package gentletest
