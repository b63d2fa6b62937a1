package jobscript

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is a mistake in a script or in a list of directives.
type Problem struct {
	Line    int // of the text, from 1; in a list, the position from 0
	Message string
	Hint    string
}

// prefix begins a directive in a script.
const prefix = "#SBATCH"

// directive is one line of directives.
type directive struct {
	line int // of the text, from 1
	text string
}

// directives returns the directives that sbatch would obey: those before the
// first command.
func directives(script string) []directive {
	var found []directive
	for i, line := range strings.Split(script, "\n") {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, prefix):
			found = append(found, directive{i + 1, strings.TrimSpace(line[len(prefix):])})
		case text != "" && text[0] != '#':
			return found
		}
	}
	return found
}

// refused are the options that fcflow needs for itself or that hide the job's
// id, with what to do instead.
var refused = map[string]string{
	"parsable":    "remove it; fcflow reads the answer of sbatch",
	"quiet":       "remove it; fcflow reads the answer of sbatch",
	"wait":        "remove it; the step waits for its job",
	"job-name":    "use the key `name`",
	"output":      "remove it; fcflow keeps the output, `fcflow runs logs` shows it",
	"error":       "remove it; fcflow keeps the output. Redirect it in the script to have it apart",
	"input":       "remove it; redirect the input in the script",
	"chdir":       "use the key `workdir`",
	"export":      "use the key `env`",
	"export-file": "use the key `env`",
	"array":       "write a step for each part; fcflow follows jobs one by one",
	"clusters":    "use the key `system`",
	"hold":        "remove it; nobody would release the job",
	"test-only":   "remove it; nothing would run",
	"no-requeue":  "use the key `requeue`",
	"requeue":     "use the key `requeue`",
	"wrap":        "use the key `script`",
}

// keys names the key of `resources` that says the same as an option.
var keys = map[string]string{
	"nodes": "nodes", "ntasks-per-node": "tasks_per_node", "cpus-per-task": "cpus_per_task",
	"gpus-per-node": "gpus_per_node", "mem": "memory", "time": "time", "partition": "partition",
	"account": "account", "reservation": "reservation", "qos": "qos", "constraint": "constraint",
	"exclusive": "exclusive",
}

// long gives the long names of the one-letter options that matter here.
var long = map[byte]string{
	'J': "job-name", 'o': "output", 'e': "error", 'i': "input", 'D': "chdir", 'a': "array", 'M': "clusters",
	'H': "hold", 'Q': "quiet", 'W': "wait",
	'N': "nodes", 'c': "cpus-per-task", 't': "time", 'p': "partition", 'A': "account", 'q': "qos", 'C': "constraint",
}

// flags are the one-letter options without a value; more may follow in the same
// word.
const flags = "HIOQWshkvV"

// CheckScript returns what is wrong with the directives of a script. given tells
// which keys of `resources` are set, which a directive must not repeat.
func CheckScript(script string, given func(key string) bool) []Problem {
	var problems []Problem
	switch first, _, _ := strings.Cut(script, "\n"); {
	case !strings.HasPrefix(script, "#!"):
		problems = append(problems, Problem{
			Line: 1, Message: "a script begins with #! and its interpreter", Hint: "write #!/bin/bash as the first line",
		})
	case strings.HasSuffix(first, "\r"):
		problems = append(problems, Problem{
			Line: 1, Message: "the lines end in CR LF, which no interpreter understands", Hint: "convert the file, for instance with dos2unix",
		})
	}
	for _, d := range directives(script) {
		problems = append(problems, check(d.text, d.line, given)...)
	}
	return problems
}

// CheckDirectives is [CheckScript] for the list `directives`.
func CheckDirectives(list []string, given func(key string) bool) []Problem {
	var problems []Problem
	for i, text := range list {
		switch {
		case strings.HasPrefix(text, prefix):
			problems = append(problems, Problem{i, fmt.Sprintf("%q: leave %s out here", text, prefix), "write only the option, such as --gres=gpu:2"})
		case !strings.HasPrefix(text, "-") || strings.ContainsAny(text, "\r\n\x00"):
			problems = append(problems, Problem{i, fmt.Sprintf("%q is not an option of sbatch", text), "write one option on one line, such as --gres=gpu:2"})
		default:
			problems = append(problems, check(text, i, given)...)
		}
	}
	return problems
}

// check looks at the options of one directive.
func check(text string, line int, given func(key string) bool) []Problem {
	var problems []Problem
	for _, word := range words(text) {
		if word == "hetjob" || word == "packjob" {
			problems = append(problems, Problem{line, "heterogeneous jobs are not supported", "make one step per component"})
		}
		for _, name := range options(word) {
			if full, hint := refusedOption(name); full != "" {
				problems = append(problems, Problem{line, fmt.Sprintf("the directive %s is not allowed", shown(word, full)), hint})
			} else if key, ok := keys[name]; ok && given != nil && given(key) {
				problems = append(problems, Problem{
					line, fmt.Sprintf("the directive %s repeats resources.%s", shown(word, name), key), "keep one of them",
				})
			}
		}
	}
	return problems
}

func shown(word, name string) string {
	if strings.HasPrefix(word, "--") {
		return "--" + name
	}
	return fmt.Sprintf("%s (--%s)", word[:2], name)
}

// refusedOption returns the full name of a refused option, which may be
// abbreviated as getopt allows.
func refusedOption(name string) (full, hint string) {
	if hint, ok := refused[name]; ok {
		return name, hint
	}
	if _, known := keys[name]; known || len(name) < 2 {
		return "", ""
	}
	var candidates []string
	for full := range refused {
		if strings.HasPrefix(full, name) {
			candidates = append(candidates, full)
		}
	}
	if len(candidates) == 0 {
		return "", ""
	}
	full = slices.MinFunc(candidates, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return full, refused[full]
}

// options returns the long names of the options in a word of a directive.
func options(word string) []string {
	if name, ok := strings.CutPrefix(word, "--"); ok {
		name, _, _ = strings.Cut(name, "=")
		return []string{name}
	}
	if len(word) < 2 || word[0] != '-' {
		return nil
	}
	var names []string
	for _, letter := range []byte(word[1:]) {
		if name, ok := long[letter]; ok {
			names = append(names, name)
		}
		if !strings.Contains(flags, string(letter)) {
			break // the rest is its value
		}
	}
	return names
}

// words splits a directive as sbatch does: at white space outside quotes, up to
// a comment.
func words(text string) []string {
	var (
		list  []string
		word  strings.Builder
		quote rune
		open  bool
	)
	flush := func() {
		if open {
			list = append(list, word.String())
		}
		word.Reset()
		open = false
	}
	for _, c := range text {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
				continue
			}
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == ' ' || c == '\t' || c == '\r':
			flush()
		case c == '#' && !open:
			return list
		default:
			open = true
			word.WriteRune(c)
		}
	}
	flush()
	return list
}

// Key returns the key of `resources` that an option of [Resources.Options]
// stands for.
func Key(option string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(option, "--"), "=")
	return keys[name]
}

// Sets reports whether the directives of a script, or of a list, ask for what a
// key of `resources` stands for.
func Sets(script string, list []string, key string) bool {
	for _, d := range directives(script) {
		list = append(slices.Clip(list), d.text)
	}
	for _, text := range list {
		for _, word := range words(text) {
			if slices.ContainsFunc(options(word), func(name string) bool { return keys[name] == key }) {
				return true
			}
		}
	}
	return false
}
