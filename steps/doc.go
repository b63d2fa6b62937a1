// Package steps is the step library: every step type a workflow can name, one
// file each. A type is one declaration: what `uses:` says, what its inputs and
// outputs are (structs with tags, from which the checker, the schema and the
// documentation come), what it guarantees, an example, and the function that
// does it.
//
// [Catalogue] describes the types, [New] also executes them, through a FirecREST
// client. The package gives the engine the three things it asks for besides:
// what prepares a system for a run, what watches jobs, and the answer to how an
// error of the API ends an attempt (failure.go, in one place).
//
// To add a type, write its file and add a line to types in steps.go.
package steps
