package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ProblemCode names a kind of mistake in a workflow file, such as
// "unknown_key". Codes are stable; each has a file in testdata/invalid.
type ProblemCode string

// The mistakes that reading finds, before anything is known about step types.
const (
	// The text is not a YAML document that fcflow reads.
	CodeTooLarge       ProblemCode = "too_large"
	CodeBadCharacter   ProblemCode = "bad_character"
	CodeYAMLSyntax     ProblemCode = "yaml_syntax"
	CodeTooDeep        ProblemCode = "too_deep"
	CodeTooManyValues  ProblemCode = "too_many_values"
	CodeTooManyAliases ProblemCode = "too_many_aliases"
	CodeAliasLoop      ProblemCode = "alias_loop"
	CodeEmptyFile      ProblemCode = "empty_file"
	CodeSecondDocument ProblemCode = "second_document"
	CodeTag            ProblemCode = "yaml_tag"
	CodeMergeKey       ProblemCode = "merge_key"
	CodeBadKey         ProblemCode = "bad_key"
	CodeDuplicateKey   ProblemCode = "duplicate_key"

	// The document is not shaped like a workflow.
	CodeUnknownKey  ProblemCode = "unknown_key"
	CodeMissingKey  ProblemCode = "missing_key"
	CodeNull        ProblemCode = "null_value"
	CodeBadName     ProblemCode = "bad_name"
	CodeUnknownType ProblemCode = "unknown_type"
	CodeBadVersion  ProblemCode = "bad_version"
	CodeBadDuration ProblemCode = "bad_duration"
	CodeBadFactor   ProblemCode = "bad_factor"
	CodeOutOfRange  ProblemCode = "out_of_range"
	CodeEmptyList   ProblemCode = "empty_list"
	CodeScheduleID  ProblemCode = "schedule_id"
	CodeCatchup     ProblemCode = "catchup_window"

	// An expression stands where none can, or is not closed.
	CodeUnclosedExpression   ProblemCode = "unclosed_expression"
	CodeExpressionNotAllowed ProblemCode = "expression_not_allowed"
	CodeIf                   ProblemCode = "if_not_expression"
)

// ProblemCodes lists every code that [Load] can report.
func ProblemCodes() []ProblemCode {
	return append(readCodes(), checkCodes()...)
}

func readCodes() []ProblemCode {
	return []ProblemCode{
		CodeTooLarge, CodeBadCharacter, CodeYAMLSyntax, CodeTooDeep, CodeTooManyValues, CodeTooManyAliases,
		CodeAliasLoop, CodeEmptyFile, CodeSecondDocument, CodeTag, CodeMergeKey, CodeBadKey, CodeDuplicateKey,
		CodeUnknownKey, CodeMissingKey, CodeNull, CodeBadName, CodeUnknownType,
		CodeBadVersion, CodeBadDuration, CodeBadFactor, CodeOutOfRange, CodeEmptyList,
		CodeScheduleID, CodeCatchup, CodeUnclosedExpression, CodeExpressionNotAllowed, CodeIf,
	}
}

// maxProblems bounds what is reported about one file: whoever has a thousand
// mistakes has one.
const maxProblems = 1000

// Problem is one mistake in a workflow file, with its place and the way out.
type Problem struct {
	Code ProblemCode `json:"code"`
	// File is where the mistake is, if that is not the file that was loaded but one
	// that a step runs.
	File    string `json:"file,omitempty"`
	Pos     Pos    `json:"pos"`
	Message string `json:"message"`        // lower case, no full stop
	Hint    string `json:"hint,omitempty"` // what to write instead

	text string // of File
}

// Problems are all mistakes found in one file, in file order; those of the files
// that its steps run come last.
type Problems []Problem

// Error lists the problems, one a line, as "line:column: message (hint)".
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Pos.prefix() + p.Message
		if p.File != "" {
			lines[i] = p.File + ":" + lines[i]
		}
		if p.Hint != "" {
			lines[i] += " (" + p.Hint + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// sorted returns the problems in file order, each once: what is reached
// through several aliases is reported at its anchor, and once is enough.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, Problem.Compare)
	seen := make(map[Problem]bool, len(ps))
	return slices.DeleteFunc(ps, func(p Problem) bool {
		again := seen[p]
		seen[p] = true
		return again
	})
}

// Compare orders problems by their place.
func (p Problem) Compare(q Problem) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Pos.Line, q.Pos.Line), cmp.Compare(p.Pos.Column, q.Pos.Column))
}

// prefix is the place as it stands before a message: "3:7: ", "3: " when only
// the line is known, "" when nothing is.
func (p Pos) prefix() string {
	switch {
	case p.Line == 0:
		return ""
	case p.Column == 0:
		return fmt.Sprintf("%d: ", p.Line)
	}
	return fmt.Sprintf("%d:%d: ", p.Line, p.Column)
}
