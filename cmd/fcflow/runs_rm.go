package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type runsRmOptions struct {
	runs   []string
	remote bool
	force  bool
}

func newRunsRmCommand(a *app) *cobra.Command {
	var o runsRmOptions
	c := &cobra.Command{
		Use:   "rm RUN…",
		Short: "Delete runs",
		Long: `Deletes what is kept here of runs: their histories and logs. What they have
downloaded stays. A run that a process drives is never deleted.

A run that is not over may have jobs in the queue, which nobody would find again:
it is deleted only with --force, which says what they are. "fcflow cancel" ends them.

--remote deletes the run's remote directories first, with everything that its jobs
have left there. It refuses a directory that is not below remote_root, is not named
after the run, or is claimed for another one. If a run that is not over began with
what was done in this one, paths in its outputs lead there: --force deletes it.

The runs that steps of a run have started go with it, and if one of them cannot go,
all of them stay. With --remote no history goes before all of their directories.`,
		Example: "  fcflow runs rm K3X9QZ\n  fcflow runs rm last --remote",
	}
	c.ValidArgsFunction = func(c *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return a.completeRuns(nil)(c, nil, text)
	}
	c.Flags().BoolVar(&o.remote, "remote", false, "delete the remote directories of the runs, too")
	c.Flags().BoolVar(&o.force, "force", false, "delete also runs that are not over, or that others work with, whatever becomes of their jobs")
	a.addTakeOver(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.runs = args
		return runRunsRm(c.Context(), a, o)
	})
}

func runRunsRm(ctx context.Context, a *app, o runsRmOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	children, err := readDescent(ctx, st)
	if err != nil {
		return err
	}
	var ids []workflow.RunID
	for _, ref := range o.runs { // all are known before the first one goes
		id, err := a.resolve(ctx, st, ref)
		if err != nil {
			return err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if err := a.spare(ctx, st, ids, o); err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if ctx.Err() != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
		errs = append(errs, a.remove(ctx, st, id, children, o))
	}
	return errors.Join(errs...)
}

// spare names the runs that were made of those to be deleted and stay, and refuses to
// delete the remote directories that one of them still works with.
func (a *app) spare(ctx context.Context, st *store.Store, ids []workflow.RunID, o runsRmOptions) error {
	made, _, err := st.Recent(ctx, 0, func(l store.Listed) bool {
		return !slices.Contains(ids, l.ID) && slices.ContainsFunc(ids, func(id workflow.RunID) bool { return slices.Contains(l.ImportedFrom, id) })
	})
	if err != nil {
		return err
	}
	for _, l := range made {
		if o.remote && !o.force && !l.State.Terminal() {
			return withHint(fmt.Errorf("run %s of %s is not over, and works with what is in a directory to be deleted: %w", l.ID, l.Workflow, workflow.ErrConflict),
				"wait for its end, or delete it all the same: --force")
		}
		a.note("run %s of %s began with what was done in a run that is deleted", shortID(l.ID), l.Workflow)
	}
	return nil
}

// remove deletes a run and those that its steps have started. All remote directories
// go first: while a history is there, they can be found and deleted once more.
func (a *app) remove(ctx context.Context, st *store.Store, id workflow.RunID, children *descent, o runsRmOptions) error {
	tree, err := a.removable(ctx, st, id, children, o)
	if err != nil {
		return err
	}
	if o.remote {
		for _, l := range tree {
			if err := a.removeRemote(ctx, st, l.ID); err != nil {
				return err
			}
		}
	}
	for _, l := range tree {
		if err := st.Delete(ctx, l.ID); err != nil {
			return err
		}
		name := l.Workflow
		if name == "" {
			name = "an unreadable workflow"
		}
		a.note("deleted run %s of %s", shortID(l.ID), name)
	}
	return nil
}

// removable lists a run after those that its steps have started, if all of them may
// be deleted.
func (a *app) removable(ctx context.Context, st *store.Store, id workflow.RunID, children *descent, o runsRmOptions) ([]store.Listed, error) {
	live, err := a.alive(ctx, st, id)
	if err != nil {
		return nil, err
	}
	if live != nil {
		live.close()
		if live.client == nil {
			return nil, a.outOfReach(st, id, live, "cancel it first: fcflow cancel "+a.refer(id), "runs rm "+a.refer(id))
		}
		return nil, withHint(fmt.Errorf("run %s: %s: %w", id, live.who(), workflow.ErrOwned), "cancel it first: fcflow cancel %s", a.refer(id))
	}
	summary, err := st.Summary(ctx, id)
	if err != nil {
		return nil, err
	}
	over := summary.Err == nil && summary.State.Terminal()
	if !over {
		if err := a.forget(ctx, st, id, o.force); err != nil {
			return nil, err
		}
	}
	var tree []store.Listed
	for _, child := range children.by[id] {
		below, err := a.removable(ctx, st, child, children, o)
		if err != nil {
			return nil, err
		}
		tree = append(tree, below...)
	}
	return append(tree, summary), nil
}

// forget says what goes on of a run that is not over, and refuses to delete it
// unless that is forced.
func (a *app) forget(ctx context.Context, st *store.Store, id workflow.RunID, force bool) error {
	run, err := a.stored(ctx, st, id)
	if errors.Is(err, workflow.ErrOwned) || ctx.Err() != nil {
		return err
	}
	why, jobs := "is not over", []string(nil)
	if err != nil {
		why = fmt.Sprintf("cannot be read (%v), and may not be over", err)
	} else {
		view := run.Describe()
		jobs = jobsLeft(&view)
	}
	if !force {
		text := fmt.Sprintf("run %s %s", id, why)
		if len(jobs) > 0 {
			text += "; what may be going on: " + strings.Join(jobs, "; ")
		}
		return withHint(fmt.Errorf("%s: %w", text, workflow.ErrConflict),
			"end it with its jobs: fcflow cancel %s; delete it all the same: fcflow runs rm --force %s", a.refer(id), a.refer(id))
	}
	a.note("run %s %s", shortID(id), why)
	for _, job := range jobs {
		a.note("  may go on: %s", job)
	}
	return nil
}

// jobsLeft names the jobs of attempts that are not over, also those that nobody
// knows to exist.
func jobsLeft(v *workflow.RunView) []string {
	var jobs []string
	for i := range v.Steps {
		for j := range v.Steps[i].Instances {
			u := &v.Steps[i].Instances[j]
			if u.State.Done() || len(u.Attempts) == 0 {
				continue
			}
			last := &u.Attempts[len(u.Attempts)-1]
			if !last.EndedAt.IsZero() {
				continue
			}
			if text := jobLeft(last); text != "" {
				jobs = append(jobs, unitRef(u).String()+": "+text)
			}
		}
	}
	return jobs
}

func jobLeft(t *workflow.AttemptView) string {
	s := t.Submission
	switch {
	case s != nil && s.Owner == nil && len(s.Candidates) > 1:
		return fmt.Sprintf("jobs %s on %s", strings.Join(s.Candidates, ", "), t.System)
	case t.JobID != "":
		return "job " + jobFact(t)
	case s != nil && s.Requests > 0:
		return fmt.Sprintf("perhaps a job by the name of %s on %s", s.JobName, t.System)
	}
	return ""
}

// removeRemote deletes the remote directories of a run. Meanwhile it owns the run,
// so that nobody resumes it.
func (a *app) removeRemote(ctx context.Context, st *store.Store, id workflow.RunID) (err error) {
	history, err := st.Open(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, history.Close()) }()
	source, err := history.Frozen(ctx)
	if err != nil {
		return err
	}
	run, err := a.fold(ctx, source, history)
	if err != nil || len(run.Sites) == 0 {
		return err
	}
	blobs := func(digest string) ([]byte, error) { return history.Blob(ctx, digest) }
	root, err := run.Workflow.EvalDefault("remote_root", run.Scope(nil, blobs))
	if err != nil {
		return fmt.Errorf("run %s: remote_root: %w", id, err)
	}
	v, err := a.connectPinned(ctx, run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	for _, system := range slices.Sorted(maps.Keys(run.Sites)) {
		site := run.Sites[system]
		if err := v.library.RemoveRun(ctx, site, root, run.Created); err != nil {
			return fmt.Errorf("run %s stays as it is: %w", id, err)
		}
		a.note("deleted %s on %s", site.RemoteDir, system)
	}
	return nil
}

// connectPinned connects to the service that a run belongs to.
func (a *app) connectPinned(ctx context.Context, run *workflow.Run) (*service, error) {
	s, err := a.settings(run.Created.Profile.Name)
	if err != nil {
		return nil, err
	}
	if err := checkPinned(s, run.Created.Profile); err != nil {
		return nil, err
	}
	return a.connect(ctx, s, run.Created.Profile, slices.Collect(maps.Keys(run.Sites)))
}
