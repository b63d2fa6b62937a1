package steps

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// The control directory of a run on a system holds what fcflow and its jobs
// keep there. Its parts each hold the files of some attempts, so that one
// listing never grows too large for the server. In a part, of a token T:
//
//	T           the claim: a link that only one can make. Its text is .o-JOB,
//	            or that of a tombstone, after which no job can claim it
//	T.x         the exit marker: a link with the text x-CODE.JOB
//	T.sh        the script, written by the job that owns the token
//	T.out.JOB   what a job printed
const (
	controlName = ".fcflow"
	// runLink claims the control directory for one run.
	runLink         = "run"
	claimPrefix     = ".o-"
	tombstonePrefix = claimPrefix + "tombstone-"
	markerSuffix    = ".x"
	markerPrefix    = "x-"
	outputInfix     = ".out."
)

// partSize is how many instances share a part. Each of their attempts leaves up to
// four names there.
const partSize = 1000

// controlDir is the control directory of a run.
func controlDir(site workflow.RunBound) string { return path.Join(site.RemoteDir, controlName) }

// partName is the part of the instance with a place. That must follow from what a
// copy or a backup of the run knows, too: a token has one place.
func partName(place int) string { return fmt.Sprintf("%03d", place/partSize) }

// controlPart is the directory for the attempt's files of control.
func (c *call) controlPart() string {
	return path.Join(controlDir(c.Site), partName(c.Place))
}

// jobOutput is where the output of a job with a token goes, with the id of the
// job or %j.
func jobOutput(control, token, id string) string {
	return path.Join(control, token+outputInfix+id)
}

// runLinkText is what the link that claims the control directory says.
func runLinkText(nonce string) string { return claimPrefix + nonce }

// tombstoneText is what the tombstones of a run say.
func tombstoneText(nonce string) string { return tombstonePrefix + nonce }

// claim is what a part shows of one token.
type claim struct {
	// owner is the id of the job that claimed the token; "" if none did.
	owner firecrest.JobID
	// tombstone: the token is fenced off.
	tombstone bool
	// marked: the owner has left its exit marker, with this code.
	marked bool
	code   int
	// outputs are the jobs that have left an output file: they started.
	outputs []firecrest.JobID
}

// claimed reports whether nobody can claim the token any more.
func (k claim) claimed() bool { return k.tombstone || k.owner != "" }

// words are the facts, for people.
func (k claim) words(token string) string {
	switch {
	case k.tombstone:
		return token + " is fenced off"
	case k.owner == "":
		return token + " is not claimed"
	case k.marked:
		return fmt.Sprintf("%s is claimed by job %s, which left exit code %d", token, k.owner, k.code)
	}
	return fmt.Sprintf("%s is claimed by job %s", token, k.owner)
}

// readClaim finds a token in the listing of its part.
func readClaim(entries []firecrest.FileEntry, token string) claim {
	var k claim
	var marker string
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name, token)
		switch {
		case !ok:
		case rest == "" && e.IsLink():
			k.owner, k.tombstone = claimOwner(e.LinkTarget)
		case rest == markerSuffix && e.IsLink():
			marker = path.Base(e.LinkTarget)
		case strings.HasPrefix(rest, outputInfix):
			k.outputs = append(k.outputs, firecrest.JobID(strings.TrimPrefix(rest, outputInfix)))
		}
	}
	k.code, k.marked = markerCode(marker, k.owner)
	return k
}

// claimOwner reads the text of a claim. A text that fcflow does not write makes
// no owner, and nobody can claim the token: it counts as fenced off.
func claimOwner(text string) (owner firecrest.JobID, tombstone bool) {
	id, ok := strings.CutPrefix(path.Base(text), claimPrefix)
	if !ok || strings.HasPrefix(path.Base(text), tombstonePrefix) || !plainID(id) {
		return "", true
	}
	return firecrest.JobID(id), false
}

// markerCode reads an exit marker, if it is that of the owner.
func markerCode(text string, owner firecrest.JobID) (code int, ok bool) {
	rest, ok := strings.CutPrefix(text, markerPrefix)
	number, id, found := strings.Cut(rest, ".")
	code, err := strconv.Atoi(number)
	return code, ok && found && err == nil && owner != "" && id == string(owner)
}

func plainID(id string) bool {
	_, err := strconv.ParseUint(id, 10, 64)
	return err == nil
}

// readPart lists a part of a control directory as it was at an instant or later.
func (c *call) readPart(ctx context.Context, part string, since time.Time) *listing {
	system := c.system()
	return c.library.parts.reading(system+" "+part).get(ctx, since, func(ctx context.Context) *listing {
		l := &listing{began: time.Now()}
		ctx = firecrest.WithTrace(ctx, l.trace)
		l.entries, l.err = c.files().List(ctx, system, part, &firecrest.ListOptions{ShowHidden: true})
		return l
	})
}

// trace keeps each request of a reading.
func (l *listing) trace(r firecrest.RequestInfo) { l.calls = append(l.calls, callFact(r)) }

// callFact is a request as the history keeps it.
func callFact(r firecrest.RequestInfo) workflow.CallFact {
	method, _, _ := strings.Cut(r.Operation, " ")
	fact := workflow.CallFact{Operation: method + " " + r.Path, At: r.Start.UTC().Truncate(time.Millisecond), Status: r.Status, RequestID: r.RequestID}
	if r.Err != nil {
		fact.Said = r.Err.Error()
	}
	return fact
}

// said are the calls with what they showed of the attempt's matter.
func (l *listing) said(words string) []workflow.CallFact {
	if len(l.calls) == 0 {
		return nil
	}
	calls := append([]workflow.CallFact(nil), l.calls...)
	calls[len(calls)-1].Said = words
	return calls
}
