package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// unitNamed reads STEP or STEP/KEY.
func unitNamed(name string) workflow.UnitRef {
	step, instance, _ := strings.Cut(name, "/")
	return workflow.UnitRef{Step: step, Instance: instance}
}

// namedUnits lists the instances that a name means: all of a step by its id, by a
// key, or a part of one, those that have it; all there are for "". There is at
// least one, or the error says what has a similar name.
func namedUnits(view *workflow.RunView, name string) ([]*workflow.UnitView, error) {
	ref := unitNamed(name)
	var found []*workflow.UnitView
	var known []string
	for i := range view.Steps {
		s := &view.Steps[i]
		known = append(known, s.ID)
		for j := range s.Instances {
			if s.Instances[j].Instance != "" {
				known = append(known, unitRef(&s.Instances[j]).String())
			}
			if name == "" || s.ID == ref.Step && ref.Instance == "" {
				found = append(found, &s.Instances[j])
			}
		}
		if s.ID == ref.Step && ref.Instance != "" {
			found = s.Match(ref.Instance)
		}
		if s.ID == ref.Step && len(s.Instances) == 0 {
			return nil, fmt.Errorf("run %s has no instances of %s, or not yet: %w", view.ID, s.ID, workflow.ErrNotFound)
		}
	}
	if len(found) > 0 || name == "" {
		return found, nil
	}
	err := fmt.Errorf("run %s has no step %q: %w", view.ID, ref.Step, workflow.ErrNotFound)
	if slices.Contains(known, ref.Step) {
		err = fmt.Errorf("run %s has no instance %s: %w", view.ID, name, workflow.ErrNotFound)
	}
	if near := workflow.Suggest(name, known); near != "" {
		return nil, withHint(err, "did you mean %q?", near)
	}
	return nil, withHint(err, "see fcflow runs show %s", shortID(view.ID))
}

// oneUnit finds the only instance that a name means.
func oneUnit(view *workflow.RunView, name string) (*workflow.UnitView, error) {
	units, err := namedUnits(view, name)
	if err != nil {
		return nil, err
	}
	if len(units) > 1 {
		// Who asks for one of many mostly wants one that failed.
		slices.SortStableFunc(units, func(a, b *workflow.UnitView) int {
			return cmp.Compare(failedFirst(a), failedFirst(b))
		})
		return nil, &ambiguousUnit{name, units}
	}
	return units[0], nil
}

// ambiguousUnit is the mistake of who names one instance and means several.
type ambiguousUnit struct {
	name  string
	units []*workflow.UnitView
}

func (e *ambiguousUnit) Error() string { return fmt.Sprintf("%v: %s; name one", errUsage, e.means()) }
func (e *ambiguousUnit) Unwrap() error { return errUsage }

// means reads "simulate means 3 instances: simulate/a, simulate/b, simulate/c".
func (e *ambiguousUnit) means() string { return e.name + " means " + firstUnits(e.units) }

func failedFirst(u *workflow.UnitView) int {
	if u.State == workflow.Failed {
		return 0
	}
	return 1
}

// oneFailure finds the only instance of a run that failed.
func oneFailure(view *workflow.RunView) (*workflow.UnitView, error) {
	units := failures(view)
	switch len(units) {
	case 0:
		return nil, withHint(fmt.Errorf("%w: nothing in run %s has failed; name a step", errUsage, view.ID), "see fcflow runs show %s", shortID(view.ID))
	case 1:
		return units[0], nil
	}
	return nil, fmt.Errorf("%w: in run %s failed %s; name one", errUsage, view.ID, firstUnits(units))
}

// unitOf finds the only instance of a run that a name means.
func unitOf(run *workflow.Run, name string) (*workflow.Unit, error) {
	if u, ok := run.Unit(unitNamed(name)); ok {
		return u, nil
	}
	view := run.Describe()
	v, err := oneUnit(&view, name)
	if err != nil {
		return nil, err
	}
	u, _ := run.Unit(unitRef(v))
	return u, nil
}

// mostListed is how many instances are listed of many.
const mostListed = 6

// firstUnits reads "3 instances: simulate/dt=30, publish, cleanup".
func firstUnits(units []*workflow.UnitView) string {
	var names []string
	for _, u := range units[:min(mostListed, len(units))] {
		names = append(names, unitRef(u).String())
	}
	return listedNames(names, len(units))
}

// listed is what firstUnits says, of units of a run.
func listed(units []*workflow.Unit) string {
	var names []string
	for _, u := range units[:min(mostListed, len(units))] {
		names = append(names, u.Ref().String())
	}
	return listedNames(names, len(units))
}

func listedNames(first []string, of int) string {
	if of > len(first) {
		first = append(first, "…")
	}
	return fmt.Sprintf("%s: %s", count(of, "instance"), strings.Join(first, ", "))
}
