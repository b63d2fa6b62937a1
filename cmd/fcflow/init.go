package main

import (
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
		Use:   "init [DIR]",
		Short: "Write a first workflow",
		Long: `Writes workflow.yaml, which runs on the sandbox at once, and the JSON Schema with
which editors complete its keys. Files that exist are never overwritten.`,
		Example: "  fcflow init demo\n  fcflow run --sandbox demo/workflow.yaml",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	return a.command(c, func(_ *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		return runInit(a, dir)
	})
}

//go:embed template.yaml
var template []byte

func runInit(a *app, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, "workflow.yaml")
	if err := writeNew(file, template); err != nil {
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
		return withHint(fmt.Errorf("%s: %w", name, fs.ErrExist), "choose another directory: fcflow init DIR")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
