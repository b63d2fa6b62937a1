package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// childRoot makes the test binary a process that attaches to that root.
const childRoot = "FCFLOW_TEST_SANDBOX_ROOT"

// serveAsChild holds the sandbox until standard input ends.
func serveAsChild(root string) int {
	a, err := Attach(context.Background(), Config{Root: root, Systems: []string{"child"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("attached")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := a.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child starts a process that attaches to root; stop ends it politely.
func child(t *testing.T, root string) (p *os.Process, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRoot+"="+root)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait() // killed by some tests
	})
	t.Cleanup(stop)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("child said %q: %v", line, err)
	}
	return cmd.Process, stop
}

func attach(t *testing.T, cfg Config) *Attached {
	t.Helper()
	a, err := Attach(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// attachedClient talks to a sandbox the way a program does: a token first.
type attachedClient struct {
	t     *testing.T
	a     *Attached
	http  *http.Client
	token string
}

func newAttachedClient(t *testing.T, a *Attached) *attachedClient {
	t.Helper()
	tr := &http.Transport{DialContext: a.DialContext, MaxIdleConnsPerHost: 2}
	t.Cleanup(tr.CloseIdleConnections)
	c := &attachedClient{t: t, a: a, http: &http.Client{Transport: tr}}
	creds := a.Credentials()
	resp, err := c.http.PostForm(a.TokenURL(), url.Values{
		"grant_type": {"client_credentials"}, "client_id": {creds.ClientID}, "client_secret": {creds.ClientSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.AccessToken == "" {
		t.Fatalf("token: status %d, %v", resp.StatusCode, err)
	}
	c.token = out.AccessToken
	return c
}

func (c *attachedClient) systems() []string {
	c.t.Helper()
	req, err := http.NewRequest("GET", c.a.BaseURL()+"/status/systems", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Systems []struct{ Name string } }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != 200 {
		c.t.Fatalf("systems: status %d, %v", resp.StatusCode, err)
	}
	var names []string
	for _, s := range out.Systems {
		names = append(names, s.Name)
	}
	return names
}

func TestAttachSharesOneSandbox(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first := attach(t, Config{Root: root, Systems: []string{"alps"}})
	second := attach(t, Config{Root: root, Systems: []string{"Daint"}})
	if first.Credentials() != second.Credentials() || first.Credentials().ClientSecret == "" {
		t.Errorf("credentials differ: %v", second.Credentials().ClientID)
	}
	if _, err := Open(Config{Root: root}); !errors.Is(err, ErrLocked) {
		t.Errorf("Open of a held root: %v, want ErrLocked", err)
	}
	info, err := os.Stat(addressFile(first.Root()))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("address file: %v %v, want mode 0600", info, err)
	}
	c := newAttachedClient(t, second)
	if got := c.systems(); !slices.Equal(got, []string{"alps", "daint"}) {
		t.Errorf("systems %v", got)
	}
	if err := second.AddSystems(t.Context(), "third"); err != nil {
		t.Error(err)
	}
	if err := second.AddSystems(t.Context(), "no/name"); err == nil || !strings.Contains(err.Error(), "status 400") {
		t.Errorf("AddSystems of a bad name: %v", err)
	}
	if err := first.Close(); err != nil { // the one that served
		t.Error(err)
	}
	c.http.CloseIdleConnections()
	if got := c.systems(); !slices.Equal(got, []string{"alps", "daint", "third"}) {
		t.Errorf("systems after the holder left: %v", got)
	}
	if _, err := first.DialContext(t.Context(), "tcp", "x"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial after Close: %v", err)
	}
}

// TestAttachTakesOver: the process that serves is killed; the others go on, and
// exactly one of them serves.
func TestAttachTakesOver(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	holder, _ := child(t, root)
	ad, err := readAddress(root)
	if err != nil || ad.PID != holder.Pid {
		t.Fatalf("address %d %v, want that of process %d", ad.PID, err, holder.Pid)
	}
	var clients []*attachedClient
	for range 3 {
		clients = append(clients, newAttachedClient(t, attach(t, Config{Root: root})))
	}
	child(t, root) // attached too, but with nothing to ask it does not take over
	for _, c := range clients {
		if got := c.systems(); !slices.Equal(got, []string{"child"}) {
			t.Errorf("systems %v", got)
		}
	}
	if err := holder.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Wait(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, c := range clients {
		c.http.CloseIdleConnections()
		wg.Go(func() {
			// The token of the dead process still holds: the key is in the root.
			if got := c.systems(); !slices.Equal(got, []string{"child"}) {
				t.Errorf("systems after the kill: %v", got)
			}
		})
	}
	wg.Wait()
	serving := 0
	for _, c := range clients {
		c.a.mu.Lock()
		if c.a.srv != nil {
			serving++
		}
		c.a.mu.Unlock()
	}
	if ad, err = readAddress(root); serving != 1 || err != nil || ad.PID != os.Getpid() {
		t.Errorf("%d clients serve, the address is of process %d: %v", serving, ad.PID, err)
	}
}

func TestAttachFollowsAPoliteHolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	_, stop := child(t, root)
	c := newAttachedClient(t, attach(t, Config{Root: root}))
	stop()
	c.http.CloseIdleConnections()
	if got := c.systems(); !slices.Equal(got, []string{"child"}) {
		t.Errorf("systems %v", got)
	}
}

// TestAttachStaleAddress: an address left by a dead process is not dialled,
// even if something else listens there by now.
func TestAttachStaleAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	root := t.TempDir()
	if err := writeJSON(addressFile(root), address{URL: "http://" + l.Addr().String(), PID: 1}); err != nil {
		t.Fatal(err)
	}
	c := newAttachedClient(t, attach(t, Config{Root: root}))
	if got := c.systems(); !slices.Equal(got, []string{"sandbox"}) {
		t.Errorf("systems %v", got)
	}
}

// TestAttachWaitsForAddress: the lock is held by a process that does not serve.
func TestAttachWaitsForAddress(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	srv, err := Open(Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Attach(ctx, Config{Root: root}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Attach: %v, want it to give up with its context", err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
}
