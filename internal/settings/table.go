package settings

import "path/filepath"

// Kind says what a setting's value looks like.
type Kind string

const (
	Text     Kind = "text"
	Path     Kind = "path"
	URL      Kind = "URL"
	Duration Kind = "duration"
	Count    Kind = "number"
	Choice   Kind = "choice"
)

// Setting is the declaration of a setting. Its key is that of the configuration
// file, with a dot between a group and its member.
type Setting struct {
	Key     string
	Env     string // environment variable; "" = none
	Flag    string // flag of every command, without dashes; "" = none
	Kind    Kind
	Default string
	Choices []string // of a Choice
	Help    string
	// Global settings stand at the top of the file, the others in a profile.
	Global bool
	// Secret values have no flag, are not shown, and a file that holds one must be
	// private.
	Secret bool
	// Command values are shown without their arguments, which may hold a secret.
	Command bool

	derive func(getenv func(string) string) string // a default that is no constant
}

// profileSetting chooses the profile that the others may come from.
var profileSetting = Setting{
	Key: "profile", Env: "FCFLOW_PROFILE", Flag: "profile", Kind: Text, Global: true,
	Help: "profile of the configuration file to use",
}

// All lists every setting.
func All() []Setting {
	return []Setting{
		profileSetting,
		{Key: "state_dir", Env: "FCFLOW_STATE_DIR", Flag: "state-dir", Kind: Path, Global: true, derive: stateDir,
			Help: "directory where runs are kept"},

		{Key: "url", Env: "FIRECREST_URL", Kind: URL,
			Help: "base URL of the FirecREST service"},
		{Key: "system", Env: "FIRECREST_SYSTEM", Flag: "system", Kind: Text,
			Help: "system of steps that name none"},
		{Key: "account", Env: "FCFLOW_ACCOUNT", Kind: Text,
			Help: "account that jobs and transfers are charged to when the workflow names none"},
		{Key: "client_id", Env: "FIRECREST_CLIENT_ID", Kind: Text,
			Help: "id of the service account"},
		{Key: "client_secret", Env: "FIRECREST_CLIENT_SECRET", Kind: Text, Secret: true,
			Help: "secret of the service account"},
		{Key: "token_url", Env: "AUTH_TOKEN_URL", Kind: URL,
			Help: "token endpoint of the service account"},
		{Key: "auth_method", Env: "FIRECREST_CLIENT_AUTH_METHOD", Kind: Choice,
			Default: "client_secret_post", Choices: []string{"client_secret_post", "client_secret_basic"},
			Help: "how the account is sent to the token endpoint"},
		{Key: "token_command", Env: "FIRECREST_TOKEN_COMMAND", Kind: Text, Command: true,
			Help: "shell command that prints a token, instead of an account"},
		{Key: "ca_bundle", Env: "FCFLOW_CA_BUNDLE", Kind: Path,
			Help: "PEM file of the certificates to trust instead of the system's"},
		{Key: "verify", Kind: Choice, Default: "true", Choices: []string{"true", "false"},
			Help: "whether the certificates of servers are verified; false lets anybody in between read the token, and takes effect only with FCFLOW_INSECURE=1"},
		{Key: "remote_root", Kind: Text,
			Help: "directory on the system under which runs get their own; default <work directory>/<user>/fcflow"},
		{Key: "secrets_dir", Kind: Path,
			derive: func(getenv func(string) string) string { return filepath.Join(configDir(getenv), "secrets") },
			Help:   "directory with one private file per secret"},

		{Key: "limits.jobs", Kind: Count, Default: "200",
			Help: "jobs in the queue or running at once, per system"},
		{Key: "limits.in_flight", Kind: Count, Default: "4",
			Help: "requests in flight at once"},
		{Key: "limits.requests_per_minute", Kind: Count, Default: "0",
			Help: "requests started per minute; 0 = no limit"},
		{Key: "patience", Env: "FCFLOW_PATIENCE", Kind: Duration, Default: "30s",
			Help: "how long a new run waits for the first good answer of the service"},
		{Key: "poll.min", Kind: Duration, Default: "20s",
			Help: "pause between two looks at the queue while things change; the first ones come sooner"},
		{Key: "poll.max", Kind: Duration, Default: "5m",
			Help: "longest pause between two looks at the queue"},
	}
}
