package batch

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// checkScript refuses the texts that sbatch does not take for a batch script.
func checkScript(script string) error {
	switch {
	case script == "":
		return rejected("Batch script is empty!")
	case strings.TrimSpace(script) == "":
		return rejected("Batch script contains only whitespace!")
	case !strings.HasPrefix(script, "#!"):
		return rejected("This does not look like a batch script.  The first\n" +
			"line must start with #! followed by the path to an interpreter.\n" +
			"For instance: #!/bin/sh")
	case strings.Contains(script, "\x00"):
		return rejected("The Slurm controller does not allow scripts that\n" +
			"contain a NULL character '\\0'.")
	case strings.Contains(script, "\r\n"):
		return rejected("Batch script contains DOS line breaks (\\r\\n)\n" +
			"instead of expected UNIX line breaks (\\n).")
	}
	return nil
}

// rejected makes the error of sbatch, which starts every line the same way.
func rejected(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &RejectedError{Stderr: "sbatch: error: " + strings.ReplaceAll(text, "\n", "\nsbatch: error: ")}
}

// option is one option of a directive line. Value is "" for a flag.
type option struct{ name, value string }

// shortOptions are the options that matter here and have one-letter names.
// A trailing "=" marks those that take a value.
var shortOptions = map[byte]string{
	'A': "account=", 'C': "constraint=", 'D': "chdir=", 'H': "hold", 'J': "job-name=",
	'N': "nodes=", 'a': "array=", 'b': "begin=", 'c': "cpus-per-task=", 'd': "dependency=",
	'e': "error=", 'i': "input=", 'n': "ntasks=", 'o': "output=", 'p': "partition=", 'q': "qos=", 't': "time=",
}

// longOptions are all options that matter here; the others are for hardware
// and policies that a sandbox does not have, and are passed over.
var longOptions = map[string]bool{ // true: takes a value
	"account": true, "constraint": true, "chdir": true, "hold": false, "job-name": true,
	"nodes": true, "array": true, "begin": true, "cpus-per-task": true, "dependency": true,
	"error": true, "input": true, "ntasks": true, "output": true, "partition": true, "time": true,
	"reservation": true, "signal": true, "qos": true, "requeue": false, "no-requeue": false,
	"kill-on-invalid-dep": true,
}

// directives returns the options of the #SBATCH lines of a script.
func directives(script string) ([]option, error) {
	var opts []option
	for _, line := range directiveLines(script, "#SBATCH") {
		more, err := options(arguments(line))
		if err != nil {
			return nil, err
		}
		opts = append(opts, more...)
	}
	return opts, nil
}

// directiveLines are the rests of the lines with a prefix. Like the commands
// that submit it stops at the first line that is neither a comment nor empty.
func directiveLines(script, prefix string) []string {
	var lines []string
	for line := range strings.SplitSeq(script, "\n") {
		rest, ok := strings.CutPrefix(line, prefix)
		switch trimmed := strings.TrimSpace(line); {
		case ok && (rest == "" || unicode.IsSpace(rune(rest[0]))):
			lines = append(lines, rest)
		case trimmed != "" && trimmed[0] != '#':
			return lines
		}
	}
	return lines
}

// arguments splits the rest of a directive line: at white space, with quotes
// and backslashes, up to a # that starts a comment.
func arguments(line string) []string {
	var (
		args    []string
		arg     strings.Builder
		started bool // arg holds something, if only a pair of quotes
		escaped bool
		quote   rune
	)
	end := func() {
		if started {
			args = append(args, arg.String())
		}
		arg.Reset()
		started = false
	}
scan:
	for _, c := range line {
		switch {
		case escaped:
			arg.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped, started = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			arg.WriteRune(c)
		case c == '\'' || c == '"':
			quote, started = c, true
		case c == '#':
			break scan
		case unicode.IsSpace(c):
			end()
		default:
			arg.WriteRune(c)
			started = true
		}
	}
	end()
	return args
}

// options reads arguments the way getopt_long does, as far as known options go.
func options(args []string) ([]option, error) {
	var opts []option
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var (
			name, value    string
			takes, hasText bool
		)
		if long, ok := strings.CutPrefix(arg, "--"); ok {
			name, value, hasText = strings.Cut(long, "=")
			if takes, ok = longOptions[name]; !ok {
				continue
			}
		} else if len(arg) > 1 && arg[0] == '-' {
			name, takes = strings.CutSuffix(shortOptions[arg[1]], "=")
			value = arg[2:]
			hasText = value != ""
		}
		if name == "" {
			continue
		}
		if takes && !hasText {
			if len(args) == 0 {
				return nil, &RejectedError{Stderr: fmt.Sprintf("sbatch: option '--%s' requires an argument", name)}
			}
			value, args = args[0], args[1:]
		}
		opts = append(opts, option{name, value})
	}
	return opts, nil
}

// applyDirectives fills rec from the directives of the script and, over them,
// from spec. As with sbatch the last of several directives counts.
func applyDirectives(rec *record, spec Spec, now time.Time) error {
	opts, err := directives(spec.Script)
	if err != nil {
		return err
	}
	var said Spec
	for _, o := range opts {
		if err := o.apply(rec, &said, now); err != nil {
			return err
		}
	}
	rec.Spec = spec.or(said)
	return nil
}

// or is spec with what it leaves open taken from said.
func (spec Spec) or(said Spec) Spec {
	spec.Name = cmp.Or(spec.Name, said.Name)
	spec.Account = cmp.Or(spec.Account, said.Account)
	spec.Partition = cmp.Or(spec.Partition, said.Partition)
	spec.Reservation = cmp.Or(spec.Reservation, said.Reservation)
	spec.Constraints = cmp.Or(spec.Constraints, said.Constraints)
	spec.QOS = cmp.Or(spec.QOS, said.QOS)
	spec.WorkingDir = cmp.Or(spec.WorkingDir, said.WorkingDir)
	spec.Stdin = cmp.Or(spec.Stdin, said.Stdin)
	spec.Stdout = cmp.Or(spec.Stdout, said.Stdout)
	spec.Stderr = cmp.Or(spec.Stderr, said.Stderr)
	return spec
}

func (o option) apply(rec *record, said *Spec, now time.Time) (err error) {
	switch o.name {
	case "job-name":
		said.Name = o.value
	case "account":
		said.Account = o.value
	case "partition":
		said.Partition = o.value
	case "reservation":
		said.Reservation = o.value
	case "constraint":
		said.Constraints = o.value
	case "chdir":
		said.WorkingDir = o.value
	case "input":
		said.Stdin = o.value
	case "output":
		said.Stdout = o.value
	case "error":
		said.Stderr = o.value
	case "hold":
		rec.Held = true
	case "nodes":
		least, _, _ := strings.Cut(o.value, "-")
		if rec.Nodes, err = strconv.Atoi(least); err != nil || rec.Nodes < 1 {
			return rejected("%q is not a valid node count", o.value)
		}
	case "ntasks":
		rec.Tasks, err = o.count()
	case "cpus-per-task":
		rec.CPUsPerTask, err = o.count()
	case "time":
		limit, ok := parseTimeLimit(o.value)
		if !ok {
			return rejected("Invalid --time specification")
		}
		rec.TimeLimit, rec.timeGiven = limit, true
	case "signal":
		warning, ok := parseWarning(o.value)
		if !ok {
			return rejected("Invalid --signal specification")
		}
		rec.Warning = warning
	case "qos":
		said.QOS = o.value
	case "requeue":
		rec.Requeue = true
	case "no-requeue":
		rec.Requeue = false
	case "kill-on-invalid-dep":
		rec.KillOnInvalid = strings.EqualFold(o.value, "yes")
	case "array":
		tasks, ok := parseArray(o.value)
		if !ok {
			return submitFailed("Invalid job array specification")
		}
		rec.array = &tasks
	case "begin":
		begin, ok := parseBegin(o.value, now)
		if !ok {
			return rejected("Invalid date/time for --begin: %s", o.value)
		}
		rec.Begin = begin.UTC()
	case "dependency":
		depends, ok := parseDependency(o.value)
		if !ok {
			return submitFailed("Job dependency problem")
		}
		rec.Depends = depends
	}
	return err
}

func (o option) count() (int, error) {
	n, err := strconv.ParseInt(o.value, 10, 32)
	if err != nil || n < 1 {
		return 0, rejected("Invalid numeric value %q for --%s.", o.value, o.name)
	}
	return int(n), nil
}
