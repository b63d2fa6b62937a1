package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// shortestPart is the least of an id that names a run: fewer characters would
// too often be the end of some id by chance.
const shortestPart = 4

// Resolve finds the run a person means: a whole id, `last` for the newest, the
// beginning or end of an id if only one run has it, or the name of a workflow
// for its newest run. Runs that others have started are the newest only if there
// is no other. Ids are taken in any case; but what has a small letter is
// first looked for among the workflows, because ids are printed in capitals.
//
// [workflow.ErrNotFound] names workflows there are, [workflow.ErrConflict] the
// runs that match.
func (s *Store) Resolve(ctx context.Context, ref string) (workflow.RunID, error) {
	ids, err := s.List(ctx)
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", fmt.Errorf("run %q: there are no runs: %w", ref, workflow.ErrNotFound)
	}
	upper := strings.ToUpper(ref)
	if ref == "last" {
		return s.newest(ctx, ids)
	}
	if slices.Contains(ids, workflow.RunID(upper)) {
		return workflow.RunID(upper), nil
	}
	matches := parts(ids, upper)
	if len(matches) == 1 && ref == upper {
		return matches[0], nil
	}
	id, names, err := s.newestOf(ctx, ids, ref)
	switch {
	case err != nil || id != "":
		return id, err
	case len(matches) == 1:
		return matches[0], nil
	case len(matches) > 1:
		return "", fmt.Errorf("run %q: %d runs match: %s: %w", ref, len(matches), some(matches), workflow.ErrConflict)
	}
	return "", fmt.Errorf("run %q: %w: there are runs of %s", ref, workflow.ErrNotFound, some(names))
}

// newest returns the newest run that no other one started; if there is none, the
// newest.
func (s *Store) newest(ctx context.Context, ids []workflow.RunID) (workflow.RunID, error) {
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if summary, _ := s.summary(id); summary.Parent == nil { // also of one that cannot be read
			return id, nil
		}
	}
	return ids[0], nil
}

// parts returns the ids that begin or end in a text.
func parts(ids []workflow.RunID, text string) (matches []workflow.RunID) {
	if len(text) < shortestPart {
		return nil
	}
	for _, id := range ids {
		if strings.HasPrefix(string(id), text) || strings.HasSuffix(string(id), text) {
			matches = append(matches, id)
		}
	}
	return matches
}

// newestOf returns the newest run of a workflow; if there is none, the names of
// the workflows there are, the one that ran last first.
func (s *Store) newestOf(ctx context.Context, ids []workflow.RunID, name string) (workflow.RunID, []string, error) {
	var names []string
	var child workflow.RunID
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return "", nil, err
		}
		summary, err := s.summary(id)
		if err != nil {
			continue // without its summary nobody knows its name
		}
		if summary.Workflow == name && summary.Parent == nil {
			return id, nil, nil
		}
		if summary.Workflow == name {
			child = cmp.Or(child, id)
		}
		if !slices.Contains(names, summary.Workflow) {
			names = append(names, summary.Workflow)
		}
	}
	return child, names, nil
}

// some prints the first few of a list.
func some[T ~string](list []T) string {
	const few = 5
	var b strings.Builder
	for i, v := range list[:min(few, len(list))] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	if len(list) > few {
		b.WriteString(", …")
	}
	return b.String()
}
