package securitytest

// claim is one thing that is protected. Its number stays with it.
type claim struct {
	number int
	text   string
	shown  []string // by these tests, package below the module and name
}

// bar is what fcflow claims, with the tests that show it.
var bar = []claim{
	// Files and processes.
	{1, "what fcflow writes for itself only its user can read, whatever the umask", []string{
		"internal/securitytest.TestModes", "store.TestModes", "server.TestSocketIsPrivate", "sandbox.TestRootIsPrivate", "sandbox/batch.TestFoldersArePrivate",
	}},
	{2, "files of settings and secrets that others could read or write, or that belong to others, are refused", []string{
		"internal/settings.TestOwners", "internal/settings.TestMistakes", "internal/settings.TestSecret", "server.TestSocketDirectoryOfOthersIsNotUsed", "store.TestDirectoryRefused",
	}},
	{3, "files are replaced as a whole, synced with their directories before they count", []string{
		"internal/securitytest.TestReplacedFilesAreSynced", "internal/crashtest.TestKill",
	}},
	{4, "no flag takes a secret", []string{"internal/securitytest.TestSecretFlags", "internal/settings.TestTable"}},
	{5, "no secret is on a command line, nor in the environment of a program that was not given it", []string{
		"internal/securitytest.TestProcesses", "steps.TestRunCommand", "firecrest/datatransfer.TestWormholeEnvironment", "steps.TestSecretFiles",
	}},
	{6, "there are no core files, and no profiles of the memory", []string{"internal/securitytest.TestProcesses", "internal/securitytest.TestNoProfiling"}},
	{7, "histories hold no secret and no address that opens a file, not in free pages either", []string{
		"internal/securitytest.TestCanary", "internal/canary.TestPlanted", "steps.TestSecretsStayPrivate", "workflow.TestRecordedFormNamesSecrets",
	}},
	{8, "nor do logs, scripts and results, and none is left on a system", []string{
		"internal/securitytest.TestCanary", "engine.TestPrivateFiles", "steps.TestSecretFiles", "steps.TestSecretsGo", "steps.TestSecretsOfACancelledJob",
		"steps.TestSecretsThatStay", "steps.TestSecretsOfASubmittedJob", "steps.TestSecretsAfterEveryPrefix",
	}},

	// Masking.
	{10, "secrets have a type that prints as nothing, and is turned into text in a few places only", []string{
		"firecrest.TestSecretsDoNotShow", "internal/securitytest.TestSecretsStayCovered",
	}},
	{11, "what is printed and logged is masked after it was formatted, wherever it is cut into pieces", []string{
		"internal/redact.TestShapes", "internal/redact.TestRedactPatterns", "internal/redact.TestCutSparesNothing", "internal/redact.FuzzRedactWriter",
		"internal/console.TestStreamMasksAndCleans",
	}},
	{12, "of a request only what is on a list is told", []string{"firecrest.TestRequestsAreToldByAList", "firecrest.TestSecretsDoNotShow"}},
	{13, "what a server says is cut, cleaned and freed of the token", []string{
		"firecrest.TestLongMessageIsCut", "firecrest.TestSecretsDoNotShow", "firecrest.TestReasonsAreBoundedAndHoldNoSecrets", "firecrest/datatransfer.TestNoSecrets",
	}},
	{14, "a secret does not turn up in any of forty shapes", []string{
		"internal/redact.TestShapes", "internal/securitytest.TestCanary", "steps.TestPanicIsMasked", "engine.TestSecretsStayInside", "steps.TestSecretAddress",
	}},

	// Connections.
	{20, "TLS is 1.2 or newer and verified; leaving that out takes settings and environment, is said each time and recorded", []string{
		"internal/securitytest.TestCertificates", "firecrest.TestOldTLSIsNotSpoken", "firecrest.TestCABundle", "steps.TestCertificatesOfTheWeb",
	}},
	{21, "nothing secret goes over plain http, but to this machine", []string{
		"firecrest.TestBaseURL", "firecrest/datatransfer.TestUnencryptedStore", "firecrest/datatransfer.TestAddressesOfAServer", "firecrest.TestLoopbackIsNotProxied",
	}},
	{22, "redirects are not followed", []string{
		"firecrest.TestRedirectsAreNotFollowed", "firecrest.TestClientCredentials", "firecrest/datatransfer.TestStoreRedirects",
	}},
	{23, "a token goes to its own service and nowhere else", []string{"firecrest/datatransfer.TestTokenStaysWithItsService"}},
	{24, "answers are bounded in size and time", []string{
		"firecrest.TestAnswersThatAreNone", "firecrest.TestSlowAnswerIsCut", "firecrest.TestWaitingForATokenCanBeGivenUp",
	}},
	{25, "files go to the object store that the service names, or used first", []string{"firecrest/datatransfer.TestStoreIsPinned"}},
	{26, "a server cannot have us ask this machine, its link or a metadata service", []string{
		"internal/netguard.TestHosts", "internal/netguard.TestDialled", "internal/netguard.TestProxy", "internal/netguard.FuzzHosts",
		"firecrest/datatransfer.TestAddressesOfAServer", "firecrest/datatransfer.TestStoreNameOfThisMachine", "firecrest/datatransfer.TestStreamOfAServer",
	}},

	// Workflow files, expressions, scripts.
	{50, "a workflow file has bounds: 1 MiB, depth, nodes, aliases", []string{
		"workflow.TestParseLimits", "workflow.TestLoadLimits", "workflow.TestInvalidFiles", "workflow.FuzzParse",
	}},
	{51, "so has an expression: 4 KiB, depth 50, 4,000,000 elements; it has no effects", []string{
		"workflow.TestInvalidFiles", "workflow.TestEvalWithFails", "workflow.TestLoadLimits", "workflow.FuzzExpression",
	}},
	{52, "values reach a job byte for byte and are never read by a shell", []string{"steps/jobscript.TestEnvironment"}},
	{53, "directives that would break the tracking of a job are refused", []string{
		"steps/jobscript.TestCheckScript", "steps/jobscript.TestCheckDirectives", "cmd/fcflow.TestInvalidFiles",
	}},
	{54, "a remote path is absolute and holds nothing that a shell could take for more", []string{
		"firecrest.TestPathsRefusedBeforeSending", "firecrest.TestTransferPathsRefusedBeforeSending", "steps.TestPaths",
	}},
	{55, "what is downloaded or unpacked stays in its directory, with no devices, no special bits and bounded sizes", []string{
		"firecrest/datatransfer.TestUnpackHostile", "firecrest/datatransfer.TestUnpackBesideLinks", "firecrest/datatransfer.TestUnpackDropsSpecialBits",
		"firecrest/datatransfer.FuzzUnpackArchive", "steps.TestOutputDirectoryIsAFence", "internal/securitytest.TestLocalWritesAreConfined", "sandbox.TestEvilArchives",
	}},
	{57, "who looks at a workflow executes nothing of it", []string{"internal/securitytest.TestNothingRuns"}},

	// Terminals and logs.
	{60, "what comes from elsewhere cannot act on a terminal or hide", []string{
		"internal/console.TestClean", "internal/console.FuzzClean", "internal/console.FuzzJSON", "internal/securitytest.TestRemoteText",
	}},
	{61, "an event of the log is one line", []string{"cmd/fcflow.TestLogLines"}},

	// The server.
	{70, "no route of the server does or tells anything without a token, to a foreign page, host or form, or with one for reading only", []string{
		"server.TestAttacks", "server.TestGoodRequests",
	}},
	{71, "a name in an address leads nowhere else, and over a network no path of the machine is taken", []string{
		"server.TestPathsThatLeadOut", "server.TestBadBodies",
	}},
}
