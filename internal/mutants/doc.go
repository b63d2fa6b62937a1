// Package mutants plants the classic mistakes of programs that submit jobs, one
// at a time, and asks the tests of the package where each is planted to notice.
// It holds nothing but tests.
//
// A mutant is a patch in testdata, laid over the source with `go build -overlay`,
// so that nothing in the tree is touched. It must apply, build, and be killed: the
// test that its row of the table names must fail, and must pass without it. A rule
// that no test defends is then a mutant that survives.
package mutants
