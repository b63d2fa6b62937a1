package workflow

import "testing"

func TestSuggest(t *testing.T) {
	t.Parallel()
	known := []string{"needs", "name", "timeout", "queue_timeout", "max_parallel", "if", "uses", "with"}
	for name, want := range map[string]string{
		"neds": "needs", "need": "needs", "enesd": "needs", "tiemout": "timeout", "timout": "timeout", "nmae": "name",
		"max-parallel": "max_parallel", "maxparallel": "max_parallel", "queuetimeout": "queue_timeout", "use": "uses", "i": "", "fi": "if",
		"matrix": "", "": "", "zzz": "", "needs": "",
	} {
		if got := Suggest(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
