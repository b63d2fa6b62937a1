package why

import (
	"slices"

	"github.com/fcflow/fcflow/workflow"
)

// Index knows which events of a history bear on which instance, so that one who
// explains many need not read all of it for each. The zero Index is of an empty
// history.
type Index struct {
	last  int64
	all   []int64 // bear on every instance
	units map[workflow.UnitRef][]int64
}

// Note takes the next event; one that it has is passed over.
func (x *Index) Note(e *workflow.Event) {
	if e.Seq <= x.last {
		return
	}
	x.last = e.Seq
	switch {
	case bearsOnAll(e):
		x.all = append(x.all, e.Seq)
	case e.Step != "":
		if x.units == nil {
			x.units = map[workflow.UnitRef][]int64{}
		}
		ref := workflow.UnitRef{Step: e.Step, Instance: e.Instance}
		x.units[ref] = append(x.units[ref], e.Seq)
	}
}

// Of lists the sequence numbers of the events that a witness of an instance keeps.
func (x *Index) Of(ref workflow.UnitRef) []int64 {
	seqs := slices.Concat(x.all, x.units[ref])
	slices.Sort(seqs)
	return seqs
}
