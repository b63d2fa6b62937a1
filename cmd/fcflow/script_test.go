package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the outputs that scripts expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fcflow": main, "wait-until": waitUntil})
}

// waitUntil is a program for scripts: it waits until a command of the shell succeeds,
// but not for ever.
func waitUntil() {
	for deadline := time.Now().Add(patience); exec.Command("sh", "-c", os.Args[1]).Run() != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "after %s still not: %s\n", patience, os.Args[1])
			os.Exit(1)
		}
	}
}

// TestScripts tells each story of testdata/script with the real program, in
// processes of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range scriptPatterns() {
		found, err := filepath.Glob("testdata/script/" + pattern + ".txtar")
		if err != nil || len(found) == 0 {
			t.Fatalf("scripts %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	testscript.Run(t, testscript.Params{
		Files: files, UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("FCFLOW_STATE_DIR", env.WorkDir+"/state")
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir)
			env.Setenv("TZ", "UTC")
			return os.Mkdir(env.WorkDir+"/home", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mask": mask, "await": await, "perm": perm, "absent": absent, "webserver": webserver,
			"eventually": eventually, "described": described, "guards": guards, "moreruns": moreruns, "everysecond": everysecond, "token": token,
			"packaged": packaged, "jsonlines": jsonlines, "post": post, "runs": runs,
		},
	})
}

// masks replace what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`\b\d+ requests?\b`), "N requests"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?\b`), "INSTANT"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`\b(\d+m)?(\d+\.\d|\d+)s\b`), "LONG"},
	{regexp.MustCompile(`just now|\d+ (min|h) ago`), "AGO"},
	{regexp.MustCompile(`\b(\w+)@[\w.-]+`), "USER@HOST"},
	{regexp.MustCompile(`\b[a-z2-7]{20}\b`), "TOKEN"},
	{regexp.MustCompile(`process \d+ on \S+`), "process PID on HOST"},
	{regexp.MustCompile(`(?m)^TIME  (▶ running|… waiting) .* job \d+ on \w+( \w+( \(\w+\))?)?\n`), ""}, // how often it is seen is chance
	// A column is as wide as what is masked in it was.
	{regexp.MustCompile(`\b(LONG|AGO|TOOK|STARTED) +`), "$1  "},
	{regexp.MustCompile(` +(\d+ instances|no instances)`), "  $1"},
	{regexp.MustCompile(`(less than 0\.01|\d+\.\d+) node-hours`), "FEW node-hours"},
	{regexp.MustCompile(` +(\n|$)`), "$1"},
}

var ulid = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)

// mask FROM TO writes an output with ids, times and paths replaced, to be
// compared by cmp. Run ids become RUN1, RUN2 in the order of creation.
func mask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mask stdout|stderr|FILE TO")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), ts.Getenv("WORK"), "$WORK")
	entries, _ := os.ReadDir(filepath.Join(ts.Getenv("FCFLOW_STATE_DIR"), "runs"))
	n := 0
	for _, e := range entries { // sorted by name, hence by time
		if id := e.Name(); ulid.MatchString(id) {
			n++
			text = strings.ReplaceAll(text, id, fmt.Sprintf("RUN%d", n))
			text = strings.ReplaceAll(text, id[20:], fmt.Sprintf("RUN%d", n))
		}
	}
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.mask)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// patience is how long a script waits for something. Nothing should come near it.
const patience = time.Minute

// await FILE waits until a file exists.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if matches, _ := filepath.Glob(ts.MkAbs(args[0])); len(matches) > 0 {
			return
		}
	}
	ts.Fatalf("%s did not appear", args[0])
}

// perm MODE FILE checks the permissions of a file.
func perm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: perm MODE FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// webserver NAME starts a server on this machine, for as long as the script runs,
// and puts its address into a variable. It writes what it is asked into the file
// heard, answers /json with JSON, and refuses what lies below /missing.
func webserver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: webserver NAME")
	}
	var mu sync.Mutex
	file := ts.MkAbs("heard")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		defer log.Close()
		fmt.Fprintf(log, "%s %s %s\n", r.Method, r.URL.RequestURI(), body)
		switch {
		case strings.HasPrefix(r.URL.Path, "/missing"):
			http.Error(w, "no "+r.URL.RequestURI(), http.StatusNotFound)
		case r.URL.Path == "/json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"state":"ok"}`)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// absent TEXT DIR fails if a file below a directory holds the text.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: absent TEXT DIR")
	}
	root := ts.MkAbs(args[1])
	ts.Check(filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != root: // removed meanwhile
			return nil
		case err != nil || !d.Type().IsRegular():
			return err
		}
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err == nil && strings.Contains(string(text), args[0]):
			return fmt.Errorf("%s holds %q", path, args[0])
		}
		return err
	}))
}
