package datatransfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/fcflow/fcflow/firecrest"
)

// A stream is one file over one websocket connection to the batch job at the
// other end: an opening that tells the size, messages of 5 MiB, and a closing
// that tells the SHA-256. Nothing comes back, so who sends has to look at the
// file afterwards.

const (
	streamChunk   = 5 << 20
	streamMessage = streamChunk + streamChunk/4 // the largest that either side takes
	maxNote       = 4096                        // bytes of an opening or closing
)

var (
	// ErrTruncated says that a stream ended before the file did, or without its
	// checksum.
	ErrTruncated = errors.New("the stream was cut short")
	// ErrCorrupt says that the bytes of a stream do not have its checksum.
	ErrCorrupt = errors.New("the stream has another checksum than its bytes")
)

// StreamError is the reason with which the other side of a stream ended it. It
// matches [firecrest.ErrExists] if a file is in the way of an upload,
// [firecrest.ErrNotFound] if there is none to download, and
// [firecrest.ErrTooLarge].
type StreamError struct {
	// Sending tells an upload from a download.
	Sending bool
	// Code is that of the websocket's close frame.
	Code int
	// Reason is what came with it.
	Reason string
}

func (e *StreamError) Error() string {
	text := fmt.Sprintf("the other side ended the stream (code %d)", e.Code)
	switch cause := e.kind(); {
	case errors.Is(cause, firecrest.ErrExists):
		text = "the target of the stream exists already"
	case errors.Is(cause, firecrest.ErrNotFound):
		text = "the source of the stream does not exist"
	case errors.Is(cause, firecrest.ErrTooLarge):
		text = "the other side takes no more of the stream"
	}
	if e.Reason != "" {
		text += fmt.Sprintf(": %q", e.Reason)
	}
	return text
}

// Is matches what the code says.
func (e *StreamError) Is(target error) bool { return target != nil && target == e.kind() }

// statusWrongFile is what the job sends for a file in the way and for one that
// is missing, with the same reason.
const statusWrongFile = 3003

func (e *StreamError) kind() error {
	switch {
	case e.Code == statusWrongFile && e.Sending:
		return firecrest.ErrExists
	case e.Code == statusWrongFile:
		return firecrest.ErrNotFound
	case e.Code == int(websocket.StatusMessageTooBig):
		return firecrest.ErrTooLarge
	}
	return nil
}

// opening and closing are the notes around the bytes. The job looks at the
// exact text of the closing; it is written without spaces.
type opening struct {
	Type      string `json:"type"` // init
	NumChunks int64  `json:"num_chunks"`
	FileSize  *int64 `json:"file_size"`
}

type closing struct {
	Type   string `json:"type"` // eof
	SHA256 string `json:"sha256_hash"`
}

// SendStream sends size bytes of r to the streamer job that the coordinates of
// an upload lead to, and returns their SHA-256. It dials every address over and
// over, because the job listens only after it has installed itself; when ctx
// ends, so does it, in whatever state.
//
// No error means that the job ended the connection in good order, or did not
// within 30 seconds after the last byte. The job cannot confirm that the file
// is right: compare its size and checksum. After an error a part of the file
// may be there, which is in the way of another try.
//
// Errors: [*StreamError], [ErrTruncated] if the connection broke, [ErrChanged]
// if r ends early, and those of r and of ctx.
func SendStream(ctx context.Context, coordinates firecrest.Secret, r io.Reader, size int64, progress func(done int64)) (sum string, err error) {
	peer, err := parseCoordinates(coordinates)
	if err != nil {
		return "", err
	}
	return peer.send(ctx, r, size, progress)
}

func (p *streamPeer) send(ctx context.Context, r io.Reader, size int64, progress func(done int64)) (sum string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := p.connect(ctx, false)
	if err != nil {
		return "", err
	}
	defer conn.CloseNow()
	s := &outStream{conn: conn, peer: p, digest: sha256.New(), ended: make(chan struct{})}
	go s.listen(ctx)
	err = s.send(ctx, r, size, progress)
	if err == nil {
		err = s.awaitEnd(ctx)
	} else {
		err = s.explain(ctx, err)
	}
	cancel()
	<-s.ended
	return hex.EncodeToString(s.digest.Sum(nil)), err
}

// outStream is a stream to the system.
type outStream struct {
	conn   *websocket.Conn
	peer   *streamPeer
	digest hash.Hash

	ended  chan struct{} // closed when the other side has ended the connection
	reason error         // why
}

// listen waits for the only thing that the job sends, the end.
func (s *outStream) listen(ctx context.Context) {
	defer close(s.ended)
	_, _, err := s.conn.Reader(ctx)
	if err == nil {
		err = errors.New("the other side sends, too")
		_ = s.conn.CloseNow()
	}
	s.reason = err
}

func (s *outStream) send(ctx context.Context, r io.Reader, size int64, progress func(int64)) error {
	first, err := json.Marshal(opening{"init", (size + streamChunk - 1) / streamChunk, &size})
	if err != nil {
		return err
	}
	if err := s.conn.Write(ctx, websocket.MessageBinary, first); err != nil {
		return err
	}
	// Whole chunks only: the job counts every message as one.
	chunk := make([]byte, min(size, streamChunk))
	for done := int64(0); done < size; {
		n, err := io.ReadFull(r, chunk[:min(size-done, streamChunk)])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: it ended %d bytes early", ErrChanged, size-done-int64(n))
		}
		if err != nil {
			return err
		}
		if err := s.conn.Write(ctx, websocket.MessageBinary, chunk[:n]); err != nil {
			return err
		}
		s.digest.Write(chunk[:n])
		done += int64(n)
		progress(done)
	}
	last, err := json.Marshal(closing{"eof", hex.EncodeToString(s.digest.Sum(nil))})
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, last)
}

// lastWords is how long the job may take to end the connection after the last
// byte: it has some of the file to write by then.
const lastWords = 30 * time.Second

// awaitEnd lets the job end the connection, because only then does it say what
// was wrong.
func (s *outStream) awaitEnd(ctx context.Context) error {
	patience := time.NewTimer(lastWords)
	defer patience.Stop()
	select {
	case <-s.ended:
		if orderly(s.reason) {
			return nil
		}
		return s.peer.whyEnded(ctx, s.reason, true)
	case <-patience.C:
		_ = s.conn.Close(websocket.StatusNormalClosure, "")
		return nil
	}
}

// explain prefers what the other side said to what became of a write.
func (s *outStream) explain(ctx context.Context, err error) error {
	if errors.Is(err, ErrChanged) || ctx.Err() != nil {
		return s.peer.whyEnded(ctx, err, true)
	}
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case <-s.ended:
		if websocket.CloseStatus(s.reason) != -1 {
			err = s.reason
		}
	case <-grace.C:
	}
	return s.peer.whyEnded(ctx, err, true)
}

// ReceiveStream writes the file of the streamer job that the coordinates of a
// download lead to, and returns its size and SHA-256. It dials as [SendStream]
// does. Without an error w has got exactly the bytes that were announced, and
// their checksum is the one that came with them.
//
// Errors: [*StreamError], [ErrTruncated], [ErrCorrupt], those of w and of ctx.
func ReceiveStream(ctx context.Context, coordinates firecrest.Secret, w io.Writer, progress func(done, total int64)) (size int64, sum string, err error) {
	peer, err := parseCoordinates(coordinates)
	if err != nil {
		return 0, "", err
	}
	return peer.receive(ctx, w, progress)
}

func (p *streamPeer) receive(ctx context.Context, w io.Writer, progress func(done, total int64)) (size int64, sum string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := p.connect(ctx, true)
	if err != nil {
		return 0, "", err
	}
	defer conn.CloseNow()
	stop := keepAlive(ctx, conn)
	defer stop()
	s := &inStream{conn: conn, out: w, digest: sha256.New()}
	if err := s.receive(ctx, progress); err != nil {
		return s.done, "", p.whyEnded(ctx, err, false)
	}
	_ = conn.Close(websocket.StatusNormalClosure, "") // the file is complete whatever comes
	return s.done, hex.EncodeToString(s.digest.Sum(nil)), nil
}

// inStream is a stream from the system.
type inStream struct {
	conn   *websocket.Conn
	out    io.Writer
	digest hash.Hash
	done   int64
}

func (s *inStream) receive(ctx context.Context, progress func(done, total int64)) error {
	total, err := s.open(ctx)
	if err != nil {
		return err
	}
	progress(0, total)
	for s.done < total {
		if err := s.chunk(ctx, total); err != nil {
			return err
		}
		progress(s.done, total)
	}
	return s.close(ctx)
}

func (s *inStream) open(ctx context.Context) (total int64, err error) {
	var first opening
	if err := s.note(ctx, &first); err != nil {
		return 0, err
	}
	if first.Type != "init" || first.FileSize == nil || *first.FileSize < 0 {
		return 0, errors.New("the stream does not begin with the size of a file")
	}
	return *first.FileSize, nil
}

// note reads a short message of JSON.
func (s *inStream) note(ctx context.Context, into any) error {
	_, r, err := s.conn.Reader(ctx)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxNote+1))
	if err != nil {
		return err
	}
	if len(text) > maxNote {
		return errors.New("the stream goes on where it has to describe itself")
	}
	if json.Unmarshal(text, into) != nil {
		return errors.New("the stream does not describe itself in JSON")
	}
	return nil
}

// chunk copies one message of the file.
func (s *inStream) chunk(ctx context.Context, total int64) error {
	kind, r, err := s.conn.Reader(ctx)
	if err != nil {
		return err
	}
	if kind == websocket.MessageText { // the closing, or an error
		return fmt.Errorf("%w: %d of %d bytes came", ErrTruncated, s.done, total)
	}
	n, err := io.Copy(io.MultiWriter(s.out, s.digest), io.LimitReader(r, total-s.done))
	s.done += n
	switch {
	case err != nil:
		return err
	case n == 0:
		return errors.New("the stream has an empty message")
	}
	if more, err := io.CopyN(io.Discard, r, 1); more > 0 {
		return fmt.Errorf("the stream goes on after the %d bytes that were announced", total)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// close reads the closing, as text or binary and with or without spaces:
// releases differ.
func (s *inStream) close(ctx context.Context) error {
	var last closing
	if err := s.note(ctx, &last); err != nil {
		return err
	}
	if last.Type != "eof" {
		return errors.New("the stream does not end with a checksum")
	}
	if got := hex.EncodeToString(s.digest.Sum(nil)); !strings.EqualFold(last.SHA256, got) {
		return fmt.Errorf("%w: %.64q, but %s came", ErrCorrupt, last.SHA256, got)
	}
	return nil
}
