// Package settings finds out how fcflow is to run: from flags, the environment,
// the profiles of the configuration file, and defaults, in this order. Every
// setting is declared once, in table.go, and each value knows where it came
// from.
//
// Beside a few names of its own it reads the environment of the official
// FirecREST client, so that what works with that works here.
package settings

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Value is a setting with its value and where that came from.
type Value struct {
	Setting
	Text string
	// Source reads "flag --url", "environment FIRECREST_URL", "config.yaml:12"
	// with the full path, "of the run" or "default".
	Source string
}

// Shown is the text for people and logs: a secret is only said to be set, and a
// command loses its arguments.
func (v Value) Shown() string {
	switch command, arguments, _ := strings.Cut(v.Text, " "); {
	case v.Secret && v.Text != "":
		return "(set, not shown)"
	case v.Command && arguments != "":
		return command + " … (arguments not shown)"
	}
	return v.Text
}

// Settings are the values for one invocation.
type Settings struct {
	values   map[string]Value
	profile  string
	file     string
	profiles []string
	getenv   func(string) string
}

// Sources are where settings come from.
type Sources struct {
	// Flags holds the values of flags that were given, by flag name.
	Flags  map[string]string
	Getenv func(string) string
	// Profile is that of the run the settings are for, if any: it comes before what
	// the file names.
	Profile string
	// ConfigFile is the configuration file; the default is [ConfigFile]. A file
	// that does not exist is empty.
	ConfigFile string
}

// ErrInvalid is wrapped by every error that a wrong setting causes.
var ErrInvalid = errors.New("invalid setting")

// Load reads all settings and checks each of them. Its error lists everything
// that is wrong. If only values are wrong they are returned with it, to be
// looked at; without the configuration file or the profile there is nothing.
func Load(from Sources) (*Settings, error) {
	if from.ConfigFile == "" {
		from.ConfigFile = ConfigFile(from.Getenv)
	}
	file, err := readConfig(from.ConfigFile)
	if err != nil {
		return nil, err
	}
	if from.Profile != "" {
		file.global[profileSetting.Key] = Value{Text: from.Profile, Source: "of the run"}
	}
	s := &Settings{values: map[string]Value{}, getenv: from.Getenv, file: from.ConfigFile, profiles: file.names()}
	profile := from.find(profileSetting, file.global)
	values, known := file.profiles[profile.Text]
	if profile.Text != "" && !known {
		return nil, unknownProfile(profile, from.ConfigFile, file.names())
	}
	s.profile = profile.Text
	var problems []error
	for _, setting := range All() {
		in := values
		if setting.Global {
			in = file.global
		}
		v := from.find(setting, in)
		if err := v.check(); err != nil {
			problems = append(problems, err)
		}
		s.values[setting.Key] = v
	}
	if err := s.checkLogin(); err != nil {
		problems = append(problems, err)
	}
	return s, errors.Join(problems...)
}

// find looks for a value in order of precedence.
func (from Sources) find(setting Setting, file map[string]Value) Value {
	if text, given := from.Flags[setting.Flag]; given && setting.Flag != "" {
		return Value{setting, text, "flag --" + setting.Flag}
	}
	if setting.Env != "" {
		if text := from.Getenv(setting.Env); text != "" {
			return Value{setting, text, "environment " + setting.Env}
		}
	}
	if v, given := file[setting.Key]; given {
		v.Setting = setting
		return v
	}
	text := setting.Default
	if setting.derive != nil {
		text = setting.derive(from.Getenv)
	}
	return Value{setting, text, "default"}
}

func unknownProfile(v Value, file string, names []string) error {
	hint := "the file defines no profile"
	if len(names) > 0 {
		hint = "known are " + strings.Join(names, ", ")
	}
	if near := workflow.Suggest(v.Text, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Errorf("%w: profile %q (%s) is not in %s; %s", ErrInvalid, v.Text, v.Source, file, hint)
}

// check reports a value that its kind does not allow.
func (v Value) check() error {
	if v.Text == "" {
		return nil
	}
	var err error
	switch v.Kind {
	case Duration:
		_, err = workflow.ParseDuration(v.Text)
	case Count:
		if n, e := strconv.Atoi(v.Text); e != nil || n < 0 {
			err = fmt.Errorf("%q is not a whole number from 0 on", v.Text)
		}
	case Choice:
		if !slices.Contains(v.Choices, v.Text) {
			err = fmt.Errorf("%q is none of %s", v.Text, strings.Join(v.Choices, ", "))
		}
	case URL:
		if u, e := url.Parse(v.Text); e != nil || u.Host == "" {
			err = errors.New("not a URL; write it in full, such as https://host/path")
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %s (%s): %w", ErrInvalid, v.Key, v.Source, err)
	}
	return nil
}

// checkLogin reports a login that is given in two ways, or in part.
func (s *Settings) checkLogin() error {
	command, account := s.values["token_command"], []Value{s.values["client_id"], s.values["client_secret"], s.values["token_url"]}
	var given, missing []string
	for _, v := range account {
		if v.Text != "" {
			given = append(given, fmt.Sprintf("%s (%s)", v.Key, v.Source))
		} else {
			missing = append(missing, fmt.Sprintf("%s (environment %s)", v.Key, v.Env))
		}
	}
	switch {
	case command.Text != "" && len(given) > 0:
		return fmt.Errorf("%w: token_command (%s) and %s exclude each other", ErrInvalid, command.Source, strings.Join(given, ", "))
	case len(given) > 0 && len(missing) > 0:
		return fmt.Errorf("%w: %s given, but not %s", ErrInvalid, strings.Join(given, ", "), strings.Join(missing, ", "))
	}
	return nil
}

// Profile is the name of the profile in use, "" for none.
func (s *Settings) Profile() string { return s.profile }

// File is where the configuration file was looked for.
func (s *Settings) File() string { return s.file }

// Profiles lists the profiles of the configuration file, sorted.
func (s *Settings) Profiles() []string { return s.profiles }

// Profiles lists the profiles of the configuration file of from, sorted, also
// when a setting is wrong.
func Profiles(from Sources) ([]string, error) {
	if from.ConfigFile == "" {
		from.ConfigFile = ConfigFile(from.Getenv)
	}
	file, err := readConfig(from.ConfigFile)
	return file.names(), err
}

// Value returns a setting by key; the key must be one of the table.
func (s *Settings) Value(key string) Value {
	v, known := s.values[key]
	if !known {
		panic("settings: no setting " + strconv.Quote(key))
	}
	return v
}

// Text returns the value of a setting.
func (s *Settings) Text(key string) string { return s.Value(key).Text }

// Path returns the value of a path setting, absolute; "" stays "".
func (s *Settings) Path(key string) (string, error) {
	text := s.Text(key)
	if text == "" {
		return "", nil
	}
	if rest, ok := strings.CutPrefix(text, "~/"); ok {
		home := s.getenv("HOME")
		if home == "" {
			return "", fmt.Errorf("%w: %s (%s): HOME is not set", ErrInvalid, key, s.Value(key).Source)
		}
		text = filepath.Join(home, rest)
	}
	return filepath.Abs(text)
}

// Duration returns the value of a duration setting.
func (s *Settings) Duration(key string) time.Duration {
	d, _ := workflow.ParseDuration(s.Text(key)) // checked by Load
	return d
}

// Verify reports whether the certificates of servers are verified.
func (s *Settings) Verify() bool { return s.Text("verify") != "false" }

// Count returns the value of a number setting.
func (s *Settings) Count(key string) int {
	n, _ := strconv.Atoi(s.Text(key)) // checked by Load
	return n
}

// All returns every value, in the order of the table.
func (s *Settings) All() []Value {
	var values []Value
	for _, setting := range All() {
		values = append(values, s.values[setting.Key])
	}
	return values
}

// ConfigFile is where the configuration file is looked for:
// $XDG_CONFIG_HOME/fcflow/config.yaml, else ~/.config/fcflow/config.yaml.
func ConfigFile(getenv func(string) string) string {
	return filepath.Join(configDir(getenv), "config.yaml")
}

func configDir(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "fcflow")
	}
	return filepath.Join(home(getenv), ".config", "fcflow")
}

func stateDir(getenv func(string) string) string {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "fcflow")
	}
	return filepath.Join(home(getenv), ".local", "state", "fcflow")
}

func home(getenv func(string) string) string {
	if dir := getenv("HOME"); dir != "" {
		return dir
	}
	return string(os.PathSeparator)
}
