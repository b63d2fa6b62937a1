package steps

import "github.com/fcflow/fcflow/workflow"

// Groups of step types.
const (
	groupStatus    = "status"
	groupFiles     = "files"
	groupTransfers = "transfers"
	groupObjects   = "object store"
	groupJobs      = "jobs"
	groupControl   = "control"
)

// Causes that step types share.
var (
	operationCauses = []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI}
	changeCauses    = []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI, workflow.CauseDiskQuota}
	transferCauses  = []workflow.Cause{
		workflow.CauseRejected, workflow.CauseAPI, workflow.CauseDiskQuota, workflow.CauseTransfer, workflow.CauseInputChanged,
	}
	submitCauses = []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI, workflow.CauseInputChanged}
	endCauses    = []workflow.Cause{
		workflow.CauseWalltime, workflow.CauseOutOfMemory, workflow.CauseNodeFail, workflow.CausePreempted,
		workflow.CauseExit, workflow.CauseKilled, workflow.CauseLost,
	}
)

// Codes of the mistakes that step types find in their own inputs.
const (
	codeExclusive    = "inputs_exclude"    // inputs of which only one may be given
	codeOutOfRange   = "input_range"       // a number that makes no sense
	codeScript       = "job_script"        // a script that no batch system takes
	codeDirective    = "refused_directive" // a directive fcflow writes itself or cannot work with
	codeEnvName      = "env_name"          // a name that a shell cannot export
	codeJobOutput    = "job_output"        // an output that cannot be read as declared
	codeStoreAddress = "store_address"     // an address where none can be used, or that no object store has
	codeWebAddress   = "web_address"       // an address that is none on the web
)

// Codes lists the codes of the problems that step types find by themselves.
func Codes() []workflow.ProblemCode {
	return []workflow.ProblemCode{codeExclusive, codeOutOfRange, codeScript, codeDirective, codeEnvName, codeJobOutput, codeStoreAddress, codeWebAddress}
}
