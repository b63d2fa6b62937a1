package firecresttest_test

import (
	"testing"

	"github.com/fcflow/fcflow/firecrest/firecresttest"
	"github.com/fcflow/fcflow/sandbox"
)

// TestReleasesOnSandbox runs the suite against the sandbox in the guise of other
// releases. What follows from a release is a difference. Nothing can follow from
// 2.1.3, which does not tell its number.
func TestReleasesOnSandbox(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"2.3.1", "2.4.2", "2.5.0"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			var injected interference
			s := serve(t, sandbox.Config{Site: fixture(t), TokenAlgorithm: "HS256", Release: release, Fault: injected.fault})
			target := sandboxTarget(t, s, &injected)
			target.Differences = append(target.Differences, differences(t, target)...)
			firecresttest.Run(t, target)
		})
	}
}
