package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

type rerunOptions struct {
	run             string
	id              workflow.RunID // of the new run; "" is any
	from            string
	inputs          []string
	outputDir       string
	exitOnAttention bool
	output          output
}

func newRerunCommand(a *app) *cobra.Command {
	o := rerunOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "rerun RUN",
		Short: "Run the workflow of a run again",
		Long: `Makes a new run of the workflow that a run froze, whatever became of the file since,
with the inputs of that run and on its service, and executes it until it ends. -i
changes some of the inputs. The run it was made of stays as it is.

With --from only that step is done again, and what depends on it, directly or not,
and "finally". All else stands as it ended in the old run, with its outputs; paths in
them lead to the directory of that run. That is refused if any of it was not done or
went wrong, and if it was made from an input that -i changes, or from a file that has
changed since: do more again then.

To go on with the same run after a failure use "fcflow retry".`,
		Example:           "  fcflow rerun last\n  fcflow rerun K3X9QZ -i levels='[40, 60]'\n  fcflow rerun last --from publish",
		ValidArgsFunction: a.completeRuns(nil),
	}
	c.Flags().StringArrayVarP(&o.inputs, "input", "i", nil, "another value of an input, as `NAME=VALUE`; may be repeated")
	c.Flags().StringVar(&o.from, "from", "", "do only `STEP` again, and what depends on it")
	completeFlag(c, "from", a.completeSteps)
	c.Flags().StringVar(&o.outputDir, "output-dir", "", "`DIR` where downloads go; default results/RUN beside the workflow file")
	completeFlag(c, "input", cobra.NoFileCompletions)
	addExitOnAttention(c, &o.exitOnAttention)
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		return runRerun(c.Context(), a, o)
	})
}

func runRerun(ctx context.Context, a *app, o rerunOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	old, _, err := a.readRun(ctx, st, id, func(workflow.Event) {})
	if err != nil {
		return err
	}
	s, err := a.settings(old.Created.Profile.Name)
	if err != nil {
		return err
	}
	created, err := a.renew(s, old, o)
	if err != nil {
		return err
	}
	if o.from != "" {
		if _, ok := old.Step(o.from); !ok {
			return unknownStep(old, o.from)
		}
	}
	e, err := a.openSession(s, o.output.format() == formatJSON)
	if err != nil {
		return err
	}
	e.attention.wanted = o.exitOnAttention
	create := func(v *service, created workflow.RunCreated) (*engine.Execution, error) {
		if o.from == "" {
			return v.engine.Create(ctx, e.runs, old.Workflow, created)
		}
		return v.engine.CreateFrom(ctx, e.runs, created, old, o.from, func(digest string) ([]byte, error) {
			found, err := a.blobs(ctx, st, id, []string{digest})
			return found[digest], err
		})
	}
	return errors.Join(e.startBy(ctx, s, old.Workflow, created, o.output.format(), create), e.close())
}

// renew gathers what a run records at its creation that is made of another one,
// and checks that it can work.
func (a *app) renew(s *settings.Settings, old *workflow.Run, o rerunOptions) (workflow.RunCreated, error) {
	w := old.Workflow
	created := workflow.RunCreated{
		ID: cmp.Or(o.id, engine.NewRunID(time.Now())), Trigger: workflow.TriggerRerun, RerunOf: old.ID,
		Dir: old.Created.Dir, Profile: old.Created.Profile, By: whoami(), Version: releaseName(),
	}
	if err := checkPinned(s, created.Profile); err != nil {
		return created, err
	}
	here, err := os.Getwd()
	if err != nil {
		return created, err
	}
	created.OutputDir = filepath.Join(created.Dir, "results", string(created.ID))
	if o.outputDir != "" {
		created.OutputDir = o.outputDir
		if !filepath.IsAbs(o.outputDir) {
			created.OutputDir = filepath.Join(here, o.outputDir)
		}
	}
	given, err := parseInputs(o.inputs)
	if err != nil {
		return created, err
	}
	var problems workflow.Problems
	created.Inputs, problems = w.BindInputs(given, workflow.BindOptions{
		WorkflowDir: created.Dir, CallerDir: here, Recorded: old.Created.Inputs,
	})
	if len(problems) > 0 {
		return created, &problemsError{w.File, w.Source, problems}
	}
	if created.Files, err = fileFacts(w, created.Inputs); err != nil {
		return created, err
	}
	return created, errors.Join(a.checkSecrets(s, w), a.checkFiles(s, w, created))
}
