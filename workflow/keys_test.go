package workflow

import (
	"os"
	"testing"
)

// A key that no valid file uses is a key whose reading nobody has tried.
func TestEveryKeyIsDocumentedAndUsed(t *testing.T) {
	t.Parallel()
	used := map[*Shape]map[string]bool{}
	for _, path := range testFiles(t, "valid/*.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v, problems := ParseTree(text)
		if len(problems) > 0 {
			t.Fatal(path, problems)
		}
		markUsed(Language(), v, used)
	}
	checkKeys(t, Language(), used, map[*Shape]bool{})
}

func markUsed(s *Shape, v *Value, used map[*Shape]map[string]bool) {
	if used[s] == nil {
		used[s] = map[string]bool{}
	}
	for _, m := range v.Members {
		if k, ok := s.key(m.Name); ok {
			used[s][k.Name] = true
			markUsed(k.Shape, m.Value, used)
		} else if s.Values != nil {
			markUsed(s.Values, m.Value, used)
		}
	}
	for _, item := range v.Items {
		if s.Items != nil {
			markUsed(s.Items, item, used)
		}
	}
}

func checkKeys(t *testing.T, s *Shape, used map[*Shape]map[string]bool, seen map[*Shape]bool) {
	t.Helper()
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	names := map[string]bool{}
	for _, k := range s.Keys {
		switch {
		case k.Doc == "" || k.set == nil:
			t.Errorf("%s.%s lacks its documentation or is read into nothing", s.Title, k.Name)
		case names[k.Name]:
			t.Errorf("%s.%s is there twice", s.Title, k.Name)
		case !used[s][k.Name]:
			t.Errorf("no file in testdata/valid uses %s.%s", s.Title, k.Name)
		case k.Required && k.Default != "":
			t.Errorf("%s.%s is required and has a default", s.Title, k.Name)
		}
		names[k.Name] = true
		checkKeys(t, k.Shape, used, seen)
	}
	checkKeys(t, s.Values, used, seen)
	checkKeys(t, s.Items, used, seen)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	w, problems := Parse("f.yaml", []byte("version: 1\nname: f\nsteps: [{ id: a, uses: noop }]\nschedule: [{ cron: '@daily' }]\nconcurrency: { group: g }\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s, c := w.Schedules[0], w.Concurrency
	if w.FinallyTimeout.String() != "10m0s" || w.Steps[0].MaxAttempts != 10 || w.Steps[0].FailFast ||
		s.ID != "default" || s.DST != "once" || s.Overlap != "skip" || s.Catchup.Keep != "none" || c.Limit != 1 || c.OnConflict != "queue" {
		t.Errorf("a default is missing: %+v %+v %+v %+v", w, w.Steps[0], s, c)
	}
}
