package steps

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/fcflow/fcflow/firecrest/firecresttest"
)

// answers counts, over all tests of this package, what the sandboxes answered
// to requests that step types made.
var answers firecresttest.Coverage

// TestMain fails, after the whole suite, for an operation that no step type has
// called with a good and with an error answer.
func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

type suite struct{ *testing.M }

// Run implements goleak.TestingM.
func (s suite) Run() int {
	code := s.M.Run()
	if code != 0 || flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.list").Value.String() != "" {
		return code
	}
	operations, err := firecresttest.Operations("../firecrest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	gaps := answers.Gaps(operations)
	for _, gap := range gaps {
		fmt.Fprintln(os.Stderr, "step types got of", gap)
	}
	if len(gaps) > 0 {
		return 1
	}
	return 0
}
