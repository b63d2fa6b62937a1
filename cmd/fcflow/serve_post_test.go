package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// named puts runs into a path: FIRST and LAST are the oldest and the newest.
func named(ts *testscript.TestScript, path string) string {
	if all := storedRuns(ts); len(all) > 0 {
		path = strings.NewReplacer("FIRST", all[0], "LAST", all[len(all)-1]).Replace(path)
	}
	return path
}

// post STATUS VERB|/PATH FILE sends the text of a file to the server, with a verb to
// the newest run, and writes what it answers into the file answer.
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: post STATUS VERB|/PATH FILE")
	}
	path := args[1]
	if path[0] != '/' {
		path = "/v1/runs/LAST/" + path
	}
	at, tokens, err := serving(ts)
	ts.Check(err)
	header := http.Header{"Authorization": {"Bearer " + tokens.Full}, "Content-Type": {"application/json"}}
	status, text, err := send(http.MethodPost, at.URL+named(ts, path)[1:], "", ts.ReadFile(args[2]), header)
	ts.Check(err)
	if fmt.Sprint(status) != args[0] {
		ts.Fatalf("%s: status %d, want %s: %s", path, status, args[0], text)
	}
	ts.Check(os.WriteFile(ts.MkAbs("answer"), []byte(text), 0o600))
}

// runs N checks how many runs there are.
func runs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: runs N")
	}
	if all := storedRuns(ts); fmt.Sprint(len(all)) != args[0] {
		ts.Fatalf("there are %d runs, want %s: %s", len(all), args[0], all)
	}
}
