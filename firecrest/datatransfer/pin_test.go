package datatransfer

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/netguard"
)

// far is a mover for a service that is not on this machine.
func far(t *testing.T) *Mover {
	t.Helper()
	client, err := firecrest.New("https://api.example.org/firecrest/v2")
	if err != nil {
		t.Fatal(err)
	}
	m := New(client, Settings{Backoff: time.Millisecond})
	t.Cleanup(m.Close)
	t.Cleanup(client.Close)
	return m
}

const signed = "/b/k?X-Amz-Signature=t0psecret"

// TestStoreIsPinned: files go to the host that the service names as the system's
// object store, or, where it names none, to the one it used first.
func TestStoreIsPinned(t *testing.T) {
	t.Parallel()
	m := far(t)
	m.note(&firecrest.System{Name: "Daint", Transfer: &firecrest.Transfer{StoreURL: "https://S3.example.org"}})
	m.note(&firecrest.System{Name: "eiger", Transfer: &firecrest.Transfer{StoreURL: "**********"}})
	for _, test := range []struct {
		system, address string
		allowed         bool
	}{
		{"daint", "https://s3.example.org", true},
		{"daint", "https://s3.example.org:443", true},
		{"daint", "https://bucket.s3.example.org", true},
		{"DAINT", "https://s3.EXAMPLE.org.", true},
		{"daint", "https://s3.example.org:8443", false},
		{"daint", "https://s3.example.org.evil.example", false},
		{"daint", "https://evils3.example.org", false},
		{"daint", "https://evil.example", false},
		{"eiger", "https://store.example.org", true},
		{"eiger", "https://store.example.org:443", true},
		{"eiger", "https://evil.example", false},
		{"eiger", "https://store.example.org", true},
		{"santis", "https://evil.example", true}, // another system has another store
	} {
		_, err := m.link(test.system, firecrest.Secret(test.address+signed))
		if (err == nil) != test.allowed {
			t.Errorf("%s to %s: %v, want allowed %v", test.system, test.address, err, test.allowed)
		}
		if err != nil && strings.Contains(err.Error(), "t0psecret") {
			t.Errorf("the error shows the address: %v", err)
		}
	}
}

// TestAddressesOfAServer: a service elsewhere cannot have us ask hosts of this
// machine or its network's metadata service, or send a file unencrypted.
func TestAddressesOfAServer(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"https://127.0.0.1", "https://localhost", "https://x.localhost", "https://[::1]", "https://[::ffff:127.0.0.1]",
		"https://169.254.169.254", "https://2130706433", "https://0x7f.1", "https://017700000001", "https://127.1", "https://0",
		"https://[fe80::1]", "https://[fd00:ec2::254]", "https://metadata.google.internal",
		"http://127.0.0.1", "http://localhost:9000", "http://s3.example.org", "ftp://s3.example.org", "file:///etc/passwd", "https:///x",
	} {
		if _, err := far(t).link("daint", firecrest.Secret(address+signed)); err == nil || strings.Contains(err.Error(), "t0psecret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"https://10.1.2.3:9000", "https://[fd12::1]", "https://s3.internal"} {
		if _, err := far(t).link("daint", firecrest.Secret(address+signed)); err != nil {
			t.Errorf("a store on a private address: %v", err)
		}
	}
	// One on this machine, such as the sandbox, has its store beside it.
	if _, err := newStore(t).mover().link("sandbox", "http://127.0.0.1:9000"+signed); err != nil {
		t.Errorf("a sandbox: %v", err)
	}
}

// TestStoreNameOfThisMachine: a name that leads to this machine is refused when
// it is dialled, at once, and nothing arrives there.
func TestStoreNameOfThisMachine(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(net.Conn, http.ConnState) { arrived.Add(1) }
	server.StartTLS()
	t.Cleanup(server.Close)
	m := far(t)
	l, err := m.link("daint", firecrest.Secret("https://s3.example.org"+signed))
	if err != nil {
		t.Fatal(err)
	}
	l.url = server.URL + signed // what the name would lead to
	tries := 0
	failure := m.ask(t.Context(), &storeCall{
		action: "read", link: l, method: http.MethodGet, read: func(*http.Response) error { tries++; return nil },
	})
	if failure == nil || !errors.Is(failure, netguard.ErrRefused) || failure.Attempts != 1 || arrived.Load() != 0 || tries != 0 {
		t.Errorf("got %v, %d connections", failure, arrived.Load())
	}
}

// TestStreamOfAServer: coordinates that lead to this machine are not followed.
func TestStreamOfAServer(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			arrived.Add(1)
			_ = conn.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	for _, ips := range []string{`[]`, `["localhost"]`, `["127.0.0.1","::1","169.254.169.254","2130706433"]`} {
		_, err := far(t).streamPeer(peerAt(ips, port))
		if !errors.Is(err, netguard.ErrRefused) {
			t.Errorf("%s: %v", ips, err)
		}
	}
	peer, err := far(t).streamPeer(peerAt(`["127.0.0.1","login.example.org"]`, port))
	if err != nil || len(peer.ips) != 1 {
		t.Fatalf("%+v, %v", peer, err)
	}
	peer.ips = []string{"127.0.0.1"} // what the name would lead to
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := peer.send(ctx, strings.NewReader("x"), 1, noProgress); err == nil || !errors.Is(err, netguard.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if n := arrived.Load(); n > 0 {
		t.Errorf("%d connections arrived", n)
	}
	near := newStore(t).mover()
	if _, err := near.streamPeer(peerAt(`["127.0.0.1"]`, port)); err != nil {
		t.Errorf("a sandbox: %v", err)
	}
}

func peerAt(ips string, port int) firecrest.Secret {
	text := `{"ports":[` + strconv.Itoa(port) + `,` + strconv.Itoa(port) + `],"ips":` + ips + `,"secret":"s3cret"}`
	return firecrest.Secret(base64.StdEncoding.EncodeToString([]byte(text)))
}

// TestStoreRedirects: an object store that sends a request elsewhere is not
// followed, with a presigned address or with keys.
func TestStoreRedirects(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newStore(t)
		s.fault = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Location", elsewhere.URL+signed)
			w.WriteHeader(status)
			return true
		}
		failure := s.mover().ask(t.Context(), &storeCall{
			action: "read", link: s.link(signed), method: http.MethodGet, read: func(*http.Response) error { return nil },
		})
		if failure == nil || failure.Status != status {
			t.Errorf("%d: %v", status, failure)
		}
		server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		t.Cleanup(server.Close)
		store, err := NewObjectStore(StoreConfig{Endpoint: server.URL, PathStyle: true, AccessKey: "a", SecretKey: "b", Tries: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		if _, err := store.Stat(t.Context(), Location{"b", "k"}); err == nil {
			t.Errorf("%d: an object was found", status)
		}
	}
	if n := arrived.Load(); n > 0 {
		t.Errorf("%d requests were redirected", n)
	}
}

// TestUnencryptedStore: keys are used unencrypted on this machine only.
func TestUnencryptedStore(t *testing.T) {
	t.Parallel()
	for endpoint, allowed := range map[string]bool{
		"https://s3.example.org": true, "http://127.0.0.1:9000": true, "http://sandbox.localhost": true,
		"http://s3.example.org": false, "http://10.0.0.1:9000": false,
	} {
		store, err := NewObjectStore(StoreConfig{Endpoint: endpoint, AccessKey: "a", SecretKey: "k3y-canary"})
		if (err == nil) != allowed || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want allowed %v", endpoint, err, allowed)
		}
		if err == nil {
			store.Close()
		}
		public, err := NewObjectStore(StoreConfig{Endpoint: endpoint, Anonymous: true})
		if err != nil {
			t.Errorf("public objects of %s: %v", endpoint, err)
			continue
		}
		public.Close()
	}
}

// TestTokenStaysWithItsService: the token of a service goes to its base URL and
// nowhere else: not to the object store, not to another service.
func TestTokenStaysWithItsService(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 10)
	note := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			seen <- name + ": " + r.Header.Get("Authorization")
			_, _ = io.WriteString(w, `{}`)
		}
	}
	servers := map[string]*httptest.Server{}
	for _, name := range []string{"one", "two", "store"} {
		servers[name] = httptest.NewServer(note(name))
		t.Cleanup(servers[name].Close)
	}
	clients := map[string]*firecrest.Client{}
	for _, name := range []string{"one", "two"} {
		client, err := firecrest.New(servers[name].URL, firecrest.WithTokenSource(firecrest.StaticToken("token-of-"+name)), firecrest.WithRetry(firecrest.RetryPolicy{MaxAttempts: 1}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		clients[name] = client
		_, _ = client.Status.Systems(t.Context()) // the answer is none
		if got, want := <-seen, name+": Bearer token-of-"+name; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	m := New(clients["one"], Settings{})
	t.Cleanup(m.Close)
	l, err := m.link("daint", firecrest.Secret(servers["store"].URL+signed))
	if err != nil {
		t.Fatal(err)
	}
	_ = m.ask(t.Context(), &storeCall{action: "read", link: l, method: http.MethodGet, read: func(*http.Response) error { return nil }})
	if got := <-seen; got != "store: " {
		t.Errorf("got %q", got)
	}
	// Whoever uses the transport for others gets no token with it.
	u, _ := url.Parse(servers["store"].URL)
	if resp, err := (&http.Client{Transport: clients["one"].Transport()}).Get(u.String()); err == nil {
		_ = resp.Body.Close()
	}
	if got := <-seen; got != "store: " {
		t.Errorf("got %q", got)
	}
}
