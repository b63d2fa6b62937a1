package sandbox

import (
	"bytes"
	"fmt"
	"strings"
)

// stream is the job of the method streamer: it waits for the peer that has the
// coordinates. Its script ends well whatever the transfer did, and what it
// prints reaches the log only at the end.
func (t *transferJob) stream() (exitCode int) {
	fmt.Fprintln(t.stdout, "Most recent Python version detected is: python3.11")
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s Starting firecrest streamer in %s mode...\n", stamp(), t.Stream.Operation)
	if oneWord(t.Stream.Path) {
		t.Stream.run(t.session, &out)
	} else {
		fmt.Fprintf(t.stderr, "Error: Got unexpected extra arguments (%s)\n", t.Stream.Path)
	}
	if t.expired() != nil {
		return 1
	}
	_, _ = t.stdout.Write(out.Bytes()) // a log that cannot be written tells nobody
	t.say("Clean up temp env folder...")
	return 0
}

// wormholeIn and wormholeOut are the jobs of the method wormhole.

func (t *transferJob) wormholeIn() (exitCode int) {
	return t.wormhole(t.Target, t.wormholeReceive)
}

func (t *transferJob) wormholeOut() (exitCode int) {
	return t.wormhole(t.Source, t.wormholeSend)
}

func (t *transferJob) wormhole(path string, transfer func() int) (exitCode int) {
	index := "None" // as the template prints what the site leaves out
	if sys := t.server.site.system(t.row.Spec.System); sys != nil && sys.Transfer.PyPIIndexURL != "" {
		index = sys.Transfer.PyPIIndexURL
	}
	fmt.Fprintf(t.stdout, "Looking in indexes: %s\n", index)
	t.say("Waiting till file to tranfer is available...")
	if !oneWord(path) {
		fmt.Fprintf(t.stderr, "Error: Got unexpected extra arguments (%s)\n", path)
		return 2
	}
	return transfer()
}

// oneWord says whether a path survives standing in a script without quotes.
func oneWord(path string) bool { return len(strings.Fields(path)) == 1 }
