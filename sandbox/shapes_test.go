package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
)

// TestShapes compares answers with recorded ones of release 2.5.6: the same
// members, of the same types. Null stands for any type.
func TestShapes(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/shapes-2.5.6.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]any
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	for name, path := range map[string]string{
		"systems": "/status/systems", "liveness": "/status/liveness/", "userinfo": "/status/alps/userinfo",
		"job completed": r.finished("#!/bin/sh\n"),
		"job failed":    r.finished("#!/bin/sh\nexit 3\n"),
		"job running":   r.running("#!/bin/sh\nsleep 60\n"),
		"job pending":   "/compute/alps/jobs/" + r.submit("#!/bin/sh\n#SBATCH --hold\n"),
		"metadata":      r.finished("#!/bin/sh\n") + "/metadata",
	} {
		t.Run(name, func(t *testing.T) {
			a := r.do("GET", path, nil)
			want(t, a, 200)
			var got any
			a.decode(t, &got)
			for _, difference := range compareShapes(name, got, recorded[name]) {
				t.Error(difference)
			}
		})
	}
}

// dataKeys are objects whose member names are data.
var dataKeys = []string{"healthcheckRuns", "services"}

func compareShapes(at string, got, want any) (differences []string) {
	if got == nil || want == nil {
		return nil
	}
	if g, w := fmt.Sprintf("%T", got), fmt.Sprintf("%T", want); g != w {
		return []string{fmt.Sprintf("%s is a %s, recorded as a %s", at, g, w)}
	}
	switch want := want.(type) {
	case map[string]any:
		got := got.(map[string]any)
		names, recorded := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))
		if !slices.Equal(names, recorded) {
			return []string{fmt.Sprintf("%s has members %v, recorded with %v", at, names, recorded)}
		}
		for name := range want {
			if !slices.Contains(dataKeys, name) {
				differences = append(differences, compareShapes(at+"."+name, got[name], want[name])...)
			}
		}
	case []any:
		for i, element := range got.([]any) {
			var best []string
			for j, model := range want {
				if d := compareShapes(fmt.Sprintf("%s[%d]", at, i), element, model); j == 0 || len(d) < len(best) {
					best = d
				}
			}
			differences = append(differences, best...)
		}
	}
	return differences
}
