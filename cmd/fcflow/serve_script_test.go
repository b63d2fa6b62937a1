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

// serving reads where the server is, and its tokens.
func serving(ts *testscript.TestScript) (at address, tokens serveTokens, err error) {
	dir := filepath.Join(ts.Getenv("FCFLOW_STATE_DIR"), "serve")
	for name, v := range map[string]any{"tokens.json": &tokens, "server.json": &at} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			return at, tokens, err
		}
	}
	return at, tokens, nil
}

// asked is what the server answers to somebody with its token.
func asked(ts *testscript.TestScript, path string) (string, error) {
	at, tokens, err := serving(ts)
	if err != nil {
		return "", err
	}
	_, text, err := send(http.MethodGet, at.URL+named(ts, path)[1:], "", "{}", http.Header{"Authorization": {"Bearer " + tokens.Full}})
	return text, err
}

// send makes a request, as if to a host if one is named.
func send(method, url, host, body string, header http.Header) (status int, text string, err error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Host, r.Header = host, header
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(all), err
}

// guards checks that the server that runs lets nobody in whom it should not.
func guards(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: guards")
	}
	at, tokens, err := serving(ts)
	ts.Check(err)
	full, reader := []string{"Bearer " + tokens.Full}, []string{"Bearer " + tokens.ReadOnly}
	content := []string{"application/json"}
	for _, c := range []struct {
		method, path, host string
		header             http.Header
		want               int
	}{
		{http.MethodGet, "v1/session", "", http.Header{"Authorization": full}, http.StatusOK},
		{http.MethodGet, "v1/session", "", http.Header{"Authorization": reader}, http.StatusOK},
		{http.MethodGet, "v1/session", "", http.Header{}, http.StatusUnauthorized},
		{http.MethodGet, "metrics", "", http.Header{}, http.StatusUnauthorized},
		{http.MethodGet, "v1/events", "", http.Header{"Accept": {"text/event-stream"}}, http.StatusUnauthorized},
		{http.MethodPost, "v1/runs", "", http.Header{"Content-Type": content}, http.StatusUnauthorized},
		{http.MethodPost, "v1/runs", "", http.Header{"Content-Type": content, "Authorization": reader}, http.StatusForbidden},
		{http.MethodPost, "v1/runs", "", http.Header{"Authorization": full}, http.StatusUnsupportedMediaType},
		{http.MethodGet, "v1/session", "evil.example", http.Header{"Authorization": full}, http.StatusForbidden},
		{http.MethodGet, "v1/session", "", http.Header{"Authorization": full, "Origin": {"http://evil.example"}}, http.StatusForbidden},
	} {
		status, text, err := send(c.method, at.URL+c.path, c.host, "{}", c.header)
		if err != nil || status != c.want {
			ts.Fatalf("%s %s: status %d, want %d: %v\n%s", c.method, c.path, status, c.want, err, text)
		}
	}
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
	_, tokens, err := serving(ts)
	ts.Check(err)
	if tokens.Full == "" || tokens.Full == tokens.ReadOnly {
		ts.Check(fmt.Errorf("tokens: %d and %d bytes", len(tokens.Full), len(tokens.ReadOnly)))
	}
	ts.Setenv(args[0], tokens.Full)
}
