package results

import (
	"encoding/json"

	"github.com/fcflow/fcflow/workflow"
)

// itemName is what the parameter of a fan-out over a list is called.
const itemName = "item"

// parameterNames lists what tells the instances of a step apart, in the order of
// the file.
func parameterNames(s *source) []string {
	switch {
	case s.root.Matrix != nil:
		var names []string
		for _, d := range s.root.Matrix.Dimensions {
			names = append(names, d.Name)
		}
		return names
	case s.root.ForEach != nil:
		return []string{itemName}
	}
	return nil
}

// parameters are the values that make an instance what it is, as JSON.
func parameters(u *workflow.UnitView) map[string]json.RawMessage {
	if len(u.Parameters) == 0 {
		return nil
	}
	values := make(map[string]json.RawMessage, len(u.Parameters))
	for name, v := range u.Parameters {
		if text, err := workflow.CanonicalJSON(v); err == nil {
			values[name] = text
		}
	}
	return values
}
