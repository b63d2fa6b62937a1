package firecresttest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/fcflow/fcflow/firecrest"
)

// Coverage counts, by operation, how often it was answered well and how often
// with an error. The zero value is ready, and may be used concurrently.
type Coverage struct {
	mu      sync.Mutex
	answers map[string]tally
}

type tally struct{ good, bad int }

// Answer counts one answer to an operation such as "GET /status/systems".
// It can be a server's hook.
func (c *Coverage) Answer(operation string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers = map[string]tally{}
	}
	t := c.answers[operation]
	switch {
	case status >= 200 && status < 300:
		t.good++
	case status >= 400:
		t.bad++
	}
	c.answers[operation] = t
}

// Request counts the answer to a request of a client. It can be an argument of
// [firecrest.WithObserver].
func (c *Coverage) Request(info firecrest.RequestInfo) { c.Answer(info.Operation, info.Status) }

// Gaps says, for each operation that lacks a good or an error answer, which.
func (c *Coverage) Gaps(operations []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var gaps []string
	for _, operation := range operations {
		if t := c.answers[operation]; t.good == 0 || t.bad == 0 {
			gaps = append(gaps, fmt.Sprintf("%s: %d good answers, %d errors", operation, t.good, t.bad))
		}
	}
	return gaps
}

var operationLine = regexp.MustCompile(`(?m)^  - \{method: ([A-Z]+), path: "?(/[^",]+)"?,`)

// Operations returns the operations of the API, such as "GET /status/systems",
// as operations.yaml lists them. Dir is the directory of package firecrest.
func Operations(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "operations.yaml"))
	if err != nil {
		return nil, err
	}
	var operations []string
	for _, match := range operationLine.FindAllStringSubmatch(string(text), -1) {
		operations = append(operations, match[1]+" "+match[2])
	}
	if len(operations) == 0 {
		return nil, fmt.Errorf("no operation is listed in %q", dir)
	}
	return operations, nil
}
