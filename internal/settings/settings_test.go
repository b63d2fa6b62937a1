package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes a file of the given mode, whatever the umask.
func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func env(pairs ...string) func(string) string {
	m := map[string]string{"HOME": "/home/ada"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

const twoProfiles = `
profile: alps
profiles:
  alps:
    url: https://alps.example/firecrest
    system: daint
    limits: { jobs: 50 }
    poll:
      min: 30s
  test:
    url: https://test.example
    token_command: print-token
`

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), twoProfiles, 0o644)
	tests := []struct {
		name   string
		flags  map[string]string
		getenv func(string) string
		want   map[string][2]string // key → text, source
	}{
		{"file and defaults", nil, env(), map[string][2]string{
			"profile":       {"alps", file + ":2"},
			"url":           {"https://alps.example/firecrest", file + ":5"},
			"limits.jobs":   {"50", file + ":7"},
			"poll.min":      {"30s", file + ":9"},
			"poll.max":      {"5m", "default"},
			"state_dir":     {"/home/ada/.local/state/fcflow", "default"},
			"secrets_dir":   {"/home/ada/.config/fcflow/secrets", "default"},
			"token_command": {"", "default"},
		}},
		{"environment over file", nil, env("FIRECREST_URL", "https://env.example", "XDG_STATE_HOME", "/state", "FIRECREST_SYSTEM", "eiger"), map[string][2]string{
			"url":       {"https://env.example", "environment FIRECREST_URL"},
			"system":    {"eiger", "environment FIRECREST_SYSTEM"},
			"state_dir": {"/state/fcflow", "default"},
		}},
		{"flag over environment", map[string]string{"state-dir": "/flag", "profile": "test"}, env("FCFLOW_STATE_DIR", "/env", "FCFLOW_PROFILE", "alps"), map[string][2]string{
			"state_dir":     {"/flag", "flag --state-dir"},
			"profile":       {"test", "flag --profile"},
			"token_command": {"print-token", file + ":12"},
			"limits.jobs":   {"200", "default"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := Load(Sources{Flags: test.flags, Getenv: test.getenv, ConfigFile: file})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][2]string{}
			for key := range test.want {
				got[key] = [2]string{s.Text(key), s.Value(key).Source}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestProfileOfARun: it comes before what the file names, and after what a person does.
func TestProfileOfARun(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), twoProfiles, 0o644)
	for _, test := range []struct {
		flags         map[string]string
		getenv        func(string) string
		text, because string
	}{
		{nil, env(), "test", "of the run"},
		{nil, env("FCFLOW_PROFILE", "alps"), "alps", "environment FCFLOW_PROFILE"},
		{map[string]string{"profile": "alps"}, env(), "alps", "flag --profile"},
	} {
		s, err := Load(Sources{Flags: test.flags, Getenv: test.getenv, ConfigFile: file, Profile: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if v := s.Value("profile"); v.Text != test.text || v.Source != test.because || s.Profile() != test.text {
			t.Errorf("profile %s (%s), in use %s; want %s (%s)", v.Text, v.Source, s.Profile(), test.text, test.because)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, config string
		mode         os.FileMode
		getenv       func(string) string
		want         string
	}{
		{"unknown key", "profiles:\n  a:\n    ulr: x\n", 0o644, env(), `:3: unknown key "ulr"; did you mean "url"?`},
		{"unknown key at the top", "profles: {}\n", 0o644, env(), `:1: unknown key "profles"; did you mean "profiles"?`},
		{"unknown member of a group", "profiles:\n  a:\n    limits:\n      job: 3\n", 0o644, env(), `:4: unknown key "limits.job"; did you mean "limits.jobs"?`},
		{"twice", "profile: a\nprofile: b\nprofiles: {a: {}}\n", 0o644, env(), `:2: "profile" is written twice`},
		{"list for a value", "profiles:\n  a:\n    url: [x]\n", 0o644, env(), `:3: url must be a single value`},
		{"value for a mapping", "profiles: 3\n", 0o644, env(), `:1: profiles must be a mapping`},
		{"alias", "profiles:\n  a: &x {}\n  b: *x\n", 0o644, env(), `:3: profile b must be a mapping`},
		{"no YAML", "a: [\n", 0o644, env(), `config.yaml: yaml: `},
		{"unknown profile", twoProfiles, 0o644, env("FCFLOW_PROFILE", "alp"), `profile "alp" (environment FCFLOW_PROFILE) is not in`},
		{"duration", "profile: a\nprofiles:\n  a:\n    poll: {min: 20}\n", 0o644, env(), `poll.min (`},
		{"number", "profile: a\nprofiles:\n  a:\n    limits: {jobs: many}\n", 0o644, env(), `limits.jobs (`},
		{"choice", "", 0o644, env("FIRECREST_CLIENT_AUTH_METHOD", "client_secret_jwt"), `auth_method (environment FIRECREST_CLIENT_AUTH_METHOD): "client_secret_jwt" is none of`},
		{"verify", "profile: a\nprofiles: {a: {verify: maybe}}\n", 0o644, env(), `"maybe" is none of true, false`},
		{"half an account", "", 0o644, env("FIRECREST_CLIENT_ID", "me"), `but not client_secret (environment FIRECREST_CLIENT_SECRET), token_url (environment AUTH_TOKEN_URL)`},
		{"two logins", "", 0o644, env("FIRECREST_TOKEN_COMMAND", "x", "FIRECREST_CLIENT_ID", "me"), `exclude each other`},
		{"readable secret", "profiles:\n  a:\n    client_secret: hush\n", 0o640, env(), `holds a secret and others may use it (mode 0640); run: chmod 600`},
		{"writable by others", "profiles: {}\n", 0o666, env(), `may be written by others (mode 0666)`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, filepath.Join(t.TempDir(), "config.yaml"), test.config, test.mode)
			_, err := Load(Sources{Getenv: test.getenv, ConfigFile: file})
			if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, ErrInvalid) {
				t.Errorf("error = %v, want one with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Error("the error shows the secret")
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), "a: 1\nb: 2\n", 0o644)
	_, err := Load(Sources{Getenv: env(), ConfigFile: file})
	if err == nil || strings.Count(err.Error(), "unknown key") != 2 {
		t.Errorf("error = %v, want both keys", err)
	}
}

func TestPrivateConfigIsAccepted(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"),
		"profile: a\nprofiles:\n  a: {client_id: me, client_secret: hush, token_url: 'https://idp.example/token'}\n", 0o600)
	s, err := Load(Sources{Getenv: env(), ConfigFile: file})
	if err != nil || s.Text("client_secret") != "hush" {
		t.Errorf("secret %q, error %v", s.Text("client_secret"), err)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range All() {
		if s.Help == "" || s.Kind == "" || seen[s.Key] {
			t.Errorf("setting %q lacks help or kind, or is there twice", s.Key)
		}
		seen[s.Key] = true
		if s.Secret && s.Flag != "" {
			t.Errorf("secret %q has a flag: the command line is public", s.Key)
		}
		if err := (Value{Setting: s, Text: s.Default}).check(); err != nil {
			t.Errorf("default: %v", err)
		}
	}
}

// TestWrongValuesAreReturned: who looks for a mistake sees all values.
func TestWrongValuesAreReturned(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), twoProfiles, 0o644)
	s, err := Load(Sources{Getenv: env("FCFLOW_PATIENCE", "soon"), ConfigFile: file})
	if !errors.Is(err, ErrInvalid) || s == nil || s.Text("patience") != "soon" {
		t.Fatalf("%v, %v", s, err)
	}
	if diff := cmp.Diff([]string{"alps", "test"}, s.Profiles()); diff != "" || s.File() != file || s.Profile() != "alps" {
		t.Errorf("profiles of %s, in use %q (-want +got):\n%s", s.File(), s.Profile(), diff)
	}
	names, err := Profiles(Sources{Getenv: env("FCFLOW_PROFILE", "none"), ConfigFile: file})
	if diff := cmp.Diff([]string{"alps", "test"}, names); diff != "" || err != nil {
		t.Errorf("profiles: %v (-want +got):\n%s", err, diff)
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	s, err := Load(Sources{ConfigFile: filepath.Join(t.TempDir(), "none"), Getenv: env(
		"FIRECREST_TOKEN_COMMAND", "pass show hush", "FIRECREST_URL", "https://alps.example")})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"token_command": "pass … (arguments not shown)", "url": "https://alps.example", "client_secret": "", "poll.max": "5m",
	} {
		if got := s.Value(key).Shown(); got != want {
			t.Errorf("%s is shown as %q, want %q", key, got, want)
		}
	}
	secret := Value{Setting: Setting{Secret: true}, Text: "hush"}
	if got := secret.Shown(); got != "(set, not shown)" {
		t.Errorf("a secret is shown as %q", got)
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"~/runs": "/home/ada/runs", "/abs/x/..": "/abs"} {
		s, err := Load(Sources{Getenv: env("FCFLOW_STATE_DIR", given), ConfigFile: filepath.Join(t.TempDir(), "none")})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Path("state_dir"); got != want || err != nil {
			t.Errorf("Path(%q) = %q, %v; want %q", given, got, err, want)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "GOOD"), "from file\n", 0o600)
	write(t, filepath.Join(dir, "OPEN"), "readable", 0o644)
	write(t, filepath.Join(dir, "EMPTY"), "\n", 0o600)
	write(t, filepath.Join(dir, "LARGE"), strings.Repeat("x", maxSecretBytes+1), 0o600)
	config := write(t, filepath.Join(dir, "config.yaml"), "profile: a\nprofiles: {a: {secrets_dir: '"+dir+"'}}\n", 0o600)
	s, err := Load(Sources{Getenv: env("FCFLOW_SECRET_ENV", "from env"), ConfigFile: config})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, want, wantErr string }{
		{"ENV", "from env", ""},
		{"GOOD", "from file", ""},
		{"OPEN", "", "chmod 600"},
		{"EMPTY", "", "is empty"},
		{"LARGE", "", "larger than 64 KiB"},
		{"NONE", "", "set FCFLOW_SECRET_NONE or write it to"},
		{"../config.yaml", "", "no name of a secret"},
	}
	for _, test := range tests {
		got, err := s.Secret(test.name)
		if got != test.want || (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("Secret(%q) = %q, %v; want %q, error with %q", test.name, got, err, test.want, test.wantErr)
		}
	}
}

// TestOwners: a file of settings or secrets is ours or the administrator's, nobody
// else writes it, and nobody else reads a secret.
func TestOwners(t *testing.T) {
	t.Parallel()
	const me = 1000
	for _, test := range []struct {
		owner   int
		mode    os.FileMode
		private bool
		refused string
	}{
		{me, 0o600, true, ""},
		{me, 0o400, true, ""},
		{0, 0o600, true, ""},
		{me, 0o644, false, ""},
		{0, 0o644, false, ""},
		{1001, 0o600, true, "belongs to user 1001"},
		{1001, 0o600, false, "belongs to user 1001"},
		{me, 0o640, true, "chmod 600"},
		{me, 0o604, true, "chmod 600"},
		{me, 0o620, true, "chmod 600"},
		{me, 0o601, true, "chmod 600"},
		{me, 0o660, false, "chmod go-w"},
		{me, 0o606, false, "chmod go-w"},
		{0, 0o666, false, "chmod go-w"},
	} {
		err := checkMode("f", test.mode, test.owner, me, test.private)
		if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// FuzzConfig feeds the reader any text: no panic, and what it accepts holds
// known keys only.
func FuzzConfig(f *testing.F) {
	f.Add(twoProfiles)
	f.Add("profiles: &a [*a]")
	known := map[string]bool{}
	for _, s := range All() {
		known[s.Key] = !s.Global
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := reader{file: "f", config: config{global: map[string]Value{}, profiles: map[string]map[string]Value{}}}
		r.read([]byte(text))
		for _, values := range r.config.profiles {
			for key := range values {
				if !known[key] {
					t.Errorf("unknown key %q was accepted", key)
				}
			}
		}
	})
}

func TestToJSON(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"systems:\n  - { name: alps, nodes: [1, x] }\n": `{"systems":[{"name":"alps","nodes":[1,"x"]}]}`,
		`{"a": [true, null, "2s"]}`:                     `{"a":[true,null,"2s"]}`,
		"start: 2026-01-05T10:00:00Z":                   `{"start":"2026-01-05T10:00:00Z"}`,
		"1: a":                                          "",
		"a: [":                                          "",
	} {
		text, err := ToJSON([]byte(given))
		if string(text) != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("ToJSON(%q) = %s, %v; want %s", given, text, err, want)
		}
	}
}
