package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/store"
)

// app is what the commands share. What costs something is made when a command
// asks for it, so that help and completion touch neither network nor state.
type app struct {
	streams *console.Streams
	getenv  func(string) string
	// started is set when the command line was understood: an error before that
	// is a usage error.
	started bool

	flags     map[string]*string // of settings, by flag name
	given     func(flag string) bool
	verbose   bool
	takesOver bool // --take-over: a run whose process was on another host is nobody's
	serving   bool // what happens is news for whoever looks after a server
	logFormat choice

	catalogue *steps.Library
	limits    limiters
	log       *logSink
	logWriter io.WriteCloser
}

func newApp(streams *console.Streams, getenv func(string) string) *app {
	return &app{
		streams: streams, getenv: getenv, flags: map[string]*string{},
		given:     func(string) bool { return false },
		logFormat: newChoice("text", "json"),
		catalogue: steps.Catalogue(),
		log:       &logSink{w: streams.Err},
	}
}

// settings loads the settings, with a profile to prefer where the person named
// none.
func (a *app) settings(profile string) (*settings.Settings, error) {
	from := a.sources()
	from.Profile = profile
	s, err := settings.Load(from)
	if s != nil {
		a.streams.Secrets.Add(s.Text("client_secret"), a.getenv("AWS_SECRET_ACCESS_KEY"), a.getenv("AWS_SESSION_TOKEN"))
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sources are the flags that were given, the environment and the file.
func (a *app) sources() settings.Sources {
	flags := map[string]string{}
	for name, value := range a.flags {
		if a.given(name) {
			flags[name] = *value
		}
	}
	return settings.Sources{Flags: flags, Getenv: a.getenv}
}

// openStore opens the state directory for reading, or for owning runs when
// there is a socket.
func (a *app) openStore(s *settings.Settings, o store.Options) (*store.Store, error) {
	dir, err := s.Path("state_dir")
	if err != nil {
		return nil, err
	}
	o.Fold = a.foldSummary
	st, err := store.Open(dir, o)
	if wrong := new(fs.PathError); errors.As(err, &wrong) {
		// Not what a person named: the exit code of a missing run would mislead.
		return nil, withHint(errors.New(err.Error()), "choose another with --state-dir or FCFLOW_STATE_DIR")
	}
	if err != nil {
		return nil, err
	}
	if w := st.Warning(); w != "" {
		a.streams.Err.Println(console.Text{S: "warning: ", Style: console.Yellow}, console.Say(w))
	}
	return st, nil
}

// readStore is openStore for commands that only read, or look at a run before they
// take it.
func (a *app) readStore() (*store.Store, error) {
	s, err := a.settings("")
	if err != nil {
		return nil, err
	}
	st, err := a.openStore(s, store.Options{})
	if err == nil && a.takesOver {
		st = st.TakingOver()
	}
	return st, err
}

// logger is for operators: quiet unless something is odd or --verbose is given.
// An event is one line, whatever is in it.
func (a *app) logger() zerolog.Logger {
	if a.logWriter == nil {
		var sink io.Writer = a.log
		if a.logFormat.value == "json" {
			sink = jsonLines{a.log}
		}
		a.logWriter = a.streams.Secrets.LineWriter(sink)
	}
	level := zerolog.WarnLevel
	if a.serving {
		level = zerolog.InfoLevel
	}
	if a.verbose {
		level = zerolog.DebugLevel
	}
	var w io.Writer = a.logWriter
	if a.logFormat.value == "text" {
		w = zerolog.ConsoleWriter{
			Out: a.logWriter, NoColor: true, TimeFormat: time.TimeOnly,
			FormatMessage: func(message any) string {
				text, _ := message.(string) // nil for an event without message
				return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text)
			},
		}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// jsonLines makes JSON harmless to look at. Of what is not JSON, a terminal takes
// care like of any other text.
type jsonLines struct{ w io.Writer }

func (j jsonLines) Write(line []byte) (int, error) {
	if _, err := io.WriteString(j.w, console.EscapeJSON(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

func (a *app) closeLog() {
	if a.logWriter != nil {
		_ = a.logWriter.Close() // stderr: there is nobody left to tell
	}
}

// logSink is where log lines go: to stderr, or, while a display is drawn there,
// above it.
type logSink struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *logSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// divert sends log lines elsewhere until undo is called.
func (s *logSink) divert(w io.Writer) (undo func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.w
	s.w = w
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.w = old
	}
}

// whoami is user@host, for the record of who did something.
func whoami() string {
	name := fmt.Sprintf("uid %d", os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return name + "@" + host
}

// version is set by the linker for a release.
var version string

// releaseName is the version of the program: that of a release, of the module
// when it was installed as one, else "devel".
func releaseName() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// command finishes a command: unless it checks them itself, its arguments are
// those of its usage line, and its body runs with the context of the invocation.
func (a *app) command(c *cobra.Command, body func(c *cobra.Command, args []string) error) *cobra.Command {
	c.RunE = body
	if c.Args == nil {
		c.Args = fits
	}
	c.DisableFlagsInUseLine = true
	return c
}
