// Package grouptest has many processes of the real program start runs of one
// concurrency group, kills and resumes them at random, and judges from three
// witnesses that know nothing of each other: what the steps wrote, the histories,
// and the files of the group with the locks of the runs, looked at a hundred times
// a second. It holds nothing but tests.
package grouptest
