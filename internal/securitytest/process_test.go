package securitytest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestModes: whatever the umask, nobody else gets at what fcflow writes for
// itself.
func TestModes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.umask = "000"
	server, variables := l.serve()
	l.environment = append(l.environment, exports(variables)...)
	l.write("work/notes.txt", "some notes\n")
	l.write("work/w.yaml", `
version: 1
name: modes
steps:
  - id: sockets
    uses: run
    with:
      env: { DIR: "`+l.sockets+`/fcflow" }
      script: |
        ls -ld "$DIR" "$DIR"/*.sock
        find $LAB/state $LAB/sandbox -name owner.json -o -name address | xargs ls -ld
  - { id: large, uses: upload, with: { from: notes.txt, to: large/, method: s3 } }
  - id: hello
    uses: job
    with: { resources: { nodes: 1, time: 1m }, keep_output: always, script: "#!/bin/sh\necho hello\n" }
`)
	l.run(0, "run", "w.yaml")
	l.run(0, "run", "--sandbox", "w.yaml")
	server.stop(t)

	logs, err := filepath.Glob(l.path("state/runs/*/logs/sockets.1.log"))
	if err != nil || len(logs) != 2 {
		t.Fatalf("%v, %v", logs, err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "drwx------ ") && !strings.HasPrefix(line, "srw------- ") && !strings.HasPrefix(line, "-rw------- ") {
				t.Errorf("others get at this while it is there: %s", line)
			}
		}
		if !strings.Contains(string(text), "owner.json") || !strings.Contains(string(text), "/address") || !strings.Contains(string(text), ".sock") {
			t.Errorf("the test looks at the wrong place: %s", text)
		}
	}
	seen := map[string]bool{}
	for _, dir := range []string{"state", "sandbox"} {
		for path, mode := range modes(t, l.path(dir)) {
			seen[filepath.Base(path)] = true
			// What is on a system has the modes that its users gave it, inside a directory
			// that only we can enter.
			remote := strings.Contains(path+"/", "/sandbox/home/") || strings.Contains(path+"/", "/sandbox/scratch/")
			if mode&0o077 != 0 && !remote {
				t.Errorf("%s has mode %04o", path, mode)
			}
		}
		if mode := modes(t, l.path(dir))[l.path(dir)]; mode != 0o700 {
			t.Errorf("%s has mode %04o", dir, mode)
		}
	}
	for _, name := range []string{"run.db", "run.json", "workflow.yaml", "sockets.1.log", "client.env", "wrapper.sh", "end"} {
		if !seen[name] {
			t.Errorf("there is no %s: the test looks at the wrong place", name)
		}
	}
}

func modes(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode()&fs.ModeSymlink == 0 {
			found[path] = info.Mode().Perm()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func exports(variables map[string]string) []string {
	var list []string
	for name, value := range variables {
		list = append(list, name+"="+value)
	}
	return list
}

// TestProcesses: no secret is on a command line, where everybody on the machine
// can read it, or in the environment of a program that was not given it. Nothing
// leaves a core file.
func TestProcesses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	server, variables := l.serve()
	defer server.stop(t)
	const key, command = "k4n4ri-key-0123456789", "k4n4ri-command-0123456789"
	l.write("token", accessToken(t, variables))
	l.write("token.sh", `
env > $LAB/token.env
tr '\0' ' ' < /proc/$$/cmdline > $LAB/token.cmdline
cat $LAB/token
`)
	l.environment = []string{
		"FCFLOW_SECRET_KEY=" + key, "AWS_SECRET_ACCESS_KEY=k4n4ri-store-0123456789",
	}
	l.write("home/.config/fcflow/config.yaml", "profile: here\nprofiles:\n  here:\n    url: "+variables["FIRECREST_URL"]+
		"\n    system: sandbox\n    token_command: ': "+command+"; . $LAB/token.sh'\n")
	l.write("work/w.yaml", `
version: 1
name: processes
secrets: [KEY]
steps:
  - { id: look, uses: list_files, with: { path: . } }
  - id: others
    uses: run
    needs: [look]
    with:
      env: { OUT: $LAB }
      script: |
        env > "$OUT/run.env"
        ulimit -c > "$OUT/run.core"
        for p in /proc/[0-9]*; do (tr '\0' ' ' < $p/cmdline; echo) || true; done > "$OUT/cmdlines" 2>/dev/null
  - id: own
    uses: run
    needs: [look]
    with:
      env: { KEY: "${{ secrets.KEY }}" }
      script: test "$KEY" = `+key+`
`)
	// The script of the last step would show the secret itself.
	text := strings.ReplaceAll(l.read("work/w.yaml"), `test "$KEY" = `+key, `test ${#KEY} = `+fmt.Sprint(len(key)))
	l.write("work/w.yaml", text)
	l.run(0, "run", "w.yaml", "--verbose")

	if got := strings.TrimSpace(l.read("run.core")); got != "0" {
		t.Errorf("core files may have %s blocks", got)
	}
	if !strings.Contains(l.read("cmdlines"), "run w.yaml") || !strings.Contains(l.read("token.cmdline"), "sh -c") {
		t.Error("the test looks at the wrong processes")
	}
	for _, file := range []string{"run.env", "cmdlines", "token.env", "token.cmdline"} {
		text := l.read(file)
		for _, canary := range []string{key, command, variables["FIRECREST_CLIENT_SECRET"], l.read("token")} {
			if strings.Contains(text, canary) {
				t.Errorf("%s shows %s…", file, canary[:12])
			}
		}
		if strings.Contains(text, "k4n4ri-store") && file != "token.env" {
			t.Errorf("%s shows a key of the object store", file)
		}
	}
	for _, name := range []string{"FIRECREST_", "FCFLOW_", "AWS_"} {
		if strings.Contains("\n"+l.read("run.env"), "\n"+name) {
			t.Errorf("a local command inherits %s…", name)
		}
	}
}

// accessToken logs in as the variables say.
func accessToken(t *testing.T, variables map[string]string) string {
	t.Helper()
	resp, err := http.PostForm(variables["AUTH_TOKEN_URL"], url.Values{
		"grant_type": {"client_credentials"}, "client_id": {variables["FIRECREST_CLIENT_ID"]}, "client_secret": {variables["FIRECREST_CLIENT_SECRET"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %v", err)
	}
	return answer.Token
}

// TestNothingRuns: who looks at a workflow, or at what there is, executes nothing
// of it and logs in nowhere.
func TestNothingRuns(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.environment = []string{
		"FIRECREST_URL=https://127.0.0.1:9", "FIRECREST_SYSTEM=daint", "FIRECREST_TOKEN_COMMAND=touch " + l.path("token-asked"),
		"FCFLOW_SECRET_KEY=k4n4ri-key-0123456789",
	}
	l.write("work/hello.sh", "#!/bin/sh\ntouch $LAB/ran\n")
	l.write("work/w.yaml", `
version: 1
name: nothing
secrets: [KEY]
inputs:
  script: { type: file, default: hello.sh }
  n: { type: int, default: 3 }
steps:
  - id: local
    uses: run
    if: ${{ inputs.n > 2 }}
    with: { env: { KEY: "${{ secrets.KEY }}" }, script: "touch $LAB/ran" }
  - id: program
    uses: run
    with: { command: [touch, $LAB/ran] }
  - { id: remote, uses: mkdir, with: { path: in } }
  - id: many
    uses: job
    with: { script_file: hello.sh, resources: { nodes: 1, time: 1m } }
outputs:
  dir: ${{ steps.remote.outputs.path }}
`)
	for _, args := range [][]string{
		{"validate", "w.yaml"},
		{"plan", "w.yaml"},
		{"plan", "w.yaml", "--output", "json"},
		{"graph", "w.yaml"},
		{"run", "--help"},
		{"runs", "list"},
		{"steps", "list"},
		{"steps", "show", "run"},
		{"schema"},
		{"version"},
		{"config", "show"},
		{"check", "--all"},
		{"completion", "bash"},
		{"__complete", "run", "-i", ""},
		{"__complete", "run", "w.yaml", "-i", ""},
	} {
		l.run(0, args...)
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if slices.Contains(names, "ran") || slices.Contains(names, "token-asked") {
		t.Errorf("something ran: %q", names)
	}
	if runs := l.run(0, "runs", "list", "--output", "name"); runs != "" {
		t.Errorf("runs were made: %s", runs)
	}
	l.run(0, "run", "w.yaml", "-i", "n=3", "--sandbox") // hello.sh touches below its own root: the marker shows that the test can fail
	if _, err := os.Stat(l.path("ran")); err != nil {
		t.Errorf("the test shows nothing: %v", err)
	}
}

// TestSecretFlags: there is no flag for a secret, and one that looks like it is
// an error that does not repeat the value.
func TestSecretFlags(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const canary = "k4n4ri-flag-0123456789"
	for _, flag := range []string{"--client-secret", "--secret", "--token", "--password", "--access-key", "--token-command", "--secret-key"} {
		for _, args := range [][]string{{"run", "w.yaml", flag, canary}, {"doctor", flag + "=" + canary}, {flag, canary, "runs", "list"}} {
			if out := l.run(2, args...); strings.Contains(out, canary) {
				t.Errorf("%q: %s", args, out)
			}
		}
	}
}

// TestRemoteText: what a job, a file or a server says cannot act on the terminal
// or hide.
func TestRemoteText(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.write("work/w.yaml", `
version: 1
name: hostile
steps:
  - id: shout
    uses: job
    with:
      resources: { nodes: 1, time: 1m }
      keep_output: always
      script: |
        #!/bin/sh
        printf 'a\033[2J\033]0;owned\007\033]52;c;b3duZWQ=\007\r\b\233\302\233\342\200\256b\342\200\213\342\201\246c\n'
        printf 'a\033[2J' > "$(printf 'name\033[2J\342\200\256.txt')"
        exit 3
    continue_on_error: true
  - { id: look, uses: list_files, with: { path: . }, needs: [shout] }
  - id: local
    uses: run
    with: { script: "printf 'a\\033[2J\\342\\200\\256'; exit 4" }
`)
	l.run(4, "run", "--sandbox", "w.yaml", "--verbose")
	for _, args := range [][]string{
		{"runs", "show", "last"},
		{"runs", "show", "last", "--output", "json"},
		{"runs", "logs", "last"},
		{"runs", "logs", "last", "shout"},
		{"runs", "events", "last"},
		{"runs", "events", "last", "--output", "json"},
		{"runs", "list"},
	} {
		l.run(0, args...)
	}
	said := 0
	for _, p := range l.processes {
		for _, stream := range []string{"out", "err"} {
			text := p.output(stream)
			said += strings.Count(text, "owned")
			if !utf8.ValidString(text) {
				t.Errorf("%s prints bytes that are no text", p.cmd.Args[1:])
			}
			for i, r := range text {
				if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("\u202e\u200b\u2066", r) {
					t.Errorf("%s prints %U: %q", p.cmd.Args[1:], r, text[max(0, i-40):min(len(text), i+10)])
					break
				}
			}
		}
	}
	if said == 0 {
		t.Error("nobody repeats what the job said: the test shows nothing")
	}
}

// TestNoProfiling: the program links nothing that serves or writes profiles of
// its memory.
func TestNoProfiling(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "github.com/fcflow/fcflow/cmd/fcflow").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if slices.Contains([]string{"net/http/pprof", "runtime/pprof", "expvar", "net/rpc", "golang.org/x/net/trace", "testing"}, path) {
			t.Errorf("the program links %s", path)
		}
	}
}
