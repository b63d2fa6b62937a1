package securitytest

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/internal/canary"
)

// The canaries of TestCanary, made up for each run of the test: secrets that the
// program needs, and that it must not leave anywhere.
type birds struct {
	Client, Wrong, Key, File, Command, Store string
}

func newBirds() birds {
	bird := func(kind string) string { return "k4n4ri/" + kind + "+" + rand.Text() }
	return birds{bird("client"), bird("wrong"), bird("key"), bird("file"), bird("command"), bird("store")}
}

func (b birds) all() map[string]string {
	return map[string]string{
		"the client secret": b.Client, "a wrong client secret": b.Wrong, "a secret in the environment": b.Key,
		"a secret in a file": b.File, "the token command": b.Command, "a key of an object store": b.Store,
	}
}

// kept are the places where a secret must be, below the lab, and whose.
var kept = map[string]string{
	"home/.config/fcflow/config.yaml":  "the user's settings",
	"home/.config/fcflow/secrets/FILE": "the user's secret",
	"site.yaml":                        "the user's description of a site",
	"sandbox/site.json":                "the accounts of the sandbox",
	"sandbox/client.env":               "how to log in to the sandbox",
	"sandbox/address":                  "how to log in to the sandbox",
}

const canaryWorkflow = `
version: 1
name: canary
secrets: [KEY, FILE]
steps:
  - id: prints
    uses: run
    with:
      env: { KEY: "${{ secrets.KEY }}", FILE: "${{ secrets.FILE }}" }
      script: |
        echo "plain $KEY and $FILE"
        printf '{"key":"%s"}\n' "$KEY"
        printf %s "user:$KEY" | base64
        printf %s "$FILE" | od -An -tx1 | tr -d ' \n'; echo
        printf %s "$KEY" | fold -w 9; echo
        echo "Authorization: Bearer $KEY" >&2
  - id: fails
    uses: run
    with:
      env: { KEY: "${{ secrets.KEY }}" }
      script: |
        echo "no access with $KEY"; echo "https://x/?key=$KEY" >&2; exit 3
    continue_on_error: true
  - id: refused
    uses: s3_list
    with: { path: "s3://bucket/", access_key: wrong, secret_key: "${{ secrets.KEY }}", session_token: "${{ secrets.FILE }}" }
    continue_on_error: true
  - { id: there, uses: upload, with: { from: notes.txt, to: in/, method: s3 } }
  - { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}", method: s3 } }
  - id: hello
    uses: job
    with:
      resources: { nodes: 1, time: 1m }
      keep_output: always
      secret_files: { KEY: "${{ secrets.KEY }}", FILE: "${{ secrets.FILE }}" }
      script: |
        #!/bin/sh
        test -s "$KEY_FILE" && wc -c <"$FILE_FILE"
  - id: ends
    uses: job
    with:
      resources: { nodes: 1, time: 1m }
      secret_files: { KEY: "${{ secrets.KEY }}" }
      script: |
        #!/bin/sh
        kill -KILL $$
    continue_on_error: true
outputs:
  printed: ${{ steps.prints.outputs.stdout }}
`

// TestCanary lives through a day of work with made-up secrets, and then looks for
// them in everything that is left: the state directory, logs, results, what was
// printed, what the sandbox has of us.
func TestCanary(t *testing.T) {
	t.Parallel()
	l, b := newLab(t), newBirds()
	l.write("site.yaml", "systems: [{ name: sandbox, transfer: { max_part_size: 65536 } }]\nusers: [{ name: demo, client_id: demo, client_secret: '"+b.Client+"' }]\n")
	l.write("home/.config/fcflow/secrets/FILE", b.File+"\n")
	l.write("work/notes.txt", strings.Repeat("notes\n", 1000))
	l.write("work/w.yaml", canaryWorkflow)
	l.write("work/large.bin", strings.Repeat("0123456789abcdef", 1<<14)) // four parts
	l.write("work/large.yaml", `
version: 1
name: large
steps:
  - { id: there, uses: upload, with: { from: large.bin, to: in/, method: s3 } }
  - { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}", method: s3 } }
`)
	server, variables := l.serveSite("--verbose", "--log-format", "json")
	l.write("home/.config/fcflow/config.yaml", "profile: here\nprofiles:\n"+
		"  here: { url: "+variables["FIRECREST_URL"]+", system: sandbox, client_id: demo, client_secret: '"+b.Client+"', token_url: '"+variables["AUTH_TOKEN_URL"]+"', poll: { min: 200ms, max: 1s } }\n"+
		"  wrong: { url: "+variables["FIRECREST_URL"]+", system: sandbox, client_id: demo, client_secret: '"+b.Wrong+"', token_url: '"+variables["AUTH_TOKEN_URL"]+"' }\n"+
		"  command: { url: "+variables["FIRECREST_URL"]+", system: sandbox, token_command: ': "+b.Command+"; echo no-token; exit 5' }\n")
	l.environment = []string{
		"FCFLOW_SECRET_KEY=" + b.Key, "AWS_ENDPOINT_URL_S3=" + variables["AWS_ENDPOINT_URL_S3"],
		"AWS_ACCESS_KEY_ID=" + variables["AWS_ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY=" + b.Store, "FCFLOW_PATIENCE=1s",
	}
	if token := accessToken(t, variables); !credentialsOf["a token"].MatchString(token) {
		t.Error("a token would not be recognised")
	}
	dayOfWork(l)
	server.stop(t)

	scanner, err := canary.NewScanner(b.all())
	if err != nil {
		t.Fatal(err)
	}
	hits, seen, err := scanner.Tree(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, h := range hits {
		name, err := filepath.Rel(l.dir, h.Path)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ = strings.Cut(name, "!")
		if found[name] = true; kept[name] == "" {
			t.Errorf("%s", h)
		}
	}
	for _, name := range []string{"home/.config/fcflow/config.yaml", "home/.config/fcflow/secrets/FILE", "site.yaml"} {
		if !found[name] {
			t.Errorf("the scan does not even find what is in %s", name)
		}
	}
	credentials(t, l)
	t.Logf("looked through %s", seen)
}

// serveSite serves the site of site.yaml.
func (l *lab) serveSite(args ...string) (*process, map[string]string) {
	l.t.Helper()
	p := l.start(nil, append([]string{"sandbox", "--root", l.path("sandbox"), "--site", l.path("site.yaml")}, args...)...)
	l.eventually("a sandbox serves", func() bool { return strings.Contains(p.output("out"), "login ") })
	return p, l.clientEnv()
}

// dayOfWork uses the program as people do who look for a mistake: as loudly as it
// can be, with things that fail and processes that are killed.
func dayOfWork(l *lab) {
	l.t.Helper()
	l.run(0, "validate", "w.yaml")
	l.run(0, "plan", "w.yaml")
	l.run(0, "plan", "--live", "w.yaml", "--verbose")
	l.run(0, "doctor", "--verbose")
	l.run(0, "config", "show")
	l.run(0, "config", "show", "--output", "json")
	l.run(0, "systems", "list", "--output", "json")
	l.run(0, "run", "w.yaml", "--verbose")
	l.run(0, "run", "w.yaml", "--verbose", "--log-format", "json", "--output", "json")
	for _, args := range [][]string{
		{"runs", "show", "last"},
		{"runs", "why", "last", "hello"},
		{"runs", "show", "last", "--output", "json"},
		{"runs", "logs", "last"},
		{"runs", "events", "last", "--output", "json"},
		{"runs", "list"},
		{"graph", "w.yaml"},
		{"check", "--all"},
		{"runs", "export", "last", "-o", "crate", "--logs", "--with-files"},
		{"runs", "export", "last", "-o", "crate.zip", "--logs"},
	} {
		l.run(0, args...)
	}
	l.run(7, "run", "w.yaml", "--profile", "wrong", "--verbose")
	l.run(7, "run", "w.yaml", "--profile", "command", "--verbose")
	l.start(nil, "doctor", "--profile", "wrong", "--verbose").wait()
	l.start(nil, "doctor", "--profile", "command", "--verbose").wait()
	// Killed while an upload is under way, once its addresses are kept, and then while
	// a local command has the secret.
	kept := 0
	for _, at := range []string{"attempt.checkpoint:2", "attempt.checkpoint:4"} {
		if code := l.start([]string{"FCFLOW_CRASH_AT=" + at}, "run", "large.yaml", "--verbose").exit(); code != -1 {
			l.t.Errorf("the process was not killed at %s: exit %d", at, code)
		}
		files, _ := filepath.Glob(l.path("state/runs/*/private/*"))
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && credentialsOf["a key URL"].Match(text) {
				kept++
			}
		}
		l.run(0, "resume", "last", "--verbose")
		l.run(0, "runs", "export", "last", "-o", "crate-"+at)
	}
	if kept == 0 {
		l.t.Error("no kill left the addresses of a transfer: the test shows less than it should")
	}
	if code := l.start([]string{"FCFLOW_CRASH_AT=attempt.started:1"}, "run", "w.yaml", "--verbose").exit(); code != -1 {
		l.t.Errorf("the process was not killed: exit %d", code)
	}
	l.run(4, "resume", "last", "--verbose")
	l.run(0, "runs", "export", "last", "-o", "crate-of-a-failure", "--logs")
	if files, _ := filepath.Glob(l.path("state/runs/*/private/*")); len(files) > 0 {
		l.t.Errorf("private files are left: %q", files)
	}
}

// credentialsOf match what nobody made up beforehand: tokens, and the signatures of
// addresses.
var credentialsOf = map[string]*regexp.Regexp{
	"a token":   regexp.MustCompile(`eyJ[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}`),
	"a key URL": regexp.MustCompile(`(?i)X-Amz-Signature(=|%3d|\\u003d)[0-9a-f]{32}`),
}

// credentials looks for tokens and signatures in everything that is left.
func credentials(t *testing.T, l *lab) {
	t.Helper()
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(l.dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		for what, pattern := range credentialsOf {
			if at := pattern.FindIndex(text); at != nil {
				t.Errorf("%s: %s, at byte %d", name, what, at[0])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
