package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/internal/plan"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

type planOptions struct {
	runOptions
	live bool
}

func newPlanCommand(a *app) *cobra.Command {
	o := planOptions{runOptions: runOptions{output: newOutput()}}
	c := &cobra.Command{
		Use: "plan FILE", Short: "Show what a workflow would do, and what of it cannot work",
		Long: `Lists the steps in an order in which they can run: where, after which others,
what their jobs ask for, which files they need and how those would move. Nothing
runs, and nothing is written.

Without --live only this machine is looked at. With it the service is asked, by
calls that read only: the systems and their health, the partition, account and
reservation of each job, its wall time against maintenance, the remote files that
steps need, and whether files go directly or in a transfer of their own. What
cannot be known before the run is said to be so.

Exit code 3 says that something in the plan cannot work as things stand.`,
		Example:           "  fcflow plan sweep.yaml -i levels='[40, 60]'\n  fcflow plan --live sweep.yaml --profile alps",
		ValidArgsFunction: completeWorkflowFiles,
	}
	a.addRunInputs(c, &o.runOptions)
	c.Flags().BoolVar(&o.live, "live", false, "ask the service, by calls that only read")
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.file = args[0]
		return runPlan(c.Context(), a, o)
	})
}

// shownPlan is a plan with what it was made for. Its JSON form is a contract
// that only grows.
type shownPlan struct {
	*plan.Plan
	File          string `json:"file"`
	URL           string `json:"url,omitempty"`     // of the service
	Sandbox       string `json:"sandbox,omitempty"` // root of the sandbox
	Live          bool   `json:"live"`
	ServerVersion string `json:"server_version,omitempty"`
}

func runPlan(ctx context.Context, a *app, o planOptions) error {
	s, err := a.settings("")
	if err != nil {
		return err
	}
	profile, err := choose(s, o.sandbox)
	if err != nil {
		return err
	}
	w, err := a.loadRunnable(o.file, cmp.Or(profile.System, anySystem(s)))
	if err != nil {
		return err
	}
	created, err := a.newRun(w, o.runOptions, profile)
	if err != nil {
		return err
	}
	shown := shownPlan{Plan: a.makePlan(s, w, created), File: o.file, URL: profile.URL, Sandbox: profile.Sandbox}
	a.sayMissing(s, w, profile, shown.Plan)
	if o.live && needsService(w) {
		if err := a.askPlan(ctx, s, profile, systemsOf(w, created), &shown); err != nil {
			return err
		}
	}
	switch o.output.format() {
	case formatJSON:
		err = a.streams.Out.JSON(shown)
	case formatName:
		for _, step := range shown.Steps {
			a.streams.Out.Printf("%s\n", step.ID)
		}
	default:
		a.printPlan(&shown)
	}
	if n := len(shown.Of(plan.Error)); err == nil && n > 0 {
		return fmt.Errorf("%w: %s cannot work: %s", errInvalid, o.file, count(n, "error"))
	}
	return err
}

// makePlan plans a run as it would be created, and looks at the files here.
func (a *app) makePlan(s *settings.Settings, w *workflow.Workflow, created workflow.RunCreated) *plan.Plan {
	p := plan.Make(w, plan.Options{
		Inputs: created.Inputs, System: created.Profile.System, Account: s.Text("account"), Dir: created.Dir,
	})
	seen := map[string]plan.Seen{}
	for _, path := range p.LocalSources() {
		seen[path] = lookHere(path)
	}
	p.SeeLocal(seen)
	return p
}

// lookHere describes a file, a directory or what a pattern names.
func lookHere(name string) plan.Seen {
	files, err := datatransfer.FindLocal(name)
	var seen plan.Seen
	for _, f := range files {
		if f.Info.Mode().IsRegular() {
			seen.Files++
			seen.SizeBytes += f.Info.Size()
		}
	}
	switch {
	case errors.Is(err, datatransfer.ErrNoMatch), errors.Is(err, fs.ErrNotExist):
		return seen
	case err != nil:
		seen.Problem = err.Error()
		return seen
	}
	seen.Exists = true
	seen.Dir = len(files) != 1 || !files[0].Info.Mode().IsRegular()
	if !seen.Dir {
		seen.Problem = unreadable(files[0].Path)
	}
	return seen
}

// unreadable says why a file cannot be opened.
func unreadable(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return err.Error()
	}
	_ = f.Close() // nothing was written
	return ""
}

// sayMissing adds what a run would refuse to start without.
func (a *app) sayMissing(s *settings.Settings, w *workflow.Workflow, profile workflow.Profile, p *plan.Plan) {
	if needsService(w) && checkService(profile) != nil {
		p.Add(plan.Finding{
			Severity: plan.Warning, Code: plan.NoService, Message: "no FirecREST service is configured",
			Hint: "set FIRECREST_URL, choose a --profile, or run it with --sandbox",
		})
	}
	for _, name := range secretsOf(w) {
		if _, err := s.Secret(name); err != nil {
			p.Add(plan.Finding{Severity: plan.Error, Code: plan.SecretMissing, Message: err.Error()})
		}
	}
}

// askPlan asks the service for everything that the plan names.
func (a *app) askPlan(ctx context.Context, s *settings.Settings, profile workflow.Profile, systems []string, shown *shownPlan) error {
	if err := checkService(profile); err != nil {
		return err
	}
	v, err := a.connect(ctx, s, profile, systems)
	if err != nil {
		return err
	}
	sites, err := v.ask(ctx, shown.Plan)
	if err := errors.Join(serviceError(v, err), v.close()); err != nil {
		return err
	}
	shown.Live, shown.ServerVersion = true, v.client.ServerVersion()
	shown.SeeSites(sites)
	return nil
}

// ask collects what the service says of the systems and files of a plan.
func (v *service) ask(ctx context.Context, p *plan.Plan) (plan.Sites, error) {
	sites := plan.Sites{ByName: map[string]*plan.Site{}, Remote: map[plan.RemotePath]plan.Seen{}, Now: time.Now()}
	systems, err := v.client.Status.Systems(ctx)
	if err != nil {
		return sites, err
	}
	for _, system := range systems {
		sites.Offered = append(sites.Offered, system.Name)
	}
	for _, name := range p.Systems() {
		system, err := findSystem(systems, name)
		if err != nil {
			continue // the plan says so of each step
		}
		what := []string{askUser}
		if p.HasJobs(name) {
			what = append(what, askPartitions, askReservations)
		}
		facts := askSite(ctx, v.client, *system, what...)
		if err := errors.Join(context.Cause(ctx), facts.loginProblem()); err != nil {
			return sites, err
		}
		sites.ByName[name] = facts.planSite(v.client.ServerVersion())
		sites.ByName[name].Open = v.attached != nil
	}
	for _, at := range p.RemoteSources() {
		if sites.ByName[at.System] != nil {
			sites.Remote[at] = v.lookThere(ctx, at)
		}
	}
	return sites, context.Cause(ctx)
}

// lookThere describes a path on a system, or what a pattern there names.
func (v *service) lookThere(ctx context.Context, at plan.RemotePath) plan.Seen {
	if datatransfer.IsGlob(at.Path) {
		return v.matchThere(ctx, at)
	}
	stat, err := v.client.Filesystem.Stat(ctx, at.System, at.Path, true)
	switch {
	case errors.Is(err, firecrest.ErrNotFound):
		return plan.Seen{}
	case err != nil:
		return plan.Seen{Problem: err.Error()}
	case stat.IsDir():
		return plan.Seen{Exists: true, Dir: true}
	}
	return plan.Seen{Exists: true, Files: 1, SizeBytes: stat.Size}
}

func (v *service) matchThere(ctx context.Context, at plan.RemotePath) plan.Seen {
	entries, err := v.client.Filesystem.List(ctx, at.System, path.Clean(datatransfer.GlobBase(at.Path)),
		&firecrest.ListOptions{ShowHidden: true, Recursive: true})
	if err == nil {
		var found []datatransfer.RemoteFile
		found, err = datatransfer.MatchRemote(at.Path, entries)
		seen := plan.Seen{Exists: err == nil, Dir: true, Files: len(found)}
		for _, f := range found {
			seen.SizeBytes += f.Entry.Size
		}
		if err == nil {
			return seen
		}
	}
	if errors.Is(err, firecrest.ErrNotFound) || errors.Is(err, datatransfer.ErrNoMatch) {
		return plan.Seen{}
	}
	return plan.Seen{Problem: err.Error()}
}

// checkFiles refuses a run whose files are not there: it would fail later.
func (a *app) checkFiles(s *settings.Settings, w *workflow.Workflow, created workflow.RunCreated) error {
	var problems workflow.Problems
	for _, f := range a.makePlan(s, w, created).Of(plan.Error) {
		p := workflow.Problem{Code: workflow.ProblemCode(f.Code), File: f.File, Message: f.Message, Hint: f.Hint}
		if f.Pos != nil {
			p.Pos = *f.Pos
		}
		problems = append(problems, p)
	}
	if len(problems) == 0 {
		return nil
	}
	return &problemsError{filepath.Clean(w.File), w.Source, problems}
}
