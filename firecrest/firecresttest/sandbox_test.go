package firecresttest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/firecresttest"
	"github.com/fcflow/fcflow/sandbox"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const system = "alps"

// quickPolls suit jobs that take milliseconds.
var quickPolls = firecrest.PollSettings{
	First: []time.Duration{10 * time.Millisecond}, Min: 20 * time.Millisecond, Max: 40 * time.Millisecond,
}

// served is a sandbox behind a real listener.
type served struct {
	*sandbox.Server
	url       string // of the server, without the prefix of the API
	transport *http.Transport
	home      string
}

// serve opens a sandbox. Without Config.Root it has a directory of its own.
func serve(t *testing.T, cfg sandbox.Config) served {
	t.Helper()
	if cfg.Root == "" {
		cfg.Root = t.TempDir()
	}
	if cfg.Site == nil {
		cfg.Systems = []string{system}
	}
	srv, err := sandbox.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(srv.Handler())
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		listening.Close()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	user := "demo"
	if cfg.Site != nil {
		user = cfg.Site.Users[0].Name
	}
	return served{srv, listening.URL, transport, filepath.Join(srv.Root(), "home", user)}
}

func (s served) credentials() firecrest.ClientCredentials {
	c := s.Credentials()
	return firecrest.ClientCredentials{
		TokenURL: s.url + c.TokenPath, ClientID: c.ClientID, ClientSecret: firecrest.Secret(c.ClientSecret), HTTP: s.transport,
	}
}

// token signs a token with the key in the sandbox's root, which must be a
// shared secret. Lifetime is from now.
func (s served) token(t *testing.T, user string, lifetime time.Duration, claims map[string]any) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(s.Root(), "key.json"))
	if err != nil {
		t.Fatal(err)
	}
	var key struct {
		Alg, Kid string
		Key      []byte
	}
	if err := json.Unmarshal(file, &key); err != nil || key.Alg != "HS256" {
		t.Fatalf("key %s: %v", key.Alg, err)
	}
	all := map[string]any{"exp": time.Now().Add(lifetime).Unix()}
	if user != "" {
		all["preferred_username"] = user
	}
	for name, value := range claims {
		all[name] = value
	}
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := encode(map[string]string{"alg": key.Alg, "kid": key.Kid}) + "." + encode(all)
	mac := hmac.New(sha256.New, key.Key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// fixture is the site that the suite is run on.
func fixture(t *testing.T) *sandbox.SiteConfig {
	t.Helper()
	text, err := os.ReadFile("testdata/site.json")
	if err != nil {
		t.Fatal(err)
	}
	site, err := sandbox.ParseSite(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range site.Systems {
		site.Systems[i].Transfer.PortRange = freePorts(t, 8)
	}
	return site
}

// freePorts is a range of ports of which the first was free a moment ago.
func freePorts(t *testing.T, n int) [2]int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := min(l.Addr().(*net.TCPAddr).Port, 65536-n)
	return [2]int{first, first + n - 1}
}

// interference answers requests in place of the sandbox, by correlation id.
type interference struct {
	mu      sync.Mutex
	answers map[string][]firecresttest.Injected
}

func (in *interference) put(correlationID string, answers ...firecresttest.Injected) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.answers == nil {
		in.answers = map[string][]firecresttest.Injected{}
	}
	in.answers[correlationID] = answers
}

func (in *interference) fault(_ string, r *http.Request) *sandbox.Fault {
	in.mu.Lock()
	defer in.mu.Unlock()
	id := r.Header.Get("X-Correlation-ID")
	list := in.answers[id]
	if len(list) == 0 {
		return nil
	}
	in.answers[id] = list[1:]
	return &sandbox.Fault{Status: list[0].Status, Header: list[0].Header, Body: list[0].Body}
}

// TestOperationsOnSandbox runs the whole suite against the sandbox. Thereafter
// every point is shown and every operation of the API has been answered well and
// with an error, as the sandbox saw it and as the client did.
func TestOperationsOnSandbox(t *testing.T) {
	t.Parallel()
	operations, err := firecresttest.Operations("..")
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "/hpc/firecrest"
	var server, client firecresttest.Coverage
	var injected interference
	s := serve(t, sandbox.Config{
		Site: fixture(t), Prefix: prefix, TokenAlgorithm: "HS256", Observe: server.Answer, Fault: injected.fault,
	})
	target := sandboxTarget(t, s, &injected)
	target.URL, target.Unprefixed, target.Observer = s.url+prefix, s.url, client.Request
	var report *firecresttest.Report
	t.Run("suite", func(t *testing.T) { report = firecresttest.Run(t, target) })

	if pattern := flag.Lookup("test.run").Value.String(); strings.Contains(pattern, "/") {
		t.Skip("only a part of the suite was run")
	}
	for _, line := range append(report.Unshown(), report.Skipped()...) {
		t.Error(line)
	}
	for _, gap := range server.Gaps(operations) {
		t.Errorf("the sandbox gave to %s", gap)
	}
	for _, gap := range client.Gaps(operations) {
		t.Errorf("the client saw of %s", gap)
	}
}

// sandboxTarget is a sandbox that serves the site of the suite.
func sandboxTarget(t *testing.T, s served, injected *interference) firecresttest.Target {
	t.Helper()
	credentials := s.credentials()
	target := firecresttest.Target{
		URL: s.url, System: system, Dir: s.home,
		Tokens:      firecrest.StaticToken(s.token(t, "alice", time.Hour, nil)),
		Credentials: &credentials,
		OddTokens: map[firecresttest.OddToken]string{
			firecresttest.ExpiredToken:     s.token(t, "alice", -time.Minute, nil),
			firecresttest.ShortToken:       s.token(t, "alice", 20*time.Second, nil),
			firecresttest.NotYetValidToken: s.token(t, "alice", time.Hour, map[string]any{"nbf": time.Now().Add(time.Minute).Unix()}),
			firecresttest.NamelessToken:    s.token(t, "", time.Hour, nil),
			firecresttest.StrangerToken:    s.token(t, "carol", time.Hour, nil),
			firecresttest.OtherToken:       s.token(t, "bob", time.Hour, nil),
		},
		OddSystems: map[firecresttest.OddSystem]string{
			firecresttest.SickSystem:     "sick",
			firecresttest.AccountSystem:  "acct",
			firecresttest.StreamerSystem: "strm",
			firecresttest.WormholeSystem: "worm",
			firecresttest.BareSystem:     "nodt",
			firecresttest.HastySystem:    "hasty",
			firecresttest.LimitedSystem:  "limited",
			firecresttest.WaitingSystem:  "later",
			firecresttest.LaggingSystem:  "lag",
		},
		Inject: injected.put, IngressInterval: 100 * time.Millisecond,
		Transport: s.transport, Poll: quickPolls, Patience: 30 * time.Second,
	}
	for _, program := range []string{"bzip2", "xz"} {
		if _, err := exec.LookPath(program); err != nil {
			target.Differences = append(target.Differences, firecresttest.LacksPrograms)
		}
	}
	return target
}

// TestServer runs the suite against a real server, if one is named.
func TestServer(t *testing.T) {
	t.Parallel()
	env := func(name string) string { return os.Getenv("FCFLOW_TEST_" + name) }
	target := firecresttest.Target{URL: env("URL"), System: env("SYSTEM"), Dir: env("DIR")}
	if target.URL == "" {
		t.Skip("FCFLOW_TEST_URL is not set")
	}
	if target.System == "" || target.Dir == "" {
		t.Fatal("FCFLOW_TEST_SYSTEM and FCFLOW_TEST_DIR must be set too")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // after some errors a server closes a connection that it did not say it would close
	t.Cleanup(transport.CloseIdleConnections)
	target.Transport = transport
	if token := env("TOKEN"); token != "" {
		target.Tokens = firecrest.StaticToken(token)
	} else {
		target.Credentials = &firecrest.ClientCredentials{
			TokenURL: env("TOKEN_URL"), ClientID: env("CLIENT_ID"), ClientSecret: firecrest.Secret(env("CLIENT_SECRET")), HTTP: transport,
		}
		target.Tokens = *target.Credentials
	}
	target.OddSystems = map[firecresttest.OddSystem]string{}
	for odd, name := range map[firecresttest.OddSystem]string{
		firecresttest.AccountSystem: "ACCOUNT", firecresttest.StreamerSystem: "STREAMER", firecresttest.WormholeSystem: "WORMHOLE",
		firecresttest.BareSystem: "BARE", firecresttest.SickSystem: "SICK",
	} {
		if system := env(name + "_SYSTEM"); system != "" {
			target.OddSystems[odd] = system
		}
	}
	target.Differences = append(firecresttest.KnownDifferences(describe(t, target)), firecresttest.SwallowsEnds)
	for _, line := range firecresttest.Run(t, target).Unshown() {
		t.Log(line)
	}
}

// describe asks the server for its release and the system to test on.
func describe(t *testing.T, target firecresttest.Target) (release string, system *firecrest.System) {
	t.Helper()
	client, err := firecrest.New(target.URL, firecrest.WithTokenSource(target.Tokens), firecrest.WithTransport(target.Transport))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if system, err = client.Status.System(t.Context(), target.System); err != nil {
		t.Fatal(err)
	}
	return client.ServerVersion(), system
}
