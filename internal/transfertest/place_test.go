package transfertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/workflow"
)

// patience is how long a transfer may take. None should come near it.
const patience = 2 * time.Minute

// label is the header that says which transfer a request belongs to.
const label = "Transfer"

// place is where a transfer is carried out: all that a process must know.
type place struct {
	URL, TokenURL          string
	ClientID, ClientSecret string
	System                 string
	Remote                 string // directory of the transfer on the system
	Local                  string // directory of the transfer here
}

func (p place) source() string  { return filepath.Join(p.Local, "source") }
func (p place) output() string  { return filepath.Join(p.Local, "output") }
func (p place) private() string { return filepath.Join(p.Local, "private") }
func (p place) state() string   { return filepath.Join(p.Local, "state") }

// labelled sends requests with the label.
type labelled struct {
	name string
	next http.RoundTripper
}

func (l labelled) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(label, l.name)
	return l.next.RoundTrip(r)
}

// with are the inputs of the step.
func (p place) with(t transfer) map[string]any {
	with := map[string]any{"from": t.from(p.source()), "to": path.Join(p.Remote, "target")}
	if t.down {
		with = map[string]any{"from": t.from(path.Join(p.Remote, "source")), "to": "target"}
	}
	switch t.shape {
	case file:
		with["to"] = with["to"].(string) + "/data.bin"
	case tree:
		with["to"] = with["to"].(string) + "/"
	}
	if t.occupied {
		with["on_exists"] = "replace"
	}
	return with
}

// workflow has the transfer for its only step. from may be an expression of the
// input "path".
func (p place) workflow(t transfer, with map[string]any, catalogue workflow.Catalogue) (*workflow.Workflow, error) {
	inputs, err := json.Marshal(with)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("version: 1\nname: %s\ninputs:\n  path: { type: string, default: none }\nsteps:\n  - { id: move, uses: %s, max_attempts: %d, with: %s }\n",
		t.id(), t.uses(), t.attempts, inputs)
	w, problems := workflow.Load("transfer.yaml", []byte(text), catalogue, workflow.CheckOptions{DefaultSystem: p.System})
	if len(problems) > 0 {
		var b strings.Builder
		problems.Print(&b, "transfer.yaml", []byte(text))
		return nil, errors.New(b.String())
	}
	return w, nil
}

// library has the step types, at a quick pace.
func (p place) library(name string, transport http.RoundTripper) (library *steps.Library, closeAll func(), err error) {
	client, err := firecrest.New(p.URL,
		firecrest.WithTransport(labelled{name, transport}),
		firecrest.WithTokenSource(firecrest.ClientCredentials{
			TokenURL: p.TokenURL, ClientID: p.ClientID, ClientSecret: firecrest.Secret(p.ClientSecret),
		}),
		firecrest.WithRetry(firecrest.RetryPolicy{MaxAttempts: 3, Base: 5 * time.Millisecond}))
	if err != nil {
		return nil, nil, err
	}
	library = steps.New(steps.Config{
		Client: client, RemoteRoot: path.Join(p.Remote, "runs"), Pause: 20 * time.Millisecond,
		Poll: firecrest.PollSettings{
			First: []time.Duration{20 * time.Millisecond}, Min: 40 * time.Millisecond, Max: 80 * time.Millisecond,
			LookupEvery: 100 * time.Millisecond, LookupsPerMinute: 6000, Grace: time.Second,
		},
		Transfer: datatransfer.Settings{
			Connections: 3, Tries: 3, Backoff: 2 * time.Millisecond, Stall: 10 * time.Second, Flush: 5 * time.Millisecond, Chunk: 37_000,
		},
	})
	return library, func() { library.Close(); client.Close() }, nil
}

// carryOut begins the transfer, or goes on with it if the store has a run, and
// returns when it is over. input is that of the workflow.
func (p place) carryOut(ctx context.Context, w *workflow.Workflow, input string, library *steps.Library, runs workflow.Store) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it takes too long"))
	defer cancel()
	e := engine.New(engine.Config{
		Library: library, Binder: library.Binder(), Watcher: library.Watcher(), Patience: -1,
		LogDir:     func(workflow.RunID) string { return filepath.Join(p.Local, "logs") },
		PrivateDir: func(workflow.RunID) string { return p.private() },
	})
	ids, err := runs.List(ctx)
	if err != nil {
		return err
	}
	var x *engine.Execution
	if len(ids) == 0 {
		inputs, problems := w.BindInputs(map[string]string{"path": input}, workflow.BindOptions{WorkflowDir: p.Local, CallerDir: p.Local})
		if len(problems) > 0 {
			return fmt.Errorf("%v", problems)
		}
		x, err = e.Create(ctx, runs, w, workflow.RunCreated{
			Dir: p.Local, OutputDir: p.output(), Profile: workflow.Profile{System: p.System}, Version: "test", Inputs: inputs,
		})
	} else {
		var h workflow.History
		if h, err = runs.Open(ctx, ids[0]); err == nil {
			x, err = e.Open(ctx, h, w, workflow.Owner{Host: "test"}, "test")
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(x.Drive(ctx), x.Close())
}

// ending is how a transfer came out.
type ending struct {
	State    workflow.State
	Cause    workflow.Cause
	Message  string
	Attempts int
	Outputs  map[string]any
}

// endingOf reads the ending from the only run of a store.
func endingOf(ctx context.Context, w *workflow.Workflow, runs workflow.Store) (ending, error) {
	ids, err := runs.List(ctx)
	if err != nil || len(ids) != 1 {
		return ending{}, fmt.Errorf("%d runs: %w", len(ids), err)
	}
	h, err := runs.Open(ctx, ids[0])
	if err != nil {
		return ending{}, err
	}
	defer h.Close()
	run, err := engine.Fold(ctx, w, h)
	if err != nil {
		return ending{}, err
	}
	u := run.Steps[0].Units[0]
	end := ending{State: u.State, Cause: u.Cause, Message: u.Message, Attempts: len(u.Attempts)}
	text, err := u.Outputs.Load(func(digest string) ([]byte, error) { return h.Blob(ctx, digest) })
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &end.Outputs)
	}
	return end, err
}

func (e ending) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s (%d attempts)", e.State, e.Cause, e.Message, e.Attempts))
}
