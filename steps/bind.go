package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// binder implements engine.Binder with three requests per run and system, and
// one per process: who we are, the run's directory, and the link that claims it;
// and what systems there are.
type binder struct{ library *Library }

// Bind implements engine.Binder.
func (b binder) Bind(ctx context.Context, system, root string, run workflow.RunCreated) (*workflow.RunBound, error) {
	facts, err := b.library.system(ctx, system)
	if err != nil {
		return nil, bindError(err)
	}
	user, err := b.library.config.Client.Status.UserInfo(ctx, system)
	if err != nil {
		return nil, bindError(err)
	}
	root, err = b.remoteRoot(root, facts, user.User.Name)
	if err != nil {
		return nil, err
	}
	site := workflow.RunBound{
		System: system, User: user.User.Name, RemoteDir: path.Join(root, run.Workflow, string(run.ID)),
		Version: b.library.config.Client.ServerVersion(), Scheduler: facts.Scheduler.Type, SchedulerVersion: facts.Scheduler.Version,
	}
	dir := path.Join(controlDir(site), partName(0))
	_, err = b.library.config.Client.Filesystem.Mkdir(ctx, system, dir, true)
	if errors.Is(err, firecrest.ErrUnsupported) && facts.WorkDir() != "" {
		site.Fence, site.SubmitDir = workflow.FenceBlind, path.Join(facts.WorkDir(), site.User)
		return &site, nil
	}
	if err != nil {
		return nil, fmt.Errorf("make the run's remote directory (remote_root says where): %w", bindError(err))
	}
	return &site, b.enclose(ctx, &site, run.Nonce)
}

// Verify implements engine.Binder.
func (b binder) Verify(ctx context.Context, site workflow.RunBound) error {
	user, err := b.library.config.Client.Status.UserInfo(ctx, site.System)
	if err != nil {
		return bindError(err)
	}
	if user.User.Name != site.User {
		return fmt.Errorf("%w: the run works as %q on %q, and you are %q there", engine.ErrConflict, site.User, site.System, user.User.Name)
	}
	return nil
}

// remoteRoot is the directory below which runs keep their files: the
// workflow's, the profile's, or one in the user's own directory.
func (b binder) remoteRoot(asked string, facts *firecrest.System, user string) (string, error) {
	if root := cmp.Or(asked, b.library.config.RemoteRoot); root != "" {
		return path.Clean(root), firecrest.CheckPath(root)
	}
	if facts.WorkDir() == "" {
		return "", fmt.Errorf("the service does not say where users work on %q: set remote_root in the profile", facts.Name)
	}
	return path.Join(facts.WorkDir(), user, "fcflow"), nil
}

// bindError marks an error of the API with what it means for a run.
func bindError(err error) error {
	var answer *firecrest.Error
	switch {
	case errors.Is(err, firecrest.ErrUnauthenticated), errors.Is(err, firecrest.ErrForbidden):
		return fmt.Errorf("%w: %w", engine.ErrLogin, err)
	case errors.Is(err, firecrest.ErrUnsupported), // that address serves something else
		errors.As(err, &answer) && (answer.Retryable() || answer.Status == 0):
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	return err
}

// system returns what the service says of a system. Systems are asked for once
// per process, and again for a name that is not among them.
func (l *Library) system(ctx context.Context, name string) (*firecrest.System, error) {
	now, answers := time.Now(), l.systems.reading("")
	ask := func(ctx context.Context) *systemList {
		began := time.Now()
		all, err := l.config.Client.Status.Systems(ctx)
		return &systemList{began, all, err}
	}
	list := answers.get(ctx, time.Time{}, ask)
	if list.err == nil && list.find(name) == nil && list.began.Before(now) { // it may be new since then
		list = answers.get(ctx, now, ask)
	}
	if list.err != nil {
		return nil, list.err
	}
	if found := list.find(name); found != nil {
		return found, nil
	}
	var names []string
	for _, s := range list.all {
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("system %q: %w; the service offers %s", name, firecrest.ErrNotFound, strings.Join(names, ", "))
}

// systemList is what systems the service told of.
type systemList struct {
	began time.Time
	all   []firecrest.System
	err   error
}

func (l *systemList) since() (time.Time, bool) { return l.began, l.err == nil }

func (l *systemList) find(name string) *firecrest.System {
	for i := range l.all {
		if strings.EqualFold(l.all[i].Name, name) {
			return &l.all[i]
		}
	}
	return nil
}
