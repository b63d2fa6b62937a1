package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// TestListen: what stands before the network has the tokens of the file, and only
// names that were given; whatever the program prints from then on lacks the tokens.
func TestListen(t *testing.T) {
	t.Parallel()
	h, err := openTestHost(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	tokens, err := h.tokens()
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.listen(serveOptions{listen: "127.0.0.1:0", hostNames: []string{"pipelines.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	defer got.listener.Close()
	hosts := server.LoopbackHosts(got.listener.Addr(), "pipelines.example.org")
	if g := got.guard; g.Full != tokens.Full || g.ReadOnly != tokens.ReadOnly || !slices.Equal(g.Hosts, hosts) || g.Page == nil {
		t.Errorf("the guard has %+v", g)
	}
	for _, token := range []string{tokens.Full, tokens.ReadOnly} {
		if text := h.session.app.streams.Secrets.Redact("token=" + token); strings.Contains(text, token) {
			t.Errorf("printed as %s", text)
		}
	}
}

// TestTokenFiles: a file that is a link, or has tokens that one could guess, is not
// used.
func TestTokenFiles(t *testing.T) {
	t.Parallel()
	long, short := strings.Repeat("A", minToken), strings.Repeat("A", minToken-1)
	for name, make := range map[string]func(path string) error{
		"a link": func(path string) error {
			elsewhere := filepath.Join(t.TempDir(), "tokens.json")
			if err := os.WriteFile(elsewhere, []byte(`{"full":"`+long+`","read_only":"`+long+`B"}`), 0o600); err != nil {
				return err
			}
			return os.Symlink(elsewhere, path)
		},
		"a short token": func(path string) error {
			return os.WriteFile(path, []byte(`{"full":"`+short+`","read_only":"`+long+`"}`), 0o600)
		},
		"a short read-only token": func(path string) error {
			return os.WriteFile(path, []byte(`{"full":"`+long+`","read_only":"`+short+`"}`), 0o600)
		},
		"none":    func(path string) error { return os.WriteFile(path, []byte(`{}`), 0o600) },
		"no JSON": func(path string) error { return os.WriteFile(path, []byte(long), 0o600) },
	} {
		dir := t.TempDir()
		if err := make(tokenFile(dir)); err != nil {
			t.Fatal(err)
		}
		if got, err := readTokens(dir); err == nil || got != (serveTokens{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestServedTextsAreMasked: a secret that a script or a log has is not served.
func TestServedTextsAreMasked(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	h, id := foldedHost(t, `version: 1
name: flow
steps:
  - id: here
    uses: run
    with: { script: "exit 0" }
  - id: there
    uses: job
    with: { system: sandbox, script: "#!/bin/sh\necho `+secret+`\n" }
`)
	h.session.app.streams.Secrets.Add(secret)
	untilState(t, h, id, "here", workflow.Succeeded)
	untilState(t, h, id, "there", workflow.Succeeded)
	script, err := h.Script(t.Context(), id, "there", 0)
	if err != nil || !strings.Contains(string(script), "echo ") || strings.Contains(string(script), secret) {
		t.Errorf("script: %v\n%s", err, script)
	}
	log := filepath.Join(h.session.store.Paths(id).Logs, engine.LogName(workflow.UnitRef{Step: "here"}, 1, "log"))
	if err := os.WriteFile(log, []byte("it is "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	part, err := h.Log(t.Context(), id, server.LogQuery{Unit: "here", Stream: "stdout"})
	if err != nil || !strings.HasPrefix(string(part.Text), "it is ") || strings.Contains(string(part.Text), secret) {
		t.Errorf("log: %v\n%s", err, part.Text)
	}
}
