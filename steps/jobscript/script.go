package jobscript

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// MaxSize bounds a script as it is submitted, in bytes.
const MaxSize = 1 << 20

// Script is a job before it is written out.
type Script struct {
	// Payload is what the user wrote, beginning with #!. It is run by its own
	// interpreter.
	Payload []byte
	// Control is the directory on the system where the job leaves its traces:
	// its claim Token, the payload Token.sh, its exit marker Token.x. It exists
	// when the job starts, unless Fence is FenceBlind.
	Control string
	Token   string
	// Fence must be said, so that nobody goes without by mistake.
	Fence Fence
	// PBS makes a script for PBS, else it is for Slurm. PBS cannot name the file
	// for the output after the job, so the job writes it itself: Token.out. and
	// its id in Control.
	PBS bool
	// WorkDir is where the payload runs; the job makes it.
	WorkDir string
	// Env is exported to the payload, byte for byte.
	Env map[string]string
	// Secrets is a directory that the job removes when the payload has ended,
	// unless it may be run again; "" = none.
	Secrets string
	// Options are written as directives after those of the payload.
	Options []string
	// Requeue lets the scheduler run the job again after a failure of a node.
	Requeue bool
}

// Render returns the text to submit: the payload's directives and Options, one
// function, and its call as the last line. From the first line after the
// directives everything stands in one pair of braces, so that a text that was
// cut short on its way is a syntax error and runs nothing.
//
// The job first finds out who it is and claims its token, see [Fence]. A job
// that may not run ends with 79, one that cannot claim, write its payload or
// enter its directory with 78, each with a line on stderr. Only the owner of
// the token writes any file but its own output.
//
// The payload runs in the background of the batch shell, which passes TERM INT
// USR1 and USR2 on to it and ends with its exit code: a scheduler may
// signal the batch shell alone, and a shell that waits in the foreground does
// not react before the payload has ended. Shells start background commands with
// INT ignored, hence the `trap -`. The environment is exported in the subshell
// alone, so that no variable changes what the wrapper does. At last the job
// leaves its exit code as a link Token.x to "x-<code>.<id>", and ends with it. One
// that may be run again leaves none if it was told to end.
//
// The result depends on nothing but s.
func Render(s Script) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	payload := s.Payload
	if !bytes.HasSuffix(payload, []byte("\n")) {
		payload = append(bytes.Clone(payload), '\n')
	}
	end, err := delimiter(payload)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("#!/bin/bash\n")
	for _, option := range s.directives() {
		fmt.Fprintf(&b, "%s %s\n", s.scheduler().prefix(), option)
	}
	file := quote(path.Join(s.Control, s.Token+".sh"))
	b.WriteString("{ fcflow_job() {\n")
	s.writePrologue(&b)
	fmt.Fprintf(&b, "cat >%s <<'%s' || return 78\n%s%[2]s\n", file, end, payload)
	fmt.Fprintf(&b, "chmod u+x %s || return 78\n", file)
	fmt.Fprintf(&b, "mkdir -p -- %s && cd -- %[1]s || return 78\n", quote(s.WorkDir))
	b.WriteString(catchSignals)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		fmt.Fprintf(&b, "export %s=%s\n", name, quote(s.Env[name]))
	}
	fmt.Fprintf(&b, "exec %s\n) &\n", file)
	b.WriteString(waitForPayload)
	if s.Secrets != "" && !s.Requeue {
		fmt.Fprintf(&b, "rm -rf -- %s\n", quote(s.Secrets))
	}
	if s.Requeue && !s.PBS {
		b.WriteString(unlessTold)
	}
	if s.Fence != FenceOff {
		b.WriteString(mark)
	}
	b.WriteString("return \"$fcflow_code\"\n}\nfcflow_job; exit; }\n")
	if b.Len() > MaxSize {
		return nil, fmt.Errorf("the script is %d bytes long as it is submitted; the limit is %d: upload large data instead", b.Len(), MaxSize)
	}
	return b.Bytes(), nil
}

func (s Script) scheduler() Scheduler {
	if s.PBS {
		return PBS
	}
	return Slurm
}

// directives are those of the payload, the wrapper's own, and Options. A job
// that the scheduler runs again keeps its output. PBS would start the login
// shell, whatever that is.
func (s Script) directives() []string {
	var list []string
	for _, d := range s.scheduler().directives(string(s.Payload)) {
		list = append(list, d.text)
	}
	switch {
	case s.PBS && s.Requeue:
		list = append(list, "-S /bin/bash", "-r y")
	case s.PBS:
		list = append(list, "-S /bin/bash", "-r n")
	case s.Requeue:
		list = append(list, "--requeue", "--open-mode=append")
	default:
		list = append(list, "--no-requeue")
	}
	return append(list, s.Options...)
}

func (s Script) check() error {
	switch {
	case !bytes.HasPrefix(s.Payload, []byte("#!")):
		return errors.New("the script lacks #! and its interpreter at the beginning")
	case bytes.IndexByte(s.Payload, 0) >= 0:
		return errors.New("the script holds a NUL byte")
	case !slices.Contains([]Fence{FenceClaim, FenceBlind, FenceOff}, s.Fence):
		return fmt.Errorf("fence %q is none of %s, %s and %s", s.Fence, FenceClaim, FenceBlind, FenceOff)
	case !path.IsAbs(s.Control) || strings.Contains(s.Token, "/"):
		return fmt.Errorf("the job cannot leave its traces as %q in %q: an absolute path and a plain name are needed", s.Token, s.Control)
	}
	for _, p := range []string{s.Control, s.WorkDir, s.Token, cmp.Or(s.Secrets, "/")} {
		if p == "" || strings.ContainsAny(p, "\x00\n") {
			return fmt.Errorf("path %q cannot stand in a script", p)
		}
	}
	for _, option := range s.directives() {
		switch {
		case strings.ContainsAny(option, "\x00\r\n"):
			return fmt.Errorf("directive %q holds a line break", option)
		case s.PBS && strings.HasSuffix(option, `\`):
			return fmt.Errorf("directive %q would go on in the next one", option)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if err := CheckEnv(name); err != nil {
			return err
		}
		if strings.Contains(s.Env[name], "\x00") {
			return fmt.Errorf("the value of env.%s holds a NUL byte", name)
		}
	}
	return nil
}

// CheckEnv reports why a name cannot be exported by a shell.
func CheckEnv(name string) error {
	switch {
	case !variable.MatchString(name):
		return fmt.Errorf("env: %q is not a name that a shell can export", name)
	case slices.Contains(shellVariables, name):
		return fmt.Errorf("env: the shell keeps %s for itself", name)
	}
	return nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// shellVariables are those of bash that cannot be set, or do not keep what they
// are set to.
var shellVariables = []string{
	"_", "BASHOPTS", "BASHPID", "BASH_ALIASES", "BASH_ARGC", "BASH_ARGV", "BASH_ARGV0", "BASH_CMDS", "BASH_COMMAND",
	"BASH_LINENO", "BASH_SOURCE", "BASH_SUBSHELL", "BASH_VERSINFO", "COMP_WORDBREAKS", "DIRSTACK", "EPOCHREALTIME",
	"EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "PIPESTATUS", "PPID", "PWD", "OLDPWD", "RANDOM",
	"SECONDS", "SHELLOPTS", "SHLVL", "SRANDOM", "UID",
}

// delimiter ends the here-document. It follows from the text, so that the same
// job is the same script, and nobody writes it by chance.
func delimiter(payload []byte) (string, error) {
	sum := sha256.Sum256(payload)
	d := "END_" + hex.EncodeToString(sum[:16])
	if bytes.Contains(payload, []byte(d)) {
		return "", errors.New("the script holds the words that mark its own end")
	}
	return d, nil
}

// quote makes a text one word of a shell, whatever is in it.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
