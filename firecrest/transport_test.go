package firecrest

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLoopbackIsNotProxied runs itself again: the environment is read once per
// process.
func TestLoopbackIsNotProxied(t *testing.T) {
	if os.Getenv("TEST_PROXIES") != "" {
		for _, raw := range strings.Fields(os.Getenv("TEST_PROXIES")) {
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			via, err := newTransport(nil).Proxy(&http.Request{URL: u})
			if proxied := strings.HasSuffix(u.Hostname(), ".example.org"); err != nil || (via != nil) != proxied {
				t.Errorf("%s goes through %v: %v", raw, via, err)
			}
		}
		return
	}
	t.Parallel()
	child := exec.Command(os.Args[0], "-test.run=^TestLoopbackIsNotProxied$")
	child.Env = append(os.Environ(), "HTTP_PROXY=http://proxy:1", "HTTPS_PROXY=http://proxy:1", "NO_PROXY=",
		"TEST_PROXIES=https://f7t.example.org http://127.0.0.1:80 http://[::1]:80 http://localhost http://sandbox.localhost")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// relay passes connections on to a server until they are cut off; then they
// stay open and nothing passes any more.
type relay struct {
	net.Listener
	to string

	mu    sync.Mutex
	conns []net.Conn
	cut   int // of conns, oldest first
}

func (r *relay) run() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.to)
		if err != nil {
			client.Close()
			continue
		}
		r.mu.Lock()
		n := len(r.conns)
		r.conns = append(r.conns, client, server)
		r.mu.Unlock()
		go r.copy(server, client, n)
		go r.copy(client, server, n)
	}
}

func (r *relay) copy(to io.Writer, from io.Reader, n int) {
	buf := make([]byte, 4096)
	for {
		size, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		cut := n < r.cut
		r.mu.Unlock()
		if cut {
			continue
		}
		if _, err := to.Write(buf[:size]); err != nil {
			return
		}
	}
}

func (r *relay) cutOff() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = len(r.conns)
}

func (r *relay) close() {
	r.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
}

// TestDeadConnectionIsReplaced: a connection of HTTP/2 that carries nothing any
// more does not swallow one request after the other.
func TestDeadConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the request came by %s", r.Proto)
		}
		w.Header().Set("F7T-AppVersion", "2.5.6")
		io.WriteString(w, `{"systems":[]}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	between := &relay{Listener: l, to: server.Listener.Addr().String()}
	go between.run()
	t.Cleanup(between.close)

	client := newClient(t, "https://"+l.Addr().String(),
		WithCABundle(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		WithRequestTimeout(2*time.Second), WithRetry(RetryPolicy{MaxAttempts: 3, Base: 1}))
	transport := client.http.Transport.(*http.Transport)
	transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = 200*time.Millisecond, 200*time.Millisecond
	for i := range 2 {
		if _, err := client.Status.Systems(t.Context()); err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		between.cutOff()
	}
}
