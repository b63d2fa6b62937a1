package datatransfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fcflow/fcflow/firecrest"
)

const streamSecret = "s3cr3t-Of_the-stream_1"

// streamJob is the other side of a stream: what it does with the connection of
// who knows the secret.
func streamJob(t *testing.T, do func(ctx context.Context, conn *websocket.Conn)) *httptest.Server {
	t.Helper()
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+streamSecret {
			http.Error(w, "Invalid secret "+r.Header.Get("Authorization"), http.StatusForbidden)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(streamMessage)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		do(ctx, conn)
	}))
}

func coordinates(t *testing.T, addr net.Addr, more int) firecrest.Secret {
	t.Helper()
	port := addr.(*net.TCPAddr).Port
	text, err := json.Marshal(map[string]any{"ports": []int{port, port + more}, "ips": []string{"127.0.0.1"}, "secret": streamSecret, "operation": "send"})
	if err != nil {
		t.Fatal(err)
	}
	return firecrest.Secret(base64.URLEncoding.EncodeToString(text))
}

func randomBytes(t *testing.T, n int) []byte {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed of the content: %d", seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(b)
	return b
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func noProgress(int64)          {}
func noProgressOf(int64, int64) {}

// What goes over the wire of an upload, message by message.
func TestSendStream(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, streamChunk - 1, streamChunk, streamChunk + 1, 3*streamChunk + 7} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			content := randomBytes(t, size)
			type message struct {
				kind websocket.MessageType
				text []byte
			}
			got := make(chan []message, 1)
			job := streamJob(t, func(ctx context.Context, conn *websocket.Conn) {
				var all []message
				for {
					kind, text, err := conn.Read(ctx)
					if err != nil {
						t.Errorf("read: %v", err)
						break
					}
					all = append(all, message{kind, text})
					if kind == websocket.MessageText {
						break
					}
				}
				_ = conn.Close(websocket.StatusNormalClosure, "")
				got <- all
			})
			defer job.Close()
			done := []int64{}
			sum, err := SendStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), bytes.NewReader(content), int64(size), func(n int64) { done = append(done, n) })
			if err != nil || sum != sumOf(content) {
				t.Fatalf("sum %s, error %v; want %s", sum, err, sumOf(content))
			}
			all := <-got
			chunks := (size + streamChunk - 1) / streamChunk
			if len(all) != chunks+2 {
				t.Fatalf("%d messages, want %d", len(all), chunks+2)
			}
			first, last := all[0], all[len(all)-1]
			if want := fmt.Sprintf(`{"type":"init","num_chunks":%d,"file_size":%d}`, chunks, size); first.kind != websocket.MessageBinary || string(first.text) != want {
				t.Errorf("opening %v %s, want %s in binary", first.kind, first.text, want)
			}
			if want := `{"type":"eof","sha256_hash":"` + sum + `"}`; last.kind != websocket.MessageText || string(last.text) != want {
				t.Errorf("closing %v %s, want %s in text", last.kind, last.text, want)
			}
			var joined []byte
			for i, m := range all[1 : len(all)-1] {
				if m.kind != websocket.MessageBinary || i < chunks-1 && len(m.text) != streamChunk {
					t.Errorf("message %d: %v of %d bytes", i, m.kind, len(m.text))
				}
				joined = append(joined, m.text...)
			}
			if !bytes.Equal(joined, content) {
				t.Error("the bytes are others")
			}
			if len(done) != chunks || chunks > 0 && done[chunks-1] != int64(size) {
				t.Errorf("progress %v", done)
			}
		})
	}
}

// Whoever listens in front of the job, and however late it comes, it is found.
func TestStreamFindsItsJob(t *testing.T) {
	t.Parallel()
	first, others := busyPorts(t)
	respond := func(answer string) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, answer) }
	}
	for i, answer := range []string{"HTTP/1.1 401 Unauthorized\r\nContent-Length: 28\r\n\r\nMissing Authorization header", "HTTP/1.1 403 Forbidden\r\n\r\nInvalid secret", "this is no HTTP\r\n\r\n"} {
		go serveRaw(others[i], respond(answer))
		defer others[i].Close()
	}
	ended := make(chan error, 1)
	go func() {
		_, err := SendStream(t.Context(), coordinates(t, first, 4), strings.NewReader("content"), 7, noProgress)
		ended <- err
	}()
	// By now the first round is under way, or soon will be: nothing listens on
	// the first and the last port.
	job := streamJob(t, func(ctx context.Context, conn *websocket.Conn) {
		for {
			if kind, _, err := conn.Read(ctx); err != nil || kind == websocket.MessageText {
				_ = conn.Close(websocket.StatusGoingAway, "")
				return
			}
		}
	})
	defer job.Close()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first.(*net.TCPAddr).Port+4))
	if err != nil {
		t.Skip("another process took the port")
	}
	go func() { _ = http.Serve(l, job.Config.Handler) }()
	defer l.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// busyPorts returns the address of a free port, and listeners on the three
// behind it; the one behind those is likely free.
func busyPorts(t *testing.T) (net.Addr, []net.Listener) {
	t.Helper()
	for range 100 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := free.Addr().(*net.TCPAddr).Port
		var busy []net.Listener
		for i := 1; i <= 3 && err == nil && port+4 <= 65535; i++ {
			var l net.Listener
			if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i)); err == nil {
				busy = append(busy, l)
			}
		}
		free.Close()
		if len(busy) == 3 {
			return free.Addr(), busy
		}
		for _, l := range busy {
			l.Close()
		}
	}
	t.Fatal("no free ports in a row")
	return nil, nil
}

// serveRaw lets do answer each connection after its request.
func serveRaw(l net.Listener, do func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 4096))
		do(c)
		c.Close()
	}
}

// read reads to the end of an upload, or until it has had n messages.
func readMessages(ctx context.Context, conn *websocket.Conn, n int) {
	for ; n > 0; n-- {
		if _, _, err := conn.Read(ctx); err != nil {
			return
		}
	}
}

const wrongFileReason = `{"type": "error", "error": "FileNotFoundError"}`

func TestSendStreamFails(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("x", 3*streamChunk)
	for name, c := range map[string]struct {
		job   func(ctx context.Context, conn *websocket.Conn)
		want  error
		texts []string
	}{
		"target exists": {
			func(_ context.Context, conn *websocket.Conn) { _ = conn.Close(3003, wrongFileReason) },
			firecrest.ErrExists, []string{"target of the stream exists"},
		},
		"too large, in the middle": {
			func(ctx context.Context, conn *websocket.Conn) {
				readMessages(ctx, conn, 2)
				_ = conn.Close(1009, "Inbound transfer limit exceeded, max allowed transfer size: 5 bytes.")
			},
			firecrest.ErrTooLarge, []string{"takes no more", "Inbound transfer limit"},
		},
		"too large, at the end": {
			func(ctx context.Context, conn *websocket.Conn) {
				readMessages(ctx, conn, 5)
				_ = conn.Close(1009, "too much")
			},
			firecrest.ErrTooLarge, []string{"too much"},
		},
		"exception": {
			func(ctx context.Context, conn *websocket.Conn) {
				readMessages(ctx, conn, 3)
				_ = conn.Close(1011, `{"type": "error", "error": "PermissionError"}`)
			},
			nil, []string{"1011", "PermissionError"},
		},
		"connection cut": {
			func(ctx context.Context, conn *websocket.Conn) { readMessages(ctx, conn, 2) },
			ErrTruncated, nil,
		},
		"connection cut at the end": {
			func(ctx context.Context, conn *websocket.Conn) { readMessages(ctx, conn, 5) },
			ErrTruncated, nil,
		},
		"it answers": {
			func(ctx context.Context, conn *websocket.Conn) {
				_ = conn.Write(ctx, websocket.MessageText, []byte("hello"))
				readMessages(ctx, conn, 10)
			},
			nil, nil,
		},
		"the secret comes back": {
			func(_ context.Context, conn *websocket.Conn) { _ = conn.Close(1011, "bad "+streamSecret+"\x1b[31m") },
			nil, []string{"redacted"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := streamJob(t, c.job)
			defer job.Close()
			_, err := SendStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), strings.NewReader(content), int64(len(content)), noProgress)
			checkError(t, err, c.want, c.texts)
		})
	}
}

// held has nothing, and says so when it is closed.
type held chan struct{}

func (h held) Read([]byte) (int, error) {
	<-h
	return 0, io.EOF
}

// TestSendStreamEndsEarly: the job closes in good order, and there is more to send.
func TestSendStreamEndsEarly(t *testing.T) {
	t.Parallel()
	closed := make(held)
	job := streamJob(t, func(ctx context.Context, conn *websocket.Conn) {
		defer close(closed)
		readMessages(ctx, conn, 2)
		_ = conn.Close(websocket.StatusNormalClosure, "")
	})
	defer job.Close()
	chunk := strings.Repeat("x", streamChunk)
	content := io.MultiReader(strings.NewReader(chunk), closed, strings.NewReader(chunk))
	_, err := SendStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), content, 2*streamChunk, noProgress)
	checkError(t, err, ErrTruncated, nil)
}

func checkError(t *testing.T, err, want error, texts []string) {
	t.Helper()
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
	if strings.Contains(err.Error(), streamSecret) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("error %q", err)
	}
}

// A source that ends early is told apart from a bad connection, and the job is
// not told that the file is complete.
func TestSendStreamOfShortSource(t *testing.T) {
	t.Parallel()
	closings := make(chan bool, 1)
	job := streamJob(t, func(ctx context.Context, conn *websocket.Conn) {
		for {
			kind, _, err := conn.Read(ctx)
			if err != nil || kind == websocket.MessageText {
				closings <- err == nil
				return
			}
		}
	})
	defer job.Close()
	_, err := SendStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), strings.NewReader("1234567"), 8, noProgress)
	checkError(t, err, ErrChanged, []string{"1 bytes early"})
	if <-closings {
		t.Error("the stream was closed as if it were complete")
	}
}

func TestStreamCancelled(t *testing.T) {
	t.Parallel()
	why := errors.New("enough of it")
	endless := func(cancel context.CancelCauseFunc) func(ctx context.Context, conn *websocket.Conn) {
		return func(ctx context.Context, conn *websocket.Conn) {
			cancel(why)
			_, _, _ = conn.Read(ctx)
			_, _, _ = conn.Read(ctx)
		}
	}
	for name, run := range map[string]func(ctx context.Context, c firecrest.Secret) error{
		"send": func(ctx context.Context, c firecrest.Secret) error {
			_, err := SendStream(ctx, c, neverEnding{}, 1<<40, noProgress)
			return err
		},
		"receive": func(ctx context.Context, c firecrest.Secret) error {
			_, _, err := ReceiveStream(ctx, c, io.Discard, noProgressOf)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			job := streamJob(t, endless(cancel))
			defer job.Close()
			checkError(t, run(ctx, coordinates(t, job.Listener.Addr(), 0)), why, nil)

			// And while nothing listens.
			ctx, cancel = context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second/2, func() { cancel(why) }) // time to be refused once, on a busy machine
			addr, busy := busyPorts(t)
			for _, l := range busy {
				l.Close()
			}
			checkError(t, run(ctx, coordinates(t, addr, 0)), why, []string{"no streamer job let us in", "refused"})
		})
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// note is the text of an opening or closing as Python writes it.
func pythonInit(size int) []byte {
	return fmt.Appendf(nil, `{"type": "init", "num_chunks": %d, "file_size": %d}`, (size+streamChunk-1)/streamChunk, size)
}

func pythonEOF(sum string) []byte {
	return fmt.Appendf(nil, `{"type": "eof", "sha256_hash": "%s"}`, sum)
}

type sent struct {
	kind websocket.MessageType
	text []byte
}

func binary(text []byte) sent  { return sent{websocket.MessageBinary, text} }
func textual(text []byte) sent { return sent{websocket.MessageText, text} }

// sender sends messages and then lets the other side close.
func sender(messages ...sent) func(ctx context.Context, conn *websocket.Conn) {
	return func(ctx context.Context, conn *websocket.Conn) {
		for _, m := range messages {
			if conn.Write(ctx, m.kind, m.text) != nil {
				return
			}
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}
}

func TestReceiveStream(t *testing.T) {
	t.Parallel()
	content := randomBytes(t, 2*streamChunk+100)
	sum := sumOf(content)
	chunks := []sent{binary(content[:streamChunk]), binary(content[streamChunk : 2*streamChunk]), binary(content[2*streamChunk:])}
	for name, last := range map[string]sent{
		"binary closing with spaces": binary(pythonEOF(sum)),
		"text closing with spaces":   textual(pythonEOF(sum)),
		"text closing":               textual(bytes.ReplaceAll(pythonEOF(sum), []byte(" "), nil)),
		"binary closing":             binary(bytes.ReplaceAll(pythonEOF(sum), []byte(" "), nil)),
		"capital digits":             binary(pythonEOF(strings.ToUpper(sum))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := streamJob(t, sender(append(append([]sent{binary(pythonInit(len(content)))}, chunks...), last)...))
			defer job.Close()
			var got bytes.Buffer
			var done, total int64
			size, digest, err := ReceiveStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), &got, func(d, t int64) { done, total = d, t })
			if err != nil || size != int64(len(content)) || digest != sum || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("received %d bytes, sum %s, error %v; wrote %d bytes", size, digest, err, got.Len())
			}
			if done != size || total != size {
				t.Errorf("progress %d of %d", done, total)
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		job := streamJob(t, sender(binary(pythonInit(0)), binary(pythonEOF(sumOf(nil)))))
		defer job.Close()
		size, digest, err := ReceiveStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), io.Discard, noProgressOf)
		if err != nil || size != 0 || digest != sumOf(nil) {
			t.Errorf("received %d bytes, sum %s, error %v", size, digest, err)
		}
	})
}

type brokenDisk struct{}

var errDisk = errors.New("the disk is full")

func (brokenDisk) Write([]byte) (int, error) { return 0, errDisk }

func TestReceiveStreamFails(t *testing.T) {
	t.Parallel()
	data := []byte("the content of a file")
	start, eof := binary(pythonInit(len(data))), binary(pythonEOF(sumOf(data)))
	closing := func(code websocket.StatusCode, reason string) func(context.Context, *websocket.Conn) {
		return func(_ context.Context, conn *websocket.Conn) { _ = conn.Close(code, reason) }
	}
	for name, c := range map[string]struct {
		job   func(ctx context.Context, conn *websocket.Conn)
		want  error
		texts []string
	}{
		"source missing":              {closing(3003, wrongFileReason), firecrest.ErrNotFound, []string{"source of the stream does not exist"}},
		"exception":                   {closing(1011, `{"type": "error", "error": "OSError"}`), nil, []string{"1011", "OSError"}},
		"closed at once":              {closing(1000, ""), ErrTruncated, nil},
		"cut after the opening":       {func(ctx context.Context, conn *websocket.Conn) { _ = conn.Write(ctx, start.kind, start.text) }, ErrTruncated, nil},
		"closed after half":           {sender(start, binary(data[:10])), ErrTruncated, nil},
		"closing after half":          {sender(start, binary(data[:10]), textual(eof.text)), ErrTruncated, []string{"10 of 21"}},
		"no closing":                  {sender(start, binary(data)), ErrTruncated, nil},
		"another checksum":            {sender(start, binary(data), binary(pythonEOF(sumOf(nil)))), ErrCorrupt, []string{sumOf(data)}},
		"no checksum":                 {sender(start, binary(data), binary([]byte(`{"type": "eof"}`))), ErrCorrupt, nil},
		"more data than announced":    {sender(start, binary(append(bytes.Clone(data), 'x')), eof), nil, []string{"goes on after the 21 bytes"}},
		"more messages":               {sender(start, binary(data), binary(data), eof), nil, []string{"JSON"}},
		"closing swallowed by data":   {sender(binary(pythonInit(len(data)+len(eof.text))), binary(data), eof), ErrTruncated, nil},
		"empty messages for ever":     {sender(start, binary(nil), binary(nil), binary(data), eof), nil, []string{"empty message"}},
		"no opening":                  {sender(binary(data), eof), nil, []string{"JSON"}},
		"another opening":             {sender(eof, eof), nil, []string{"size of a file"}},
		"negative size":               {sender(binary(pythonInit(-1))), nil, []string{"size of a file"}},
		"a size that is no number":    {sender(binary([]byte(`{"type":"init","file_size":"21"}`))), nil, []string{"JSON"}},
		"an opening without end":      {sender(binary(bytes.Repeat([]byte(" "), streamChunk))), nil, []string{"goes on"}},
		"a message that is too large": {sender(binary(pythonInit(2*streamMessage)), binary(make([]byte, streamMessage+1))), nil, []string{"more than 6553600 bytes"}},
		"the secret comes back":       {closing(1011, streamSecret), nil, []string{"redacted"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := streamJob(t, c.job)
			defer job.Close()
			_, sum, err := ReceiveStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), io.Discard, noProgressOf)
			checkError(t, err, c.want, c.texts)
			if sum != "" {
				t.Errorf("sum %q of what did not come", sum)
			}
		})
	}
	t.Run("disk full", func(t *testing.T) {
		t.Parallel()
		job := streamJob(t, sender(start, binary(data), eof))
		defer job.Close()
		_, _, err := ReceiveStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), brokenDisk{}, noProgressOf)
		checkError(t, err, errDisk, nil)
	})
	t.Run("largest message", func(t *testing.T) {
		t.Parallel()
		large := make([]byte, streamMessage)
		job := streamJob(t, sender(binary(pythonInit(len(large))), binary(large), binary(pythonEOF(sumOf(large)))))
		defer job.Close()
		if _, _, err := ReceiveStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), io.Discard, noProgressOf); err != nil {
			t.Error(err)
		}
	})
}

func TestParseCoordinates(t *testing.T) {
	t.Parallel()
	good := `{"ports":[5665,5670],"ips":["10.0.0.1","fe80::1"],"secret":"` + streamSecret + `"}`
	for name, text := range map[string]string{
		"padded":    base64.URLEncoding.EncodeToString([]byte(good)),
		"unpadded":  base64.RawURLEncoding.EncodeToString([]byte(good)),
		"operation": base64.URLEncoding.EncodeToString([]byte(`{"operation":"receive",` + good[1:])),
		"new line":  base64.URLEncoding.EncodeToString([]byte(good)) + "\n",
	} {
		p, err := parseCoordinates(firecrest.Secret(text))
		if err != nil || p.ports != [2]int{5665, 5670} || len(p.ips) != 2 || p.ips[1] != "fe80::1" || string(p.secret) != streamSecret {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	p, err := parseCoordinates(firecrest.Secret(base64.URLEncoding.EncodeToString([]byte(`{"ports":[1,1],"secret":"x"}`))))
	if err != nil || len(p.ips) != 1 || p.ips[0] != "localhost" {
		t.Errorf("without ips: %v, %v", p, err)
	}
	for _, text := range []string{
		"", "!", streamSecret, `{"ports":[1,2],"secret":""}`, `{"ports":[1],"secret":"s3cr"}`, `{"ports":[2,1],"secret":"s3cr"}`,
		`{"ports":[0,1],"secret":"s3cr"}`, `{"ports":[1,65536],"secret":"s3cr"}`, `{"ports":"s3cr","secret":"s3cr"}`, `["s3cr"]`, `{"secret":"s3cr"`,
	} {
		for _, encoded := range []string{text, base64.URLEncoding.EncodeToString([]byte(text))} {
			if _, err := parseCoordinates(firecrest.Secret(encoded)); err == nil || strings.Contains(err.Error(), "s3cr") {
				t.Errorf("coordinates of %q: error %v", text, err)
			}
		}
	}
}

// A job whose disk stalls for longer than a pong may take to be written, and
// that pings meanwhile, gets its file all the same.
func TestSendStreamToStalledJob(t *testing.T) {
	if testing.Short() {
		t.Skip("stalls for seven seconds")
	}
	t.Parallel()
	content := make([]byte, 12*streamChunk) // more than buffers hold
	job := streamJob(t, func(ctx context.Context, conn *websocket.Conn) {
		var pings sync.WaitGroup
		defer pings.Wait()
		tick := time.NewTicker(time.Second / 2)
		defer tick.Stop()
		for range 14 {
			pings.Go(func() { _ = conn.Ping(ctx) }) // nothing is read, so no pong arrives
			<-tick.C
		}
		readMessages(ctx, conn, 14)
		_ = conn.Close(websocket.StatusNormalClosure, "")
	})
	defer job.Close()
	_, err := SendStream(t.Context(), coordinates(t, job.Listener.Addr(), 0), bytes.NewReader(content), int64(len(content)), noProgress)
	if err != nil {
		t.Error(err)
	}
}
