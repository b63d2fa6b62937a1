package crashtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// event is a stored event. Its text is compared as it was printed.
type event struct {
	Seq      int64  `json:"seq"`
	Epoch    int64  `json:"epoch"`
	Kind     string `json:"kind"`
	Step     string `json:"step"`
	Instance string `json:"instance"`
	Attempt  int    `json:"attempt"`
	Data     data   `json:"data"`
	original string
}

// data is what these tests need of the payloads.
type data struct {
	State string `json:"state"`
	K     int    `json:"k"`
}

// events reads what is stored of a run.
func (l *lab) events(run string) []event {
	l.t.Helper()
	var events []event
	for line := range strings.Lines(l.run("runs", "events", run, "--output", "json")) {
		e := event{original: line}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			l.t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// listed is a run as lists print it.
type listed struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	Live        bool   `json:"live"`
	Interrupted bool   `json:"interrupted"`
}

func (l *lab) list() []listed {
	l.t.Helper()
	var list []listed
	if err := json.Unmarshal([]byte(l.run("runs", "list", "--output", "json")), &list); err != nil {
		l.t.Fatal(err)
	}
	return list
}

// shown is a run as `runs show` prints it.
type shown struct {
	State   string         `json:"state"`
	Outputs map[string]any `json:"outputs"`
}

func (l *lab) show(run string) shown {
	l.t.Helper()
	var s shown
	if err := json.Unmarshal([]byte(l.run("runs", "show", run, "--output", "json")), &s); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// lines reads the lines of a file of the lab; none if there is no such file.
// The last one may be in the middle of being written.
func (l *lab) lines(name string) []string {
	l.t.Helper()
	text, err := os.ReadFile(l.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1])); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

// start is a line of the ledger: a payload, and the job it is in.
type start struct{ name, job string }

// ledger lists the payloads that were started, in that order.
func (l *lab) ledger() []start {
	l.t.Helper()
	var starts []start
	for _, line := range l.lines("ledger") {
		name, job, _ := strings.Cut(line, " ")
		starts = append(starts, start{name, job})
	}
	return starts
}

// batchLine is a line of the ledger of the batch system.
type batchLine struct {
	Event string `json:"event"`
	ID    string `json:"id"`
	Name  string `json:"name"`
}

// batch lists what the batch system did.
func (l *lab) batch() []batchLine {
	l.t.Helper()
	var list []batchLine
	for _, line := range l.lines("sandbox/batch/ledger.jsonl") {
		var b batchLine
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			continue // torn by a kill, and written again since
		}
		list = append(list, b)
	}
	return list
}

// downloaded reads the files that a run fetched.
func (l *lab) downloaded() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(l.path("results"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		// Below results/ there is one directory per run.
		_, name, _ := strings.Cut(strings.TrimPrefix(path, l.path("results")+"/"), "/")
		files[name] = string(text)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}

// commit is a line of the log of commits that a process writes before each.
type commit struct {
	Epoch int64    `json:"epoch"`
	Last  int64    `json:"last"`
	Kinds []string `json:"kinds"`
}

func (l *lab) commits() []commit {
	l.t.Helper()
	var commits []commit
	for _, line := range l.lines("commits") {
		var c commit
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			l.t.Fatal(err)
		}
		commits = append(commits, c)
	}
	return commits
}

// lastCommit lists the kinds of events that became durable last.
func (l *lab) lastCommit(stored []event) []string {
	l.t.Helper()
	if len(stored) == 0 {
		return nil
	}
	last := stored[len(stored)-1]
	for _, c := range l.commits() {
		if c.Last == last.Seq && c.Epoch == last.Epoch {
			kinds := slices.Clone(c.Kinds)
			slices.Sort(kinds)
			return slices.Compact(kinds)
		}
	}
	l.t.Fatalf("no commit ends with event %d", last.Seq)
	return nil
}
