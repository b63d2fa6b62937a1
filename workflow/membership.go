package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Membership is what a run records at its creation of a concurrency group that
// it belongs to. It never changes, whatever becomes of the workflow file.
type Membership struct {
	Group string `json:"group"`
	// Limit is how many runs of the group may hold a place at a time, as this run
	// sees it.
	Limit      int        `json:"limit"`
	OnConflict OnConflict `json:"on_conflict"`
}

// OnConflict says what a run does when its group is full.
type OnConflict string

const (
	ConflictQueue  OnConflict = "queue"          // wait, first come, first served by run id
	ConflictSkip   OnConflict = "skip"           // end at once, cancelled
	ConflictCancel OnConflict = "cancel_running" // cancel the oldest holder and wait for its end
)

// ErrGroup: the name of a concurrency group cannot be made from the inputs.
var ErrGroup = errors.New("no name for the concurrency group")

// maxGroupName bounds the name of a group, which listings print.
const maxGroupName = 256

// EvalMembership evaluates which concurrency group a run belongs to that is
// being created at an instant; nil if to none. Child runs belong to none: their
// parent holds the place.
func (w *Workflow) EvalMembership(created *RunCreated, at time.Time) ([]Membership, error) {
	c := w.Concurrency
	if c == nil || created.Trigger == TriggerParent {
		return nil, nil
	}
	if w.index == nil {
		return nil, ErrNotChecked
	}
	scratch := NewRun(w)
	if err := scratch.decodeInputs(created.Inputs); err != nil {
		return nil, err
	}
	scratch.ID, scratch.Created, scratch.StartedAt = created.ID, *created, at
	v, err := w.index.programs.value(c.Group, scratch.Scope(nil, nil))
	if err != nil {
		return nil, fmt.Errorf("concurrency.group: %w: %w", ErrGroup, err)
	}
	name, ok := v.(string)
	switch {
	case !ok:
		return nil, fmt.Errorf("concurrency.group: %w: it must be text, not %s", ErrGroup, describe(v))
	case name == "":
		return nil, fmt.Errorf("concurrency.group: %w: it is empty", ErrGroup)
	case len(name) > maxGroupName:
		return nil, fmt.Errorf("concurrency.group: %w: it takes %d bytes, and at most %d may be taken", ErrGroup, len(name), maxGroupName)
	}
	return []Membership{{Group: name, Limit: max(c.Limit, 1), OnConflict: OnConflict(c.OnConflict)}}, nil
}

// MergeMemberships joins groups in the order of their names, in which places are
// taken, so that no two runs wait for each other. Of one group the narrower limit
// holds, and what the first list says of it.
func MergeMemberships(lists ...[]Membership) []Membership {
	var merged []Membership
	for _, m := range slices.Concat(lists...) {
		i, found := slices.BinarySearchFunc(merged, m, func(a, b Membership) int { return strings.Compare(a.Group, b.Group) })
		if found {
			merged[i].Limit = min(merged[i].Limit, m.Limit)
			continue
		}
		merged = slices.Insert(merged, i, m)
	}
	return merged
}
