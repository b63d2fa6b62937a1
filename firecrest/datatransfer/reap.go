package datatransfer

import (
	"context"
	"strings"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// ingressName is what the service calls the jobs of uploads.
const ingressName = "IngressFileTransfer"

// reap cancels jobs that were submitted for an upload by requests whose answer
// was lost. Nobody has the addresses for them, so they do no harm; but they would
// hold a node for as long as the site lets them. They are known by the path in
// their script. Whatever goes wrong only leaves them there.
func (m *Mover) reap(ctx context.Context, system, target string, since time.Time) {
	jobs, err := m.client.Compute.List(ctx, system, &firecrest.JobListOptions{Window: firecrest.Window24h})
	if err != nil {
		return
	}
	for _, job := range jobs {
		older := !job.Time.Start.IsZero() && job.Time.Start.Before(since.Add(-clocksDiffer))
		if job.Name != ingressName || job.Status.State.IsTerminal() || older {
			continue
		}
		metadata, err := m.client.Compute.Metadata(ctx, system, job.ID.Base())
		if err != nil {
			continue
		}
		for _, data := range metadata {
			if mentions(data.Script, target) {
				_ = m.client.Compute.Cancel(ctx, system, job.ID.Base())
			}
		}
	}
}

// clocksDiffer is by how much those of this machine and of a system may.
const clocksDiffer = 10 * time.Minute

// mentions reports whether a script has a path in it that is not part of a longer
// one.
func mentions(script, path string) bool {
	for rest := script; ; {
		_, after, found := strings.Cut(rest, path)
		if !found {
			return false
		}
		if after == "" || strings.ContainsAny(after[:1], "\"' \t\n;") {
			return true
		}
		rest = after
	}
}
