package steps

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// types are the step types, described once: that takes longer than all else at
// the start of a command.
var types = sync.OnceValue(allTypes)

// allTypes is the one list of step types, in the order of the documentation.
func allTypes() []stepType {
	return []stepType{
		liveness(), systems(), nodes(), reservations(), partitions(), userinfo(), serverVersion(),
		listFiles(), stat(), mkdir(), symlink(), view(), head(), tail(), checksum(), typeOfFile(), chmod(), chown(), compress(), extract(), mv(), cp(), rm(),
		upload(), download(),
		s3Get(), s3Put(), s3List(),
		job(), submit(), waitForJob(), jobInfo(), jobMetadata(), cancelJob(), attachToJob(),
		run(), sleep(), waitForFile(), assert(), httpRequest(), notify(), approve(), subWorkflow(),
	}
}

// Config is what executing step types needs.
type Config struct {
	// Client speaks to the FirecREST service of the run.
	Client *firecrest.Client
	// RemoteRoot is the directory below which runs keep their remote files; ""
	// means fcflow in the user's directory of the file system that holds the
	// default working directories.
	RemoteRoot string
	// Account is charged for jobs that name none; "" = the scheduler's default.
	Account string
	// Poll says how often jobs are asked for.
	Poll firecrest.PollSettings
	// Fence says how patient to be where the fate of a job is not known.
	Fence FenceSettings
	// ObjectStore is the one that steps work on when they name none, as in a
	// sandbox; nil means what the environment says.
	ObjectStore *datatransfer.StoreConfig
	// Transfer says how files are moved. Its Poller is not used.
	Transfer datatransfer.Settings
	// RootCAs are trusted by steps that ask addresses on the web; nil means those of
	// this machine.
	RootCAs *x509.CertPool
	// Pause is how long a step waits before it tries again while the service is
	// in trouble; it doubles each time, up to thirty times as long. When a limit
	// on jobs is reached, all of it is longer. Default 10 s.
	Pause time.Duration
}

// Library is the list of step types. It is a workflow.Catalogue and an
// engine.Library.
type Library struct {
	config   Config
	list     []*engine.Step
	byName   map[string]*engine.Step
	outages  backoff // while the service is in trouble
	limits   backoff // while a limit on jobs is reached
	fence    FenceSettings
	jobs     *jobWatcher
	parts    readings[*listing] // of control directories
	jobLists readings[*jobList]
	stores   objectStores
	files    *fileWatcher
	web      *http.Client // for addresses that workflows name
	mover    *datatransfer.Mover

	killGrace time.Duration // see killGrace

	systems readings[*systemList] // as the service told, once per process

	mu    sync.Mutex
	lives map[string]time.Time // when this process first met an owner of a run
}

// Catalogue returns the step types without the means to execute them: for
// checking, for the schema, for documentation.
func Catalogue() *Library {
	l := &Library{byName: map[string]*engine.Step{}}
	for _, t := range types() {
		l.add(&engine.Step{StepSpec: t.StepSpec})
	}
	return l
}

// New returns the step types, executable. Close it in the end.
func New(config Config) *Library {
	pause := cmp.Or(config.Pause, 10*time.Second)
	l := &Library{
		config: config, byName: map[string]*engine.Step{}, jobs: newJobWatcher(config),
		fence: config.Fence.withDefaults(), lives: map[string]time.Time{}, files: newFileWatcher(config.Poll), web: newWeb(config.RootCAs),
		outages: backoff{pause, 30 * pause}, limits: backoff{6 * pause, 60 * pause}, killGrace: killGrace,
	}
	if config.Client != nil {
		settings := config.Transfer
		settings.Poller = l.jobs.poller
		l.mover = datatransfer.New(config.Client, settings)
	}
	for _, t := range types() {
		step := &engine.Step{StepSpec: t.StepSpec}
		if t.run != nil {
			step.Run = func(ctx context.Context, inv *engine.Invocation, with any) engine.Outcome {
				c := &call{Invocation: inv, library: l, name: t.Name}
				defer c.maskPanic()
				ctx = firecrest.WithTrace(ctx, func(r firecrest.RequestInfo) { inv.Requested(r.Operation) })
				out := t.run(ctx, c, with)
				if len(c.Secrets) > 0 {
					out = out.Masked(c.secrets().Redact)
				}
				return out
			}
		}
		l.add(step)
	}
	return l
}

func (l *Library) add(step *engine.Step) {
	l.list = append(l.list, step)
	l.byName[step.Name] = step
}

// Lookup implements engine.Library.
func (l *Library) Lookup(uses string) (*engine.Step, bool) {
	step, ok := l.byName[uses]
	return step, ok
}

// Step implements workflow.Catalogue.
func (l *Library) Step(uses string) (workflow.StepSpec, bool) {
	step, ok := l.byName[uses]
	if !ok {
		return workflow.StepSpec{}, false
	}
	return step.StepSpec, true
}

// Names lists the step types, sorted.
func (l *Library) Names() []string {
	var names []string
	for _, step := range l.list {
		names = append(names, step.Name)
	}
	slices.Sort(names)
	return names
}

// All lists the step types in the order of the documentation: by group, the
// everyday ones first.
func (l *Library) All() []workflow.StepSpec {
	var specs []workflow.StepSpec
	for _, step := range l.list {
		specs = append(specs, step.StepSpec)
	}
	return specs
}

// Watcher tells the engine when jobs and files have news.
func (l *Library) Watcher() engine.Watcher { return watcher{l} }

// PollIntervals says how long it is between two looks at the jobs of each system
// on which somebody waits for some.
func (l *Library) PollIntervals() map[string]time.Duration { return l.jobs.intervals() }

// Binder prepares systems for runs.
func (l *Library) Binder() engine.Binder { return binder{l} }

// Close ends the watching of jobs and files and all connections.
func (l *Library) Close() {
	if l.jobs != nil {
		l.jobs.close()
		l.files.close()
		l.web.CloseIdleConnections()
	}
	l.stores.close()
	if l.mover != nil {
		l.mover.Close()
	}
}

// since is when this process first met a run under one of its owners. What is
// read of the system from then on shows what the owners before have done.
func (l *Library) since(run workflow.RunID, epoch int64) time.Time {
	key := fmt.Sprintf("%s %d", run, epoch)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, met := l.lives[key]; !met {
		l.lives[key] = time.Now()
	}
	return l.lives[key]
}

// backoff is how long to wait before trying something again.
type backoff struct{ first, longest time.Duration }

// after returns the pause after the n-th failure, from 1.
func (b backoff) after(n int) time.Duration {
	return min(b.longest, b.first<<min(n-1, 20))
}
