package gentletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/batch"
	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a sandbox that takes any number of jobs, and the wire to it.
type site struct {
	t       *testing.T
	server  *sandbox.Server
	wire    *wire
	systems []string
	logs    string
	dir     string
	closed  atomic.Bool // no job starts
}

// newSite opens a sandbox with some systems. It must be called in a bubble.
func newSite(t *testing.T, systems ...string) *site {
	t.Helper()
	s := &site{t: t, systems: systems, logs: t.TempDir(), dir: t.TempDir()}
	none := 0
	server, err := sandbox.Open(sandbox.Config{Root: t.TempDir(), Systems: systems, Batch: func(c *batch.Config) {
		c.Runner, c.Slots, c.Interval, c.NoSync = newPayloads(), 1<<30, 10*time.Second, true
		c.Cluster = func(string) batch.Cluster {
			if s.closed.Load() {
				return batch.Cluster{MaxJobsPerUser: &none}
			}
			return batch.Cluster{}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	s.wire = &wire{handler: server.Handler(), latency: 300 * time.Millisecond}
	t.Cleanup(func() {
		time.Sleep(time.Minute) // a token may be on its way, for nobody any more
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client is one with the settings that a profile has by default.
func (s *site) client(options ...firecrest.Option) *firecrest.Client {
	s.t.Helper()
	const base = "https://site.example"
	credentials := s.server.Credentials()
	client, err := firecrest.New(base, append([]firecrest.Option{
		firecrest.WithTransport(s.wire),
		firecrest.WithTokenSource(firecrest.ClientCredentials{
			TokenURL: base + credentials.TokenPath, ClientID: credentials.ClientID, ClientSecret: firecrest.Secret(credentials.ClientSecret),
		}),
	}, options...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// process is what one life of fcflow has of its own.
type process struct {
	client  *firecrest.Client
	library *steps.Library
	engine  *engine.Engine
}

// start begins a life of fcflow.
func (s *site) start(options ...firecrest.Option) *process {
	s.t.Helper()
	p := &process{client: s.client(options...)}
	p.library = steps.New(steps.Config{Client: p.client})
	p.engine = engine.New(engine.Config{
		Library: p.library, Binder: p.library.Binder(), Watcher: p.library.Watcher(), JobsPerSystem: 1 << 20,
		LogDir: func(workflow.RunID) string { return s.logs },
	})
	return p
}

func (p *process) end() {
	p.library.Close()
	p.client.Close()
}

// job is a step that submits a job.
type job struct {
	system string
	takes  time.Duration
	exits  int
	output bool // declares one
}

// source is a workflow of jobs that do not depend on each other.
func source(list []job) []byte {
	var b bytes.Buffer
	b.WriteString("version: 1\nname: gentle\nsteps:\n")
	for i, j := range list { // in short: a workflow has at most 1 MiB
		fmt.Fprintf(&b, "- {id: j%d, uses: job, with: {system: %s, ", i, j.system)
		if j.output {
			b.WriteString(`outputs: {answer: {from: stdout, regex: 'answer=(\d+)', type: int}}, `)
		}
		fmt.Fprintf(&b, "script: \"#!/bin/sh\\n# takes %s, exits %d\\n\"}}\n", j.takes, j.exits)
	}
	return b.Bytes()
}

// load checks a workflow.
func (s *site) load(p *process, text []byte) *workflow.Workflow {
	s.t.Helper()
	w, problems := workflow.Load("gentle.yaml", text, p.library, workflow.CheckOptions{})
	if len(problems) > 0 {
		var b strings.Builder
		problems[:1].Print(&b, "gentle.yaml", text)
		s.t.Fatal(b.String())
	}
	return w
}

// create makes a run.
func (s *site) create(p *process, store workflow.Store, w *workflow.Workflow) *engine.Execution {
	s.t.Helper()
	x, err := p.engine.Create(s.t.Context(), store, w, workflow.RunCreated{
		Dir: s.dir, OutputDir: s.dir, Profile: workflow.Profile{URL: "https://site.example"}, Version: "test",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

// drive executes a run to its end, or until ctx ends for errStop.
func (s *site) drive(ctx context.Context, x *engine.Execution) {
	s.t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, 48*time.Hour, errors.New("the run does not come to its end"))
	defer cancel()
	if err := x.Drive(ctx); err != nil && !errors.Is(err, errStop) {
		s.t.Error(err)
	}
	if err := x.Close(); err != nil {
		s.t.Error(err)
	}
}

// reopen takes a run over.
func (s *site) reopen(p *process, from workflow.Store, id workflow.RunID, w *workflow.Workflow) *engine.Execution {
	s.t.Helper()
	h, err := from.Open(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	x, err := p.engine.Open(s.t.Context(), h, w, workflow.Owner{}, "test")
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

// errStop ends a process that is told to.
var errStop = errors.New("stop")
