package jobscript

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// pbsRefused are the options of qsub that fcflow needs for itself or that hide
// the job's id, with what to do instead.
var pbsRefused = map[byte]string{
	'N': "use the key `name`",
	'o': "remove it; fcflow keeps the output, `fcflow runs logs` shows it",
	'e': "remove it; fcflow keeps the output. Redirect it in the script to have it apart",
	'j': "remove it; fcflow keeps both outputs in one file",
	'k': "remove it; fcflow keeps the output",
	'R': "remove it; fcflow keeps the output",
	'J': "write a step for each part; fcflow follows jobs one by one",
	'h': "remove it; nobody would release the job",
	'v': "use the key `env`",
	'V': "use the key `env`",
	'r': "use the key `requeue`",
	'I': "remove it; nobody is there to type",
	'G': "remove it; nobody is there to see it",
	'X': "remove it; nobody is there to see it",
	'z': "remove it; fcflow reads the answer of qsub",
	'C': "remove it; directives begin with #PBS",
	'S': "remove it; the first line of the script names its interpreter",
}

// pbsFlags are the options of qsub without a value; more may follow in the same
// word.
const pbsFlags = "fGhIVXz"

// pbsChunks are the resources that make up -l select.
var pbsChunks = []string{"nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "memory", "exclusive"}

// pbsKeys names the keys of `resources` that say the same as a resource of -l.
// PBS takes those of a chunk either in select or one by one, but not both.
var pbsKeys = map[string][]string{
	"select": pbsChunks, "nodes": pbsChunks, "ncpus": pbsChunks, "mpiprocs": pbsChunks, "ngpus": pbsChunks, "mem": pbsChunks,
	"place": {"exclusive", "nodes"}, "walltime": {"time"},
}

// pbsOption is an option of qsub with its value; the letter is 0 for a word that
// is none.
type pbsOption struct {
	letter byte
	value  string
}

// pbsOptions reads a directive as qsub does.
func pbsOptions(text string) []pbsOption {
	var options []pbsOption
	rest := words(text)
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		if len(word) < 2 || word[0] != '-' || word[1] == '-' {
			options = append(options, pbsOption{value: word})
			continue
		}
		at := 1
		for ; at < len(word) && strings.IndexByte(pbsFlags, word[at]) >= 0; at++ {
			options = append(options, pbsOption{letter: word[at]})
		}
		if at == len(word) {
			continue
		}
		option := pbsOption{letter: word[at], value: word[at+1:]}
		if option.value == "" && len(rest) > 0 {
			option.value, rest = rest[0], rest[1:]
		}
		options = append(options, option)
	}
	return options
}

// demand is what an option asks for: a key of `resources` and its value, "" if
// it has none of its own.
type demand struct{ shown, key, value string }

func (o pbsOption) demands() []demand {
	switch o.letter {
	case 'q':
		queue, _, _ := strings.Cut(o.value, "@")
		return []demand{{"-q", "partition", queue}}
	case 'A', 'P': // sites charge one or the other
		return []demand{{"-" + string(o.letter), "account", o.value}}
	case 'l':
		var demands []demand
		for item := range strings.SplitSeq(o.value, ",") {
			name, value, _ := strings.Cut(item, "=")
			for _, key := range pbsKeys[name] {
				d := demand{shown: "-l " + name, key: key}
				switch {
				case key == "time":
					d.value = pbsTimeAsked(value)
				case key == "nodes" && (name == "select" || name == "nodes"):
					d.value = pbsNodes(value)
				}
				demands = append(demands, d)
			}
		}
		return demands
	}
	return nil
}

// pbsNodes counts the chunks of select=2:ncpus=4+1:ncpus=8.
func pbsNodes(chunks string) string {
	total := 0
	for chunk := range strings.SplitSeq(chunks, "+") {
		count, _, _ := strings.Cut(chunk, ":")
		n, err := strconv.Atoi(count)
		if err != nil {
			n = 1 // no number in front
		}
		total += n
	}
	return strconv.Itoa(total)
}

// pbsTimeAsked turns the seconds, MM:SS or HH:MM:SS of PBS into Slurm's form, in
// which a lone number would be minutes.
func pbsTimeAsked(text string) string {
	var seconds int64
	for part := range strings.SplitSeq(text, ":") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || seconds > 1<<31 {
			return text
		}
		seconds = 60*seconds + int64(n)
	}
	return slurmTime(time.Duration(seconds) * time.Second)
}

// checkPBS looks at the options of one directive.
func checkPBS(text string, line int, given func(key string) bool) []Problem {
	var problems []Problem
	if strings.HasSuffix(text, `\`) {
		problems = append(problems, Problem{line, "a directive ends on its line", `remove the \ and write a directive for each option`})
	}
	for _, option := range pbsOptions(text) {
		problems = append(problems, option.check(line, given)...)
	}
	return problems
}

func (o pbsOption) check(line int, given func(key string) bool) []Problem {
	if o.letter == 0 {
		return []Problem{{line, fmt.Sprintf("%q is not an option of qsub", o.value), "write an option of one letter, such as " + PBS.example()}}
	}
	if hint, ok := pbsRefused[o.letter]; ok {
		return []Problem{{line, fmt.Sprintf("the directive -%c is not allowed", o.letter), hint}}
	}
	if o.letter == 'W' {
		for item := range strings.SplitSeq(o.value, ",") {
			if name, _, _ := strings.Cut(item, "="); name == "block" {
				return []Problem{{line, "the directive -W block is not allowed", "remove it; the step waits for its job"}}
			}
		}
	}
	if given == nil {
		return nil
	}
	var problems []Problem
	repeated := ""
	for _, d := range o.demands() {
		if given(d.key) && d.shown != repeated {
			repeated = d.shown
			problems = append(problems, Problem{line, fmt.Sprintf("the directive %s repeats resources.%s", d.shown, d.key), "keep one of them"})
		}
	}
	return problems
}

// requestPBS reads the options of one directive.
func requestPBS(asked map[string]string, text string) {
	for _, option := range pbsOptions(text) {
		for _, d := range option.demands() {
			if d.value != "" {
				asked[d.key] = d.value
			}
		}
	}
}
