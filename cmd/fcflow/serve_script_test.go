package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	ids "github.com/oklog/ulid/v2"
	"github.com/rogpeppe/go-internal/testscript"
)

// eventually PATTERN FILE|/PATH waits until a file, or what the server answers,
// matches.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] eventually PATTERN FILE|/PATH")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	look := func() (string, error) {
		if args[1][0] == '/' {
			return asked(ts, args[1])
		}
		text, err := os.ReadFile(ts.MkAbs(args[1]))
		return string(text), err
	}
	text, err := "", error(nil)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if text, err = look(); err == nil && pattern.MatchString(text) != neg {
			return
		}
	}
	ts.Fatalf("%s, %v:\n%s", args[1], err, text)
}

// asked is what the server answers to somebody with its token.
func asked(ts *testscript.TestScript, path string) (string, error) {
	dir := filepath.Join(ts.Getenv("FCFLOW_STATE_DIR"), "serve")
	var tokens serveTokens
	var at address
	for name, v := range map[string]any{"tokens.json": &tokens, "server.json": &at} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			return "", err
		}
	}
	r, err := http.NewRequest(http.MethodGet, at.URL+path[1:], nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+tokens.Full)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// described ROUTE [QUERY] checks that what the server answers, of the newest run or
// of the sandbox's system, is what its description of the route says.
func described(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: described ROUTE [QUERY]")
	}
	runs := storedRuns(ts)
	path := strings.NewReplacer("{id}", runs[len(runs)-1], "{name}", sandboxSystem).Replace(strings.Join(args, "?"))
	text, err := asked(ts, "/v1/openapi.json")
	ts.Check(err)
	o, err := readOpenAPI(text)
	ts.Check(err)
	answer, err := asked(ts, path)
	ts.Check(err)
	if err := o.check(args[0], []byte(answer)); err != nil {
		ts.Fatalf("%s: %v:\n%s", path, err, answer)
	}
}

// moreruns N waits until there are N runs more than now.
func moreruns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: moreruns N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	want := len(storedRuns(ts)) + n
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if len(storedRuns(ts)) >= want {
			return
		}
	}
	ts.Fatalf("there are %d runs, not %d", len(storedRuns(ts)), want)
}

// everysecond checks that the runs there are have one for each second between the
// first and the last: the time in an id of a scheduled run is that of its slot.
func everysecond(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: everysecond")
	}
	var last uint64
	for _, id := range storedRuns(ts) {
		slot := ids.MustParse(id).Time()
		if last != 0 && slot != last+1000 {
			ts.Fatalf("the run of %s follows the one of %s", ids.Time(slot).UTC(), ids.Time(last).UTC())
		}
		last = slot
	}
	if last == 0 {
		ts.Fatalf("there are no runs")
	}
}

// storedRuns lists the ids of the runs of the state directory, in their order.
func storedRuns(ts *testscript.TestScript) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(ts.Getenv("FCFLOW_STATE_DIR"), "runs")) // none before the first
	for _, e := range entries {
		if ulid.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// token NAME puts the token of the server into a variable.
func token(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: token NAME")
	}
	var tokens serveTokens
	text, err := os.ReadFile(filepath.Join(ts.Getenv("FCFLOW_STATE_DIR"), "serve", "tokens.json"))
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &tokens))
	if tokens.Full == "" || tokens.Full == tokens.ReadOnly {
		ts.Check(fmt.Errorf("tokens: %d and %d bytes", len(tokens.Full), len(tokens.ReadOnly)))
	}
	ts.Setenv(args[0], tokens.Full)
}
