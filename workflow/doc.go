// Package workflow is the language of fcflow and the state of its runs: pure
// data and rules, without input or output, goroutines or a clock.
//
// # Words
//
// A [Workflow] is the definition that a YAML file holds: its inputs, its
// [Step]s and what depends on what. The step type, named by `uses`, says what a
// step does; a [Catalogue] knows the step types and describes each by a
// [StepSpec].
//
// A run is one execution of a workflow. Within it each step has one or more
// units; people call them instances, and there are several only where a step
// fans out. A unit goes through numbered attempts until it is done. Where a
// unit or a run stands is its state, why is its cause. Every change is an
// event, all events of a run in order are its history, and folding the history
// gives the run back: nothing else is stored, so a process that dies loses
// nothing that had been acted on.
//
// # From text to workflow
//
// [Parse] reads a file and [Check] compares it with the catalogue; [Load] does
// both. They never stop at the first mistake: each [Problem] carries its place
// and, where there is one, the way out. [Language] is the table of all keys,
// from which the JSON Schema is generated too. `${{ … }}` holds an
// [Expression], checked against the types of inputs and of the outputs of other
// steps before anything runs.
package workflow
