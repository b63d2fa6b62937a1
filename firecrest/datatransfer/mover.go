package datatransfer

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/netguard"
)

// Settings of a [Mover]. Zero fields take the defaults.
type Settings struct {
	// Connections bounds the requests in flight to one object store, all
	// transfers together. Default 8.
	Connections int
	// Chunk is the size of the ranges, in bytes, that a download fetches side by
	// side. Default by the size of the file: 1 to 64 MiB.
	Chunk int64
	// Tries is how often a part or range is sent or fetched without any progress
	// before the transfer gives up. Default 6.
	Tries int
	// Backoff is the longest pause before the second try; it doubles with every
	// further one, up to 20 s. Default 500 ms.
	Backoff time.Duration
	// Stall is how long a connection may move no byte before it is given up.
	// Default one minute.
	Stall time.Duration
	// Flush is how often the journal is made durable while bytes move. Default
	// one second.
	Flush time.Duration
	// Wormhole is the magic wormhole program. Default "wormhole", as found in
	// PATH.
	Wormhole string
	// Poller watches the jobs of a system. Default: that of the client.
	Poller func(system string) *firecrest.Poller
	// Transport reaches the object stores. Nil is that of the client, with as
	// many connections as requests in flight.
	Transport http.RoundTripper
}

// Mover moves files as one identity. It may be used concurrently.
type Mover struct {
	client   *firecrest.Client
	settings Settings
	http     *http.Client
	own      *http.Transport // nil if it is somebody else's
	guarded  bool            // the service is not on this machine, and what it names may not be
	hosts    storeHosts

	mu    sync.Mutex
	slots map[string]chan struct{} // by host of an object store
}

// New returns a mover for what the client has access to. Close it in the end.
func New(client *firecrest.Client, settings Settings) *Mover {
	setDefault(&settings.Connections, 8)
	setDefault(&settings.Tries, 6)
	setDefault(&settings.Backoff, 500*time.Millisecond)
	setDefault(&settings.Stall, time.Minute)
	setDefault(&settings.Flush, time.Second)
	if settings.Wormhole == "" {
		settings.Wormhole = "wormhole"
	}
	if settings.Poller == nil {
		settings.Poller = client.Poller
	}
	m := &Mover{client: client, settings: settings, slots: map[string]chan struct{}{}, guarded: !onLoopback(client.BaseURL())}
	transport := settings.Transport
	if transport == nil {
		transport = client.Transport()
		if t, ok := transport.(*http.Transport); ok {
			m.own = perConnection(t, settings.Connections)
			if m.guarded && client.OwnTransport() {
				m.own = netguard.Transport(m.own)
			}
			transport = m.own
		}
	}
	m.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return m
}

func onLoopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && firecrest.IsLoopback(u.Hostname())
}

// perConnection gives every request in flight a connection of its own: stores
// and what lies before them share bandwidth out by connection.
func perConnection(t *http.Transport, connections int) *http.Transport {
	t = t.Clone()
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig != nil {
		t.TLSClientConfig.NextProtos = nil
	}
	t.MaxIdleConnsPerHost = connections
	t.DisableCompression = true
	t.WriteBufferSize, t.ReadBufferSize = 64<<10, 64<<10
	return t
}

// Close closes idle connections to object stores.
func (m *Mover) Close() {
	if m.own != nil {
		m.own.CloseIdleConnections()
	}
}

// slot is where requests to a host wait for their turn.
func (m *Mover) slot(host string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slots[host] == nil {
		m.slots[host] = make(chan struct{}, m.settings.Connections)
	}
	return m.slots[host]
}

func setDefault[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}
