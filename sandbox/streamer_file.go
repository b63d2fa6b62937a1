package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/coder/websocket"
)

// sendFile sends the opening, the bytes, and the closing with their checksum.
func (s *streamServer) sendFile(ctx context.Context, conn *websocket.Conn, f io.Reader, size int64) error {
	opening, err := json.Marshal(streamInit{Type: "init", NumChunks: (size + streamChunk - 1) / streamChunk, FileSize: &size})
	if err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageBinary, opening); err != nil {
		return err
	}
	digest, chunk := sha256.New(), make([]byte, streamChunk)
	for {
		n, err := io.ReadFull(f, chunk)
		if n > 0 {
			digest.Write(chunk[:n])
			if err := conn.Write(ctx, websocket.MessageBinary, chunk[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return classOf(err)
		}
	}
	if err := s.sendEOF(ctx, conn, hex.EncodeToString(digest.Sum(nil))); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "File %s sent successfully.\n", s.Path)
	return nil
}

func (s *streamServer) sendEOF(ctx context.Context, conn *websocket.Conn, sum string) error {
	if s.TextEOF {
		return conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"type":"eof","sha256_hash":"%s"}`, sum))
	}
	return conn.Write(ctx, websocket.MessageBinary, fmt.Appendf(nil, `{"type": "eof", "sha256_hash": "%s"}`, sum))
}

// receive writes what the peer streams to a file that must not exist.
func (s *streamServer) receive(conn *websocket.Conn) error {
	x := s.files
	p, err := x.changeable(s.Path, false)
	if err == nil && p.info != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return targetError(err)
	}
	f, err := p.dir.OpenFile(p.rel, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return targetError(err)
	}
	defer f.Close()
	in := &streamInput{streamServer: s, file: f, digest: sha256.New()}
	err = in.messages(conn)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = classOf(cerr)
	}
	if in.remove {
		err = errors.Join(err, p.dir.Remove(p.rel))
	}
	return err
}

func targetError(err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return exception(wrongFile, "FileNotFoundError")
	case errors.Is(err, fs.ErrNotExist):
		return exception(websocket.StatusInternalError, "FileNotFoundError")
	}
	return classOf(err)
}

// streamInput is a file that is being received. What a lost connection leaves
// stays, as with the reference.
type streamInput struct {
	*streamServer
	file    *os.File
	digest  hash.Hash
	size    *int64 // announced
	written int64
	counted int64 // towards the limit: every binary message is a full chunk
	remove  bool  // the file is refused
}

// messages reads until the closing. A peer that closes before is taken for
// done, as by the reference.
func (in *streamInput) messages(conn *websocket.Conn) error {
	for {
		kind, r, err := conn.Reader(in.files.ctx)
		if err != nil {
			if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
				return nil
			}
			return err
		}
		done, err := in.message(kind, r)
		if done || err != nil {
			return err
		}
	}
}

func (in *streamInput) message(kind websocket.MessageType, r io.Reader) (done bool, err error) {
	if in.size == nil {
		return false, in.begin(kind, r)
	}
	if kind == websocket.MessageBinary {
		if in.counted += streamChunk; in.counted > in.Limit {
			in.remove = true
			return false, streamClose{websocket.StatusMessageTooBig,
				fmt.Sprintf("Inbound transfer limit exceeded, max allowed transfer size: %d bytes.", in.Limit)}
		}
	}
	// Only a short message may be the closing, and only it need be kept.
	head := make([]byte, 1024)
	n, err := io.ReadFull(r, head)
	short := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !short {
		return false, err
	}
	head = head[:n]
	if sum, ok := closing(head); ok && short && (kind == websocket.MessageText || in.written == *in.size) {
		return true, in.end(sum)
	}
	if kind == websocket.MessageText {
		if bytes.HasPrefix(head, []byte(`{"type":"error"`)) {
			fmt.Fprintf(in.out, "A remote error occurred: %s\n", head)
			return true, nil
		}
		return false, exception(websocket.StatusInternalError, "TypeError")
	}
	written, err := io.Copy(io.MultiWriter(in.file, in.digest), io.MultiReader(bytes.NewReader(head), r))
	in.written += written
	var file *fs.PathError
	if errors.As(err, &file) {
		return false, classOf(err)
	}
	return false, err
}

// begin reads the opening.
func (in *streamInput) begin(kind websocket.MessageType, r io.Reader) error {
	if kind == websocket.MessageText {
		return exception(websocket.StatusInternalError, "AttributeError")
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var opening streamInit
	if err := json.Unmarshal(text, &opening); err != nil {
		return exception(websocket.StatusInternalError, "JSONDecodeError")
	}
	if opening.FileSize == nil {
		return exception(websocket.StatusInternalError, "KeyError")
	}
	in.size = opening.FileSize
	return nil
}

// closing returns the checksum of a message that ends a file.
func closing(text []byte) (sum string, ok bool) {
	var eof struct {
		Type string `json:"type"`
		Sum  string `json:"sha256_hash"`
	}
	if json.Unmarshal(text, &eof) != nil || eof.Type != "eof" {
		return "", false
	}
	return eof.Sum, true
}

func (in *streamInput) end(sum string) error {
	if sum != hex.EncodeToString(in.digest.Sum(nil)) {
		fmt.Fprintln(in.out, "Hash mismatch! File transfer corrupted.")
		in.remove = true
		return nil
	}
	fmt.Fprintf(in.out, "File %s received successfully.\n", in.Path)
	return nil
}
