package jobscript

import "strings"

// Requested returns what the directives of a script and of a list ask for, by
// the key of `resources` that says the same. Values are as sbatch reads them:
// times in Slurm's forms. What stands later wins.
func Requested(script string, list []string) map[string]string {
	asked := map[string]string{}
	for _, d := range directives(script) {
		request(asked, words(d.text))
	}
	for _, text := range list {
		request(asked, words(text))
	}
	return asked
}

// request reads the options of one directive.
func request(asked map[string]string, options []string) {
	for i, word := range options {
		name, value, given := optionOf(word)
		if !given && i+1 < len(options) && !strings.HasPrefix(options[i+1], "-") {
			value = options[i+1]
		}
		if key, known := keys[name]; known {
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
	for at < len(word)-1 && strings.IndexByte(flags, word[at]) >= 0 {
		at++
	}
	value = word[at+1:]
	return long[word[at]], value, value != ""
}
