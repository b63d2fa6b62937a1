package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// baseURL is the sandbox's address for everybody attached. It never changes,
// although the process and port behind it may.
const baseURL = "http://sandbox.localhost"

// takeOver is how long a dial waits for another process that holds the lock
// to say where it listens.
const takeOver = 15 * time.Second

// Attached is a share in a sandbox that several processes use on one root.
// Whoever holds the root's lock serves; when that process goes away, however,
// the next one that dials takes the lock and serves. Use DialContext in an
// http.Transport without a proxy. It is safe for concurrent use.
type Attached struct {
	cfg    Config
	client *http.Client // for the admin route

	credentials Credentials

	mu     sync.Mutex
	closed bool
	srv    *Server // set while this process serves
	listen string  // where
	served chan struct{}
}

// address is what the serving process writes into the root for others.
type address struct {
	URL          string `json:"url"` // http://127.0.0.1:PORT
	PID          int    `json:"pid"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	AdminSecret  string `json:"adminSecret"`
	AccessKey    string `json:"accessKey"`
	SecretKey    string `json:"secretKey"`
}

// Attach joins the sandbox on cfg.Root, serving it on a free loopback port if
// nobody does, and makes cfg.Systems known to it. The rest of cfg matters only
// in the process that serves.
func Attach(ctx context.Context, cfg Config) (*Attached, error) {
	cfg = cfg.withDefaults()
	root, err := makeRoot(cfg.Root)
	if err != nil {
		return nil, err
	}
	cfg.Root = root
	a := &Attached{cfg: cfg}
	a.client = &http.Client{Transport: &http.Transport{DialContext: a.DialContext, DisableKeepAlives: true}}
	ad, err := a.find(ctx)
	if err == nil {
		err = a.AddSystems(ctx, cfg.Systems...)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.credentials = Credentials{
		ClientID: ad.ClientID, ClientSecret: ad.ClientSecret, TokenPath: TokenPath,
		AccessKey: ad.AccessKey, SecretKey: ad.SecretKey,
	}
	return a, nil
}

// BaseURL is where the API is, for a client that dials with DialContext.
func (a *Attached) BaseURL() string { return baseURL }

// TokenURL is where tokens are, for a client that dials with DialContext.
func (a *Attached) TokenURL() string { return baseURL + TokenPath }

// StoreURL is where the object store is, for a client that dials with
// DialContext.
func (a *Attached) StoreURL() string { return baseURL + StorePath }

// Root is the absolute path of the state directory, links resolved.
func (a *Attached) Root() string { return a.cfg.Root }

// Credentials of the sandbox's client. They are the same whoever serves.
func (a *Attached) Credentials() Credentials { return a.credentials }

// DialContext connects to the process that serves the sandbox; network and addr
// are ignored. If that process is gone this one takes its place first. A
// refused connection has carried nothing, so trying again is always safe.
func (a *Attached) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, takeOver)
	defer cancel()
	for {
		ad, err := a.find(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", ad.hostPort())
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return conn, err
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("sandbox %s: %w", a.cfg.Root, err)
		}
	}
}

// AddSystems makes systems known to the sandbox, now and after a restart.
func (a *Attached) AddSystems(ctx context.Context, names ...string) error {
	body, err := json.Marshal(map[string][]string{"systems": append([]string{}, names...)})
	if err != nil {
		return err
	}
	ad, err := a.find(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+"/sandbox/systems", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+ad.AdminSecret)
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("sandbox: add systems: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("sandbox: add systems %q: status %d: %s", names, resp.StatusCode, text)
	}
	return nil
}

// Close ends this process's share. If it served, another attached process will
// serve from its next dial on; running jobs keep running either way.
func (a *Attached) Close() error {
	a.mu.Lock()
	srv, served := a.srv, a.served
	a.srv, a.closed = nil, true
	a.mu.Unlock()
	if srv == nil {
		return nil
	}
	err := srv.Close()
	<-served
	return err
}

// find returns where the sandbox is served, after taking that over if nobody
// does it.
func (a *Attached) find(ctx context.Context) (address, error) {
	for {
		ad, err := a.serveOrRead()
		if !errors.Is(err, errNoAddress) {
			return ad, err
		}
		if err := pause(ctx); err != nil {
			return address{}, fmt.Errorf("sandbox %s is held by another process that does not say where it listens: %w", a.cfg.Root, err)
		}
	}
}

func pause(ctx context.Context) error {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errNoAddress says that the lock is held and the holder not yet listening.
var errNoAddress = errors.New("no address yet")

// serveOrRead tries the lock before it believes the address file, so that the
// address of a dead process is never used.
func (a *Attached) serveOrRead() (address, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return address{}, net.ErrClosed
	}
	if a.srv != nil {
		return a.srv.address(a.listen), nil
	}
	srv, err := open(a.cfg, 0)
	if errors.Is(err, ErrLocked) {
		return readAddress(a.cfg.Root)
	}
	if err != nil {
		return address{}, err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return address{}, errors.Join(fmt.Errorf("sandbox: %w", err), srv.Close())
	}
	a.srv, a.listen, a.served = srv, l.Addr().String(), make(chan struct{})
	go func(served chan<- struct{}) {
		defer close(served)
		if err := srv.Serve(l); err != nil {
			a.cfg.Logger.Error("sandbox stopped serving", "error", err)
		}
	}(a.served)
	return srv.address(a.listen), nil
}

func (s *Server) address(hostPort string) address {
	client := s.Credentials()
	return address{
		URL: "http://" + hostPort, PID: os.Getpid(),
		ClientID: client.ClientID, ClientSecret: client.ClientSecret, AdminSecret: s.site.AdminSecret,
		AccessKey: client.AccessKey, SecretKey: client.SecretKey,
	}
}

func (ad address) hostPort() string { return ad.URL[len("http://"):] }

func addressFile(root string) string { return filepath.Join(root, "address") }

func forgetAddress(root string) error {
	if err := os.Remove(addressFile(root)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

func readAddress(root string) (address, error) {
	var ad address
	data, err := os.ReadFile(addressFile(root))
	if errors.Is(err, os.ErrNotExist) {
		return ad, errNoAddress
	}
	if err != nil {
		return ad, fmt.Errorf("sandbox: %w", err)
	}
	if err := json.Unmarshal(data, &ad); err != nil || len(ad.URL) <= len("http://") {
		return ad, fmt.Errorf("sandbox: %s is not an address file", addressFile(root))
	}
	return ad, nil
}
