package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// streamRig is a streamer at work on the files of a site.
type streamRig struct {
	streamer
	root   string
	home   string
	cancel context.CancelCauseFunc

	out   syncBuffer
	ended chan int // exit code
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startStreamer runs one that works on a file of the user's home directory.
// Change, if given, sees it before it runs.
func startStreamer(t *testing.T, operation, name string, change func(*streamRig)) *streamRig {
	t.Helper()
	x := demoSession(t)
	home := x.home("demo")
	ctx, cancel := context.WithCancelCause(t.Context())
	x.ctx = ctx
	r := &streamRig{root: filepath.Dir(filepath.Dir(home)), home: home, cancel: cancel, ended: make(chan int, 1)}
	r.streamer = newStreamer(operation, r.home+"/"+name, freePorts(t))
	if change != nil {
		change(r)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- r.run(x, &r.out)
	}()
	t.Cleanup(func() {
		cancel(nil)
		<-done
	})
	return r
}

// freePorts is a range in which some port was free a moment ago.
func freePorts(t *testing.T) [2]int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := l.Addr().(*net.TCPAddr).Port
	return [2]int{first, min(first+20, 65535)}
}

// at is where it listens, once it does.
func (r *streamRig) at(t *testing.T) string {
	t.Helper()
	return r.says(t, "listening on ws://")
}

// says waits for a line of the log and returns what follows the words.
func (r *streamRig) says(t *testing.T, words string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		if _, rest, found := strings.Cut(r.out.String(), words); found && strings.Contains(rest, "\n") {
			rest, _, _ = strings.Cut(rest, "\n")
			return rest
		}
	}
	t.Fatalf("it does not say %q: %s", words, &r.out)
	return ""
}

func (r *streamRig) connect(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), "ws://"+r.at(t), &websocket.DialOptions{
		HTTPClient: &noRedirect, HTTPHeader: http.Header{"Authorization": {"Bearer " + r.Secret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(streamMessage)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// exit is the code it ended with.
func (r *streamRig) exit(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.ended:
		return code
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end: %s", &r.out)
		return 0
	}
}

type frame struct {
	kind websocket.MessageType
	text string
}

func binaryFrame(text string) frame { return frame{websocket.MessageBinary, text} }
func textFrame(text string) frame   { return frame{websocket.MessageText, text} }

func opened(size int) frame {
	return binaryFrame(fmt.Sprintf(`{"type": "init", "num_chunks": 1, "file_size": %d}`, size))
}

func shaOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func closed(sum string) frame {
	return textFrame(`{"type":"eof","sha256_hash":"` + sum + `"}`)
}

// tell sends frames and returns how the streamer closed the connection.
func tell(t *testing.T, conn *websocket.Conn, frames ...frame) websocket.CloseError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, f := range frames {
		if err := conn.Write(ctx, f.kind, []byte(f.text)); err != nil {
			break // it will say why
		}
	}
	_, text, err := conn.Read(ctx)
	var end websocket.CloseError
	if !errors.As(err, &end) {
		t.Fatalf("read %q, error %v; want a close frame", text, err)
	}
	return end
}

func TestStreamerReceives(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", (streamChunk+16)/16)
	for name, c := range map[string]struct {
		content string
		eof     frame
	}{
		"text closing":               {"content", closed(shaOf("content"))},
		"text closing with spaces":   {"content", textFrame(`{"type": "eof", "sha256_hash": "` + shaOf("content") + `"}`)},
		"binary closing":             {"content", binaryFrame(`{"type":"eof","sha256_hash":"` + shaOf("content") + `"}`)},
		"binary closing with spaces": {"content", binaryFrame(`{"type": "eof", "sha256_hash": "` + shaOf("content") + `"}`)},
		"two chunks":                 {big, closed(shaOf(big))},
		"nothing":                    {"", closed(shaOf(""))},
		"a file that looks like one": {closed(shaOf("")).text, closed(shaOf(closed(shaOf("")).text))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startStreamer(t, streamReceive, "file", nil)
			frames := []frame{opened(len(c.content))}
			for rest := c.content; rest != ""; {
				n := min(len(rest), streamChunk)
				frames, rest = append(frames, binaryFrame(rest[:n])), rest[n:]
			}
			end := tell(t, r.connect(t), append(frames, c.eof)...)
			if code := r.exit(t); code != 0 || end.Code != websocket.StatusNormalClosure {
				t.Errorf("exit code %d, closed with %v", code, end)
			}
			if b, err := os.ReadFile(r.Path); err != nil || string(b) != c.content {
				t.Errorf("%d bytes arrived, %v; want %d", len(b), err, len(c.content))
			}
			if !strings.Contains(r.out.String(), "received successfully") {
				t.Errorf("log: %s", &r.out)
			}
		})
	}
}

func TestStreamerReceivesBadly(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", streamChunk)
	for name, c := range map[string]struct {
		change func(*streamRig)
		frames []frame
		code   websocket.StatusCode
		reason string
		leaves any // the content of the file, nil for none
	}{
		"another checksum":        {nil, []frame{opened(3), binaryFrame("abc"), closed(shaOf("xyz"))}, 1000, "", nil},
		"an error of the peer":    {nil, []frame{opened(3), binaryFrame("ab"), textFrame(`{"type":"error","error":"x"}`)}, 1000, "", "ab"},
		"text data":               {nil, []frame{opened(3), textFrame("abc")}, 1011, `{"type": "error", "error": "TypeError"}`, ""},
		"an opening in text":      {nil, []frame{textFrame(opened(3).text)}, 1011, `{"type": "error", "error": "AttributeError"}`, ""},
		"an opening without JSON": {nil, []frame{binaryFrame("abc")}, 1011, `{"type": "error", "error": "JSONDecodeError"}`, ""},
		"an opening without size": {nil, []frame{binaryFrame(`{"type":"init"}`)}, 1011, `{"type": "error", "error": "KeyError"}`, ""},
		"too many chunks": {
			func(r *streamRig) { r.Limit = streamChunk }, []frame{opened(6), binaryFrame("abc"), binaryFrame("def")},
			1009, fmt.Sprintf("Inbound transfer limit exceeded, max allowed transfer size: %d bytes.", streamChunk), nil,
		},
		"a binary closing counts as a chunk": {
			func(r *streamRig) { r.Limit = streamChunk }, []frame{opened(3), binaryFrame("abc"), binaryFrame(closed(shaOf("abc")).text)},
			1009, fmt.Sprintf("Inbound transfer limit exceeded, max allowed transfer size: %d bytes.", streamChunk), nil,
		},
		"a text closing does not": {
			func(r *streamRig) { r.Limit = streamChunk }, []frame{opened(3), binaryFrame("abc"), closed(shaOf("abc"))}, 1000, "", "abc",
		},
		"a frame that is too large": {nil, []frame{opened(2 * streamMessage), binaryFrame(big + big)}, 1009, "any", "any"},
		"a directory that is missing": {
			func(r *streamRig) { r.Path = r.home + "/no/file" }, nil, 1011, `{"type": "error", "error": "FileNotFoundError"}`, nil,
		},
		"a directory that is locked": {
			func(r *streamRig) {
				_ = os.Mkdir(r.home+"/locked", 0o555)
				r.Path = r.home + "/locked/file"
			}, nil, 1011, `{"type": "error", "error": "PermissionError"}`, nil,
		},
		"a path outside": {
			func(r *streamRig) { r.Path = filepath.Join(filepath.Dir(r.root), "file") }, nil, 1011, `{"type": "error", "error": "PermissionError"}`, nil,
		},
		"a link outside": {
			func(r *streamRig) { _ = os.Symlink(filepath.Join(filepath.Dir(r.root), "file"), r.Path) },
			nil, 3003, `{"type": "error", "error": "FileNotFoundError"}`, nil,
		},
		"a link outside on the way": {
			func(r *streamRig) {
				_ = os.Symlink(filepath.Dir(r.root), r.home+"/out")
				r.Path = r.home + "/out/file"
			}, nil, 1011, `{"type": "error", "error": "PermissionError"}`, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startStreamer(t, streamReceive, "file", c.change)
			end := tell(t, r.connect(t), c.frames...)
			if end.Code != c.code || end.Reason != c.reason && c.reason != "any" {
				t.Errorf("closed with %v, want %d %s", end, c.code, c.reason)
			}
			if code := r.exit(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			b, err := os.ReadFile(r.Path)
			switch {
			case c.leaves == nil && err == nil:
				t.Errorf("it left %q", b)
			case c.leaves != nil && (err != nil || c.leaves != "any" && string(b) != c.leaves):
				t.Errorf("it left %q (%v), want %q", b, err, c.leaves)
			}
		})
	}
}

// A connection that breaks leaves what came; a clean end is an end.
func TestStreamerLosesItsPeer(t *testing.T) {
	t.Parallel()
	for name, hangUp := range map[string]func(*websocket.Conn) error{
		"cut":    (*websocket.Conn).CloseNow,
		"closed": func(c *websocket.Conn) error { return c.Close(websocket.StatusNormalClosure, "") },
	} {
		r := startStreamer(t, streamReceive, "file", nil)
		conn := r.connect(t)
		for _, f := range []frame{opened(6), binaryFrame("abc")} {
			if err := conn.Write(t.Context(), f.kind, []byte(f.text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := hangUp(conn); err != nil {
			t.Error(name, err)
		}
		if code := r.exit(t); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
		if b, err := os.ReadFile(r.Path); err != nil || string(b) != "abc" {
			t.Errorf("%s: it left %q (%v)", name, b, err)
		}
	}
}

func TestStreamerSends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		textEOF bool
		content string
		eof     frame
	}{
		"as the reference": {false, "content", binaryFrame(`{"type": "eof", "sha256_hash": "` + shaOf("content") + `"}`)},
		"corrected":        {true, "content", closed(shaOf("content"))},
		"nothing":          {false, "", binaryFrame(`{"type": "eof", "sha256_hash": "` + shaOf("") + `"}`)},
		"two chunks": {
			false, strings.Repeat("x", streamChunk+1),
			binaryFrame(`{"type": "eof", "sha256_hash": "` + shaOf(strings.Repeat("x", streamChunk+1)) + `"}`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startStreamer(t, streamSend, "file", func(r *streamRig) {
				r.TextEOF = c.textEOF
				if err := os.WriteFile(r.Path, []byte(c.content), 0o644); err != nil {
					t.Error(err)
				}
			})
			conn := r.connect(t)
			var frames []frame
			var end error
			for end == nil {
				kind, text, err := conn.Read(t.Context())
				if end = err; err == nil {
					frames = append(frames, frame{kind, string(text)})
				}
			}
			if websocket.CloseStatus(end) != websocket.StatusNormalClosure || r.exit(t) != 0 {
				t.Errorf("ended with %v", end)
			}
			if len(frames) < 2 || frames[0].kind != websocket.MessageBinary || !strings.Contains(frames[0].text, fmt.Sprintf(`"file_size":%d`, len(c.content))) {
				t.Fatalf("%d frames, the first %q", len(frames), frames[0].text)
			}
			if last := frames[len(frames)-1]; last != c.eof {
				t.Errorf("last frame %v %q, want %v %q", last.kind, last.text, c.eof.kind, c.eof.text)
			}
			var joined strings.Builder
			for _, f := range frames[1 : len(frames)-1] {
				joined.WriteString(f.text)
			}
			if joined.String() != c.content || len(frames) != 2+(len(c.content)+streamChunk-1)/streamChunk {
				t.Errorf("%d bytes in %d frames", joined.Len(), len(frames))
			}
		})
	}
}

// The source may go while the streamer waits.
func TestStreamerSourceGoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then   func(path string) error
		code   websocket.StatusCode
		reason string
	}{
		"removed":  {os.Remove, 3003, `{"type": "error", "error": "FileNotFoundError"}`},
		"locked":   {func(p string) error { return os.Chmod(p, 0) }, 1011, `{"type": "error", "error": "PermissionError"}`},
		"replaced": {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }, 1011, `{"type": "error", "error": "IsADirectoryError"}`},
	} {
		r := startStreamer(t, streamSend, "file", func(r *streamRig) {
			if err := os.WriteFile(r.Path, []byte("abc"), 0o644); err != nil {
				t.Error(err)
			}
		})
		r.at(t)
		if err := c.then(r.Path); err != nil {
			t.Fatal(err)
		}
		if end := tell(t, r.connect(t)); end.Code != c.code || end.Reason != c.reason {
			t.Errorf("%s: closed with %v", name, end)
		}
	}
}

func TestStreamerAuthentication(t *testing.T) {
	t.Parallel()
	r := startStreamer(t, streamReceive, "file", nil)
	at := r.at(t)
	for _, c := range []struct {
		header http.Header
		status int
		text   string
	}{
		{nil, 401, "Missing Authorization header\n"},
		{http.Header{"Authorization": {""}}, 403, "Invalid secret\n"},
		{http.Header{"Authorization": {"Bearer x"}}, 403, "Invalid secret\n"},
		{http.Header{"Authorization": {"Bearer " + r.Secret + "x"}}, 403, "Invalid secret\n"},
	} {
		_, a, err := websocket.Dial(t.Context(), "ws://"+at, &websocket.DialOptions{HTTPClient: &noRedirect, HTTPHeader: c.header})
		if err == nil {
			t.Fatalf("%v was let in", c.header)
		}
		text, _ := io.ReadAll(a.Body)
		if a.StatusCode != c.status || string(text) != c.text {
			t.Errorf("%v: %d %q, want %d %q", c.header, a.StatusCode, text, c.status, c.text)
		}
	}
	// Without an upgrade it is no peer.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.Secret)
	a, err := noRedirect.Do(req)
	if err != nil || a.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("plain request: %v, %v", a, err)
	}
	a.Body.Close()

	// One peer, not two.
	first := r.connect(t)
	r.says(t, "Client connected.") // a handshake alone lets nobody in
	if end := tell(t, r.connect(t)); end.Code != websocket.StatusTryAgainLater {
		t.Errorf("second peer: %v", end)
	}
	if end := tell(t, first, opened(3), binaryFrame("abc"), closed(shaOf("abc"))); end.Code != websocket.StatusNormalClosure {
		t.Errorf("first peer: %v", end)
	}
}

// There are all the ways to end without a transfer.
func TestStreamerWithoutPeer(t *testing.T) {
	t.Parallel()
	write := func(r *streamRig) {
		if err := os.WriteFile(r.Path, nil, 0o644); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		operation string
		change    func(*streamRig)
		code      int
		log       string
	}{
		"no source":       {streamSend, nil, 1, "cannot be sent: No such file"},
		"target exists":   {streamReceive, write, 1, "already exists"},
		"waited too long": {streamReceive, func(r *streamRig) { r.Wait = time.Millisecond }, 0, "No peer connected"},
		"no port": {streamReceive, func(r *streamRig) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { l.Close() })
			port := l.Addr().(*net.TCPAddr).Port
			r.Ports = [2]int{port, port}
		}, 0, "unable to bind"},
		"empty range": {streamReceive, func(r *streamRig) { r.Ports = [2]int{2, 1} }, 0, ""},
		"cancelled":   {streamReceive, func(r *streamRig) { r.cancel(errors.New("enough")) }, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startStreamer(t, c.operation, "file", c.change)
			if code := r.exit(t); code != c.code || !strings.Contains(r.out.String(), c.log) {
				t.Errorf("exit code %d, want %d; log %s", code, c.code, &r.out)
			}
		})
	}
	t.Run("cancelled with a peer", func(t *testing.T) {
		t.Parallel()
		r := startStreamer(t, streamReceive, "file", nil)
		conn := r.connect(t)
		if err := conn.Write(t.Context(), websocket.MessageBinary, []byte(opened(3).text)); err != nil {
			t.Fatal(err)
		}
		r.cancel(errors.New("enough"))
		if code := r.exit(t); code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
}

// A port that is taken is passed by; coordinates name the range.
func TestStreamerCoordinates(t *testing.T) {
	t.Parallel()
	var taken net.Listener
	r := startStreamer(t, streamReceive, "file", func(r *streamRig) {
		var err error
		if taken, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", r.Ports[0])); err != nil {
			t.Skip("another process took the port")
		}
		t.Cleanup(func() { taken.Close() })
		r.IPs = []string{"10.0.0.1", "10.0.0.2"}
	})
	if at := r.at(t); at == taken.Addr().String() || !strings.HasPrefix(at, "127.0.0.1:") {
		t.Errorf("it listens on %s", at)
	}
	want := fmt.Sprintf(`{"ports":[%d,%d],"ips":["10.0.0.1","10.0.0.2"],"secret":"%s"}`, r.Ports[0], r.Ports[1], r.Secret)
	if text, err := base64.URLEncoding.DecodeString(r.coordinates()); err != nil || string(text) != want {
		t.Errorf("coordinates %s (%v), want %s", text, err, want)
	}
	_, logged, _ := strings.Cut(r.out.String(), "to connect: ")
	if text, err := base64.URLEncoding.DecodeString(strings.TrimSpace(logged)); err != nil || string(text) != strings.TrimSuffix(want, "}")+`,"operation":"receive"}` {
		t.Errorf("logged coordinates %s (%v)", text, err)
	}
	if secret, err := base64.RawURLEncoding.DecodeString(r.Secret); err != nil || len(secret) != 16 || r.Secret == newStreamer("", "", r.Ports).Secret {
		t.Errorf("secret %q (%v)", r.Secret, err)
	}
}
