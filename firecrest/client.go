package firecrest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Client speaks to one FirecREST service as one identity. Its methods, and
// those of its services, may be called concurrently.
type Client struct {
	// Status tells about systems and the user.
	Status *StatusService
	// Compute submits, watches and cancels batch jobs.
	Compute *ComputeService
	// Filesystem works on files of a system.
	Filesystem *FilesystemService
	// Transfer works on large files, in batch jobs.
	Transfer *TransferService

	base      *url.URL
	settings  settings
	http      *http.Client
	once      *http.Client // for what must not run twice: a new connection each
	tokens    *tokenCache
	limits    *Limiter
	do        exchange
	version   atomic.Pointer[string]
	transport http.RoundTripper // made by New, nil if given

	mu      sync.Mutex
	pollers map[string]*Poller
}

// New returns a client for the service at baseURL, which may carry a path
// prefix and a trailing slash. It sends nothing.
//
// The URL must be https, or http to a loopback host (127.0.0.0/8, ::1,
// localhost, *.localhost), and must hold no user name, query or fragment.
func New(baseURL string, options ...Option) (*Client, error) {
	base, err := checkBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	s := settings{userAgent: userAgent(), inFlight: 4, timeout: time.Minute}
	for _, option := range options {
		option(&s)
	}
	switch {
	case s.optionError != nil:
		return nil, s.optionError
	case s.transport != nil && s.tls != nil:
		return nil, errors.New("a transport of your own and TLS settings exclude each other")
	case s.inFlight < 1 || s.perMinute < 0 || s.timeout <= 0:
		return nil, errors.New("limits and time-outs must be positive")
	}
	if s.limiter == nil {
		s.limiter = NewLimiter(s.inFlight, s.perMinute)
	}
	c := &Client{base: base, settings: s, limits: s.limiter, pollers: map[string]*Poller{}}
	if err := c.connect(); err != nil {
		return nil, err
	}
	c.settings.retry = s.retry.withDefaults()
	c.do = withRetry(c.settings.retry, c.settings.chance, withLimits(c.limits, withToken(c.tokens, withPace(c.limits, c.send))))
	c.Status = &StatusService{c}
	c.Compute = &ComputeService{c}
	c.Filesystem = &FilesystemService{c}
	c.Transfer = &TransferService{c}
	return c, nil
}

// connect makes the HTTP clients and the token cache.
func (c *Client) connect() error {
	first, second := c.settings.transport, c.settings.transport
	if first == nil {
		t := newTransport(c.settings.tls)
		fresh := t.Clone()
		fresh.DisableKeepAlives = true
		first, second, c.transport = t, fresh, t
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &http.Client{Transport: first, CheckRedirect: noRedirect}
	c.once = &http.Client{Transport: second, CheckRedirect: noRedirect}

	source := c.settings.source
	if pointer, ok := source.(*ClientCredentials); ok && pointer != nil {
		source = *pointer
	}
	if credentials, ok := source.(ClientCredentials); ok {
		if _, err := checkBaseURL(credentials.TokenURL); err != nil {
			return fmt.Errorf("token endpoint: %w", err)
		}
		if credentials.HTTP == nil {
			credentials.HTTP = first
		}
		source = credentials
	}
	if source != nil {
		c.tokens = &tokenCache{source: source}
	}
	return nil
}

func newTransport(config *tls.Config) *http.Transport {
	if config == nil {
		config = &tls.Config{}
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		// A connection that has silently died is noticed and replaced. Without
		// pings every request would be sent into it until TCP gives up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// proxy is the proxy of the environment. It never sees what goes to loopback
// hosts, as that may be unencrypted.
func proxy(req *http.Request) (*url.URL, error) {
	if IsLoopback(req.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(req)
}

// run carries out a call.
func (c *Client) run(ctx context.Context, call *call) error {
	if strings.Contains(call.template, "{system_name}") && !systemName.MatchString(call.system) {
		return fmt.Errorf("%q is not the name of a system", call.system)
	}
	if failure := c.do(ctx, call); failure != nil {
		return failure
	}
	return nil
}

// BaseURL returns the base URL without a trailing slash.
func (c *Client) BaseURL() string { return c.base.String() }

// Token returns the token that a request sent now would carry, from the cache
// if there is one that lasts. Without a token source it is the zero Token.
//
// Errors: those of the token source, wrapped.
func (c *Client) Token(ctx context.Context) (Token, error) {
	if c.tokens == nil {
		return Token{}, nil
	}
	return c.tokens.token(ctx)
}

// Transport returns the HTTP transport below everything else the client does,
// with its TLS settings and its proxy but without tokens, limits and retries:
// for the hosts that presigned URLs name.
func (c *Client) Transport() http.RoundTripper { return c.http.Transport }

// OwnTransport reports whether the transport was made by [New], and not given to
// it.
func (c *Client) OwnTransport() bool { return c.transport != nil }

// ServerVersion returns the release of the server as its last answer gave it,
// such as "2.5.6", or "" before the first one. Development builds say "2.x.x",
// 2.1 whatever its deployment says.
func (c *Client) ServerVersion() string {
	if v := c.version.Load(); v != nil {
		return *v
	}
	return ""
}

// Poller returns the poller that watches jobs of a system; every call with the
// same system returns the same one.
func (c *Client) Poller(system string) *Poller {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pollers[system]
	if p == nil {
		p = NewPoller(c.Compute, system, c.settings.poll)
		c.pollers[system] = p
	}
	return p
}

// Close stops the pollers and closes idle connections. Requests in flight go
// on.
func (c *Client) Close() {
	c.mu.Lock()
	pollers := slices.Collect(maps.Values(c.pollers))
	c.mu.Unlock()
	for _, p := range pollers {
		p.Close()
	}
	if c.transport != nil {
		c.http.CloseIdleConnections()
		c.once.CloseIdleConnections()
	}
}

// checkBaseURL parses a URL to which tokens or secrets go.
func checkBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("%q is not a URL such as https://host/path", redactUserinfo(raw))
	case u.User != nil:
		return nil, errors.New("the URL must not hold a user name or password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q must not hold a query or a fragment", raw)
	case u.Scheme == "https", u.Scheme == "http" && IsLoopback(u.Hostname()):
	case u.Scheme == "http":
		return nil, fmt.Errorf("%q would send the token unencrypted: use https (http is for loopback hosts only)", raw)
	default:
		return nil, fmt.Errorf("%q: the scheme must be https", raw)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

func redactUserinfo(raw string) string {
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		return redacted + raw[i:]
	}
	return raw
}

// IsLoopback reports whether a host, as it stands in an address, is this machine:
// only there may secrets travel without TLS.
func IsLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// userAgent names the package and the release of the module that it came from.
func userAgent() string {
	const name, module = "fcflow-firecrest", "github.com/fcflow/fcflow"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return name
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && strings.HasPrefix(m.Version, "v") {
			return name + "/" + m.Version[1:]
		}
	}
	return name
}

// newRequestID returns a random UUID. The server answers 400, with nothing
// else, to a request id that is not one.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

type contextKey int

const (
	// noRetryKey marks requests that whoever sends them repeats in his own time.
	noRetryKey contextKey = iota
	// traceKey holds a function of [WithTrace].
	traceKey
)

func withoutRetry(ctx context.Context) context.Context {
	return context.WithValue(ctx, noRetryKey, true)
}
