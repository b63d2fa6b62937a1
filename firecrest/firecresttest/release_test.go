package firecresttest_test

import (
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/firecresttest"
	"github.com/fcflow/fcflow/sandbox"
)

// TestReleases runs the suite against the sandbox as it imitates other releases:
// they do all that it asks, save what is known of them.
func TestReleases(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	for _, release := range []string{"2.3.1", "2.4.0", "2.4.2", "2.5.0", "2.5.7"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := serve(t, sandbox.Config{Site: fixture(t), Release: release, TokenAlgorithm: "HS256"})
			target := firecresttest.Target{
				URL: s.url, System: system, Dir: s.home, Tokens: firecrest.StaticToken(s.token(t, "alice", time.Hour, nil)),
				IngressInterval: 100 * time.Millisecond, Transport: s.transport, Poll: quickPolls, Patience: 30 * time.Second,
			}
			_, described := describe(t, target)
			target.Differences = firecresttest.KnownDifferences(release, described)
			firecresttest.Run(t, target)
		})
	}
}
