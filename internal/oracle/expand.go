package oracle

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// expand makes the units of a step, when it is known which: at once where it has
// no fan-out or a matrix, with its source where it is a pair, and when the steps
// that its list names are done where it has a list. It reports whether it did.
func (w *world) expand(s *stepRun) bool {
	switch {
	case s.expanded:
		return false
	case s.matrix != nil:
		w.expandMatrix(s)
	case s.pairWith != "":
		source := w.step(s.pairWith)
		if !source.expanded {
			return false
		}
		for _, u := range source.units {
			s.add(&unit{key: u.key, source: u})
		}
	case s.list != nil:
		if !w.law.listDue(w, s) {
			return false
		}
		w.expandList(s)
	default:
		s.add(&unit{})
	}
	s.expanded = true
	return true
}

func (s *stepRun) add(u *unit) {
	u.of, u.state, u.used = s, Pending, map[int]int{}
	s.units = append(s.units, u)
}

// impossible: what a step fans out to cannot be evaluated, or must not be. One unit
// without a key stands for those that cannot be.
func (s *stepRun) impossible() {
	u := &unit{}
	if s.matrix != nil {
		u.matrix = newObject() // pairs see one, with nothing in it
	}
	s.add(u)
	u.end(Failed, "expression")
}

func (w *world) allDone(ids []string) bool {
	for _, id := range ids {
		if !w.step(id).done() {
			return false
		}
	}
	return true
}

// expandMatrix makes the product of the dimensions, without what is excluded, and
// with what is included.
func (w *world) expandMatrix(s *stepRun) {
	filled, err := fill(s.matrix, w.scope(nil))
	if err != nil {
		s.impossible()
		return
	}
	m := filled.(*object)
	list := []*object{newObject()}
	dimensions := 0
	for _, name := range m.keys {
		if name == "include" || name == "exclude" {
			continue
		}
		dimensions++
		var longer []*object
		for _, combination := range list {
			for _, v := range m.get(name).([]any) {
				one := newObject()
				for _, key := range combination.keys {
					one.set(key, combination.get(key))
				}
				one.set(name, v)
				longer = append(longer, one)
			}
		}
		list = longer
	}
	if dimensions == 0 {
		list = nil
	}
	if excluded, ok := m.get("exclude").([]any); ok {
		list = slices.DeleteFunc(list, func(c *object) bool {
			return slices.ContainsFunc(excluded, func(e any) bool { return w.law.excludes(e.(*object), c) })
		})
	}
	if !s.addCombinations(list) {
		return
	}
	included, _ := m.get("include").([]any)
	for _, c := range included { // what is there already is not there twice
		key := matrixKey(c.(*object))
		if !slices.ContainsFunc(s.units, func(u *unit) bool { return u.key == key }) {
			s.add(&unit{key: key, matrix: c.(*object)})
		}
	}
}

// addCombinations makes the units of a matrix. Two that are alike are a mistake.
func (s *stepRun) addCombinations(list []*object) bool {
	var units []*unit
	for _, c := range list {
		key := matrixKey(c)
		if slices.ContainsFunc(units, func(u *unit) bool { return u.key == key }) {
			s.impossible()
			return false
		}
		units = append(units, &unit{key: key, matrix: c})
	}
	for _, u := range units {
		s.add(u)
	}
	return true
}

// excludes reports whether a combination has all that an excluded one names.
func excludes(excluded, combination *object) bool {
	for _, name := range excluded.keys {
		if !same(excluded.get(name), combination.get(name)) {
			return false
		}
	}
	return true
}

// expandList makes a unit of each item. If there is no list because a value is
// missing, a unit without a key stands for those that cannot be.
func (w *world) expandList(s *stepRun) {
	if w.law.listStuck(w, s) {
		s.add(&unit{})
		return
	}
	v, err := fill(s.list, w.scope(nil))
	if err != nil {
		s.impossible()
		return
	}
	list, ok := v.([]any)
	if !ok {
		s.impossible()
		return
	}
	times := map[string]int{}
	for i, item := range list {
		key := itemKey(item)
		times[key]++
		if n := times[key]; n > 1 {
			key = fmt.Sprintf("%s#%d", key, n)
		}
		s.add(&unit{key: key, each: mapping("item", item, "index", float64(i))})
	}
}

// itemKey is that of an item of a list. A mapping has that of a matrix.
func itemKey(item any) string {
	if o, ok := item.(*object); ok && len(o.keys) > 0 {
		return matrixKey(o)
	}
	return keyText(item)
}

func matrixKey(c *object) string {
	var parts []string
	for _, name := range slices.Sorted(slices.Values(c.keys)) {
		parts = append(parts, name+"="+keyText(c.get(name)))
	}
	return strings.Join(parts, ",")
}

var bare = regexp.MustCompile(`^[\pL\p{Nd}._/:@%+-]+$`)

// keyText is a value in a key: text is bare where it cannot be taken for anything
// else.
func keyText(v any) string {
	s, ok := v.(string)
	if ok && bare.MatchString(s) && !json.Valid([]byte(s)) {
		return s
	}
	return text(v)
}
