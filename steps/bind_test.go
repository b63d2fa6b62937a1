package steps

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

var created = workflow.RunCreated{ID: "01RUN", Workflow: "test"}

func TestBind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	requests := map[string]int{}
	s.mu.Lock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		if !strings.Contains(op, "token") {
			requests[op]++
		}
		return nil
	}
	s.mu.Unlock()
	got, err := s.library.Binder().Bind(t.Context(), system, "", created)
	if err != nil {
		t.Fatal(err)
	}
	want := &workflow.RunBound{
		System: system, User: "demo", RemoteDir: s.root + "/home/demo/fcflow/test/01RUN", Version: sandbox.DefaultRelease, Scheduler: "slurm",
		SchedulerVersion: got.SchedulerVersion, Fence: workflow.FenceClaim,
	}
	if got.SchedulerVersion == "" {
		t.Error("the version of the scheduler is not recorded")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	stat, err := s.client.Filesystem.Stat(t.Context(), system, got.RemoteDir+"/.fcflow/000", false)
	if err != nil || !stat.IsDir() {
		t.Errorf("control directory: %v, %v", stat, err)
	}
	if _, err := s.library.Binder().Bind(t.Context(), system, "", created); err != nil {
		t.Errorf("again: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wantRequests := map[string]int{
		"GET /status/systems": 1, "GET /status/{system_name}/userinfo": 2, "POST /filesystem/{system_name}/ops/mkdir": 2,
		"POST /filesystem/{system_name}/ops/symlink": 2,
		"GET /filesystem/{system_name}/ops/ls":       1, // the second time: whose link is it?
		"GET /filesystem/{system_name}/ops/stat":     1, // of this test
	}
	if diff := cmp.Diff(wantRequests, requests); diff != "" {
		t.Errorf("requests, -want +got:\n%s", diff)
	}
}

func TestBindBelowRemoteRoot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.library.config.RemoteRoot = s.root + "/scratch/demo/runs/"
	got, err := s.library.Binder().Bind(t.Context(), system, "", created)
	if err != nil || got.RemoteDir != s.root+"/scratch/demo/runs/test/01RUN" {
		t.Errorf("%+v, %v", got, err)
	}
	asked, err := s.library.Binder().Bind(t.Context(), system, s.root+"/scratch/demo/asked", created)
	if err != nil || asked.RemoteDir != s.root+"/scratch/demo/asked/test/01RUN" {
		t.Errorf("what the workflow asks for comes before the profile: %+v, %v", asked, err)
	}
	s.library.config.RemoteRoot = "~/runs"
	if got, err := s.library.Binder().Bind(t.Context(), system, "", created); !errors.Is(err, firecrest.ErrPath) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBindErrors(t *testing.T) {
	t.Parallel()
	noWorkdir := &sandbox.Fault{
		Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}},
		Body: `{"systems":[{"name":"one","scheduler":{"type":"slurm"},"fileSystems":[{"path":"/x"}]}]}`,
	}
	for _, test := range []struct {
		name, system, op string
		fault            *sandbox.Fault
		want             error
		text             string
	}{
		{"login", system, "userinfo", signed(http.StatusUnauthorized, "Invalid token"), engine.ErrLogin, "Invalid token"},
		{"not allowed", system, "userinfo", signed(http.StatusForbidden, "no"), engine.ErrLogin, "no"},
		{"down", system, "GET /status/systems", &sandbox.Fault{Status: http.StatusBadGateway}, engine.ErrUnavailable, "502"},
		{"unhealthy", system, "ops/mkdir", &sandbox.Fault{Status: http.StatusServiceUnavailable}, engine.ErrUnavailable, "remote_root"},
		{"no such system", "tow", "", nil, firecrest.ErrNotFound, "the service offers one"},
		{"no place", system, "GET /status/systems", noWorkdir, nil, "set remote_root"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.faults(test.op, func(int) *sandbox.Fault { return test.fault })
			got, err := s.library.Binder().Bind(t.Context(), test.system, "", created)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%+v, %v", got, err)
			}
			for _, kind := range []error{engine.ErrLogin, engine.ErrUnavailable, engine.ErrConflict} {
				if errors.Is(err, kind) && kind != test.want {
					t.Errorf("%v is also %v", err, kind)
				}
			}
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.library.Binder()
	if err := b.Verify(t.Context(), workflow.RunBound{System: system, User: "demo"}); err != nil {
		t.Error(err)
	}
	err := b.Verify(t.Context(), workflow.RunBound{System: system, User: "somebody"})
	if !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), "somebody") {
		t.Error(err)
	}
	s.faults("userinfo", func(int) *sandbox.Fault { return &sandbox.Fault{Status: http.StatusBadGateway} })
	if err := b.Verify(t.Context(), workflow.RunBound{System: system, User: "demo"}); !errors.Is(err, engine.ErrUnavailable) {
		t.Error(err)
	}
}
