package firecresttest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) health() []subtest {
	return []subtest{
		{"the status of an unhealthy system is told", s.testSickStatus},
		{"an unhealthy file system is closed, others are open", s.testSickFileSystem},
		{"an unhealthy scheduler takes no jobs", s.testSickScheduler},
	}
}

// sick is the system in bad health: an unhealthy file system and a healthy one.
func (s *suite) sick(t *testing.T) (name, closed, open string) {
	t.Helper()
	system := s.oddSystem(t, SickSystem)
	unhealthy := map[string]bool{}
	for _, h := range system.Health {
		unhealthy[h.Service+h.Path] = !h.Healthy
	}
	for _, fs := range system.FileSystems {
		if unhealthy["filesystem"+fs.Path] {
			closed = fs.Path
		} else {
			open = fs.Path
		}
	}
	if !unhealthy["scheduler"] || closed == "" || open == "" {
		t.Fatalf("health %+v of %+v, want an unhealthy scheduler and file system, and a healthy one", system.Health, system.FileSystems)
	}
	return system.Name, closed, open
}

func (s *suite) testSickStatus(t *testing.T) {
	sick, _, _ := s.sick(t)
	for _, what := range []string{"nodes", "partitions", "reservations", "userinfo"} {
		s.get(t, "/status/"+sick+"/"+what, nil).want(t, http.StatusOK, nil)
	}
}

func (s *suite) testSickFileSystem(t *testing.T) {
	sick, closed, open := s.sick(t)
	text := "The requested filesystem (" + closed + " on " + sick + ") is unhealthy."
	for _, f := range fileCalls {
		wantError(t, f.call(t.Context(), s.client.Filesystem, sick, closed+"/file"), firecrest.ErrUnavailable, text)
	}
	ls := "/filesystem/" + sick + "/ops/ls"
	s.get(t, ls, url.Values{"path": {closed + "/missing"}, "recursive": {"perhaps"}}).wantFailure(t, http.StatusServiceUnavailable, text)
	s.get(t, ls, url.Values{"path": {open}}).want(t, http.StatusOK, nil)
}

func (s *suite) testSickScheduler(t *testing.T) {
	sick, _, open := s.sick(t)
	const text = "The scheduler service for the requested system ("
	jobs, transfer := "/compute/"+sick+"/jobs", "/filesystem/"+sick+"/transfer/"
	two := members{"sourcePath": open + "/a", "targetPath": open + "/b"}
	directives := members{"path": open + "/a", "transferDirectives": members{"transferMethod": "s3", "fileSize": 4}}
	for name, a := range map[string]answer{
		"submit":   s.post(t, jobs, members{"job": members{"workingDirectory": open, "script": "#!/bin/sh\n"}}),
		"list":     s.get(t, jobs, nil),
		"get":      s.get(t, jobs+"/1", nil),
		"metadata": s.get(t, jobs+"/1/metadata", nil),
		"cancel":   s.send(t, s.request(t, http.MethodDelete, jobs+"/1", nil, nil)),
		"attach":   s.send(t, s.request(t, http.MethodPut, jobs+"/1/attach", nil, members{"command": "true"})),
		"mv":       s.post(t, transfer+"mv", two),
		"cp":       s.post(t, transfer+"cp", two),
		"compress": s.post(t, transfer+"compress", two),
		"extract":  s.post(t, transfer+"extract", two),
		"rm":       s.send(t, s.request(t, http.MethodDelete, transfer+"rm", url.Values{"path": {open + "/a"}}, nil)),
		"upload":   s.post(t, transfer+"upload", directives),
		"download": s.post(t, transfer+"download", directives),
	} {
		t.Run(name, func(t *testing.T) {
			a.wantFailure(t, http.StatusServiceUnavailable, text+sick+") is unhealthy.")
		})
	}
	_, err := s.client.Compute.Submit(t.Context(), sick, firecrest.JobSpec{WorkingDirectory: open, Script: "#!/bin/sh\n"})
	wantError(t, err, firecrest.ErrUnavailable, text)
	wantSubmitError(t, err, firecrest.SubmitNotSent, false)
}
