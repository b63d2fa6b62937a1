package sandbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// byPeer is a site whose system moves files by method, on ports that were free a
// moment ago.
func byPeer(t *testing.T, method string) func(*Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := l.Addr().(*net.TCPAddr).Port
	l.Close()
	return withTransfer(TransferConfig{Method: method, PortRange: [2]int{first, min(first+20, 65535)}, PublicIPs: []string{"127.0.0.1"}})
}

// peered is the answer to a transfer by streamer or wormhole.
func (r *rig) peered(call, method, path string, more ...any) (tr transferred, directives map[string]string) {
	r.t.Helper()
	asks := members{"transferMethod": method}
	for i := 0; i < len(more); i += 2 {
		asks[more[i].(string)] = more[i+1]
	}
	a := r.do("POST", transfers+call, members{"path": path, "transferDirectives": asks})
	want(r.t, a, 201)
	var out struct {
		Directives map[string]string `json:"transferDirectives"`
	}
	a.decode(r.t, &tr)
	a.decode(r.t, &out)
	return tr, out.Directives
}

// dial connects to the job that has those coordinates, once it listens.
func dial(t *testing.T, coordinates string) *websocket.Conn {
	t.Helper()
	text, err := base64.URLEncoding.DecodeString(coordinates)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Ports  [2]int
		IPs    []string
		Secret string
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ; ctx.Err() == nil; <-tick.C {
		for port := c.Ports[0]; port <= c.Ports[1]; port++ {
			conn, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://%s:%d/", c.IPs[0], port), &websocket.DialOptions{
				HTTPClient: &noRedirect, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.Secret}},
			})
			if err == nil {
				conn.SetReadLimit(streamMessage)
				t.Cleanup(func() { _ = conn.CloseNow() })
				return conn
			}
		}
	}
	t.Fatal("nobody listens")
	return nil
}

// TestPeerSettings: what a site says about its peers reaches clients and jobs.
func TestPeerSettings(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"streamer", "wormhole"} {
		r := newRig(t, withTransfer(TransferConfig{Method: method, PyPIIndexURL: "https://pypi.example/simple", TextEOF: true}))
		a := r.do("GET", "/status/systems", nil)
		if !strings.Contains(string(a.body), `"pypiIndexUrl":"https://pypi.example/simple"`) {
			t.Errorf("%s: %s", method, a.body)
		}
	}
	r := newRig(t, byPeer(t, "streamer"), func(c *Config) { c.Site.Systems[0].Transfer.TextEOF = true })
	_, directives := r.peered("download", "streamer", r.write("f", "abc"))
	conn := dial(t, directives["coordinates"])
	for _, want := range []websocket.MessageType{websocket.MessageBinary, websocket.MessageBinary, websocket.MessageText} {
		kind, text, err := conn.Read(t.Context())
		if err != nil || kind != want {
			t.Fatalf("%v %q, %v, want %v", kind, text, err, want)
		}
	}
}

func TestStreamerTransfers(t *testing.T) {
	t.Parallel()
	r := newRig(t, byPeer(t, "streamer"))
	target := r.home + "/in.bin"
	up, directives := r.peered("upload", "streamer", target)
	conn := dial(t, directives["coordinates"])
	for _, message := range []struct {
		kind websocket.MessageType
		text string
	}{
		{websocket.MessageBinary, `{"type":"init","num_chunks":1,"file_size":3}`},
		{websocket.MessageBinary, "abc"},
		{websocket.MessageText, `{"type":"eof","sha256_hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}`},
	} {
		if err := conn.Write(t.Context(), message.kind, []byte(message.text)); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.Close(websocket.StatusNormalClosure, "")
	got := r.outcome(up)
	if got.state != batch.Completed || got.exitCode != 0 || strings.Contains(got.out, "was successfully") {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"Most recent Python version", "DATE Starting firecrest streamer in receive mode...", "Client connected.", "DATE Clean up temp env folder..."} {
		if !strings.Contains(got.out, line) {
			t.Errorf("log without %q: %s", line, got.out)
		}
	}
	if is, err := os.ReadFile(target); err != nil || string(is) != "abc" {
		t.Errorf("target %q (%v)", is, err)
	}
	wantError(t, r.do("POST", transfers+"upload", members{"path": target, "transferDirectives": members{"transferMethod": "streamer"}}),
		403, "Target file '"+target+"' already exists.")

	down, directives := r.peered("download", "streamer", target)
	conn = dial(t, directives["coordinates"])
	var frames []string
	for {
		_, data, err := conn.Read(t.Context())
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Errorf("the stream ends with %v", err)
			}
			break
		}
		frames = append(frames, string(data))
	}
	if len(frames) != 3 || frames[1] != "abc" {
		t.Errorf("frames %q", frames)
	}
	if got := r.outcome(down); got.state != batch.Completed || got.exitCode != 0 {
		t.Errorf("%+v", got)
	}
}

// TestStreamerChecks: what is looked at before a job is submitted.
func TestStreamerChecks(t *testing.T) {
	t.Parallel()
	r := newRig(t, byPeer(t, "streamer"))
	locked := filepath.Join(filepath.Dir(r.scratch), "locked")
	if err := os.Mkdir(locked, 0); err != nil {
		t.Fatal(err)
	}
	ask := func(call, path string) answer {
		return r.do("POST", transfers+call, members{"path": path, "transferDirectives": members{"transferMethod": "streamer"}})
	}
	wantError(t, ask("upload", locked+"/x"), 403, "Permission denied")
	wantError(t, ask("download", r.home+"/nope"), 404, "No such file or directory")
	want(t, ask("download", locked+"/x"), 201) // only a missing file is reported
}

// TestPeerPathsWithSpaces: the scripts do not quote them.
func TestPeerPathsWithSpaces(t *testing.T) {
	t.Parallel()
	r := newRig(t, byPeer(t, "streamer"))
	tr, _ := r.peered("download", "streamer", r.write("a b", ""))
	if got := r.outcome(tr); got.state != batch.Completed || got.exitCode != 0 || !strings.Contains(got.err, "unexpected extra arguments") {
		t.Errorf("%+v", got)
	}
}

// TestWaitingPeerAcrossARestart: the coordinates hold, and a cancelled job stops
// listening.
func TestWaitingPeerAcrossARestart(t *testing.T) {
	t.Parallel()
	site := byPeer(t, "streamer")
	r := newRig(t, site)
	tr, directives := r.peered("download", "streamer", r.write("f", "abc"))
	r.until(tr.Job.ID, func(s batch.State) bool { return s == batch.Running })
	again := r.reopened()
	conn := dial(t, directives["coordinates"])
	if _, _, err := conn.Read(t.Context()); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	_ = conn.CloseNow()
	again.wait(tr.Job.ID)

	waiting, _ := again.peered("download", "streamer", again.home+"/f")
	again.until(waiting.Job.ID, func(s batch.State) bool { return s == batch.Running })
	want(t, again.do("DELETE", jobs+"/"+waiting.Job.ID, nil), 204)
	if job := again.wait(waiting.Job.ID); job.State != batch.Cancelled {
		t.Errorf("job %s", job.State)
	}
}

func TestWormholeDirectives(t *testing.T) {
	t.Parallel()
	r := newRig(t, byPeer(t, "wormhole"))
	tr, directives := r.peered("upload", "wormhole", r.home+"/a b", "wormholeCode", "7-alpha-beta")
	if len(directives) != 1 || directives["transferMethod"] != "wormhole" {
		t.Errorf("directives %v, want only the method", directives)
	}
	if got := r.outcome(tr); !strings.Contains(got.out, "Looking in indexes: None\nDATE Waiting till file to tranfer is available...\n") {
		t.Errorf("%+v", got)
	}
	tr, directives = r.peered("download", "wormhole", r.home+"/not looked at")
	if !wormholes.MatchString(directives["wormholeCode"]) || len(directives) != 2 {
		t.Errorf("directives %v", directives)
	}
	if got := r.outcome(tr); got.state != batch.Failed {
		t.Errorf("%+v", got)
	}
	a := r.do("POST", transfers+"upload", members{"path": r.home + "/f", "transferDirectives": members{"transferMethod": "wormhole"}})
	want(t, a, 400)
	if e := a.error(t); e.ErrorType != "validation" || len(e.Data.Fields) != 3 {
		t.Errorf("%+v", e)
	}
}
