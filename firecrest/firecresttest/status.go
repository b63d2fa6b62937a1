package firecresttest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) status() []subtest {
	return []subtest{
		{"systems tell their file systems and scheduler", s.testSystem},
		{"systems have every member", s.testEveryMember},
		{"systems keep the order of the site", s.testOrder},
		{"systems tell their limits", s.testLimits},
		{"systems tell the health of their services", s.testHealth},
		{"secrets of systems are masked", s.testMasked},
		{"the name of a system may be in any case, and must be known", s.testSystemName},
		{"the user has an id, groups and accounts", s.testUserInfo},
		{"a user unknown to the login node gets a reason", s.testStrangerInfo},
	}
}

func (s *suite) testSystem(t *testing.T) {
	if !slices.Contains([]string{"slurm", "pbs"}, s.system.Scheduler.Type) || s.system.Scheduler.Version == "" {
		t.Errorf("scheduler %+v", s.system.Scheduler)
	}
	if s.system.SSH.Host == "" || s.system.SSH.Port == 0 || s.system.SSH.CommandTimeout <= 0 {
		t.Errorf("login node %+v", s.system.SSH)
	}
	types := []string{"users", "store", "archive", "apps", "scratch", "project"}
	for _, fs := range s.system.FileSystems {
		if !strings.HasPrefix(fs.Path, "/") || !slices.Contains(types, fs.DataType) {
			t.Errorf("file system %+v", fs)
		}
	}
	if _, ok := s.system.FileSystemOf(s.Dir); !ok {
		t.Errorf("%s is in none of %+v", s.Dir, s.system.FileSystems)
	}
	if s.system.WorkDir() == "" {
		t.Error("no file system holds the default working directories")
	}
}

func (s *suite) testEveryMember(t *testing.T) {
	s.except(t, HidesLimits)
	var got struct {
		Systems []members `json:"systems"`
	}
	s.get(t, "/status/systems", nil).want(t, http.StatusOK, &got)
	if len(got.Systems) == 0 {
		t.Error("there is no system")
	}
	for _, system := range got.Systems {
		has := func(of any, names ...string) {
			object, _ := of.(map[string]any)
			for _, name := range names {
				if _, ok := object[name]; !ok {
					t.Errorf("system %v: there is no %s in %v", system["name"], name, of)
				}
			}
		}
		has(map[string]any(system), "name", "ssh", "scheduler", "servicesHealth", "probing", "lastHealthCheck", "fileSystems", "dataOperation")
		has(system["ssh"], "host", "port", "proxyHost", "proxyPort", "maxClients", "timeout")
		has(system["ssh"].(map[string]any)["timeout"], "connection", "login", "commandExecution", "idleTimeout", "keepAlive")
		has(system["scheduler"], "type", "connectionMode", "version", "apiUrl", "apiVersion", "timeout")
		has(system["dataOperation"], "datatransfer_jobs_directives", "max_ops_file_size", "data_transfer")
		if list, _ := system["fileSystems"].([]any); len(list) == 0 {
			t.Errorf("system %v has no file system", system["name"])
		}
		for _, fs := range system["fileSystems"].([]any) {
			has(fs, "path", "dataType", "defaultWorkDir")
		}
	}
}

func (s *suite) testOrder(t *testing.T) {
	systems, err := s.client.Status.Systems(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if systems[0].Name != s.system.Name {
		s.skip(t, "the system to test on is not the first of the site")
	}
}

func (s *suite) testLimits(t *testing.T) {
	s.except(t, HidesLimits)
	var got struct {
		Systems []struct {
			DataOperation struct {
				Limit *int64 `json:"max_ops_file_size"`
			} `json:"dataOperation"`
		} `json:"systems"`
	}
	s.get(t, "/status/systems", nil).want(t, http.StatusOK, &got)
	for i, system := range got.Systems {
		if limit := system.DataOperation.Limit; limit == nil || *limit <= 0 {
			t.Errorf("system %d has no dataOperation.max_ops_file_size", i)
		}
	}
	if s.system.MaxUpload() != s.system.MaxFileSize {
		t.Errorf("the limit is %d, uploads may have %d", s.system.MaxFileSize, s.system.MaxUpload())
	}
}

func (s *suite) testHealth(t *testing.T) {
	kinds := []string{"scheduler", "ssh", "filesystem", "s3", "storage", "exception"}
	probed := map[string]bool{}
	for _, h := range s.system.Health {
		probed[h.Service+h.Path] = true
		if !slices.Contains(kinds, h.Service) || (h.Service == "filesystem") != (h.Path != "") || h.LastChecked.IsZero() {
			t.Errorf("health %+v", h)
		}
		if !h.Healthy {
			t.Errorf("%s %s is not healthy: %s", h.Service, h.Path, h.Message)
		}
	}
	services := []string{"scheduler", "ssh"}
	for _, fs := range s.system.FileSystems {
		services = append(services, "filesystem"+fs.Path)
	}
	for _, service := range services {
		if !probed[service] {
			s.skip(t, "the server does not tell the health of "+service)
		}
	}
}

func (s *suite) testMasked(t *testing.T) {
	var got struct {
		Systems []struct {
			DataOperation struct {
				Transfer map[string]any `json:"data_transfer"`
			} `json:"dataOperation"`
		} `json:"systems"`
	}
	a := s.get(t, "/status/systems", nil)
	a.want(t, http.StatusOK, &got)
	for _, system := range got.Systems {
		for _, name := range []string{"privateUrl", "accessKeyId", "secretAccessKey"} {
			if secret, has := system.DataOperation.Transfer[name]; has && secret != "**********" {
				t.Errorf("%s is not masked", name)
			}
		}
	}
	if strings.Contains(string(a.body), "serviceAccount") {
		t.Error("the service account is shown")
	}
}

func (s *suite) testSystemName(t *testing.T) {
	system, err := s.client.Status.System(t.Context(), strings.ToUpper(s.System))
	if err != nil || !strings.EqualFold(system.Name, s.System) {
		t.Errorf("got %+v, %v", system, err)
	}
	if _, err := s.client.Status.System(t.Context(), "no-such-system"); !errors.Is(err, firecrest.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func (s *suite) testUserInfo(t *testing.T) {
	info, err := s.client.Status.UserInfo(t.Context(), s.System)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range append(info.Groups, info.User, info.Group) {
		if id.Name == "" || strings.Trim(id.ID, "0123456789") != "" || id.ID == "" {
			t.Errorf("identity %+v", id)
		}
	}
	if !slices.Contains(info.Groups, info.Group) {
		t.Errorf("the primary group %v is not among %v", info.Group, info.Groups)
	}
	s.except(t, HidesAccounts)
	defaults := 0
	for _, a := range info.Accounts {
		if a.Name == "" {
			t.Errorf("accounts %+v", info.Accounts)
		}
		if a.Default {
			defaults++
		}
	}
	switch {
	case len(info.Accounts) == 0:
		s.skip(t, "the user has no account")
	case defaults != 1:
		t.Errorf("accounts %+v, want one that is the default", info.Accounts)
	}
}

func (s *suite) testStrangerInfo(t *testing.T) {
	client := s.newClient(t, oddSource(s.odd(t, StrangerToken)))
	_, err := client.Status.UserInfo(t.Context(), s.System)
	failure := wantError(t, err, nil, "")
	if failure.Status != http.StatusInternalServerError || len(failure.CausedBy) == 0 && !s.differs(OmitsCauses) {
		t.Errorf("got %d with the reasons %q, want 500 with some", failure.Status, failure.CausedBy)
	}
	_, err = client.Filesystem.List(t.Context(), s.System, s.Dir, nil)
	if failure := wantError(t, err, nil, "No SSH credentials"); failure.Status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", failure.Status)
	}
}
