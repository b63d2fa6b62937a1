package workflow

// Instance is an instance of a step as it can be told before the run.
type Instance struct {
	Key string
	// Matrix and Each are what its expressions see; what only a run has, such as
	// outputs, is not in them.
	Matrix, Each map[string]any
}

// Instances tells the instances of a step with a matrix or a list, as far as the
// scope can tell; an error says that it cannot.
func (w *Workflow) Instances(s *Step, sc *Scope) ([]Instance, error) {
	var x *expansion
	if s.Matrix != nil {
		var err error
		if x, err = w.matrixOf(s, sc); err != nil {
			return nil, err
		}
	} else {
		list, err := w.listOf(s, sc)
		if err != nil {
			return nil, err
		}
		x = itemsOf(list)
	}
	all := make([]Instance, len(x.keys))
	for i, key := range x.keys {
		all[i].Key = key
		if s.Matrix == nil {
			all[i].Each = map[string]any{"item": x.values[i][0], "index": i}
			continue
		}
		all[i].Matrix = make(map[string]any, len(x.names))
		for n, name := range x.names {
			all[i].Matrix[name] = x.values[i][n]
		}
	}
	return all, nil
}

// Pair is the instance that goes through this one.
func (in Instance) Pair() Instance {
	each := map[string]any{"key": in.Key}
	if in.Matrix != nil {
		each["matrix"] = in.Matrix
		return Instance{Key: in.Key, Each: each}
	}
	each["origin"] = in.Each
	for _, name := range []string{"matrix", "item"} {
		if v, ok := in.Each[name]; ok {
			each[name] = v
		}
	}
	return Instance{Key: in.Key, Each: each}
}

// Of is a scope for the expressions of the instance.
func (in Instance) Of(sc *Scope) *Scope {
	own := *sc
	own.Matrix, own.Each = in.Matrix, in.Each
	return &own
}
