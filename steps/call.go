package steps

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/redact"
	"github.com/fcflow/fcflow/steps/jobscript"
	"github.com/fcflow/fcflow/workflow"
)

// call is one entry of an attempt, as a step type sees it.
type call struct {
	*engine.Invocation
	library *Library
	name    string // of the step type
}

// onSystem are the inputs of every type that works on a system.
type onSystem struct {
	System string `json:"system" is:"defaults" doc:"System to work on. Without it the one of the profile."`
}

// inWorkdir are the inputs of types that take remote paths.
type inWorkdir struct {
	onSystem
	Workdir string `json:"workdir" is:"remote,defaults" doc:"Directory that relative remote paths start from; relative to the run's remote directory, which is the default."`
}

// secrets masks the values of secrets that the attempt was given.
func (c *call) secrets() *redact.Redactor {
	r := redact.New()
	r.Add(c.Secrets...)
	for _, secret := range c.Secrets {
		r.Add(urlParts(secret)...)
	}
	return r
}

// maskPanic takes the values of secrets out of a panic that is under way.
func (c *call) maskPanic() {
	if len(c.Secrets) == 0 {
		return
	}
	if p := recover(); p != nil {
		panic(c.secrets().Redact(fmt.Sprint(p)))
	}
}

func (c *call) client() *firecrest.Client { return c.library.config.Client }

func (c *call) files() *firecrest.FilesystemService { return c.client().Filesystem }

// system is the name of the system that the attempt works on.
func (c *call) system() string { return c.Site.System }

// scheduler is the batch system of the attempt's system.
func (c *call) scheduler() jobscript.Scheduler {
	if strings.EqualFold(c.Site.Scheduler, string(jobscript.PBS)) {
		return jobscript.PBS
	}
	return jobscript.Slurm
}

// again reports whether something of this unit may have had an effect before:
// an earlier attempt, or an earlier entry of this one.
func (c *call) again() bool { return c.Attempt > 1 || c.Reason != workflow.WakeStart }

// path makes a remote path absolute: relative ones start from the workdir, and
// that from the run's remote directory. Dots are folded by their text.
func (c *call) path(in inWorkdir, p string) (string, error) {
	for _, text := range []string{in.Workdir, p} {
		if text == "~" || strings.HasPrefix(text, "~/") {
			return "", refuse("path %q: ~ is not expanded; write the full path", text)
		}
	}
	if !path.IsAbs(p) {
		workdir := in.Workdir
		if !path.IsAbs(workdir) {
			workdir = path.Join(c.Site.RemoteDir, workdir)
		}
		p = path.Join(workdir, p)
	}
	p = path.Clean(p)
	return p, firecrest.CheckPath(p)
}

// stat describes a remote file, links followed; nil if there is none.
func (c *call) stat(ctx context.Context, p string) (*firecrest.FileStat, error) {
	found, err := c.files().Stat(ctx, c.system(), p, true)
	if isNotFound(err) {
		return nil, nil
	}
	return found, err
}

// within reports whether path p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
