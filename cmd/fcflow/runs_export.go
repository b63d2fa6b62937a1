package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/crate"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type runsExportOptions struct {
	run, to, license string
	format           choice
	logs, withFiles  bool
}

func newRunsExportCommand(a *app) *cobra.Command {
	o := runsExportOptions{format: newChoice("ro-crate")}
	c := &cobra.Command{
		Use:   "export RUN",
		Short: "Export the provenance of a run",
		Long: `Writes what a run was, did and delivered as a Workflow Run RO-Crate (Provenance
Run Crate 0.5): a folder or a zip archive with the workflow, the scripts as they
ran, and ro-crate-metadata.json. Everything comes from the history of the run,
which must be over. Files that were inputs are named, with their sizes and
digests, and copied with --with-files. Secrets are not in a history, and so not in
a crate.`,
		Example: `  fcflow runs export last
  fcflow runs export K3X9QZ -o campaign.zip --logs --license CC-BY-4.0`,
		ValidArgsFunction: a.completeRuns(nil),
	}
	addChoice(c, &o.format, "format", "what to write")
	c.Flags().StringVarP(&o.to, "to", "o", "", "new folder, or archive if it ends in .zip, to write `PATH`; default WORKFLOW-RUN.zip here")
	c.Flags().BoolVar(&o.logs, "logs", false, "copy the output of steps too, as far as it is kept here")
	c.Flags().BoolVar(&o.withFiles, "with-files", false, "copy the files that were inputs too")
	c.Flags().StringVar(&o.license, "license", "", "`LICENSE` of the crate: an address, or a name of the SPDX list such as CC-BY-4.0")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		return runRunsExport(c.Context(), a, o)
	})
}

func runRunsExport(ctx context.Context, a *app, o runsExportOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	source := crate.Source{License: o.license}
	run, driven, err := a.readRun(ctx, st, id, func(e workflow.Event) {
		if opened, ok := e.Data.(*workflow.RunOpened); ok && opened.Version != "" && !slices.Contains(source.Versions, opened.Version) {
			source.Versions = append(source.Versions, opened.Version)
		}
	})
	if err != nil {
		return err
	}
	if !run.State.Terminal() {
		err := fmt.Errorf("run %s is not over: %w", id, workflow.ErrConflict)
		if driven {
			return withHint(err, "export it when it is: fcflow runs watch %s", shortID(id))
		}
		return withHint(err, "continue it with fcflow resume %s, or end it with fcflow cancel %s", shortID(id), shortID(id))
	}
	source.Definition, source.Run = run.Workflow.Frozen(), run
	if len(source.Versions) == 0 && run.Created.Version != "" {
		source.Versions = []string{run.Created.Version}
	}
	if o.withFiles {
		source.Open = openInput
	}
	if o.logs {
		logs, err := listLogs(st.Paths(id).Logs)
		if err != nil {
			return err
		}
		source.Logs = logs.inCrate
	}
	if o.to == "" {
		o.to = run.Workflow.Name + "-" + shortID(id) + ".zip"
	}
	if err := a.export(ctx, st, id, &source, o.to); err != nil {
		return err
	}
	a.streams.Out.Println(console.Say(o.to))
	return nil
}

// export writes a crate to a place where nothing is yet.
func (a *app) export(ctx context.Context, st *store.Store, id workflow.RunID, source *crate.Source, to string) error {
	target, err := newParcel(to, source.Run.EndedAt)
	if err != nil {
		return err
	}
	err = st.ViewBlobs(ctx, id, func(get workflow.BlobReader) error {
		source.Blobs = get
		return crate.Write(source, func(path string, content io.Reader) error {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			return target.put(path, content)
		})
	})
	if err != nil {
		return errors.Join(err, target.drop())
	}
	return target.finish()
}

// openInput opens a file that was an input, if it is still as it was.
func openInput(facts workflow.FileFacts) (io.ReadCloser, error) {
	f, err := os.Open(facts.Path)
	if err != nil {
		return nil, withHint(invalidFile(facts.Path, err), "leave out --with-files to name the files only")
	}
	info, err := f.Stat()
	if err == nil && (info.Size() != facts.SizeBytes || !info.ModTime().Equal(facts.ModifiedAt)) {
		err = withHint(fmt.Errorf("%s has changed since the run was created", facts.Path), "leave out --with-files to name the files only")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// inCrate lists the logs of an attempt for a crate.
func (l keptLogs) inCrate(u workflow.UnitRef, attempt int) (logs []crate.Log) {
	for _, log := range l.of(u, attempt) {
		logs = append(logs, crate.Log{Name: log.name, Open: func() (io.ReadCloser, error) { return os.Open(log.path) }})
	}
	return logs
}
