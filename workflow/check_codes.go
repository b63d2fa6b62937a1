package workflow

// Codes of what Check and BindInputs find.
const (
	CodeExpressionSyntax  ProblemCode = "expression_syntax"
	CodeExpressionLimit   ProblemCode = "expression_limit"
	CodeExpressionRefused ProblemCode = "expression_refused"
	CodeExpressionType    ProblemCode = "expression_type"
	CodeExpressionPlace   ProblemCode = "expression_place"
	CodeUnclosedOptional  ProblemCode = "unclosed_optional"
	CodeUnknownName       ProblemCode = "unknown_name"
	CodeUnavailableName   ProblemCode = "unavailable_name"
	CodeUnknownState      ProblemCode = "unknown_state"
	CodeSecretPlace       ProblemCode = "secret_place"
	CodeDuplicateStep     ProblemCode = "duplicate_step"
	CodeUnknownStep       ProblemCode = "unknown_step"
	CodeSelfReference     ProblemCode = "self_reference"
	CodeCycle             ProblemCode = "cycle"
	CodeFinallyReference  ProblemCode = "finally_reference"
	CodeUnknownStepType   ProblemCode = "unknown_step_type"
	CodeUnknownStepInput  ProblemCode = "unknown_step_input"
	CodeMissingStepInput  ProblemCode = "missing_step_input"
	CodeWrongType         ProblemCode = "wrong_type"
	CodeNotInEnum         ProblemCode = "not_in_enum"
	CodeBadPath           ProblemCode = "bad_path"
	CodeMissingSystem     ProblemCode = "missing_system"
	CodeMatrixDimension   ProblemCode = "matrix_dimension"
	CodeMatrixEmpty       ProblemCode = "matrix_empty"
	CodeFanOutKey         ProblemCode = "fan_out_key"
	CodeFanOutTwice       ProblemCode = "fan_out_twice"
	CodeQueueTimeout      ProblemCode = "queue_timeout_place"
	CodeUnknownCause      ProblemCode = "unknown_cause"
	CodeCauseNeedsJob     ProblemCode = "cause_needs_job"
	CodeImpossibleCause   ProblemCode = "impossible_cause"
	CodeOverlappingRules  ProblemCode = "overlapping_rules"
	CodeGrowKey           ProblemCode = "grow_key"
	CodeUntilBound        ProblemCode = "until_bound"
	CodeInputDefault      ProblemCode = "input_default"
	CodeInputUnknown      ProblemCode = "input_unknown"
	CodeInputMissing      ProblemCode = "input_missing"
	CodeInputValue        ProblemCode = "input_value"
	CodeRequiresNewer     ProblemCode = "requires_newer"
	CodeChildFile         ProblemCode = "child_file"
	CodeChildCycle        ProblemCode = "child_cycle"
	CodeChildOutput       ProblemCode = "child_output"
)

func checkCodes() []ProblemCode {
	return []ProblemCode{
		CodeExpressionSyntax, CodeExpressionLimit, CodeExpressionRefused, CodeExpressionType,
		CodeExpressionPlace, CodeUnclosedOptional, CodeUnknownName, CodeUnavailableName,
		CodeUnknownState, CodeSecretPlace, CodeDuplicateStep, CodeUnknownStep, CodeSelfReference,
		CodeCycle, CodeFinallyReference, CodeUnknownStepType, CodeUnknownStepInput,
		CodeMissingStepInput, CodeWrongType, CodeNotInEnum, CodeBadPath, CodeMissingSystem,
		CodeMatrixDimension, CodeMatrixEmpty, CodeFanOutKey, CodeFanOutTwice,
		CodeQueueTimeout, CodeUnknownCause, CodeCauseNeedsJob, CodeImpossibleCause,
		CodeOverlappingRules, CodeGrowKey, CodeUntilBound, CodeInputDefault, CodeInputUnknown,
		CodeInputMissing, CodeInputValue, CodeRequiresNewer, CodeChildFile, CodeChildCycle, CodeChildOutput,
	}
}
