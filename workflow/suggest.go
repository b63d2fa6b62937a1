package workflow

import "fmt"

// Suggest returns the known name that name was probably meant to be, or "".
// Near means few edits for the length: one for up to four characters, two for
// up to eight, three beyond.
func Suggest(name string, known []string) string {
	const longest = 64 // nobody mistypes a longer name, and the cost is quadratic
	if len(name) > longest {
		return ""
	}
	best, limit := "", 1+min(2, max(0, len(name)-1)/4)
	for _, k := range known {
		if len(k) > longest || k == name {
			continue
		}
		if d := editDistance(name, k); d <= limit && d < len(name) {
			best, limit = k, d-1
		}
	}
	return best
}

// didYouMean is the hint for a name that is not known; "" when none is near.
func didYouMean(name string, known []string) string {
	if near := Suggest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// manyHint is for who names outputs of a step that has many instances.
func (r *nameReader) manyHint(target *stepCheck, members []member) string {
	if r.at.fanOut && r.check.pairedWith(r.at.step) == target {
		name := "each.outputs"
		if len(members) > 0 {
			name += "." + members[0].name
		}
		return "use " + name + ", the instance that this one is paired with"
	}
	list := "steps." + target.step.ID + ".instances"
	return "use " + list + ", such as map(" + list + ", .outputs)"
}

// itemHint is for who names a member of `each` that its item has: of an instance, if
// the list is that of a step. Then the step is what for_each should name.
func (r *nameReader) itemHint(each Type, name string) string {
	item, ok := each.field("item")
	if !ok {
		return ""
	}
	if _, ok = item.Type.field(name); !ok {
		return ""
	}
	hint := "use each.item." + name
	if list := r.at.step.step.ForEach.List; list.Template != nil && list.Template.Whole() != nil {
		if c := r.at.step.step.plan.programs[list.Template.Whole()]; c != nil && len(c.path) == 3 && c.path[0] == "steps" && c.path[2] == "instances" {
			hint = "write for_each: " + c.path[1] + " to pair with its instances, or " + hint
		}
	}
	return hint
}
