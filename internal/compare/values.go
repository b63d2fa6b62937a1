package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// normal takes out of values what differs between any two runs.
type normal struct {
	names  *strings.Replacer // of the run, its directories and the runs that its steps started
	tokens map[string]bool
	jobs   map[string]string // ids of submitted jobs → their instances
}

func newNormal(s *Side) *normal {
	n := &normal{tokens: map[string]bool{}, jobs: map[string]string{}}
	var pairs []string
	add := func(text, name string) {
		if text != "" {
			pairs = append(pairs, text, name)
		}
	}
	for _, site := range s.View.Sites {
		add(site.RemoteDir, "<remote_dir>")
	}
	add(s.View.OutputDir, "<output_dir>")
	add(string(s.View.ID), "<run>")
	n.learn(&s.View, "", s.Children, add)
	n.names = strings.NewReplacer(pairs...)
	return n
}

// learn notes the jobs and the runs that steps of a run have started, and those of
// these runs.
func (n *normal) learn(v *workflow.RunView, above string, children map[workflow.RunID]*workflow.RunView, add func(text, name string)) {
	for i := range v.Steps {
		for j := range v.Steps[i].Instances {
			u := &v.Steps[i].Instances[j]
			unit := above + workflow.UnitRef{Step: u.Step, Instance: u.Instance}.String()
			for k := range u.Attempts {
				t := &u.Attempts[k]
				if t.Token != "" {
					n.tokens[t.Token] = true
					n.jobs[t.JobID] = fmt.Sprintf("<job of %s>", unit)
				}
				add(string(t.Child), fmt.Sprintf("<run of %s>", unit))
				if child := children[t.Child]; child != nil {
					n.learn(child, unit+" › ", children, add)
				}
			}
		}
	}
}

// token finds tokens, with the id of the job where a file is named after both.
var token = regexp.MustCompile(`\b([a-z2-7]{20})\b(\.out\.[0-9A-Za-z]+)?`)

// text is a text without what is of its run; name is that of the member it is.
func (n *normal) text(name, text string) string {
	if n == nil {
		return text
	}
	if job, ok := n.jobs[text]; ok && name == "job_id" {
		return job
	}
	text = n.names.Replace(text)
	return token.ReplaceAllStringFunc(text, func(found string) string {
		if n.tokens[found[:20]] {
			return "<token>"
		}
		return found
	})
}

// differences compares two JSON values, member by member.
func differences(name string, a, b json.RawMessage, na, nb *normal) []Change {
	if bytes.Equal(a, b) {
		return nil
	}
	x, errA := decode(a)
	y, errB := decode(b)
	if errA != nil || errB != nil {
		return []Change{{name, a, b}}
	}
	c := &comparison{na: na, nb: nb}
	c.compare(name, "", x, y)
	return c.changes
}

func decode(text json.RawMessage) (any, error) {
	if len(text) == 0 {
		return nil, nil
	}
	return workflow.DecodeValue(text)
}

type comparison struct {
	na, nb  *normal
	changes []Change
}

// compare adds the changes from x to y; member is the last part of path.
func (c *comparison) compare(path, member string, x, y any) {
	switch a := x.(type) {
	case map[string]any:
		if b, ok := y.(map[string]any); ok {
			for _, key := range union(a, b) {
				c.compare(strings.TrimPrefix(path+"."+key, "."), key, a[key], b[key])
			}
			return
		}
	case []any:
		if b, ok := y.([]any); ok && len(a) == len(b) {
			for i := range a {
				c.compare(fmt.Sprintf("%s[%d]", path, i), member, a[i], b[i])
			}
			return
		}
	case string:
		if b, ok := y.(string); ok {
			if a == b || c.na.text(member, a) == c.nb.text(member, b) {
				return
			}
		}
	}
	c.changes = append(c.changes, changed(path, x, y)...)
}
