package main

import (
	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/schema"
)

func newSchemaCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of workflow files",
		Long: `Prints the JSON Schema (draft 2020-12) of workflow files as this version reads
them. Editors that speak YAML complete keys with it, when the first line of the
workflow reads: # yaml-language-server: $schema=workflow.schema.json`,
		Example: "  fcflow schema > workflow.schema.json",
	}
	return a.command(c, func(*cobra.Command, []string) error {
		text, err := schema.Generate(a.catalogue)
		if err != nil {
			return err
		}
		a.streams.Out.Printf("%s", text)
		return nil
	})
}
