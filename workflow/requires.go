package workflow

import (
	"slices"
	"strconv"
	"strings"
)

// checkRequires holds `requires` against the version of this program.
func (c *checker) checkRequires() {
	want, ok := release(strings.TrimPrefix(c.w.Requires, ">="))
	if !ok {
		return // none, or unreadable and reported as that
	}
	have, ok := release(c.options.Version)
	if ok && slices.Compare(have, want) < 0 {
		c.report(CodeRequiresNewer, c.w.RequiresPos, "install a newer fcflow",
			"the workflow needs fcflow %s or newer, and this is %s", strings.TrimPrefix(c.w.Requires, ">="), c.options.Version)
	}
}

// release reads the numbers of a version such as v0.3 or 0.3.1-4-gabc; false if
// it is that of no release.
func release(version string) ([]int, bool) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	parts := strings.Split(version, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	numbers := make([]int, 3)
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, false
		}
		numbers[i] = n
	}
	return numbers, true
}
