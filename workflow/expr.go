package workflow

// Scope supplies the run-time values that expressions may name. Nothing in it
// depends on the clock or on chance.
//
// Values are what JSON decodes to; where their numbers are [json.Number], see
// [DecodeValue], they keep their source text until arithmetic.
type Scope struct {
	Inputs map[string]any
	// Secrets resolves a secret. Nil gives the recorded form, in which a value
	// made from a secret reads {"secret":"NAME"}.
	Secrets func(name string) (string, error)
	Run     RunFacts
	Attempt int
	// Matrix and Each are the fan-out values of this unit; nil without fan-out.
	Matrix map[string]any
	Each   map[string]any
	// Step is asked only for steps that the expression names.
	Step func(id string) StepFacts

	// Status functions.
	Success   bool
	Failure   bool
	Cancelled bool
}

// RunFacts are the members of `run` in expressions.
type RunFacts struct {
	ID          string
	Name        string
	StartedAt   string // RFC 3339
	ScheduledAt string // RFC 3339
	RemoteDir   string // "" where no system is bound
	FailedSteps []string
}

// StepFacts is what expressions see of another step.
type StepFacts struct {
	State   State
	Outputs map[string]any // nil unless succeeded
	// Instances lists the units of a fanned-out step, each with key, state and
	// outputs, and with matrix or each.
	Instances []any
}
