package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/compare"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// TestJSONKeys: what programs read keeps its names. The files in testdata/json
// list the keys of each form with the kind of their values; -update writes them,
// and a line that is lost breaks somebody's script.
func TestJSONKeys(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]any{
		"config_show": shownConfig{}, "systems_list": shownSystem{}, "systems_show": shownSite{}, "plan": shownPlan{}, "doctor": diagnosis{},
		"runs_list": listedRun{}, "runs_show": shownRun{}, "runs_results": shownResults{}, "runs_prune": prunedRun{}, "runs_diff": compare.Difference{}, "steps_show": stepType{}, "validate": validated{},
		"resume_workflow": server.Plan{}, "runs_why": explained{}, "schedules_list": workflow.ScheduleView{}, "schedules_next": nextSlots{}, "schedules_backfill": workflow.Backfilled{}, "check": checkedRun{}, "version": versionInfo{}, "error": errorJSON{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := reflect.New(reflect.TypeOf(form)).Elem()
			fill(v)
			text, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			var decoded any
			if err := json.Unmarshal(text, &decoded); err != nil {
				t.Fatal(err)
			}
			keys := map[string]bool{}
			flatten(keys, "", decoded)
			got := strings.Join(slices.Sorted(maps.Keys(keys)), "\n") + "\n"
			file := filepath.Join("testdata", "json", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("keys of %s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// fill gives everything in v a value that is not left out, but for what lies
// within the types in: a list of the same.
func fill(v reflect.Value, in ...reflect.Type) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
		return
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`"value"`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Interface:
		v.Set(reflect.ValueOf("value"))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), in...)
	case reflect.Slice:
		if !slices.Contains(in, v.Type().Elem()) {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), in...)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		key.SetString("*")
		fill(value, in...)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		in = append(slices.Clip(in), v.Type())
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() || f.Anonymous {
				fill(v.Field(i), in...)
			}
		}
	default:
		panic("no value for " + v.Type().String())
	}
}

// flatten lists the paths of a JSON value: [] is an item of a list.
func flatten(keys map[string]bool, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(keys, strings.TrimPrefix(at+"."+key, "."), value)
		}
	case []any:
		for _, item := range v {
			flatten(keys, at+"[]", item)
		}
	case string:
		kind := "text"
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			kind = "instant"
		}
		keys[at+" "+kind] = true
	case float64:
		keys[at+" number"] = true
	case bool:
		keys[at+" bool"] = true
	default:
		keys[at+" null"] = true
	}
}
