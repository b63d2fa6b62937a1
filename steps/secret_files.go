package steps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/steps/jobscript"
	"github.com/fcflow/fcflow/workflow"
)

// Secrets reach a job as files. Whatever is in its script the scheduler keeps
// readable, and its arguments and environment are in lists and accounts of
// everybody. The files are in a directory of the attempt that only its user can
// enter before the first of them is there, and are removed when the attempt ends,
// however it ends.

// secretsDir is the directory of an attempt's secrets.
func secretsDir(control, token string) string { return path.Join(control, token+".secrets") }

// fileVariable is the variable that tells the script where a secret is.
func fileVariable(name string) string { return name + "_FILE" }

// environment is what the script finds exported: what the step says, and where
// its secrets are.
func (in batchIn) environment(control, token string) map[string]string {
	if len(in.SecretFiles) == 0 {
		return in.Env
	}
	env := map[string]string{}
	maps.Copy(env, in.Env)
	for name := range in.SecretFiles {
		env[fileVariable(name)] = path.Join(secretsDir(control, token), name)
	}
	return env
}

// checkSecretFiles finds names that cannot be those of files and variables.
func (in batchIn) checkSecretFiles() []workflow.FieldProblem {
	var problems []workflow.FieldProblem
	for _, name := range slices.Sorted(maps.Keys(in.SecretFiles)) {
		switch _, taken := in.Env[fileVariable(name)]; {
		case jobscript.CheckEnv(fileVariable(name)) != nil:
			problems = append(problems, workflow.FieldProblem{
				Path: []string{"secret_files", name}, Code: codeEnvName, Message: fmt.Sprintf("%q cannot be the name of a variable", name),
				Hint: "use letters, digits and _",
			})
		case taken:
			problems = append(problems, workflow.FieldProblem{
				Path: []string{"secret_files", name}, Code: codeExclusive, Message: fmt.Sprintf("`env` and `secret_files` both set %s", fileVariable(name)),
				Hint: "choose another name",
			})
		}
	}
	return problems
}

// secretsReady has the secrets of a job where it will look for them, before it is
// sent. An outcome ends the entry instead.
func (c *call) secretsReady(ctx context.Context, in batchIn) engine.Outcome {
	s := c.Submission()
	if !s.Intent.SecretFiles {
		return engine.Outcome{}
	}
	over, err := c.Load(clearing, new(bool))
	if err != nil {
		return lost(err)
	}
	if last := len(s.Outcomes) - 1; over && last >= 0 {
		// It has failed already; it must not be sent again, now without its secrets.
		cause := workflow.CauseAPI
		if s.Outcomes[last].Class == workflow.Rejected {
			cause = workflow.CauseRejected
		}
		return engine.Failure(cause, s.Outcomes[last].Message).WithRule(workflow.RuleAnswer)
	}
	if err := c.putSecrets(ctx, in); err != nil {
		return c.failed(ctx, err)
	}
	return engine.Outcome{}
}

// Checkpoints: the files are complete, and the attempt is over but for them.
const (
	secretsMade = "secret_files.made"
	clearing    = "secret_files.clearing"
)

// putSecrets brings the secrets of a job to the system. The directory is not made
// with its parents: a control directory that is gone must stay gone, because
// tokens were fenced off in it.
func (c *call) putSecrets(ctx context.Context, in batchIn) error {
	s := c.Submission()
	if made, err := c.Load(secretsMade, new(bool)); made || err != nil {
		return err
	}
	dir := secretsDir(s.Intent.Control, s.Intent.Token)
	if _, err := c.files().Mkdir(ctx, c.system(), dir, false); err != nil && !errors.Is(err, firecrest.ErrExists) {
		return err
	}
	if err := c.shut(ctx, dir, "700"); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(in.SecretFiles)) {
		content := in.SecretFiles[name]
		if content == "" {
			return refuse("secret_files.%s is empty", name)
		}
		if err := c.files().Upload(ctx, c.system(), dir, name, strings.NewReader(content), int64(len(content))); err != nil {
			return err
		}
		if err := c.shut(ctx, path.Join(dir, name), "600"); err != nil {
			return err
		}
	}
	return c.keep(ctx, secretsMade, true)
}

// shut keeps others out of a file or directory, and sees to it that it worked.
func (c *call) shut(ctx context.Context, name, mode string) error {
	entry, err := c.files().Chmod(ctx, c.system(), name, mode)
	if err != nil {
		return err
	}
	if p := entry.Permissions; len(p) < 9 || p[3:9] != "------" {
		return refuse("others can read %s (%s): the file system does not keep them out, so no secret was put there", name, p)
	}
	return nil
}

// clear is the end of an attempt: its outcome, once the secrets of the job are
// gone.
func (c *call) clear(ctx context.Context, s *workflow.Submission, out engine.Outcome) engine.Outcome {
	if out.Waits() || s == nil || !s.Intent.SecretFiles {
		return out
	}
	dir := secretsDir(s.Intent.Control, s.Intent.Token)
	lingering, cancel := linger(ctx, sendGrace)
	defer cancel()
	if s.JobID == "" && s.Owner == nil {
		if err := c.keep(lingering, clearing, true); err != nil {
			return lost(err)
		}
	}
	err := c.files().Remove(lingering, c.system(), dir)
	if err == nil || isNotFound(err) {
		return out
	}
	if _, passing := causeOf(err); !passing && ctx.Err() == nil {
		return out.Noting(fmt.Sprintf("the secrets of the job could not be removed from %s: %v", dir, err))
	}
	return c.outageSoon(ctx, fmt.Errorf("the secrets of the job are still in %s: %w", dir, err))
}
