// Package sandbox is an embedded FirecREST v2 server: the same routes, status
// codes, envelopes, texts and headers as a real deployment, in front of a small
// batch system that runs job scripts as local processes. It exists so that
// workflows, tests and demonstrations run with no cluster.
//
// Everything it knows lives in one root directory:
//
//	lock          held by the process that serves the root
//	address       where that process listens, the admin secret and the keys of
//	              clients and of the object store; gone when nobody serves
//	site.json     systems and their description, users, client ids and secrets
//	groups.json   the files that were given to another group
//	key.json      the key that signs and verifies tokens
//	home/USER     file system "users", default work directory
//	scratch/USER  file system "scratch"
//	batch/        the job table, and a folder for each job
//	objects/      the object store of large transfers, served below /s3/
//	bin/          stand-ins for srun, squeue and the like, first in PATH of jobs
//
// The root is made with mode 0700, and what is secret in it with 0600. A sandbox
// opened again on it has the same files, jobs, objects, key, credentials and
// history, whichever way the previous process ended. Fault switches are off then.
//
// No request reads or writes files outside home and scratch, whatever its paths,
// links, archives or peers say; keys of the object store are text, never paths.
// Job scripts, and the commands that are attached to them, are ordinary processes
// and run with the rights of whoever started the sandbox. It runs two more
// programs, if they are asked for and there: xz or bzip2, which see bytes only,
// and wormhole, which sees a copy of one file in a folder of the job.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
	"github.com/fcflow/fcflow/sandbox/objects"
)

// DefaultRelease is the FirecREST release the sandbox reports and imitates.
const DefaultRelease = "2.5.6"

// TokenPath is the path of the OAuth2 token endpoint below the base URL.
const TokenPath = "/sandbox/token"

// StorePath is the path of the object store below the base URL without prefix.
const StorePath = "/s3"

// Config says what to serve. Only Root is required.
type Config struct {
	Root    string   // directory of the state; created with mode 0700
	Systems []string // added to the systems the root already has; "sandbox" if there are none
	// Release is the one to imitate, of those of [Releases]. By default it is
	// DefaultRelease with two parameters that job lists got in the next: name and
	// time_window.
	Release string
	Prefix  string // path prefix accepted besides the bare paths, such as "/hpc/firecrest"

	TokenLifetime  time.Duration // of tokens the sandbox issues; default 5 minutes
	TokenAlgorithm string        // ES256 (default), RS256 or HS256; only used when the root has no key yet
	MaxOpsFileSize int64         // bytes of an upload and of any command's output; default 5 MiB
	CommandTimeout time.Duration // a file operation that takes longer answers 408; default 5 s
	Slots          int           // jobs that run at once; 0 = the default of the batch system

	// Site, if set, describes the imitated site, now and whenever the root is
	// opened without a description. Without any the site is open: it has the
	// systems that were asked for, and takes every account, partition and
	// reservation.
	Site *SiteConfig
	// Scheduler of the systems of an open site: slurm (default) or pbs.
	Scheduler string

	// Admit, if set, sees every submission and may refuse it with a
	// *batch.RejectedError, as the limits of a site do.
	Admit func(*batch.Spec) error

	// Batch, if set, may change how the batch system is made: tests in virtual
	// time give it a Runner without processes.
	Batch func(*batch.Config)

	Logger *slog.Logger // default: discard

	// Fault, if set, is asked before every routed request is handled; see Fault.
	Fault func(op string, r *http.Request) *Fault
	// Faults are the fault switches that are on from the start, such as
	// "drop-submit=0.5"; see SetFaults. FaultSeed makes their chance repeatable; 0
	// takes a new seed.
	Faults    []string
	FaultSeed uint64
	// Observe, if set, is told every answer given to a routed request. op is the
	// route's name, such as "POST /compute/{system_name}/jobs".
	Observe func(op string, status int)
	// StoreFault and StoreObserve are the same for requests to the object store.
	StoreFault   func(op string, r *http.Request) *objects.Fault
	StoreObserve func(op string, status int)
}

// Credentials are what a client needs to get a token, and to use the object
// store.
type Credentials struct {
	ClientID     string
	ClientSecret string
	TokenPath    string // below the base URL

	// Keys of the object store, which open every bucket. Users have one each,
	// of their name.
	AccessKey, SecretKey string
}

// Server is an open sandbox. It is safe for concurrent use.
type Server struct {
	cfg     Config
	log     *slog.Logger
	lock    *rootLock
	site    *site
	key     *signingKey
	users   userTable
	volumes *volumes
	jobs    *batch.Table
	objects *objects.Store
	router  router
	release release
	faults  faultSet
	opened  time.Time

	mu      sync.Mutex
	servers []*http.Server
	closed  bool
}

// ErrLocked is returned by Open when another process serves the root.
var ErrLocked = errors.New("sandbox root is served by another process")

// Open takes the root's lock, makes what is missing in the root and picks up
// the jobs that ran while no sandbox was open. Nothing listens yet.
func Open(cfg Config) (*Server, error) { return open(cfg, lockPatience) }

func open(cfg Config, patience time.Duration) (*Server, error) {
	cfg = cfg.withDefaults()
	root, err := makeRoot(cfg.Root)
	if err != nil {
		return nil, err
	}
	cfg.Root = root
	lock, err := lockRoot(root, patience)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Logger, lock: lock, opened: time.Now()}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (cfg Config) withDefaults() Config {
	if cfg.TokenLifetime <= 0 {
		cfg.TokenLifetime = 5 * time.Minute
	}
	if cfg.TokenAlgorithm == "" {
		cfg.TokenAlgorithm = "ES256"
	}
	if cfg.MaxOpsFileSize <= 0 {
		cfg.MaxOpsFileSize = 5 << 20
	}
	if cfg.CommandTimeout <= 0 {
		cfg.CommandTimeout = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Prefix = "/" + strings.Trim(cfg.Prefix, "/")
	return cfg
}

func (s *Server) load() (err error) {
	root := s.cfg.Root
	if s.release, err = findRelease(s.cfg.Release); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	s.router = newRouter(s.release.routes(operations))
	if err := s.SetFaults(s.cfg.FaultSeed, s.cfg.Faults...); err != nil {
		return err
	}
	if err := forgetAddress(root); err != nil { // of a process that died
		return err
	}
	if s.site, err = openSite(root, s.cfg); err != nil {
		return err
	}
	s.site.release = s.release
	s.users = s.site.users()
	if s.key, err = openKey(filepath.Join(root, "key.json"), s.cfg.TokenAlgorithm); err != nil {
		return err
	}
	if s.volumes, err = openVolumes(root, s.users); err != nil {
		return err
	}
	if s.objects, err = objects.Open(objects.Config{
		Dir: filepath.Join(root, "objects"), Path: StorePath,
		Fault: s.storeFault, Observe: s.cfg.StoreObserve,
	}); err != nil {
		return err
	}
	for _, u := range s.users {
		if err := s.makeBucket(u.name); err != nil {
			return err
		}
	}
	config := batch.Config{
		Dir:      filepath.Join(root, "batch"),
		Runner:   batch.ProcessRunner{Roots: s.volumes.paths()},
		Builtins: s.builtins(),
		Slots:    s.cfg.Slots,
		Bin:      filepath.Join(root, "bin"),
		UID:      s.users.uid,
		Home:     s.volumes.home,
		Cluster:  s.cluster,
		Admit:    s.admitJob,
		Doom:     s.doom,
	}
	if s.cfg.Batch != nil {
		s.cfg.Batch(&config)
	}
	s.jobs, err = batch.Open(config)
	return err
}

// Handler serves the whole API, the token endpoint, the admin routes and the
// object store.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, StorePath+"/") {
			s.objects.ServeHTTP(w, r)
			return
		}
		s.serve(w, r)
	})
}

// Serve answers requests on l until Close. It refuses a listener that other
// machines can reach: who can submit a job can run any program as this user.
func (s *Server) Serve(l net.Listener) error {
	if !isLoopback(l.Addr().String()) {
		return fmt.Errorf("sandbox: %s is not a loopback address", l.Addr())
	}
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.servers = append(s.servers, srv)
	err := writeJSON(addressFile(s.cfg.Root), s.address(l.Addr().String()))
	s.mu.Unlock()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sandbox: serve %s: %w", l.Addr(), err)
	}
	return nil
}

// Close lets requests in flight finish for up to two seconds and gives up the
// lock. Running jobs keep running.
func (s *Server) Close() error {
	s.mu.Lock()
	servers, done := s.servers, s.closed
	s.servers, s.closed = nil, true
	s.mu.Unlock()
	if done {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	errs := []error{forgetAddress(s.cfg.Root)}
	for _, srv := range servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
	}
	if s.jobs != nil {
		errs = append(errs, s.jobs.Close())
	}
	if s.volumes != nil {
		errs = append(errs, s.volumes.close())
	}
	return errors.Join(append(errs, s.lock.release())...)
}

// Credentials of the client of the default user, the first of the site. They
// survive restarts.
func (s *Server) Credentials() Credentials {
	first := s.site.people()[0]
	store := s.objects.Credentials()
	return Credentials{
		ClientID: first.ClientID, ClientSecret: first.ClientSecret, TokenPath: TokenPath,
		AccessKey: store.AccessKey, SecretKey: store.SecretKey,
	}
}

// ObjectStore is the store of large transfers. Its users' buckets are made when
// they are first needed; more can be made.
func (s *Server) ObjectStore() *objects.Store { return s.objects }

// Root is the absolute path of the state directory, links resolved.
func (s *Server) Root() string { return s.cfg.Root }

// Systems are the names of the systems, in the order in which clients see them.
func (s *Server) Systems() []string { return s.site.systems() }

// AddSystems makes more systems known to an open site, now and after a restart.
// A system it already has is left alone. A site with a description stays as it
// is described.
func (s *Server) AddSystems(names ...string) error { return s.site.addSystems(names) }

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
