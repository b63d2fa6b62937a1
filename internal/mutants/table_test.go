package mutants

// mutant is a mistake, and the test that must notice it.
type mutant struct {
	name   string // of the patch
	breaks string // what it does, after "a mutant that …"
	pkg    string
	test   string
}

// mutants are mistakes of which most have cost somebody a doubled job, a lost result
// or a leaked secret.
var mutants = []mutant{
	// Who may run.
	{"no-claim", "lets a job run its payload without claiming its token", "steps/jobscript", "TestSecondJob"},
	{"prologue-makes-control", "has the job make a control directory that was purged, claims and all", "steps/jobscript", "TestFound"},
	{"torn-marker", "writes the exit marker in two steps", "steps/jobscript", "TestMarkerIsWhole"},
	{"exit-79-is-a-failure", "takes the end of a job that came second for the end of the payload", "steps", "TestWhoClaimsFirstIsFollowed"},
	{"replied-id-is-the-owner", "believes that the job of the answer owns the token", "steps", "TestWhoClaimsFirstIsFollowed"},
	{"new-token-without-tombstone", "goes on to another token while a job of this one may still claim it", "steps", "TestCancelledInTheQueue"},
	{"tombstone-overwrites", "fences a token off that a job has claimed", "steps", "TestCancelAfterTheClaim"},
	{"cancel-without-tombstone", "cancels a job and lets another of its token start", "steps", "TestNothingStartsAfterCancel"},

	// What is on record when.
	{"no-sending", "does not record that a request is about to be sent", "steps", "TestRequestIsOnRecordFirst"},
	{"sending-after-the-send", "records a request when it has been answered", "steps", "TestRequestIsOnRecordFirst"},
	{"act-before-durable", "starts what depends on an end that is not stored yet", "engine", "TestNothingBeforeItIsStored"},
	{"old-owner-may-write", "lets the owner before write into the history of the next", "store", "TestOwnerThatWasReplaced"},

	// What absence means.
	{"absence-by-one-vote", "submits again after one look that found nothing", "steps", "TestAbsenceTakesManyLooks"},
	{"absence-without-witness", "trusts a list that shows no job at all", "steps", "TestAbsenceTakesManyLooks"},
	{"wrong-window", "misses a job in a list that does not reach back to it", "firecrest", "TestPollerTellsAbsence"},
	{"missing-row-is-success", "takes a job that is not listed any more for one that succeeded", "steps", "TestMissingRowsSayNothing"},

	// How jobs end.
	{"id-without-token", "takes a job for ours that only has the same id", "firecrest", "TestPollerTellsChanges"},
	{"completed-without-marker", "takes COMPLETED for success though the job that owns the token left no exit marker", "steps", "TestJudge"},
	{"exit-code-only", "looks at neither the state nor the signal of a job with exit code 0", "steps", "TestJudge"},
	{"requeue-is-a-failure", "gives a job up that the scheduler runs again", "steps", "TestJobThatRunsAgain"},
	{"substring-states", "finds F in CONFIGURING and takes that for the end", "firecrest", "TestJobStates"},

	// The wire.
	{"submission-retried-after-408", "sends a submission again that timed out on the server", "firecrest", "TestWhatIsRepeated"},
	{"submission-follows-redirects", "follows a redirect with a submission", "firecrest", "TestSubmitFollowsNoRedirect"},
	{"html-404-is-not-found", "believes a gateway's 404 about a file or a job", "firecrest", "TestConditions"},
	{"address-in-the-log", "puts a presigned address into an error", "firecrest/datatransfer", "TestNoSecrets"},

	// Who may ask the server.
	{"read-only-may-change", "lets a token that is for reading start and end runs", "server", "TestAttacks"},
	{"any-host-gets-the-page", "answers with the page whatever name it is asked by", "server", "TestHosts"},
	{"origin-by-its-beginning", "takes a page for its own whose origin begins like it", "server", "TestOrigins"},
	{"metrics-for-everybody", "tells metrics without a token", "server", "TestAttacks"},
	{"files-over-the-network", "takes directories of its machine from elsewhere", "server", "TestBadBodies"},
	{"others-on-the-socket", "talks to processes of other users over the socket", "server", "TestOthersAreTurnedAway"},

	// The rules of execution.
	{"fail-fast-ends-what-runs", "skips a unit that is running when another of its step fails", "internal/oracle", "TestEngineAgrees"},
	{"missing-is-good", "lets dependents of a step run whose value is missing because of a failure", "internal/oracle", "TestEngineAgrees"},
	{"asked-is-cancelled", "takes a run for cancelled of which a cancel stopped nothing", "internal/oracle", "TestEngineAgrees"},
	{"rules-share-their-max", "counts the uses of all retry rules together", "internal/oracle", "TestEngineAgrees"},
}
