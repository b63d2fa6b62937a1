package firecresttest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

var directive = regexp.MustCompile(`(?m)^//firecrest:operation ([A-Z]+ /\S+)$`)

// Operations returns the operations that the client covers, as the directives
// in its source say. Dir is the directory of package firecrest.
func Operations(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var operations []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, match := range directive.FindAllStringSubmatch(string(source), -1) {
			operations = append(operations, match[1])
		}
	}
	if len(operations) == 0 {
		return nil, fmt.Errorf("no operation is named in %q", dir)
	}
	return operations, nil
}
