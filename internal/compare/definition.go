package compare

import (
	"bytes"
	"slices"

	"github.com/fcflow/fcflow/workflow"
)

// changedKeys names the keys of two frozen workflows that differ, also those of the
// files that their steps run.
func changedKeys(a, b []byte) []string {
	rootA, filesA := workflow.FrozenFiles(a)
	rootB, filesB := workflow.FrozenFiles(b)
	keys := changedIn(rootA, rootB)
	for _, name := range union(filesA, filesB) {
		if bytes.Equal(filesA[name], filesB[name]) {
			continue
		}
		for _, key := range changedIn(filesA[name], filesB[name]) {
			keys = append(keys, name+" "+key)
		}
	}
	return keys
}

// changedIn names the keys of two workflow files that differ. Steps, and what else
// in a list has an id, go by that.
func changedIn(a, b []byte) []string {
	x, problemsA := workflow.ParseTree(a)
	y, problemsB := workflow.ParseTree(b)
	if x == nil || y == nil || len(problemsA)+len(problemsB) > 0 {
		return []string{"file"}
	}
	var keys []string
	compareTrees("", x, y, func(path string) { keys = append(keys, path) })
	return keys
}

func compareTrees(path string, x, y *workflow.Value, differs func(path string)) {
	switch {
	case x == nil || y == nil || x.Kind != y.Kind:
		differs(path)
	case x.Kind == workflow.MappingValue:
		compareMembers(path, x.Members, y.Members, differs)
	case x.Kind == workflow.SequenceValue:
		compareItems(path, x.Items, y.Items, differs)
	case x.Text != y.Text || x.Bool != y.Bool:
		differs(path)
	}
}

func compareMembers(path string, x, y []*workflow.NamedValue, differs func(path string)) {
	others := map[string]*workflow.NamedValue{}
	for _, m := range y {
		others[m.Name] = m
	}
	for _, m := range x {
		if other, ok := others[m.Name]; ok {
			delete(others, m.Name)
			compareTrees(join(path, m.Name), m.Value, other.Value, differs)
		} else {
			differs(join(path, m.Name))
		}
	}
	for _, m := range y {
		if others[m.Name] != nil {
			differs(join(path, m.Name))
		}
	}
}

// compareItems compares items by their ids, and a list of others as a whole.
func compareItems(path string, x, y []*workflow.Value, differs func(path string)) {
	a, named := byID(x)
	b, namedToo := byID(y)
	if named && namedToo {
		compareMembers(path, a, b, differs)
		if order(a, b) != order(b, a) {
			differs(path)
		}
		return
	}
	same := len(x) == len(y)
	for i := 0; same && i < len(x); i++ {
		compareTrees(path, x[i], y[i], func(string) { same = false })
	}
	if !same {
		differs(path)
	}
}

// byID makes members of the items of a list, if each has an id of its own.
func byID(items []*workflow.Value) (members []*workflow.NamedValue, ok bool) {
	seen := map[string]bool{}
	for _, item := range items {
		id, has := item.Member("id")
		if !has || seen[id.Value.Text] {
			return nil, false
		}
		seen[id.Value.Text] = true
		members = append(members, &workflow.NamedValue{Name: id.Value.Text, Value: item})
	}
	return members, len(items) > 0
}

// order is in what order x has the ids that y has, too.
func order(x, y []*workflow.NamedValue) string {
	text := ""
	for _, m := range x {
		if slices.ContainsFunc(y, func(other *workflow.NamedValue) bool { return other.Name == m.Name }) {
			text += m.Name + " "
		}
	}
	return text
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
