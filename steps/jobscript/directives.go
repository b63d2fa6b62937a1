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

// directive is one line of directives.
type directive struct {
	line int // of the text, from 1
	text string
}

// directives returns the directives of a script that the scheduler would obey:
// those before the first command.
func (s Scheduler) directives(script string) []directive {
	var found []directive
	for i, line := range strings.Split(script, "\n") {
		text := strings.TrimSpace(line)
		if options, ok := s.directive(line); ok {
			found = append(found, directive{i + 1, strings.TrimSpace(options)})
		} else if text != "" && text[0] != '#' {
			return found
		}
	}
	return found
}

// directive returns the options in a line of a script, if it is a directive.
// Those of PBS may be indented.
func (s Scheduler) directive(line string) (options string, ok bool) {
	if s != PBS {
		return strings.CutPrefix(line, s.prefix())
	}
	options, ok = strings.CutPrefix(strings.TrimSpace(line), s.prefix())
	return options, ok && (options == "" || strings.IndexByte(" \t-", options[0]) >= 0)
}

// CheckScript returns what is wrong with the directives of a script. given tells
// which keys of `resources` are set, which a directive must not repeat. If the
// scheduler is unknown the directives of each are checked; if it is known, a
// script that speaks to the other one only is a mistake.
func CheckScript(scheduler Scheduler, script string, given func(key string) bool) []Problem {
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
	found := 0
	for _, s := range scheduler.candidates() {
		for _, d := range s.directives(script) {
			found++
			problems = append(problems, s.check(d.text, d.line, given)...)
		}
	}
	if others := scheduler.other().directives(script); found == 0 && len(others) > 0 {
		problems = append(problems, Problem{
			others[0].line, fmt.Sprintf("%s is not read by %s", scheduler.other().prefix(), scheduler.command()),
			fmt.Sprintf("write %s and its options, or use `resources`", scheduler.prefix()),
		})
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return problems
}

// CheckDirectives is [CheckScript] for the list `directives`. If the scheduler
// is unknown, only what neither would take is a mistake.
func CheckDirectives(scheduler Scheduler, list []string, given func(key string) bool) []Problem {
	var problems []Problem
	for i, text := range list {
		prefixed := func(s Scheduler) bool { return strings.HasPrefix(text, s.prefix()) }
		switch at := slices.IndexFunc(Unknown.candidates(), prefixed); {
		case at >= 0:
			problems = append(problems, Problem{
				i, fmt.Sprintf("%q: leave %s out here", text, Unknown.candidates()[at].prefix()), "write only the option, such as " + scheduler.example(),
			})
		case !strings.HasPrefix(text, "-") || strings.ContainsAny(text, "\r\n\x00"):
			problems = append(problems, Problem{
				i, fmt.Sprintf("%q is not an option of %s", text, scheduler.command()), "write one option on one line, such as " + scheduler.example(),
			})
		default:
			problems = append(problems, scheduler.check(text, i, given)...)
		}
	}
	return problems
}

// check looks at the options of one directive.
func (s Scheduler) check(text string, line int, given func(key string) bool) []Problem {
	switch s {
	case Slurm:
		return checkSlurm(text, line, given)
	case PBS:
		return checkPBS(text, line, given)
	}
	if likely := Guess("", []string{text}); likely != Unknown {
		return likely.check(text, line, given)
	}
	problems := checkSlurm(text, line, given)
	if len(checkPBS(text, line, given)) == 0 {
		return nil
	}
	return problems
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

// Requested returns what the directives of a script and of a list ask for, by
// the key of `resources` that says the same. Values are as sbatch reads them:
// times in Slurm's forms. What stands later wins. Options in a list for an
// unknown scheduler are read as those of Slurm.
func Requested(scheduler Scheduler, script string, list []string) map[string]string {
	asked := map[string]string{}
	for _, s := range scheduler.candidates() {
		for _, d := range s.directives(script) {
			s.request(asked, d.text)
		}
	}
	for _, text := range list {
		scheduler.request(asked, text)
	}
	return asked
}

// request reads the options of one directive.
func (s Scheduler) request(asked map[string]string, text string) {
	if s == PBS {
		requestPBS(asked, text)
		return
	}
	requestSlurm(asked, text)
}

// Sets reports whether the directives of a script, or of a list, ask for what a
// key of `resources` stands for.
func Sets(scheduler Scheduler, script string, list []string, key string) bool {
	_, asked := Requested(scheduler, script, list)[key]
	return asked
}
