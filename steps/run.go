package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

type runIn struct {
	Script     string            `json:"script" is:"literal" doc:"Text to run: by the interpreter of its #! line, else by /bin/sh -e. Values come in through env."`
	Command    []string          `json:"command" doc:"Program and arguments, run without a shell, instead of script."`
	Workdir    string            `json:"workdir" is:"local" default:"." doc:"Directory to run in; relative to the directory of the workflow file."`
	Env        map[string]string `json:"env" is:"secret" doc:"Environment, besides PATH, HOME, LANG and TMPDIR; nothing else is inherited."`
	Idempotent bool              `json:"idempotent" is:"literal" default:"false" doc:"Whether it may run again after fcflow was interrupted while it ran. Otherwise the step then fails with interrupted."`
}

type runOut struct {
	ExitCode        int64  `json:"exit_code" doc:"Always 0: any other fails the step."`
	Stdout          string `json:"stdout" doc:"What it printed, at most the last 64 KiB, without line breaks at the end."`
	StdoutTruncated bool   `json:"stdout_truncated" doc:"Whether it printed more than that. The log of the step has all of it."`
}

// killGrace is how long a command may take to end after SIGTERM, and how long
// its output is waited for when it has ended and its children hold it open.
const killGrace = 10 * time.Second

func run() stepType {
	return define[runIn, runOut](workflow.StepSpec{
		Name: "run", Group: groupControl,
		Summary: "Runs a command on this machine",
		Doc: "The command runs with your rights, in a process group of its own; when it must end it gets SIGTERM and ten seconds later SIGKILL. " +
			"What it prints goes to the log of the step. " +
			"It does not survive fcflow: a command that was interrupted runs again only with `idempotent: true`.",
		CheckWith:      checkRun,
		IdempotentWith: func(with json.RawMessage) bool { return literal[runIn](with).Idempotent },
		Causes:         []workflow.Cause{workflow.CauseExit, workflow.CauseKilled, workflow.CauseRejected, workflow.CauseInterrupted},
		Example: `- id: count
  uses: run
  with:
    script: wc -w < notes.txt
    idempotent: true
`,
	}, runCommand)
}

func checkRun(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
	in := literal[runIn](with)
	script, command := in.Script != "", len(in.Command) > 0 || dynamic("command")
	problems := checkEnv(in.Env)
	switch {
	case script && command:
		problems = append(problems, workflow.FieldProblem{
			Path: []string{"command"}, Code: codeExclusive, Message: "`script` and `command` exclude each other", Hint: "keep one of them",
		})
	case !script && !command:
		problems = append(problems, workflow.FieldProblem{Code: codeExclusive, Message: "a `run` step needs `script` or `command`"})
	}
	return problems
}

// checkEnv finds names that no shell could export.
func checkEnv(env map[string]string) []workflow.FieldProblem {
	var problems []workflow.FieldProblem
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !envName(name) {
			problems = append(problems, workflow.FieldProblem{
				Path: []string{"env", name}, Code: codeEnvName, Message: fmt.Sprintf("%q cannot be the name of a variable", name),
				Hint: "use letters, digits and _",
			})
		}
	}
	return problems
}

func envName(name string) bool {
	for i, c := range name {
		if c != '_' && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

func runCommand(ctx context.Context, c *call, in runIn) engine.Outcome {
	if c.Stopping() {
		return engine.Ended("nothing of the step was under way")
	}
	cmd, cleanup, err := c.command(ctx, in)
	if err != nil {
		return engine.Failure(workflow.CauseRejected, err.Error())
	}
	defer cleanup()
	file, err := c.openLog("log")
	if err != nil {
		return engine.Failure(workflow.CauseRejected, err.Error())
	}
	defer file.Close()
	log := c.secrets().Writer(file)
	defer log.Close()
	stdout, all := &tailBuffer{}, &tailBuffer{}
	cmd.Stdout = io.MultiWriter(log, stdout, all)
	cmd.Stderr = io.MultiWriter(log, all)
	err = cmd.Run()
	switch {
	case ctx.Err() != nil && cmd.Process == nil:
		return engine.Ended("the command was not started")
	case ctx.Err() != nil:
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what the command left behind
		return engine.Ended("the process group was told to end: " + exitText(cmd, err))
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		text, _ := all.text()
		return commandFailed(cmd, err).WithTail(lastLines(text, tailLines))
	}
	var out runOut
	out.Stdout, out.StdoutTruncated = stdout.text()
	out.Stdout = strings.TrimRight(out.Stdout, "\r\n")
	return engine.Success(out)
}

// command prepares the process. cleanup removes what it needed.
func (c *call) command(ctx context.Context, in runIn) (cmd *exec.Cmd, cleanup func(), err error) {
	argv, cleanup := in.Command, func() {}
	switch {
	case (in.Script == "") == (len(argv) == 0):
		return nil, nil, errors.New("a run step needs either script or command")
	case in.Script != "":
		argv, cleanup, err = scriptCommand(in.Script)
		if err != nil {
			return nil, nil, err
		}
	}
	dir := in.Workdir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(c.Run.Dir, dir)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		cleanup()
		return nil, nil, fmt.Errorf("workdir %s is not a directory here", dir)
	}
	cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = localEnv(in.Env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	cmd.WaitDelay = c.library.killGrace
	return cmd, cleanup, nil
}

// scriptCommand puts a script that names its interpreter into a file; others go
// to sh as an argument.
func scriptCommand(script string) (argv []string, cleanup func(), err error) {
	if !strings.HasPrefix(script, "#!") {
		return []string{"/bin/sh", "-e", "-c", script}, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "fcflow-run-")
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { _ = os.RemoveAll(dir) }
	file := filepath.Join(dir, "script")
	if err := writeExecutable(file, script); err != nil {
		cleanup()
		return nil, nil, err
	}
	return []string{file}, cleanup, nil
}

// writeExecutable keeps other goroutines from starting processes meanwhile: a
// child would hold the file open for writing for a moment, and such a file
// cannot be executed.
func writeExecutable(file, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(file, []byte(text), 0o700)
}

// localEnv is the whole environment of a local command.
func localEnv(env map[string]string) []string {
	var list []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			list = append(list, name+"="+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

func commandFailed(cmd *exec.Cmd, err error) engine.Outcome {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return engine.Failure(workflow.CauseRejected, fmt.Sprintf("the command could not be run: %v", err))
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return engine.Failure(workflow.CauseKilled, fmt.Sprintf("%s was ended by signal %d (%s)", cmd.Path, status.Signal(), status.Signal()))
	}
	return engine.Failure(workflow.ExitCause(exit.ExitCode()), fmt.Sprintf("%s exited with %d", cmd.Path, exit.ExitCode()))
}

func exitText(cmd *exec.Cmd, err error) string {
	if cmd.ProcessState != nil {
		return cmd.ProcessState.String()
	}
	return fmt.Sprint(err)
}

// openLog opens a log file of the attempt, which only its owner may read, to
// add to it.
func (c *call) openLog(name string) (*os.File, error) {
	file, err := c.LogPath(name)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// tailBuffer keeps the end of what is written to it, at least maxText bytes.
type tailBuffer struct {
	mu    sync.Mutex
	bytes []byte
	more  bool
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = append(t.bytes, p...)
	if len(t.bytes) > 2*maxText {
		t.bytes = bytes.Clone(t.bytes[len(t.bytes)-maxText:])
		t.more = true
	}
	return len(p), nil
}

func (t *tailBuffer) text() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, cut := lastPart(string(t.bytes))
	return text, cut || t.more
}
