package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// streamer is the side of a streamer transfer that runs inside a job: it
// listens for one peer that knows the secret, moves one file, and ends.
type streamer struct {
	// Operation is what this side does: send for a download, receive for an
	// upload.
	Operation string `json:"operation"`
	// Path is the file on the system.
	Path   string `json:"path"`
	Secret string `json:"secret"`
	// IPs are where peers are told to connect, localhost by default. It listens
	// on the loopback interface whatever they are.
	IPs []string `json:"ips"`
	// Ports are an inclusive range, of which the first free one is taken.
	Ports [2]int `json:"ports"`
	// Wait is how long it waits for the peer, a day by default.
	Wait time.Duration `json:"wait"`
	// Limit is how many bytes it receives, 5 GiB by default.
	Limit int64 `json:"limit"`
	// TextEOF has it end a file as later releases may: in text, without spaces.
	TextEOF bool `json:"textEof"`
}

const (
	streamSend    = "send"
	streamReceive = "receive"
)

func newStreamer(operation, path string, ports [2]int) streamer {
	secret := make([]byte, 16)
	_, _ = rand.Read(secret) // never fails
	return streamer{Operation: operation, Path: path, Ports: ports, Secret: base64.RawURLEncoding.EncodeToString(secret)}
}

func (s streamer) withDefaults() streamer {
	if len(s.IPs) == 0 {
		s.IPs = []string{"localhost"}
	}
	if s.Wait == 0 {
		s.Wait = 24 * time.Hour
	}
	if s.Limit == 0 {
		s.Limit = 5 << 30
	}
	return s
}

// coordinates are what a peer needs to connect, as the API tells them.
func (s streamer) coordinates() string { return s.encode(false) }

// encode adds, for the log, what this side does.
func (s streamer) encode(withOperation bool) string {
	s = s.withDefaults()
	text, err := json.Marshal(struct {
		Ports     [2]int   `json:"ports"`
		IPs       []string `json:"ips"`
		Secret    string   `json:"secret"`
		Operation string   `json:"operation,omitempty"`
	}{s.Ports, s.IPs, s.Secret, map[bool]string{true: s.Operation}[withOperation]})
	if err != nil {
		panic(err) // strings and numbers encode
	}
	return base64.URLEncoding.EncodeToString(text)
}

// run waits for the peer and moves the file, with the permissions of x. Like
// the script of the reference it fails if there is nothing to send or something
// in the way at the start; after that it exits with 0 whatever happens.
func (s streamer) run(x session, out io.Writer) (exitCode int) {
	s = s.withDefaults()
	_, err := x.existing(s.Path, true)
	switch {
	case s.Operation == streamSend && err != nil:
		fmt.Fprintf(out, "Source file %s cannot be sent: %s\n", s.Path, strerror(err))
		return 1
	case s.Operation == streamReceive && err == nil:
		fmt.Fprintf(out, "Target file %s already exists.\n", s.Path)
		return 1
	}
	listener, err := s.listen(x.ctx, out)
	if err != nil {
		return 0
	}
	fmt.Fprintf(out, "Server is listening on ws://%s\nUse these coordinates to connect: %s\n", listener.Addr(), s.encode(true))
	(&streamServer{streamer: s, files: x, out: out, begun: make(chan struct{}), ended: make(chan struct{})}).serve(listener)
	if x.expired() != nil {
		return 1
	}
	return 0
}

// listen takes the first free port of the range.
func (s streamer) listen(ctx context.Context, out io.Writer) (net.Listener, error) {
	err := fmt.Errorf("no port in %v", s.Ports)
	for port := s.Ports[0]; port <= s.Ports[1]; port++ {
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
		fmt.Fprintf(out, "Server unable to bind on port: %d\n", port)
	}
	return nil, err
}

// streamServer is a streamer that listens.
type streamServer struct {
	streamer
	files session
	out   io.Writer

	mu     sync.Mutex
	closed bool          // no peer is let in any more
	begun  chan struct{} // closed when the peer is in
	ended  chan struct{} // closed when its transfer is over
}

// serve returns when the transfer is over, or the peer is late.
func (s *streamServer) serve(l net.Listener) {
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return s.files.ctx },
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // ends when it is closed
	}()
	late := time.NewTimer(s.Wait)
	defer late.Stop()
	select {
	case <-s.begun:
	case <-late.C:
	case <-s.files.ctx.Done():
	}
	if s.letIn() {
		fmt.Fprintln(s.out, "No peer connected.")
	} else {
		<-s.ended // with its context, at the latest
	}
	_ = srv.Close()
	<-served
}

// letIn is true for the first caller only.
func (s *streamServer) letIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.closed
	s.closed = true
	return first
}

// ServeHTTP checks the secret and moves the file.
func (s *streamServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	authorization, given := r.Header["Authorization"]
	if !given {
		http.Error(w, "Missing Authorization header", http.StatusUnauthorized)
		return
	}
	parts := strings.Split(authorization[0], "Bearer ")
	if subtle.ConstantTimeCompare([]byte(parts[len(parts)-1]), []byte(s.Secret)) == 0 {
		http.Error(w, "Invalid secret", http.StatusForbidden)
		return
	}
	// Pongs are not sent: one that waits behind a slow frame would end the
	// connection, and no peer insists on them.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { return s.Operation == streamReceive },
	})
	if err != nil {
		return // answered
	}
	defer conn.CloseNow()
	if !s.letIn() {
		_ = conn.Close(websocket.StatusTryAgainLater, "")
		return
	}
	close(s.begun)
	defer close(s.ended)
	fmt.Fprintln(s.out, "Client connected.")
	conn.SetReadLimit(streamMessage)
	stop := keepAlive(s.files.ctx, conn, s.Operation == streamReceive)
	defer stop()
	if s.Operation == streamSend {
		err = s.send(conn)
	} else {
		err = s.receive(conn)
	}
	s.finish(conn, err)
}

// keepAlive pings the peer every minute, as long as nothing else is sent.
func keepAlive(ctx context.Context, conn *websocket.Conn, wanted bool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if wanted {
		wg.Go(func() {
			tick := time.NewTicker(time.Minute)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					wg.Go(func() { _ = conn.Ping(ctx) }) // nobody waits for pongs
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// The protocol: messages carry five mebibytes, and may have a quarter more.
const (
	streamChunk   = 5 << 20
	streamMessage = streamChunk + streamChunk/4
)

// streamClose is an error that the peer is told.
type streamClose struct {
	code   websocket.StatusCode
	reason string
}

func (e streamClose) Error() string { return e.reason }

// exception is what the reference says when it meets an exception of a class.
func exception(code websocket.StatusCode, class string) error {
	return streamClose{code, fmt.Sprintf(`{"type": "error", "error": "%s"}`, class)}
}

// wrongFile is a source that is missing or a target that exists; the reference
// calls both not found.
const wrongFile websocket.StatusCode = 3003

// classOf is the exception of a failed file operation.
func classOf(err error) error {
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return exception(websocket.StatusInternalError, "PermissionError")
	case errors.Is(err, syscall.EISDIR):
		return exception(websocket.StatusInternalError, "IsADirectoryError")
	}
	return exception(websocket.StatusInternalError, "OSError")
}

// finish ends the connection the way the transfer went.
func (s *streamServer) finish(conn *websocket.Conn, err error) {
	var told streamClose
	switch {
	case err == nil:
		_ = conn.Close(websocket.StatusNormalClosure, "")
	case errors.As(err, &told):
		fmt.Fprintf(s.out, "An error occurred: %s\n", told.reason)
		_ = conn.Close(told.code, told.reason)
	default:
		fmt.Fprintf(s.out, "Remote connection closed with error: %v\n", err)
	}
}

// streamInit opens a stream.
type streamInit struct {
	Type      string `json:"type"`
	NumChunks int64  `json:"num_chunks"`
	FileSize  *int64 `json:"file_size"`
}

// send streams the file to the peer.
func (s *streamServer) send(conn *websocket.Conn) error {
	p, err := s.files.existing(s.Path, true)
	if errors.Is(err, fs.ErrNotExist) {
		return exception(wrongFile, "FileNotFoundError")
	}
	if err == nil && p.info.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return classOf(err)
	}
	f, err := s.files.open(p)
	if err != nil {
		return classOf(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return classOf(err)
	}
	ctx := conn.CloseRead(s.files.ctx) // a peer that gives up is noticed
	return s.sendFile(ctx, conn, f, info.Size())
}
