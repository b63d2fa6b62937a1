package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/schema"
)

func newInitCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "init [DIR|FILE]",
		Short: "Write a first workflow",
		Long: `Writes workflow.yaml, or the FILE that ends in .yaml, which runs on the sandbox at once,
and beside it the JSON Schema with which editors complete its keys. Files that exist are
never overwritten.`,
		Example: "  fcflow init demo\n  fcflow run --sandbox demo/workflow.yaml",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	return a.command(c, func(_ *cobra.Command, args []string) error {
		file := firstFile
		if len(args) == 1 {
			file = args[0]
		}
		if ext := filepath.Ext(file); ext != ".yaml" && ext != ".yml" {
			file = filepath.Join(file, firstFile)
		}
		return runInit(a, file)
	})
}

//go:embed template.yaml
var template []byte

const firstFile = "workflow.yaml" // as the template calls itself

func runInit(a *app, file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := bytes.ReplaceAll(template, []byte(firstFile), []byte(filepath.Base(file)))
	if err := writeNew(file, text); err != nil {
		return err
	}
	keys, err := schema.Generate(a.catalogue)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, "workflow.schema.json"), keys); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	a.streams.Out.Printf("%s\n", file)
	a.note("run it: fcflow run --sandbox %s", shellQuote(file))
	return nil
}

// writeNew writes a file that does not exist yet.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return withHint(fmt.Errorf("%s: %w", name, fs.ErrExist), "choose another directory: fcflow init DIR, or another FILE.yaml")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
