package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// TestServeTokens: they are made once, only we can read them, and a file that
// others can read is refused.
func TestServeTokens(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "serve")
	made, err := readTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := readTokens(dir)
	if err != nil || again != made || made.Full == made.ReadOnly || len(made.Full) < minToken {
		t.Errorf("%v then %v, %v", made, again, err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, tokenFile(dir): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	if err := os.Chmod(tokenFile(dir), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := readTokens(dir); err == nil {
		t.Error("tokens that others can read are used")
	}
}

func TestCheckListen(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:80": true, "[::1]:80": true, "0.0.0.0:80": false, ":80": false, "10.0.0.1:80": false, "x": false,
	} {
		if err := checkListen(serveOptions{listen: address}); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestShelf: a file with a mistake keeps its last good version, and one that is
// right again is used.
func TestShelf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, _, _ := testApp(t)
	state := t.TempDir()
	s := newShelf(a, dir, sandboxSystem, state)
	good := "version: 1\nname: demo\nsteps:\n  - id: one\n    uses: run\n    with: {command: [\"true\"]}\n"
	write := func(text string) *shelved {
		if err := os.WriteFile(filepath.Join(dir, "demo.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.read(); err != nil {
			t.Fatal(err)
		}
		return s.all()[0]
	}
	first := write(good)
	if first.wrong != "" || first.workflow == nil {
		t.Fatalf("%+v", first)
	}
	if b := write(strings.Replace(good, "uses: run", "uses: rum", 1)); b.workflow != first.workflow || b.wrong == "" || b.since.IsZero() {
		t.Errorf("with a mistake: %+v", b)
	}
	if b := write(good + "\n"); b.workflow == nil || b.workflow == first.workflow || b.wrong != "" {
		t.Errorf("right again: %+v", b)
	}

	// A server that starts with the mistake has the last good version.
	write(strings.Replace(good, "uses: run", "uses: rum", 1))
	s = newShelf(a, dir, sandboxSystem, state)
	if err := s.read(); err != nil {
		t.Fatal(err)
	}
	if b := s.all()[0]; b.workflow == nil || string(b.workflow.Source) != good+"\n" || b.wrong == "" {
		t.Errorf("after a restart: %+v", b)
	}
	// One of another directory, or of a file that was removed in between, has nothing.
	if w := newShelf(a, t.TempDir(), sandboxSystem, state).kept.get(filepath.Join(dir, "demo.yaml"), sandboxSystem); w != nil {
		t.Error("another directory has the version too")
	}
	if err := os.Remove(filepath.Join(dir, "demo.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := s.read(); err != nil {
		t.Fatal(err)
	}
	s = newShelf(a, dir, sandboxSystem, state)
	if b := write("nonsense"); b.workflow != nil {
		t.Errorf("of a file that was removed: %+v", b)
	}
}

// openTestHost opens a server in a directory, which is also that of its workflows.
func openTestHost(t *testing.T, dir string) (*host, error) {
	t.Helper()
	env := map[string]string{"HOME": dir, "FCFLOW_STATE_DIR": filepath.Join(dir, "state"), "XDG_RUNTIME_DIR": dir}
	a := newApp(console.Plain(nil, new(bytes.Buffer), new(bytes.Buffer)), func(name string) string { return env[name] })
	s, err := a.settings("")
	if err != nil {
		t.Fatal(err)
	}
	return a.openHost(t.Context(), s, workflow.Profile{Sandbox: filepath.Join(dir, "sandbox")}, serveOptions{workflows: dir})
}

// TestSecondServer: a server that cannot have the state directory leaves the address
// of the one that has it.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := openTestHost(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.announce(""); err != nil {
		t.Fatal(err)
	}
	if _, err := openTestHost(t, dir); !errors.Is(err, workflow.ErrOwned) {
		t.Fatalf("a second server: %v", err)
	}
	if !exists(first.addressFile()) {
		t.Error("a second server has removed the address of the first")
	}
	if err := first.close(); err != nil || exists(first.addressFile()) {
		t.Errorf("the address is left: %v", err)
	}
}

// TestNoWorkflowDirectory: it is said before anything is served.
func TestNoWorkflowDirectory(t *testing.T) {
	t.Parallel()
	_, _, err := command(t, t.TempDir(), "serve", "--sandbox", "--workflows", "nowhere")
	if outcomeOf(err).code != "not_found" {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "w.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = command(t, t.TempDir(), "serve", "--sandbox", "--workflows", file)
	if outcomeOf(err).code != "usage" || !strings.Contains(err.Error(), "is no directory") {
		t.Errorf("of a file: %v", err)
	}
}

// TestUnitRefused: a name that means many is a mistake of who asks, not of the server.
func TestUnitRefused(t *testing.T) {
	t.Parallel()
	many := &ambiguousUnit{"few", []*workflow.UnitView{{Step: "few", Instance: "a"}, {Step: "few", Instance: "b"}}}
	const want = "few means 2 instances: few/a, few/b: ask for one of them, unit=STEP/KEY"
	if err := unitRefused(many); !server.IsBadRequest(err) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := unitRefused(workflow.ErrNotFound); !errors.Is(err, workflow.ErrNotFound) || err.Error() != workflow.ErrNotFound.Error() {
		t.Error(err)
	}
	if err := unitRefused(nil); err != nil {
		t.Error(err)
	}
}
