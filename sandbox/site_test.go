package sandbox

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// described is a sandbox of the site in testdata/site.json, with alice as the
// caller.
func described(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	data, err := os.ReadFile("testdata/site.json")
	if err != nil {
		t.Fatal(err)
	}
	site, err := ParseSite(data)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, append([]func(*Config){func(c *Config) { c.Site, c.Systems = site, nil }}, change...)...)
	r.as("alice")
	return r
}

// as makes a user the caller from here on.
func (r *rig) as(name string) {
	r.t.Helper()
	token, err := r.srv.issueToken(name, time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	r.token, r.home, r.scratch = token, filepath.Join(r.srv.Root(), "home", name), filepath.Join(r.srv.Root(), "scratch", name)
}

func TestSiteDescriptions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ json, err string }{
		"smallest":           {`{"systems":[{"name":"alps"}]}`, ""},
		"no system":          {`{"systems":[]}`, "no system"},
		"unknown member":     {`{"systems":[{"name":"alps","colour":"red"}]}`, `unknown field "colour"`},
		"system twice":       {`{"systems":[{"name":"alps"},{"name":"alps"}]}`, `system name "alps"`},
		"capitals":           {`{"systems":[{"name":"Alps"}]}`, `system name "Alps"`},
		"unknown scheduler":  {`{"systems":[{"name":"alps","scheduler":"lsf"}]}`, `"lsf", want one of slurm, pbs`},
		"unknown method":     {`{"systems":[{"name":"alps","transfer":{"method":"ftp"}}]}`, `"ftp", want one of`},
		"ports":              {`{"systems":[{"name":"alps","transfer":{"port_range":[9,8]}}]}`, "port range 9-8"},
		"part size":          {`{"systems":[{"name":"alps","transfer":{"max_part_size":-1}}]}`, "max_part_size"},
		"life of URLs":       {`{"systems":[{"name":"alps","transfer":{"ttl":"10ms"}}]}`, "ttl"},
		"processors":         {`{"systems":[{"name":"alps","nodes":[{"name":"n1","cpus":-1}]}]}`, "less than nothing"},
		"unknown node":       {`{"systems":[{"name":"alps","partitions":[{"name":"p","nodes":"x1"}]}]}`, `no node "x1"`},
		"host list":          {`{"systems":[{"name":"alps","nodes":[{"name":"n[3-1]"}]}]}`, "host list"},
		"node state":         {`{"systems":[{"name":"alps","nodes":[{"name":"n1","state":"SLEEPY"}]}]}`, `"SLEEPY", want one of`},
		"partition state":    {`{"systems":[{"name":"alps","partitions":[{"name":"p","state":"up"}]}]}`, `"up", want one of`},
		"reservation":        {`{"systems":[{"name":"alps","reservations":[{"name":"r","start":"+2h","end":"+1h"}]}]}`, "ends before it starts"},
		"instant":            {`{"systems":[{"name":"alps","reservations":[{"name":"r","start":"soon","end":"+1h"}]}]}`, `"soon" is neither`},
		"duration":           {`{"systems":[{"name":"alps","limits":{"job_lag":"-1s"}}]}`, `"-1s" is not a duration`},
		"file system":        {`{"systems":[{"name":"alps","health":{"file_systems":{"/scratch":false}}}]}`, `"/scratch", want one of home, scratch`},
		"user twice":         {`{"systems":[{"name":"alps"}],"users":[{"name":"a"},{"name":"a"}]}`, `user "a"`},
		"client twice":       {`{"systems":[{"name":"alps"}],"users":[{"name":"a"},{"name":"b","client_id":"a"}]}`, `user "b"`},
		"number twice":       {`{"systems":[{"name":"alps"}],"users":[{"name":"a","uid":1001},{"name":"b"}]}`, `user "b"`},
		"user name":          {`{"systems":[{"name":"alps"}],"users":[{"name":"../a"}]}`, `user "../a"`},
		"nobody can log in":  {`{"systems":[{"name":"alps"}],"users":[{"name":"a","ssh_key":false}]}`, "SSH key"},
		"not JSON":           {`systems:`, "invalid character"},
		"something after it": {`{"systems":[{"name":"alps"}]} {}`, "more than one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseSite([]byte(tt.json))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

// TestDocumentedSite reads the example of the documentation.
func TestDocumentedSite(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/sandbox-site.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	example, _, _ := strings.Cut(rest, "```")
	site, err := ParseSite([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	srv, err := Open(Config{Root: t.TempDir(), Site: site})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}

// TestSiteIsKept opens a root again without its description: the same systems
// and users, with the secrets that were made up for them.
func TestSiteIsKept(t *testing.T) {
	t.Parallel()
	site := &SiteConfig{Systems: []SystemConfig{{Name: "alps", Scheduler: "pbs"}}, Users: []UserConfig{{Name: "alice"}, {Name: "bob"}}}
	root := t.TempDir()
	secrets := func(cfg Config) (alice, bob string) {
		t.Helper()
		cfg.Root = root
		srv, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		if got := srv.site.systems(); len(got) != 1 || got[0] != "alps" || !srv.site.system("alps").pbs() {
			t.Errorf("systems %v, want alps with PBS", got)
		}
		if creds := srv.Credentials(); creds.ClientID != "alice" {
			t.Errorf("default client %q, want alice", creds.ClientID)
		}
		people := srv.site.people()
		return people[0].ClientSecret, people[1].ClientSecret
	}
	alice, bob := secrets(Config{Site: site})
	if alice == "" || alice == bob {
		t.Errorf("secrets %q and %q", alice, bob)
	}
	for name, cfg := range map[string]Config{"without": {}, "with": {Site: site}, "more systems": {Systems: []string{"daint"}}} {
		if a, b := secrets(cfg); a != alice || b != bob {
			t.Errorf("reopened %s a description: the secrets changed", name)
		}
	}
}

// TestClients gets a token for each user with that user's client.
func TestClients(t *testing.T) {
	t.Parallel()
	r := described(t)
	for _, tt := range []struct {
		client, secret, user string
		status               int
	}{
		{"alice", "alice-secret", "alice", 200},
		{"bob", "bob-secret", "bob", 200},
		{"bob", "alice-secret", "", 401},
		{"dora", "alice-secret", "", 401},
		{"carol", "carol-secret", "carol", 500},
	} {
		req := r.request("POST", TokenPath, "grant_type=client_credentials&client_id="+tt.client+"&client_secret="+tt.secret)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		a := r.send(req)
		if tt.user == "" {
			want(t, a, tt.status)
			continue
		}
		want(t, a, 200)
		var token struct {
			AccessToken string `json:"access_token"`
		}
		a.decode(t, &token)
		r.token = token.AccessToken
		a = r.do("GET", "/status/alps/userinfo", nil)
		want(t, a, tt.status)
		var info struct{ User struct{ Name string } }
		if a.status == 200 {
			if a.decode(t, &info); info.User.Name != tt.user {
				t.Errorf("client %q is user %q, want %q", tt.client, info.User.Name, tt.user)
			}
		}
	}
}

// TestProbes checks what unhealthy services and missing probes do to requests.
func TestProbes(t *testing.T) {
	t.Parallel()
	down := false
	r := described(t, func(c *Config) {
		c.Site.Systems = append(c.Site.Systems,
			SystemConfig{Name: "nossh", Health: HealthConfig{SSH: &down}},
			SystemConfig{Name: "blind", Probing: &down, Health: HealthConfig{SSH: &down, Scheduler: &down}})
	})
	scheduler := "The scheduler service for the requested system (sick) is unhealthy."
	ssh := "The ssh service for the requested system (nossh) is unhealthy."
	query := func(dir string) string { return "?path=" + dir }
	for _, tt := range []struct {
		method, path string
		status       int
		message      string
	}{
		{"GET", "/compute/sick/jobs", 503, scheduler},
		{"GET", "/compute/sick/jobs/1", 503, scheduler},
		{"POST", "/compute/sick/jobs", 503, scheduler},
		{"GET", "/filesystem/sick/ops/ls" + query(r.home), 200, ""},
		{"GET", "/filesystem/sick/ops/ls" + query(r.scratch), 503,
			"The requested filesystem (" + filepath.Dir(r.scratch) + " on sick) is unhealthy."},
		{"GET", "/filesystem/sick/ops/ls" + query("/etc"), 400, ""},
		{"GET", "/status/sick/nodes", 200, ""},
		{"GET", "/status/sick/userinfo", 200, ""},
		{"GET", "/compute/nossh/jobs", 503, ssh},
		{"GET", "/filesystem/nossh/ops/ls" + query(r.home), 503, ssh},
		{"GET", "/filesystem/nossh/ops/ls", 503, ssh},
		{"GET", "/status/nossh/userinfo", 503, ssh},
		{"GET", "/status/nossh/partitions", 200, ""},
		{"GET", "/compute/blind/jobs", 200, ""},
		{"GET", "/filesystem/blind/ops/ls" + query(r.scratch), 200, ""},
		{"GET", "/filesystem/blind/ops/ls" + query("."), 200, ""},
		{"GET", "/filesystem/blind/ops/ls" + query("/etc"), 403, ""},
		{"GET", "/filesystem/blind/ops/ls", 400, ""},
		{"POST", "/filesystem/blind/ops/mkdir", 400, ""},
	} {
		a := r.do(tt.method, tt.path, nil)
		if a.status != tt.status || tt.message != "" && a.error(t).Message != tt.message {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, a.status, a.body, tt.status, tt.message)
		}
	}
	var live struct{ HealthcheckRuns map[string]string }
	r.do("GET", "/status/liveness/", nil).decode(t, &live)
	if _, has := live.HealthcheckRuns["blind"]; has || len(live.HealthcheckRuns) != 4 {
		t.Errorf("probed %v, want alps, acct, sick and nossh", live.HealthcheckRuns)
	}
}

// TestChecksumUnprobed asks for checksums where no probe has had a look at the
// path.
func TestChecksumUnprobed(t *testing.T) {
	t.Parallel()
	down := false
	r := described(t, func(c *Config) {
		c.Site.Systems = append(c.Site.Systems, SystemConfig{Name: "blind", Probing: &down})
	})
	r.write("f", "x")
	r.write("a b", "x")
	for path, status := range map[string]int{"f": 200, "./f": 200, "a+b": 500, r.home + "/f": 200, r.home + "/a+b": 500, r.home + "/../../etc/f": 403} {
		want(t, r.do("GET", "/filesystem/blind/ops/checksum?path="+path, nil), status)
	}
}

// TestFilesBelongToTheirOwner keeps one user out of what another keeps to
// herself.
func TestFilesBelongToTheirOwner(t *testing.T) {
	t.Parallel()
	r := described(t)
	secret := r.write("secret", "s\n")
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, r.ops("GET", "view", secret), 200)
	r.as("bob")
	want(t, r.ops("GET", "view", secret), http.StatusForbidden)
	want(t, r.upload(filepath.Dir(secret), "planted", "x"), http.StatusForbidden)
}
