package jobscript

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// slurmRefused are the options of sbatch that fcflow needs for itself or that
// hide the job's id, with what to do instead.
var slurmRefused = map[string]string{
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

// slurmKeys names the key of `resources` that says the same as an option.
var slurmKeys = map[string]string{
	"nodes": "nodes", "ntasks-per-node": "tasks_per_node", "cpus-per-task": "cpus_per_task",
	"gpus-per-node": "gpus_per_node", "mem": "memory", "time": "time", "partition": "partition",
	"account": "account", "reservation": "reservation", "qos": "qos", "constraint": "constraint",
	"exclusive": "exclusive",
}

// slurmLetters gives the long names of the one-letter options that matter here.
var slurmLetters = map[byte]string{
	'J': "job-name", 'o': "output", 'e': "error", 'i': "input", 'D': "chdir", 'a': "array", 'M': "clusters",
	'H': "hold", 'Q': "quiet", 'W': "wait",
	'N': "nodes", 'c': "cpus-per-task", 't': "time", 'p': "partition", 'A': "account", 'q': "qos", 'C': "constraint",
}

// slurmFlags are the one-letter options without a value; more may follow in the same
// word.
const slurmFlags = "HIOQWshkvV"

// checkSlurm looks at the options of one directive.
func checkSlurm(text string, line int, given func(key string) bool) []Problem {
	var problems []Problem
	for _, word := range words(text) {
		if word == "hetjob" || word == "packjob" {
			problems = append(problems, Problem{line, "heterogeneous jobs are not supported", "make one step per component"})
		}
		if strings.HasPrefix(word, "-l") {
			problems = append(problems, Problem{line, "-l is an option of qsub, not of sbatch", "use `resources`, or the options of sbatch"})
		}
		for _, name := range slurmOptions(word) {
			if full, hint := refusedOption(name); full != "" {
				problems = append(problems, Problem{line, fmt.Sprintf("the directive %s is not allowed", shown(word, full)), hint})
			} else if key, ok := slurmKeys[name]; ok && given != nil && given(key) {
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
	if hint, ok := slurmRefused[name]; ok {
		return name, hint
	}
	if _, known := slurmKeys[name]; known || len(name) < 2 {
		return "", ""
	}
	var candidates []string
	for full := range slurmRefused {
		if strings.HasPrefix(full, name) {
			candidates = append(candidates, full)
		}
	}
	if len(candidates) == 0 {
		return "", ""
	}
	full = slices.MinFunc(candidates, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return full, slurmRefused[full]
}

// slurmOptions returns the long names of the options in a word of a directive.
func slurmOptions(word string) []string {
	if name, ok := strings.CutPrefix(word, "--"); ok {
		name, _, _ = strings.Cut(name, "=")
		return []string{name}
	}
	if len(word) < 2 || word[0] != '-' {
		return nil
	}
	var names []string
	for _, letter := range []byte(word[1:]) {
		if name, ok := slurmLetters[letter]; ok {
			names = append(names, name)
		}
		if !strings.Contains(slurmFlags, string(letter)) {
			break // the rest is its value
		}
	}
	return names
}

// requestSlurm reads the options of one directive.
func requestSlurm(asked map[string]string, text string) {
	options := words(text)
	for i, word := range options {
		name, value, given := optionOf(word)
		if !given && i+1 < len(options) && !strings.HasPrefix(options[i+1], "-") {
			value = options[i+1]
		}
		if key, known := slurmKeys[name]; known {
			asked[key] = value
		}
	}
}

// optionOf returns the long name of the option in a word that takes a value, and
// the value if it stands in the same word.
func optionOf(word string) (name, value string, given bool) {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		return strings.Cut(long, "=")
	}
	if len(word) < 2 || word[0] != '-' {
		return "", "", false
	}
	at := 1
	for at < len(word)-1 && strings.IndexByte(slurmFlags, word[at]) >= 0 {
		at++
	}
	value = word[at+1:]
	return slurmLetters[word[at]], value, value != ""
}
