package batch

import (
	"fmt"
	"strconv"
	"strings"
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
	'e': "error=", 'i': "input=", 'n': "ntasks=", 'o': "output=", 'p': "partition=", 't': "time=",
}

// longOptions are all options that matter here; the others are for hardware
// and policies that a sandbox does not have, and are passed over.
var longOptions = map[string]bool{ // true: takes a value
	"account": true, "constraint": true, "chdir": true, "hold": false, "job-name": true,
	"nodes": true, "array": true, "begin": true, "cpus-per-task": true, "dependency": true,
	"error": true, "input": true, "ntasks": true, "output": true, "partition": true, "time": true,
	"reservation": true, "signal": true,
}

// directives returns the options of the #SBATCH lines of a script. Like sbatch
// it stops at the first line that is neither a comment nor empty.
func directives(script string) ([]option, error) {
	var opts []option
	for line := range strings.SplitSeq(script, "\n") {
		args, ok := strings.CutPrefix(line, "#SBATCH")
		switch trimmed := strings.TrimSpace(line); {
		case ok && (args == "" || unicode.IsSpace(rune(args[0]))):
			more, err := options(arguments(args))
			if err != nil {
				return nil, err
			}
			opts = append(opts, more...)
		case trimmed != "" && trimmed[0] != '#':
			return opts, nil
		}
	}
	return opts, nil
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
				return nil, &RejectedError{fmt.Sprintf("sbatch: option '--%s' requires an argument", name)}
			}
			value, args = args[0], args[1:]
		}
		opts = append(opts, option{name, value})
	}
	return opts, nil
}

// applyDirectives fills rec from the directives of the script and, over them,
// from spec. As with sbatch the last of several directives counts.
func applyDirectives(rec *record, spec Spec) error {
	opts, err := directives(spec.Script)
	if err != nil {
		return err
	}
	var said Spec
	for _, o := range opts {
		if err := o.apply(rec, &said); err != nil {
			return err
		}
	}
	for _, f := range []struct{ given, said *string }{
		{&spec.Name, &said.Name},
		{&spec.Account, &said.Account},
		{&spec.Partition, &said.Partition},
		{&spec.Reservation, &said.Reservation},
		{&spec.Constraints, &said.Constraints},
		{&spec.WorkingDir, &said.WorkingDir},
		{&spec.Stdin, &said.Stdin},
		{&spec.Stdout, &said.Stdout},
		{&spec.Stderr, &said.Stderr},
	} {
		if *f.given == "" {
			*f.given = *f.said
		}
	}
	rec.Spec = spec
	return nil
}

func (o option) apply(rec *record, said *Spec) (err error) {
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
		rec.TimeLimit = limit
	case "signal":
		warning, ok := parseWarning(o.value)
		if !ok {
			return rejected("Invalid --signal specification")
		}
		rec.Warning = warning
	default: // array, begin, dependency: to run the job without would be a lie
		return rejected("--%s: this sandbox has no such jobs", o.name)
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
