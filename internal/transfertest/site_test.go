package transfertest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/objects"
)

// Systems of a site. Each worker has one with a streamer of its own, as well.
const (
	disk  = "disk"
	hasty = "hasty" // whose addresses expire after a second
)

func peer(worker int) string { return fmt.Sprintf("peer%d", worker) }

// site is a sandbox that serves some of the transfers.
type site struct {
	t         *testing.T
	server    *sandbox.Server
	listener  *httptest.Server
	client    *firecrest.Client // of the site itself
	transport *http.Transport
	streams   []*streams // by worker

	mu    sync.Mutex
	moves map[string]*move // by label
}

// newSite opens a sandbox. toggles are the fault switches of its transfers.
func newSite(t *testing.T, workers int, toggles []string) *site {
	t.Helper()
	s := &site{t: t, moves: map[string]*move{}, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	quick := sandbox.TransferConfig{MaxPartSize: partSize, Poll: sandbox.Duration(30 * time.Millisecond)}
	short := quick
	short.TTL = sandbox.Duration(time.Second)
	systems := []sandbox.SystemConfig{{Name: disk, Transfer: quick}, {Name: hasty, Transfer: short}}
	for worker := range workers {
		st, err := newStreams()
		if err != nil {
			t.Fatal(err)
		}
		s.streams = append(s.streams, st)
		systems = append(systems, sandbox.SystemConfig{Name: peer(worker), Transfer: sandbox.TransferConfig{
			Method: "streamer", PortRange: st.ports, PublicIPs: []string{proxyIP}, WaitTimeout: sandbox.Duration(time.Minute),
		}})
	}
	server, err := sandbox.Open(sandbox.Config{
		Root: t.TempDir(), Site: &sandbox.SiteConfig{Systems: systems}, MaxOpsFileSize: maxRequest, TokenLifetime: time.Hour,
		Faults: toggles, FaultSeed: 1,
		Fault: func(_ string, r *http.Request) *sandbox.Fault {
			if m := s.find(r); m != nil {
				return m.apiFault(r)
			}
			return nil
		},
		StoreFault: func(_ string, r *http.Request) *objects.Fault {
			if m := s.find(r); m != nil {
				return m.storeFault(r)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.server, s.listener = server, httptest.NewServer(s.handler(server.Handler()))
	p := s.login()
	s.client, err = firecrest.New(p.URL, firecrest.WithTokenSource(firecrest.ClientCredentials{
		TokenURL: p.TokenURL, ClientID: p.ClientID, ClientSecret: firecrest.Secret(p.ClientSecret),
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func (s *site) close() {
	s.client.Close()
	s.transport.CloseIdleConnections()
	for _, st := range s.streams {
		st.close()
	}
	s.listener.Close()
	if err := s.server.Close(); err != nil {
		s.t.Error(err)
	}
}

// handler lets moves see their requests.
func (s *site) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := s.find(r); m != nil && r.URL.Path != sandbox.TokenPath {
			m.serve(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *site) find(r *http.Request) *move {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moves[r.Header.Get(label)]
}

func (s *site) add(m *move) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moves[m.String()] = m
}

// login is the part of a place that is the same for all transfers.
func (s *site) login() place {
	credentials := s.server.Credentials()
	return place{
		URL: s.listener.URL, TokenURL: s.listener.URL + credentials.TokenPath,
		ClientID: credentials.ClientID, ClientSecret: credentials.ClientSecret,
	}
}

// place is where a worker carries a transfer out.
func (s *site) place(t transfer, worker int) place {
	p := s.login()
	p.Remote = filepath.Join(s.server.Root(), "scratch", "demo", t.id())
	p.Local = filepath.Join(s.t.TempDir(), t.id())
	p.System = disk
	switch {
	case t.way == stream:
		p.System = peer(worker)
	case t.fault.brief:
		p.System = hasty
	}
	return p
}

// toggled is how often a fault switch has fired.
func (s *site) toggled(text string) int {
	_, states := s.server.Faults()
	for _, state := range states {
		if state.Fault == text {
			return state.Fired
		}
	}
	return 0
}

// live lists jobs that are not over.
func (s *site) live(system string, ids ...firecrest.JobID) (live []firecrest.JobID) {
	s.t.Helper()
	ctx := context.Background() // also after the test has ended
	jobs, err := s.client.Compute.List(ctx, system, nil)
	if err != nil {
		s.t.Error(err)
	}
	known := map[firecrest.JobID]bool{}
	for _, id := range ids {
		known[id] = true
	}
	for _, j := range jobs {
		if !j.Status.State.IsTerminal() && (len(ids) == 0 || known[j.ID]) {
			live = append(live, j.ID)
		}
	}
	return live
}

// endJobs cancels what is left, and returns how many jobs that were.
func (s *site) endJobs() (left int) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for first := true; ; first = false {
		alive := 0
		for _, system := range s.server.Systems() {
			for _, id := range s.live(system) {
				alive++
				_ = s.client.Compute.Cancel(context.Background(), system, id) // again, if need be
			}
		}
		if first {
			left = alive
		}
		if alive == 0 {
			return left
		}
		if time.Now().After(deadline) {
			s.t.Errorf("%d jobs cannot be ended", alive)
			return left
		}
		<-time.After(20 * time.Millisecond)
	}
}

// toggles are the fault switches of transfers.
func toggles(transfers []transfer) []string {
	var list []string
	for _, t := range transfers {
		if t.fault.toggle != nil {
			list = append(list, t.fault.toggle(&t))
		}
	}
	return list
}

func words(text string, list []string) bool {
	for _, w := range list {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}
