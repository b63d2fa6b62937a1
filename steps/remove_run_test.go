package steps

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestRemoveRun: the directory goes, at once or by a job, and nothing beside it; a
// second time there is nothing to do.
func TestRemoveRun(t *testing.T) {
	t.Parallel()
	for _, slow := range []bool{false, true} {
		s := newSite(t)
		run, neighbour := created, created
		run.Nonce, neighbour.ID = "mine", "02RUN"
		kept, err := s.library.Binder().Bind(t.Context(), system, "", neighbour)
		if err != nil {
			t.Fatal(err)
		}
		site, err := s.library.Binder().Bind(t.Context(), system, "", run)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(site.RemoteDir, "out.nc"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		jobs := 0
		s.mu.Lock()
		s.fault = func(op string, _ *http.Request) *sandbox.Fault {
			switch {
			case slow && strings.HasSuffix(op, "ops/rm"):
				return signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded.")
			case strings.HasSuffix(op, "transfer/rm"):
				jobs++
			}
			return nil
		}
		s.mu.Unlock()
		for range 2 {
			if err := s.library.RemoveRun(t.Context(), *site, "", run); err != nil {
				t.Fatalf("slow %v: %v", slow, err)
			}
		}
		if _, err := os.Stat(site.RemoteDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("slow %v: the directory is still there: %v", slow, err)
		}
		if _, err := os.Stat(kept.RemoteDir); err != nil {
			t.Errorf("slow %v: the directory of another run: %v", slow, err)
		}
		if (jobs > 0) != slow {
			t.Errorf("slow %v: %d jobs", slow, jobs)
		}
	}
}

func TestRemoveRunRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run := created
	run.Nonce = "mine"
	site, err := s.library.Binder().Bind(t.Context(), system, "", run)
	if err != nil {
		t.Fatal(err)
	}
	home := s.root + "/home/demo"
	at := func(dir string) workflow.RunBound {
		changed := *site
		changed.RemoteDir = dir
		return changed
	}
	other := *site
	other.User = "somebody"
	foreign, nameless := run, run
	foreign.Nonce, nameless.ID = "theirs", ""
	for name, test := range map[string]struct {
		site workflow.RunBound
		root string
		run  workflow.RunCreated
		want string
	}{
		"the user's directory":         {at(home), "", run, "is not below"},
		"the directory of all runs":    {at(home + "/fcflow"), "", run, "is not below"},
		"beside it":                    {at(home + "/fcflow-2/test/01RUN"), "", run, "is not below"},
		"a way out of it":              {at(home + "/fcflow/../01RUN"), "", run, "is not below"},
		"a relative one":               {at("fcflow/test/01RUN"), "", run, "is not below"},
		"no directory":                 {at(""), "", run, "is not below"},
		"the root of everything":       {at("/01RUN"), "/", workflow.RunCreated{ID: "/"}, "is not named"},
		"another root now":             {*site, s.root + "/scratch/demo", run, "is not below"},
		"the directory of a workflow":  {at(home + "/fcflow/test"), "", run, "is not named after"},
		"one of another run":           {at(home + "/fcflow/test/02RUN"), "", run, "is not named after"},
		"a run without a name":         {*site, "", nameless, "is not named after"},
		"one that another run claimed": {*site, "", foreign, "belongs to another run"},
		"that of another user":         {other, "", run, "works as"},
	} {
		err := s.library.RemoveRun(t.Context(), test.site, test.root, test.run)
		if !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if _, err := os.Stat(site.RemoteDir); err != nil {
			t.Fatalf("%s: it was deleted", name)
		}
	}
}
