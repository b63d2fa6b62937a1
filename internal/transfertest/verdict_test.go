package transfertest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

const (
	neighbour = "neighbour.txt" // a file beside the target that is nobody's business
	older     = "older content"
)

// prepare writes the source, and what is at the target before.
func (m *move) prepare() error {
	source, target := m.place.source(), m.remote("target")
	if m.down {
		source, target = m.remote("source"), filepath.Join(m.place.output(), "target")
	}
	files := map[string]string{filepath.Join(target, neighbour): "nobody's business"}
	if m.occupied {
		files[filepath.Join(target, "data.bin")] = older
	}
	for name, content := range m.files {
		files[filepath.Join(source, m.base(), name)] = content
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// judge compares how a transfer ended with what is there now.
func (m *move) judge(end ending) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	problems := slices.Clone(m.problems)
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch end.State {
	case workflow.Succeeded:
		if err := m.same(); err != nil {
			complain("it succeeded, but %w", err)
		}
		if err := m.truthful(end.Outputs); err != nil {
			complain("its outputs: %w", err)
		}
		// What an attempt leaves that failed goes with the run.
		if left, err := list(filepath.Join(m.place.Remote, "runs"), ".tar.gz"); err != nil || len(left) > 0 && !m.untidy && end.Attempts == 1 {
			complain("archives are left on the system: %q, %v", left, err)
		}
	case workflow.Failed:
		if !slices.ContainsFunc(m.fault.may, func(may truth) bool { return may.cause == end.Cause && words(end.Message, may.words) }) {
			complain("a failure that must not be, or that says something else: %s: %s", end.Cause, end.Message)
		}
		if m.struck == 0 && m.fault.toggle == nil {
			complain("it failed without a reason")
		}
		if err := m.untouched(); err != nil {
			complain("it failed, but %w", err)
		}
	default:
		complain("it ended %s", end)
	}
	if left, err := list(m.place.private(), ""); err != nil || len(left) > 0 {
		complain("private files are left: %q, %v", left, err)
	}
	return errors.Join(problems...)
}

// same reports whether the target is what the source is, and nothing else.
func (m *move) same() error {
	want := m.arrived()
	want[neighbour] = "nobody's business"
	found, err := m.found()
	if err != nil {
		return err
	}
	if m.changed != "" && found["data.bin"] == m.changed {
		want["data.bin"] = m.changed // it was read after it had changed
	}
	return difference(want, found)
}

// untouched makes sure that a failed transfer left nothing but, on the system, a
// part of its target.
func (m *move) untouched() error {
	want := map[string]string{neighbour: "nobody's business"}
	if m.occupied {
		want["data.bin"] = older
	}
	found, err := m.found()
	if err != nil {
		return err
	}
	if !m.down {
		for name := range m.arrived() {
			delete(found, name)
			delete(want, name)
		}
	}
	return difference(want, found)
}

// found is what lies in the directory of the target, hidden files and all.
func (m *move) found() (map[string]string, error) {
	dir := m.remote("target")
	if m.down {
		dir = m.place.output()
	}
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && !strings.HasSuffix(name, ".part") {
			return err
		}
		text, err := os.ReadFile(name)
		short, _ := filepath.Rel(dir, name) // both come from the walk
		if m.down && path.Dir(short) != "." {
			short = strings.TrimPrefix(short, "target/")
		}
		found[short] = string(text)
		return err
	})
	return found, err
}

func difference(want, found map[string]string) error {
	var differences []string
	names := slices.Sorted(maps.Keys(want))
	for name := range found {
		if _, ok := want[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		content, there := found[name]
		expected, asked := want[name]
		switch {
		case !there:
			differences = append(differences, fmt.Sprintf("%q is missing", name))
		case !asked:
			differences = append(differences, fmt.Sprintf("%q (%d bytes) should not be there", name, len(content)))
		case content != expected:
			differences = append(differences, fmt.Sprintf("%q has %d bytes, which are not the %d that it should have", name, len(content), len(expected)))
		}
	}
	if len(differences) > 0 {
		return errors.New(strings.Join(differences, "; "))
	}
	return nil
}

// truthful compares what the step says with what was moved.
func (m *move) truthful(outputs map[string]any) error {
	want := map[string]any{"size_bytes": float64(m.bytes()), "files": float64(len(m.arrived())), "skipped": false, "path": m.copyAt()}
	if m.shape == file {
		content := m.files["data.bin"]
		sum := sha256.Sum256([]byte(content))
		want["sha256"], want["verified"] = hex.EncodeToString(sum[:]), "sha256"
	}
	if m.changed != "" {
		delete(want, "sha256")
	}
	if m.attempts > 1 || m.fault.kill || m.occupied { // the first may have done it
		delete(want, "skipped")
	}
	for name, value := range want {
		if outputs[name] != value {
			return fmt.Errorf("%s is %v instead of %v", name, outputs[name], value)
		}
	}
	return nil
}

// copyAt is the path of the copy.
func (m *move) copyAt() string {
	dir := m.remote("target")
	if m.down {
		dir = filepath.Join(m.place.output(), "target")
	}
	switch m.shape {
	case file:
		return filepath.Join(dir, "data.bin")
	case tree:
		return filepath.Join(dir, "tree")
	}
	return dir
}

// list finds files below a directory.
func list(dir, suffix string) (found []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(name, suffix) {
			found = append(found, name)
		}
		return err
	})
	return found, err
}

// notLive makes sure that no job is live that could still write to the target.
// That of a download that succeeded may take a moment to tidy up.
func (m *move) notLive(end ending) error {
	jobs := m.knownJobs()
	if len(jobs) == 0 {
		return nil
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		live := m.site.live(m.place.System, jobs...)
		switch {
		case len(live) == 0:
			return nil
		case !m.down || end.State != workflow.Succeeded || time.Now().After(deadline):
			return fmt.Errorf("at its end, jobs are still live: %s", live)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// report is what a failure shows.
func (m *move) report(end ending, took time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	log := m.log
	const most = 150
	if len(log) > most {
		log = append([]string{fmt.Sprintf("… %d earlier requests", len(log)-most)}, log[len(log)-most:]...)
	}
	return fmt.Sprintf("%s\n%s\nafter %s: %s\n%s", m, m.describe(), took.Round(time.Millisecond), end, strings.Join(log, "\n"))
}
