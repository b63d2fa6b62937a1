// Package conformance runs our sides of streams and wormholes against the
// published Python programs, and ours against ours through them. The tests run
// if FCFLOW_PEERS is the directory of the programs streamer, wormhole and twist,
// as `make conformance` sets it; then a missing one is a failure.
package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
)

var peers = os.Getenv("FCFLOW_PEERS")

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run gives every wormhole, ours and the others, a mailbox and a relay on this
// machine.
func run(m *testing.M) (code int, err error) {
	if peers == "" {
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	mailbox, stopMailbox, err := twist(dir, "wormhole-mailbox")
	if err != nil {
		return 1, err
	}
	defer stopMailbox()
	relay, stopRelay, err := twist(dir, "transitrelay")
	if err != nil {
		return 1, err
	}
	defer stopRelay()
	for name, value := range map[string]string{
		"PATH":                    peers + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"WORMHOLE_RELAY_URL":      "ws://" + mailbox + "/v1",
		"WORMHOLE_TRANSIT_HELPER": "tcp:" + relay,
	} {
		if err := os.Setenv(name, value); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// twist runs a service of the Python packages and returns where it listens.
func twist(dir, service string) (address string, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	var output bytes.Buffer
	cmd := exec.Command(filepath.Join(peers, "twist"), service, fmt.Sprintf("--port=tcp:%d:interface=127.0.0.1", port))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	address = fmt.Sprintf("127.0.0.1:%d", port)
	if !eventually(func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}) {
		stop()
		return "", nil, fmt.Errorf("%s does not listen: %s", service, &output)
	}
	return address, stop, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// eventually asks until the answer is yes, for half a minute.
func eventually(is func() bool) bool {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

func needPeers(t *testing.T) {
	t.Helper()
	if peers == "" {
		t.Skip("FCFLOW_PEERS is not set: run `make conformance`")
	}
}

// program is a Python program that has been started.
type program struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan error
}

func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	p := &program{ended: make(chan error, 1)}
	p.cmd = exec.CommandContext(ctx, filepath.Join(peers, name), args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = t.TempDir(), &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p
}

func (p *program) wait(t *testing.T) {
	t.Helper()
	if err := <-p.ended; err != nil {
		t.Fatalf("%s: %v: %s", filepath.Base(p.cmd.Path), err, &p.output)
	}
}

// sizes are those at which streams change their shape, and a large one.
var sizes = map[string]int64{"0B": 0, "1B": 1, "5MiB": 5 << 20, "5MiB+1": 5<<20 + 1, "200MiB": 200 << 20}

// each runs a test for each size.
func each(t *testing.T, test func(t *testing.T, dir, file string)) {
	needPeers(t)
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test(t, dir, content(t, filepath.Join(dir, "original"), size))
		})
	}
}

// content writes a file of random bytes.
func content(t *testing.T, file string, size int64) string {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed of the content: %d", seed)
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}), size); err != nil {
		t.Fatal(err)
	}
	return file
}

// digest is the SHA-256 of what a reader has.
func digest(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sumOf(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return digest(t, f)
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if g, w := sumOf(t, got), sumOf(t, want); g != w {
		info, err := os.Stat(got)
		t.Errorf("the copy has another checksum: %s, not %s (%v, %v)", g, w, info.Size(), err)
	}
}

// site is a sandbox whose only system moves large files by one method.
type site struct {
	*firecrest.Client
	home string
}

const system = "alps"

func newSite(t *testing.T, transfer sandbox.TransferConfig) site {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	transfer.PortRange = [2]int{port, min(port+20, 65535)}
	srv, err := sandbox.Open(sandbox.Config{Root: t.TempDir(), Site: &sandbox.SiteConfig{
		Systems: []sandbox.SystemConfig{{Name: system, Transfer: transfer}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(srv.Handler())
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		listening.Close()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	c := srv.Credentials()
	client, err := firecrest.New(listening.URL, firecrest.WithTransport(transport), firecrest.WithTokenSource(firecrest.ClientCredentials{
		TokenURL: listening.URL + c.TokenPath, ClientID: c.ClientID, ClientSecret: firecrest.Secret(c.ClientSecret), HTTP: transport,
	}))
	if err != nil {
		t.Fatal(err)
	}
	return site{client, filepath.Join(srv.Root(), "home", "demo")}
}

// until waits for a state of a job.
func (s site) until(t *testing.T, id firecrest.JobID, is func(firecrest.JobState) bool) {
	t.Helper()
	var last any
	if !eventually(func() bool {
		jobs, err := s.Compute.Get(t.Context(), system, id)
		last = errors.Join(err, fmt.Errorf("jobs %+v", jobs))
		return err == nil && len(jobs) > 0 && is(jobs[0].Status.State)
	}) {
		t.Fatal(last)
	}
}

// log is what a transfer job printed.
func (s site) log(t *testing.T, job firecrest.TransferJob) string {
	t.Helper()
	var text strings.Builder
	for _, name := range []string{job.OutputLog, job.ErrorLog} {
		b, err := os.ReadFile(name)
		fmt.Fprintf(&text, "%s (%v)\n", b, err)
	}
	return text.String()
}
