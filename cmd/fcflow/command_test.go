package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
)

// testApp is an app with no environment and streams in memory.
func testApp(t *testing.T) (a *app, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	dir := t.TempDir()
	env := map[string]string{"HOME": dir, "FCFLOW_STATE_DIR": filepath.Join(dir, "state")}
	return newApp(console.Plain(nil, stdout, stderr), func(name string) string { return env[name] }), stdout, stderr
}

func everyCommand(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.Name() != "help" {
			all = append(all, everyCommand(sub)...)
		}
	}
	return all
}

// TestHelp: every command says what it does and shows an example of itself that
// parses.
func TestHelp(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t)
	for _, c := range everyCommand(newRootCommand(a)) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s lacks a summary or an example", c.CommandPath())
		}
		verbs := []string{c.CommandPath()}
		for _, sub := range c.Commands() {
			verbs = append(verbs, sub.CommandPath())
		}
		found := false
		for line := range strings.Lines(c.Example) {
			found = found || slices.ContainsFunc(verbs, func(v string) bool { return strings.Contains(line, v) })
			checkExample(t, c, line)
		}
		if !found {
			t.Errorf("no example of %s shows it:\n%s", c.CommandPath(), c.Example)
		}
	}
}

// checkExample parses the fcflow command in a line of shell.
func checkExample(t *testing.T, c *cobra.Command, line string) {
	t.Helper()
	_, line, ok := strings.Cut(line, "fcflow ")
	if !ok {
		return
	}
	line, _, _ = strings.Cut(line, ">")
	words := shellWords(strings.NewReplacer("<(", "", ")", "").Replace(line))
	a, _, _ := testApp(t)
	root := newRootCommand(a)
	target, rest, err := root.Find(words)
	if err != nil {
		t.Errorf("example of %s: %v", c.CommandPath(), err)
		return
	}
	if err := target.ParseFlags(rest); err != nil {
		t.Errorf("example of %s: %q: %v", c.CommandPath(), line, err)
		return
	}
	if err := target.ValidateArgs(target.Flags().Args()); err != nil {
		t.Errorf("example of %s: %q: %v", c.CommandPath(), line, err)
	}
}

// shellWords splits a line as a shell does, single quotes respected.
func shellWords(line string) []string {
	var words []string
	quoted := false
	for _, word := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\n')
	}) {
		words = append(words, strings.ReplaceAll(word, "'", ""))
	}
	return words
}

// TestLists: every list and show prints JSON and names, too.
func TestLists(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t)
	for _, c := range everyCommand(newRootCommand(a)) {
		if c.Name() != "list" && c.Name() != "show" {
			continue
		}
		f := c.Flags().Lookup("output")
		if f == nil || f.Value.Type() != "text|json|name" {
			t.Errorf("%s has no --output text|json|name", c.CommandPath())
		}
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	a, _, _ := testApp(t)
	dir := t.TempDir()
	root := newRootCommand(a)
	args := []string{"docs", "write", dir}
	for _, mistakes := range mistakeDirs {
		args = append(args, "--mistakes", filepath.Join("..", "..", mistakes))
	}
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	steps := read("steps.md")
	for _, spec := range a.catalogue.All() {
		for _, want := range []string{"\n### " + spec.Name + "\n", spec.Summary, strings.TrimSpace(spec.Example)} {
			if !strings.Contains(steps, want) {
				t.Errorf("steps.md lacks %q", want)
			}
		}
	}
	errorsPage := read("errors.md")
	for _, code := range problemCodes() {
		if !strings.Contains(errorsPage, "| `"+code+"` | ") || strings.Contains(errorsPage, "| `"+code+"` |  |") {
			t.Errorf("errors.md says nothing of %s", code)
		}
	}
	for _, c := range everyCommand(root) {
		if !c.Hidden && !strings.HasPrefix(c.CommandPath(), "fcflow docs") {
			if page := read(filepath.Join("cli", pageName(c))); !strings.Contains(page, c.UseLine()) {
				t.Errorf("page of %s lacks its usage", c.CommandPath())
			}
		}
	}
}

func TestShellQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"sweep/dt=30,levels=40": "sweep/dt=30,levels=40", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", `x/{"a":1}`: `'x/{"a":1}'`,
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}
