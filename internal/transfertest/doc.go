// Package transfertest moves many files through the steps upload and download,
// against a sandbox in which something goes wrong each time: a part is lost, a
// connection cut, a process killed. Every transfer must end in an identical file
// or in an error that says what happened; nothing else may be left behind. It
// holds nothing but tests.
//
// What goes wrong with a transfer, and all else about it, follows from its name,
// a class of faults and a seed, so that each can be repeated alone:
//
//	go test ./internal/transfertest -run TestTransfers -only cut/123456
package transfertest
