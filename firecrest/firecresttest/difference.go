package firecresttest

import (
	"fmt"

	"github.com/fcflow/fcflow/firecrest"
)

// Difference is a way in which some servers are known not to do what the suite
// expects. Its text is the reason, shown where a subtest is skipped for it.
type Difference string

// All known differences. The last ones cannot be told from the outside: who
// knows the server puts them into [Target.Differences].
const (
	IgnoresJobFilters    Difference = "releases before 2.5.7 do not know the filters name and time_window of job lists and ignore them"
	LetsForeignPathsPass Difference = "releases before 2.5.6, and systems that are not probed, do not compare paths with their file systems"
	OmitsCauses          Difference = "releases before 2.5.5 have no causedBy in errors"
	HidesLimits          Difference = "releases before 2.5.0 tell neither the limits nor the transfer method of a system"
	FollowsNewLinks      Difference = "releases before 2.5.0 describe what a new link leads to, and answer 404 if that is nothing"
	MindsCase            Difference = "releases before 2.4.0 distinguish case in paths"
	SpellsDirectory      Difference = "releases before 2.4.0 know one spelling of the working directory"
	UploadsLess          Difference = "releases before 2.4.0 refuse an upload as large as the limit, in other words"
	LacksStreams         Difference = "releases before 2.4.1 have no streamer"
	KnowsGzipOnly        Difference = "releases before 2.4.0 write gzip archives only"
	NamesNodeStates      Difference = "releases before 2.5.1 give the states of nodes in the scheduler's own words"
	SpellsDirectives     Difference = "releases before 2.5.0 spell the directives in the answers to transfers otherwise"
	BreaksArrays         Difference = "releases before 2.5.0 cannot name the tasks of an array"
	MergesLimits         Difference = "releases before 2.5.5 do not tell limits of the site from other refusals of a job"
	BreaksBytes          Difference = "releases before 2.5.2 cannot show bytes that are no text"
	TakesDyingTokens     Difference = "releases before 2.5.1 take a token until it expires"
	HidesAccounts        Difference = "releases before 2.5.1 do not tell the accounts of a user"
	AsksAccounting       Difference = "releases before 2.5.1 ask the accounting about jobs, and not the queue"
	MixesMethods         Difference = "releases before 2.5.0 do not compare the method of a transfer with that of the system"
	TakesNull            Difference = "releases before 2.5.0 take null for a name"
	LacksLiveness        Difference = "releases before 2.2.3 do not tell their liveness"
	HidesPartitions      Difference = "releases before 2.5.4, and PBS, do not show hidden partitions"
	IgnoresAccountFilter Difference = "releases before 2.4.2 ignore the account of job lists"
	OmitsRequestIDs      Difference = "releases before 2.2.5 have no request ids"

	LacksScripts  Difference = "PBS keeps no scripts, exchanges output and error in metadata, and never gives an exit code to believe in"
	IgnoresAttach Difference = "where the server uses the scheduler's REST API, attaching a command does nothing"
	EscapesNames  Difference = "a login node without a UTF-8 locale writes other letters than ASCII as octal numbers"
	SwallowsEnds  Difference = "the published receiver of streams, 0.0.21, takes the closing message of the published sender for a part of the file"
	LacksPrograms Difference = "the login node lacks programs for bzip2 or xz"

	HasLargeParts         Difference = "the object store has parts too large for a test"
	LacksHiddenPartitions Difference = "the system has no hidden partition"
)

// KnownDifferences are those that follow from the release of a server, as its
// answers give it, and from what it says about a system. A release that is no
// number, as development builds have, counts as the newest.
func KnownDifferences(release string, system *firecrest.System) []Difference {
	var differences []Difference
	for _, d := range []struct {
		before string
		Difference
	}{
		{"2.5.7", IgnoresJobFilters},
		{"2.5.6", LetsForeignPathsPass},
		{"2.5.5", OmitsCauses},
		{"2.5.5", MergesLimits},
		{"2.5.4", HidesPartitions},
		{"2.5.2", BreaksBytes},
		{"2.5.1", TakesDyingTokens},
		{"2.5.1", HidesAccounts},
		{"2.5.1", AsksAccounting},
		{"2.5.1", NamesNodeStates},
		{"2.5.0", SpellsDirectives},
		{"2.5.0", BreaksArrays},
		{"2.5.0", HidesLimits},
		{"2.5.0", FollowsNewLinks},
		{"2.5.0", MixesMethods},
		{"2.5.0", TakesNull},
		{"2.4.2", IgnoresAccountFilter},
		{"2.4.0", MindsCase},
		{"2.4.1", LacksStreams},
		{"2.4.0", KnowsGzipOnly},
		{"2.4.0", SpellsDirectory},
		{"2.4.0", UploadsLess},
		{"2.2.5", OmitsRequestIDs},
		{"2.2.3", LacksLiveness},
	} {
		if older(release, d.before) {
			differences = append(differences, d.Difference)
		}
	}
	if system.Health == nil {
		differences = append(differences, LetsForeignPathsPass)
	}
	if mode := system.Scheduler.ConnectionMode; mode != "" && mode != "ssh" {
		differences = append(differences, IgnoresAttach)
	}
	if system.Scheduler.Type == "pbs" {
		differences = append(differences, LacksScripts, HidesPartitions)
	}
	return differences
}

// older compares releases of the form 2.5.6.
func older(release, than string) bool {
	var a, b [3]int
	if _, err := fmt.Sscanf(release, "%d.%d.%d", &a[0], &a[1], &a[2]); err != nil {
		return false
	}
	if _, err := fmt.Sscanf(than, "%d.%d.%d", &b[0], &b[1], &b[2]); err != nil {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
