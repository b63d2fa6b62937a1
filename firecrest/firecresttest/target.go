// Package firecresttest is the conformance suite for a FirecREST v2 server:
// [Run] calls every operation of the API, with requests that succeed and
// requests that fail, through the client and, where the client would refuse to
// send them, directly. Every answer is also checked against the API's own
// description, testdata/openapi.json.
//
// What a server must do is a list of points, each shown by subtests; the
// [Report] of a run says which could not be shown, and why.
//
// The tests of this package run the suite against the embedded sandbox, and
// against a real server when these variables are set:
//
//	FCFLOW_TEST_URL            base URL of the API
//	FCFLOW_TEST_SYSTEM         system to test on
//	FCFLOW_TEST_DIR            existing directory on it, for files of the suite
//	FCFLOW_TEST_TOKEN          bearer token, or instead of it
//	FCFLOW_TEST_CLIENT_ID, FCFLOW_TEST_CLIENT_SECRET, FCFLOW_TEST_TOKEN_URL
//	FCFLOW_TEST_ACCOUNT_SYSTEM, _STREAMER_SYSTEM, _WORMHOLE_SYSTEM, _BARE_SYSTEM,
//	_SICK_SYSTEM                  more systems, see [OddSystem]
//
// On a real server the suite submits about eighty jobs of a second each, and
// asks for them as seldom as is polite, which takes ten minutes besides the time
// in the queue:
//
//	go test -run TestServer -parallel 32 -timeout 1h ./firecrest/firecresttest
package firecresttest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// Target is a server to be tested, and what the suite may use of it.
type Target struct {
	// URL is the base URL of the API.
	URL string
	// Unprefixed is the base URL without its path prefix, where the server
	// takes requests both ways. "" skips that.
	Unprefixed string
	// System is the system to test on.
	System string
	// Dir is an existing directory on the system that the user can write. The
	// suite makes one directory in it, and removes that in the end.
	Dir string
	// Tokens is where tokens come from.
	Tokens firecrest.TokenSource
	// Credentials are an account at the token endpoint. Nil skips the endpoint.
	Credentials *firecrest.ClientCredentials
	// OddTokens are tokens the server must refuse. Those left out are skipped:
	// only who can sign tokens can make them.
	OddTokens map[OddToken]string
	// OddSystems are more systems of the server, by what is odd about them. What
	// only such a system does is skipped without one.
	OddSystems map[OddSystem]string
	// Inject, if set, puts answers in place of the server's: one each for the next
	// requests that carry the correlation id, in the order given.
	Inject func(correlationID string, answers ...Injected)
	// Transport sends the requests; nil means [http.DefaultTransport].
	Transport http.RoundTripper
	// Poll says how often jobs are asked for; the defaults are for a real site.
	Poll firecrest.PollSettings
	// IngressInterval is how often the job of an upload looks for the object.
	// Default a minute, as servers have it.
	IngressInterval time.Duration
	// Patience is how long a job may take from submission to end. Default 5 min.
	Patience time.Duration
	// Differences are what this server is known to do otherwise; see
	// [KnownDifferences].
	Differences []Difference
	// Observer, if set, is told every try of every request of the client, from
	// the goroutine that sent it.
	Observer func(firecrest.RequestInfo)
}

// OddToken is what is special about a token.
type OddToken string

// All odd tokens. The last two are accepted; operations on files and jobs fail
// with the first of these.
const (
	ExpiredToken     OddToken = "expired"
	ShortToken       OddToken = "about to expire" // in less than half a minute
	NotYetValidToken OddToken = "not yet valid"
	NamelessToken    OddToken = "without a user"
	StrangerToken    OddToken = "of a user unknown to the login node"
	OtherToken       OddToken = "of another user"
)

// OddSystem is what is odd about a system.
type OddSystem string

// All odd systems. The main one stages large files in an object store and is in
// good health.
const (
	SickSystem     OddSystem = "with a scheduler and a file system that are unhealthy"
	AccountSystem  OddSystem = "whose transfers need an account"
	StreamerSystem OddSystem = "that streams large files"
	WormholeSystem OddSystem = "that sends large files through a wormhole"
	BareSystem     OddSystem = "without a method for large files"
	HastySystem    OddSystem = "whose presigned URLs expire after seconds"
	LimitedSystem  OddSystem = "whose limits let no job in"
	WaitingSystem  OddSystem = "whose transfers have to wait"
	LaggingSystem  OddSystem = "that does not know a new job for seconds"
)

// Injected is an answer in place of the server's.
type Injected struct {
	Status int
	Header http.Header
	Body   string
}

// Run tests a server and says what it could test. Subtests run in parallel and
// are named after what the server has to do.
func Run(t *testing.T, target Target) *Report {
	s := newSuite(t, target)
	report := &Report{}
	for _, group := range s.groups() {
		t.Run(group.name, func(t *testing.T) {
			for _, sub := range group.subtests {
				t.Run(sub.name, func(t *testing.T) {
					t.Parallel()
					t.Cleanup(func() { report.note(group.name+"/"+sub.name, t.Skipped(), s.reason(t)) })
					sub.run(t)
				})
			}
		})
	}
	return report
}

type group struct {
	name     string
	subtests []subtest
}

type subtest struct {
	name string
	run  func(*testing.T)
}

func (s *suite) groups() []group {
	return []group{
		{"transport", s.transport()},
		{"tokens", s.tokens()},
		{"status", s.status()},
		{"nodes", s.nodes()},
		{"health", s.health()},
		{"paths", s.paths()},
		{"listings", s.listings()},
		{"reading", s.reading()},
		{"bytes", s.bytes()},
		{"changes", s.changes()},
		{"archives", s.archives()},
		{"permissions", s.permissions()},
		{"submitting", s.submitting()},
		{"jobs", s.jobs()},
		{"transfers", s.transfers()},
		{"staging", s.staging()},
		{"peers", s.peers()},
		{"official client", s.official()},
	}
}

// suite is one run against one target.
type suite struct {
	Target
	client *firecrest.Client
	http   *http.Client // sends raw requests; checks answers like the client's
	system *firecrest.System
	dir    string // everything is made below
	count  atomic.Int64

	mu         sync.Mutex
	tokenValue string // for raw requests
	tokenFrom  time.Time
	reasons    map[string]string // why a test was skipped, by its name
}

func newSuite(t *testing.T, target Target) *suite {
	t.Helper()
	if target.Transport == nil {
		target.Transport = http.DefaultTransport
	}
	if target.Patience <= 0 {
		target.Patience = 5 * time.Minute
	}
	if target.IngressInterval <= 0 {
		target.IngressInterval = time.Minute
	}
	description, err := openDescription()
	if err != nil {
		t.Fatal(err)
	}
	watched := &checkedTransport{next: target.Transport, base: target.URL, description: description, complain: t.Errorf}
	s := &suite{Target: target, reasons: map[string]string{}}
	s.http = &http.Client{
		Transport:     watched,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.client = s.newClient(t, target.Tokens)
	if s.system, err = s.client.Status.System(t.Context(), s.System); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s-%x", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano())
	s.dir = path.Join(s.Dir, name)
	if _, err := s.client.Filesystem.Mkdir(t.Context(), s.System, s.dir, false); err != nil {
		t.Fatalf("the directory of the suite: %v", err)
	}
	t.Cleanup(func() { s.removeAll(t, name) })
	return s
}

// removeAll removes what the suite made, and looks whether it is gone.
func (s *suite) removeAll(t *testing.T, name string) {
	ctx := context.WithoutCancel(t.Context())
	if err := s.client.Filesystem.Remove(ctx, s.System, s.dir); err != nil {
		t.Errorf("the directory of the suite stays: %v", err)
		return
	}
	entries, err := s.client.Filesystem.List(ctx, s.System, s.Dir, nil)
	if err != nil {
		t.Error(err)
	}
	if slices.ContainsFunc(entries, func(e firecrest.FileEntry) bool { return e.Name == name }) {
		t.Errorf("%s was removed, yet is still listed", s.dir)
	}
}

// newClient is a client of the server that repeats nothing: the suite wants to
// see the first answer. Nil tokens means that none is sent.
func (s *suite) newClient(t *testing.T, tokens firecrest.TokenSource, more ...firecrest.Option) *firecrest.Client {
	t.Helper()
	options := []firecrest.Option{
		firecrest.WithTransport(s.http.Transport),
		firecrest.WithRetry(firecrest.RetryPolicy{MaxAttempts: 1}),
		firecrest.WithPollSettings(s.Poll),
		firecrest.WithUserAgent("fcflow-conformance"),
	}
	if tokens != nil {
		options = append(options, firecrest.WithTokenSource(tokens))
	}
	if s.Observer != nil {
		options = append(options, firecrest.WithObserver(s.Observer))
	}
	client, err := firecrest.New(s.URL, append(options, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// except skips a subtest that tests what this server is known to do otherwise.
func (s *suite) except(t *testing.T, d Difference) {
	t.Helper()
	if s.differs(d) {
		s.skip(t, string(d))
	}
}

// skip skips a test and keeps the reason for the report.
func (s *suite) skip(t *testing.T, reason string) {
	t.Helper()
	s.mu.Lock()
	s.reasons[t.Name()] = reason
	s.mu.Unlock()
	t.Skip(reason)
}

func (s *suite) reason(t *testing.T) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reasons[t.Name()]
}

// odd returns a token, or skips the test if the target cannot make such tokens.
func (s *suite) odd(t *testing.T, odd OddToken) string {
	t.Helper()
	token, ok := s.OddTokens[odd]
	if !ok {
		s.skip(t, "the target has no token that is "+string(odd))
	}
	return token
}

// oddSystem describes a system, or skips the test if the target has none such.
func (s *suite) oddSystem(t *testing.T, odd OddSystem) *firecrest.System {
	t.Helper()
	name, ok := s.OddSystems[odd]
	if !ok {
		s.skip(t, "the target has no system "+string(odd))
	}
	system, err := s.client.Status.System(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return system
}

// inject lets the next requests with a correlation id of its own be answered by
// somebody else, and returns that id.
func (s *suite) inject(t *testing.T, answers ...Injected) (correlationID string) {
	t.Helper()
	if s.Inject == nil {
		s.skip(t, "the target misbehaves only when it wants to")
	}
	correlationID = s.newID()
	s.Inject(correlationID, answers...)
	return correlationID
}

// newID returns a UUID that no other request has.
func (s *suite) newID() string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", s.count.Add(1), time.Now().UnixNano()&(1<<48-1))
}

func (s *suite) differs(d Difference) bool { return slices.Contains(s.Differences, d) }

// directory makes a directory of its own for a subtest.
func (s *suite) directory(t *testing.T) string {
	t.Helper()
	dir := fmt.Sprintf("%s/%03d", s.dir, s.count.Add(1))
	if _, err := s.client.Filesystem.Mkdir(t.Context(), s.System, dir, false); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write makes a file with one or more bytes and returns its path.
func (s *suite) write(t *testing.T, dir, name, content string) string {
	t.Helper()
	if err := s.upload(t.Context(), dir, name, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return path.Join(dir, name)
}

func (s *suite) upload(ctx context.Context, dir, name string, content []byte) error {
	return s.client.Filesystem.Upload(ctx, s.System, dir, name, bytes.NewReader(content), int64(len(content)))
}

// read returns the bytes of a file.
func (s *suite) read(t *testing.T, name string) string {
	t.Helper()
	var content bytes.Buffer
	if _, err := s.client.Filesystem.Download(t.Context(), s.System, name, &content); err != nil {
		t.Fatal(err)
	}
	return content.String()
}

// absent fails unless there is nothing at a path.
func (s *suite) absent(t *testing.T, name string) {
	t.Helper()
	_, err := s.client.Filesystem.Stat(t.Context(), s.System, name, false)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}
