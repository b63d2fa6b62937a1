package jobscript

import (
	"bytes"
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
	// Control is the directory on the system that the payload is written to, as
	// Token.sh. It exists when the job starts.
	Control string
	Token   string
	// WorkDir is where the payload runs; the job makes it.
	WorkDir string
	// Env is exported to the payload, byte for byte.
	Env map[string]string
	// Options are written as directives after those of the payload.
	Options []string
	// Requeue lets the scheduler run the job again after a failure of a node.
	Requeue bool
}

// Render returns the text to submit: the payload's directives and Options, one
// function, and its call as the last line, so that a text that was cut short on
// its way is a syntax error and runs nothing.
//
// The payload runs in the background of the batch shell, which passes TERM INT
// USR1 USR2 and CONT on to it and ends with its exit code: a scheduler may
// signal the batch shell alone, and a shell that waits in the foreground does
// not react before the payload has ended. Shells start background commands with
// INT ignored, hence the `trap -`. The environment is exported in the subshell
// alone, so that no variable changes what the wrapper does. The job ends with
// 78 if it cannot write its payload or enter its directory.
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
	for _, d := range directives(string(payload)) {
		fmt.Fprintf(&b, "%s %s\n", prefix, d.text)
	}
	for _, option := range append([]string{requeueOption(s.Requeue)}, s.Options...) {
		fmt.Fprintf(&b, "%s %s\n", prefix, option)
	}
	file := quote(path.Join(s.Control, s.Token+".sh"))
	b.WriteString("fcflow_job() {\n")
	fmt.Fprintf(&b, "cat >%s <<'%s' || return 78\n%s%[2]s\n", file, end, payload)
	fmt.Fprintf(&b, "chmod u+x %s || return 78\n", file)
	fmt.Fprintf(&b, "mkdir -p -- %s && cd -- %[1]s || return 78\n", quote(s.WorkDir))
	b.WriteString(catchSignals)
	b.WriteString("(\ntrap - TERM INT QUIT USR1 USR2 CONT\n")
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		fmt.Fprintf(&b, "export %s=%s\n", name, quote(s.Env[name]))
	}
	fmt.Fprintf(&b, "exec %s\n) &\n", file)
	b.WriteString(waitForPayload)
	b.WriteString("}\n{ fcflow_job; exit; }\n")
	if b.Len() > MaxSize {
		return nil, fmt.Errorf("the script is %d bytes long as it is submitted; the limit is %d: upload large data instead", b.Len(), MaxSize)
	}
	return b.Bytes(), nil
}

func requeueOption(requeue bool) string {
	if requeue {
		return "--requeue"
	}
	return "--no-requeue"
}

// catchSignals notes a signal and passes it on if the payload is there to get
// it. The names are unlikely to be those of exported variables, which the
// payload would inherit changed.
const catchSignals = `fcflow_pid= fcflow_signal=
for fcflow_name in TERM INT USR1 USR2 CONT; do
trap "fcflow_signal=$fcflow_name; [ -z \"\$fcflow_pid\" ] || kill -s $fcflow_name \"\$fcflow_pid\" 2>/dev/null" "$fcflow_name"
done
`

// waitForPayload passes on a signal that came before the payload, then waits.
// A handled signal ends a wait; the next one gives the exit code also if the
// payload ended meanwhile.
const waitForPayload = `fcflow_pid=$!
[ -z "$fcflow_signal" ] || kill -s "$fcflow_signal" "$fcflow_pid" 2>/dev/null
while :; do
fcflow_signal=
wait "$fcflow_pid"
fcflow_code=$?
[ -n "$fcflow_signal" ] || return "$fcflow_code"
done
`

func (s Script) check() error {
	switch {
	case !bytes.HasPrefix(s.Payload, []byte("#!")):
		return errors.New("the script lacks #! and its interpreter at the beginning")
	case bytes.IndexByte(s.Payload, 0) >= 0:
		return errors.New("the script holds a NUL byte")
	}
	for _, p := range []string{s.Control, s.WorkDir, s.Token} {
		if p == "" || strings.ContainsAny(p, "\x00\n") {
			return fmt.Errorf("path %q cannot stand in a script", p)
		}
	}
	for _, option := range s.Options {
		if strings.ContainsAny(option, "\x00\r\n") {
			return fmt.Errorf("directive %q holds a line break", option)
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
