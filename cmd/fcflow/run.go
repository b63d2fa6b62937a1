package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

type runOptions struct {
	file            string
	inputs          []string
	sandbox         string
	outputDir       string
	exitOnAttention bool
	dryRun          bool
	server          bool
	detach          bool
	output          output
}

func newRunCommand(a *app) *cobra.Command {
	o := runOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a workflow and wait for its end",
		Long: `Checks the workflow, freezes it into a new run and executes it until it ends.

The first Ctrl-C stops this process and leaves remote jobs running: continue
with "fcflow resume". The second one stops at once. To end the remote work use
"fcflow cancel".`,
		Example: `  fcflow run --sandbox examples/workflows/quickstart.yaml
  fcflow run sweep.yaml -i levels='[40, 60]' -i walltime=2h --profile alps
  fcflow run --server --detach sweep.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			err := fits(c, args)
			if len(args) > 1 && o.sandbox == here {
				return withHint(err, "the directory of a sandbox is written --sandbox=%s", args[0])
			}
			return err
		},
		ValidArgsFunction: completeWorkflowFiles,
	}
	a.addRunInputs(c, &o)
	c.Flags().StringVar(&o.outputDir, "output-dir", "", "`DIR` where downloads go; default results/RUN beside the file")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the plan, as fcflow plan does, and run nothing")
	c.Flags().BoolVar(&o.server, "server", false, "have the running fcflow serve do it, with its settings and secrets, and watch")
	c.Flags().BoolVar(&o.detach, "detach", false, "with --server: do not watch the run")
	addExitOnAttention(c, &o.exitOnAttention)
	for _, other := range []string{"sandbox", "dry-run", "exit-on-attention"} {
		c.MarkFlagsMutuallyExclusive("server", other)
	}
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.file = args[0]
		if o.detach && !o.server {
			return withHint(fmt.Errorf("%w: --detach: the run ends with this process unless a server drives it", errUsage), "fcflow run --server --detach %s", shellQuote(o.file))
		}
		if o.server {
			return runOnServer(c.Context(), a, o)
		}
		if o.dryRun {
			return runPlan(c.Context(), a, planOptions{runOptions: o})
		}
		return runRun(c.Context(), a, o)
	})
}

// addRunInputs declares the flags that say what to run a workflow with.
func (a *app) addRunInputs(c *cobra.Command, o *runOptions) {
	c.Flags().StringArrayVarP(&o.inputs, "input", "i", nil, "value of an input, as `NAME=VALUE`; may be repeated")
	completeFlag(c, "input", a.completeInputs)
	addSandbox(c, &o.sandbox)
}

func completeWorkflowFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

func runRun(ctx context.Context, a *app, o runOptions) error {
	s, err := a.settings("")
	if err != nil {
		return err
	}
	profile, err := choose(s, o.sandbox)
	if err != nil {
		return err
	}
	system := profile.System
	if profile.URL == "" && profile.Sandbox == "" {
		system = anySystem(s) // without a service the system is the smaller lack
	}
	w, err := a.loadRunnable(o.file, system)
	if err != nil {
		return err
	}
	if !needsService(w) && (profile.Sandbox == "" || !usesObjects(w)) {
		profile = workflow.Profile{}
	} else if err := checkService(profile); err != nil {
		return err
	}
	created, err := a.newRun(w, o, profile)
	if err != nil {
		return err
	}
	if err := errors.Join(a.checkSecrets(s, w), a.checkFiles(s, w, created)); err != nil {
		return err
	}
	e, err := a.openSession(s, o.output.format() == formatJSON)
	if err != nil {
		return err
	}
	e.attention.wanted = o.exitOnAttention
	return errors.Join(e.start(ctx, s, w, created, o.output.format()), e.close())
}

// loadRunnable loads a workflow to run it.
func (a *app) loadRunnable(file, defaultSystem string) (*workflow.Workflow, error) {
	w, err := a.loadWorkflow(file, defaultSystem)
	if err != nil {
		return nil, sayHowToNameSystem(err)
	}
	return w, nil
}

// sayHowToNameSystem adds to the problems of a workflow what only the command
// line knows: a system can be named outside the file.
func sayHowToNameSystem(err error) error {
	var invalid *problemsError
	if errors.As(err, &invalid) {
		for i := range invalid.problems {
			if p := &invalid.problems[i]; p.Code == workflow.CodeMissingSystem {
				p.Hint = "choose one with --system or FIRECREST_SYSTEM, or " + p.Hint
			}
		}
	}
	return err
}

// newRun gathers what a run records at its creation.
func (a *app) newRun(w *workflow.Workflow, o runOptions, profile workflow.Profile) (workflow.RunCreated, error) {
	created := workflow.RunCreated{
		ID: engine.NewRunID(time.Now()), Trigger: workflow.TriggerManual,
		Profile: profile, By: whoami(), Version: releaseName(),
	}
	given, err := parseInputs(o.inputs)
	if err != nil {
		return created, err
	}
	here, err := os.Getwd()
	if err != nil {
		return created, err
	}
	file, err := filepath.Abs(o.file)
	if err != nil {
		return created, err
	}
	created.Dir = filepath.Dir(file)
	created.OutputDir = filepath.Join(created.Dir, "results", string(created.ID))
	if o.outputDir != "" {
		if created.OutputDir, err = filepath.Abs(o.outputDir); err != nil {
			return created, err
		}
	}
	var problems workflow.Problems
	created.Inputs, problems = w.BindInputs(given, workflow.BindOptions{WorkflowDir: created.Dir, CallerDir: here})
	if len(problems) > 0 {
		return created, &problemsError{o.file, w.Source, problems}
	}
	created.Files, err = fileFacts(w, created.Inputs)
	return created, err
}

func parseInputs(given []string) (map[string]string, error) {
	values := map[string]string{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%w: --input %q: want name=value", errUsage, text)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%w: --input %s is given twice", errUsage, name)
		}
		values[name] = value
	}
	return values, nil
}

// fileFacts looks at the files that inputs name: they must exist, and a later
// change of one is noticed when it is read.
func fileFacts(w *workflow.Workflow, inputs map[string]json.RawMessage) (map[string]workflow.FileFacts, error) {
	facts := map[string]workflow.FileFacts{}
	var small digests
	for _, in := range w.Inputs {
		paths := []string{""}
		switch {
		case in.Type.Kind == workflow.File:
			if err := json.Unmarshal(inputs[in.Name], &paths[0]); err != nil {
				return nil, err
			}
		case in.Type.Kind == workflow.List && in.Type.Elem.Kind == workflow.File:
			if err := json.Unmarshal(inputs[in.Name], &paths); err != nil {
				return nil, err
			}
		default:
			continue
		}
		for i, path := range paths {
			info, err := os.Stat(path)
			if err != nil {
				return nil, withHint(fmt.Errorf("input %q: %w", in.Name, invalidFile(path, err)), "give another file with -i %s=…", in.Name)
			}
			if !info.Mode().IsRegular() {
				return nil, withHint(fmt.Errorf("input %q: %w", in.Name, &inputError{fmt.Errorf("%s is no file", path)}),
					"an input of the type file is one file; name one in the directory, and use dirname(inputs.%s)", in.Name)
			}
			key := in.Name
			if in.Type.Kind == workflow.List {
				key = fmt.Sprintf("%s[%d]", in.Name, i)
			}
			fact := workflow.FileFacts{Path: path, SizeBytes: info.Size(), ModifiedAt: info.ModTime().UTC()}
			if fact.SHA256, err = small.of(path, info.Size()); err != nil {
				return nil, withHint(fmt.Errorf("input %q: %w", in.Name, invalidFile(path, err)), "give another file with -i %s=…", in.Name)
			}
			facts[key] = fact
		}
	}
	return facts, nil
}

// invalidFile says why an input cannot be the file it names.
func invalidFile(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &inputError{fmt.Errorf("there is no file %s", path)}
	}
	return &inputError{err}
}

// inputError is a value of an input that is not valid.
type inputError struct{ error }

func (e *inputError) Unwrap() error { return errInvalid }

// start creates the run and drives it to its end.
func (e *session) start(ctx context.Context, s *settings.Settings, w *workflow.Workflow, created workflow.RunCreated, f format) error {
	return e.startBy(ctx, s, w, created, f, func(v *service, created workflow.RunCreated) (*engine.Execution, error) {
		return v.engine.Create(ctx, e.runs, w, created)
	})
}

// startBy creates a run in some way and drives it to its end.
func (e *session) startBy(ctx context.Context, s *settings.Settings, w *workflow.Workflow, created workflow.RunCreated, f format,
	create func(*service, workflow.RunCreated) (*engine.Execution, error),
) error {
	v, err := e.connect(ctx, s, created.Profile, systemsOf(w, created))
	if err != nil {
		return err
	}
	created.Profile.Sandbox = v.profile.Sandbox // with links resolved
	x, err := create(v, created)
	if err != nil {
		return err
	}
	e.progress.say(console.Say(fmt.Sprintf("run %s of %s (%s)", shortID(created.ID), w.Name, created.ID)))
	if f == formatName {
		e.app.streams.Out.Printf("%s\n", created.ID)
	}
	return e.finish(ctx, x, f)
}

// finish drives a run and prints how it ended.
func (e *session) finish(ctx context.Context, x *engine.Execution, f format) error {
	err := e.conclude(x.Run(), e.drive(ctx, x))
	if f == formatJSON && x.Stored() {
		view := x.Run().Describe()
		err = errors.Join(err, e.app.streams.Out.JSON(shown(view, !view.State.Terminal(), false)))
	}
	return err
}
