package sandbox

// Globs of routes that several differences are about.
const (
	jobList    = "GET /compute/{system_name}/jobs"
	jobReads   = "GET /compute/{system_name}/jobs*"
	submission = "POST /compute/{system_name}/jobs"
	inParts    = "POST /filesystem/{system_name}/transfer/*load" // upload, download
	uploading  = "POST /filesystem/{system_name}/transfer/upload"
	fetching   = "POST /filesystem/{system_name}/transfer/download"
)

// differences from the newest release, newest first, in which order they are
// applied. Where the notes of the releases are silent, the boundary is the first
// release that was seen to do otherwise.
var differences = []difference{
	{before: "2.5.7", ops: jobList, request: (*Server).showWeek},
	{before: "2.5.7", ops: jobList, ahead: true, request: without("name")},

	{before: "2.5.6", trait: trustsDots},
	{before: "2.5.6", refusal: unservedPath},

	{before: "2.5.5", trait: lacksCauses},
	{before: "2.5.5", ops: submission, refusal: limitAsFailure},
	{before: "2.5.5", refusal: escaped},

	{before: "2.5.4", ops: "GET /status/{system_name}/partitions", request: (*Server).showHidden},
	{before: "2.5.4", ops: "GET /status/{system_name}/reservations", answer: stateless},
	{before: "2.5.4", ops: submission, request: (*Server).ignorePlace},

	{before: "2.5.2", ops: "GET /filesystem/{system_name}/ops/view", answer: undecodable},

	{before: "2.5.1", trait: takesDyingTokens},
	{before: "2.5.1", trait: asksAccounting},
	{before: "2.5.1", ops: jobReads, refusal: innerReason},
	{before: "2.5.1", ops: "GET /status/{system_name}/userinfo", refusal: innerReason, answer: accountless},
	{before: "2.5.1", ops: "GET /status/{system_name}/nodes", answer: plainStates},
	{before: "2.5.1", ops: jobReads, answer: accounted},

	{before: "2.5.0", ops: "GET /status/systems", answer: earlySystems},
	{before: "2.5.0", ops: submission, answer: numberedJob},
	{before: "2.5.0", ops: jobReads, answer: numberedJobs},
	{before: "2.5.0", ops: "* /filesystem/{system_name}/transfer/*", answer: numberedTransfer},
	{before: "2.5.0", since: "2.4.0", ops: inParts, request: (*Server).settleMethod, answer: snakeDirectives},
	{before: "2.5.0", ops: "POST /filesystem/{system_name}/ops/symlink", answer: (*Server).describeTarget},
	{before: "2.5.0", ops: "PUT /filesystem/{system_name}/ops/chown", request: (*Server).nullAsNone},

	{before: "2.4.2", trait: namesFirst},
	{before: "2.4.2", ops: jobList, request: without("account")},
	{before: "2.4.2", ops: "GET /status/systems", answer: modeless},

	{before: "2.4.1", refusal: pathless},
	{before: "2.4.1", trait: forgetsAtNight},

	{before: "2.4.0", trait: mindsCase},
	{before: "2.4.0", trait: uploadsLess},
	{before: "2.4.0", refusal: uploadTooLarge},
	{before: "2.4.0", ops: submission, request: (*Server).snakeDirectory},
	{before: "2.4.0", ops: "POST /filesystem/{system_name}/*/compress", request: lacking("compression")},
	{before: "2.4.0", ops: "POST /filesystem/{system_name}/*/extract", request: lacking("compression")},
	{before: "2.4.0", ops: uploading, request: (*Server).earlyUpload, answer: flatDirectives},
	{before: "2.4.0", ops: fetching, request: (*Server).earlyDownload, answer: flatDirectives},

	{before: "2.3.1", refusal: oldTexts},
	{before: "2.3.1", trait: hidesRelease},
	{before: "2.3.1", ops: "GET /status/systems", answer: firstSystems},
	{before: "2.3.1", ops: "GET /filesystem/{system_name}/ops/view", request: without("size", "offset")},
	{before: "2.3.1", ops: "PUT /filesystem/{system_name}/ops/ch*", request: (*Server).pathOnly},
	{before: "2.3.1", ops: uploading, gated: true},

	{before: "2.2.8", ops: "POST /filesystem/{system_name}/*/c*", request: lacking("dereference")},
	{before: "2.2.7", ops: jobList, request: without("allusers")},
	{before: "2.2.6", ops: submission, request: (*Server).inlineScript},
	{before: "2.2.5", trait: lacksRequestIDs},
	{before: "2.2.3", ops: "GET /status/liveness/", absent: true},
	{before: "2.2.0", ops: "POST /filesystem/{system_name}/transfer/compress", absent: true},
	{before: "2.2.0", ops: "POST /filesystem/{system_name}/transfer/extract", absent: true},
	{before: "2.2.0", ops: "POST /filesystem/{system_name}/ops/compress", request: lacking("matchPattern", "match_pattern")},
}
