package firecresttest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	cfg.Systems = []string{system}
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
	return served{srv, listening.URL, transport, filepath.Join(srv.Root(), "home", "demo")}
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

// TestOperationsOnSandbox runs the suite against the sandbox. Thereafter every
// operation that a method of the client is for has been answered well and with
// an error, as the sandbox saw it and as the client did.
func TestOperationsOnSandbox(t *testing.T) {
	t.Parallel()
	operations, err := firecresttest.Operations("..")
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "/hpc/firecrest"
	var server, client firecresttest.Coverage
	s := serve(t, sandbox.Config{Prefix: prefix, TokenAlgorithm: "HS256", Observe: server.Answer})
	credentials := s.credentials()
	target := firecresttest.Target{
		URL: s.url + prefix, Unprefixed: s.url, System: system, Dir: s.home,
		Tokens:      firecrest.StaticToken(s.token(t, "demo", time.Hour, nil)),
		Credentials: &credentials,
		OddTokens: map[firecresttest.OddToken]string{
			firecresttest.ExpiredToken:     s.token(t, "demo", -time.Minute, nil),
			firecresttest.ShortToken:       s.token(t, "demo", 20*time.Second, nil),
			firecresttest.NotYetValidToken: s.token(t, "demo", time.Hour, map[string]any{"nbf": time.Now().Add(time.Minute).Unix()}),
			firecresttest.NamelessToken:    s.token(t, "", time.Hour, nil),
			firecresttest.StrangerToken:    s.token(t, "stranger", time.Hour, nil),
		},
		Transport: s.transport, Poll: quickPolls, Patience: 30 * time.Second, Observer: client.Request,
	}
	for _, program := range []string{"bzip2", "xz"} {
		if _, err := exec.LookPath(program); err != nil {
			target.Differences = append(target.Differences, firecresttest.LacksPrograms)
		}
	}
	t.Run("suite", func(t *testing.T) { firecresttest.Run(t, target) })

	if pattern := flag.Lookup("test.run").Value.String(); strings.Contains(pattern, "/") {
		t.Skip("only a part of the suite was run")
	}
	for _, gap := range server.Gaps(operations) {
		t.Errorf("the sandbox gave to %s", gap)
	}
	for _, gap := range client.Gaps(operations) {
		t.Errorf("the client saw of %s", gap)
	}
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
	target.Differences = differences(t, target)
	firecresttest.Run(t, target)
}

// differences asks the server what it is.
func differences(t *testing.T, target firecresttest.Target) []firecresttest.Difference {
	t.Helper()
	client, err := firecrest.New(target.URL, firecrest.WithTokenSource(target.Tokens), firecrest.WithTransport(target.Transport))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	system, err := client.Status.System(t.Context(), target.System)
	if err != nil {
		t.Fatal(err)
	}
	return firecresttest.KnownDifferences(client.ServerVersion(), system)
}
