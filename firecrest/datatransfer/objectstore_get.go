package datatransfer

import (
	"context"
	"crypto/md5" //nolint:gosec // it is what object stores tell; damage is looked for, not malice
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// VerifiedMD5 says that an object's bytes have the MD5 that the store tells, of
// the whole or of its parts.
const VerifiedMD5 = "md5"

// errDigest: the bytes that came are not those that the store has.
var errDigest = errors.New("the bytes do not have the digest that the store tells")

// ObjectReader reads an object from its beginning to its end, some pieces at a
// time over connections of their own. Its last Read returns [io.EOF] only if
// size and digest are right.
type ObjectReader struct {
	ObjectInfo

	store    *ObjectStore
	ctx      context.Context
	cancel   context.CancelFunc
	pieces   chan chan arrival // in the order of the object
	current  []byte
	taken    []byte // what current is a part of
	free     chan []byte
	read     int64
	workers  sync.WaitGroup
	digest   digester
	progress func(done, total int64)
	err      error
}

// arrival is a piece, or why there is none.
type arrival struct {
	bytes []byte
	err   error
}

// Open begins to read an object. progress, if not nil, is told how many bytes
// have been read. Close the reader; ctx ends it too. If the object changes
// meanwhile, reading fails with [ErrChanged].
func (s *ObjectStore) Open(ctx context.Context, at Location, progress func(done, total int64)) (*ObjectReader, error) {
	info, err := s.Stat(ctx, at)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &ObjectReader{
		ObjectInfo: info, store: s, ctx: ctx, cancel: cancel, progress: progress,
		pieces: make(chan chan arrival, s.cfg.Connections-1), free: make(chan []byte, s.cfg.Connections+2),
		digest: s.digester(ctx, info),
	}
	r.workers.Go(r.fetchAll)
	return r, nil
}

// Get writes an object to w.
func (s *ObjectStore) Get(ctx context.Context, at Location, w io.Writer, progress func(done, total int64)) (info ObjectInfo, verified string, err error) {
	r, err := s.Open(ctx, at, progress)
	if err != nil {
		return ObjectInfo{}, "", err
	}
	defer r.Close()
	_, err = io.Copy(localWriter{w}, r)
	return r.ObjectInfo, r.Verified(), err
}

// localWriter marks what goes wrong at the near side.
type localWriter struct{ io.Writer }

func (w localWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	return n, localError(err)
}

// Verified says how the bytes are verified at the end: [VerifiedDigest],
// [VerifiedMD5] or [VerifiedSize].
func (r *ObjectReader) Verified() string { return r.digest.name }

// fetchAll asks for the pieces in order; how far ahead is bounded by the room in
// the channel.
func (r *ObjectReader) fetchAll() {
	defer close(r.pieces)
	for offset := int64(0); offset < r.Size; offset += r.store.piece {
		piece := make(chan arrival, 1)
		select {
		case r.pieces <- piece:
		case <-r.ctx.Done():
			return
		}
		size := min(r.store.piece, r.Size-offset)
		r.workers.Go(func() {
			buffer := r.buffer()[:size]
			piece <- arrival{buffer, r.store.fetch(r.ctx, r.ObjectInfo, offset, buffer)}
		})
	}
}

func (r *ObjectReader) buffer() []byte {
	select {
	case b := <-r.free:
		return b
	default:
		return make([]byte, min(r.store.piece, r.Size))
	}
}

// Read implements [io.Reader].
func (r *ObjectReader) Read(p []byte) (int, error) {
	for len(r.current) == 0 {
		if r.err == nil {
			r.err = r.next()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.current)
	r.current = r.current[n:]
	return n, nil
}

// next takes the next piece, or judges the whole.
func (r *ObjectReader) next() error {
	if r.taken != nil {
		r.free <- r.taken[:cap(r.taken)]
		r.taken = nil
	}
	piece, more := <-r.pieces
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if !more {
		if !r.digest.right() {
			return &ObjectError{Action: "read", At: r.Location, Host: r.store.host, cause: errDigest, final: true}
		}
		return io.EOF
	}
	got := <-piece
	if got.err != nil {
		return got.err
	}
	r.taken, r.current = got.bytes, got.bytes
	_, _ = r.digest.Write(got.bytes) // hashes do not fail
	r.read += int64(len(got.bytes))
	if r.progress != nil {
		r.progress(r.read, r.Size)
	}
	return nil
}

// Close ends the reading, and what is under way for it.
func (r *ObjectReader) Close() error {
	r.cancel()
	r.workers.Wait()
	return nil
}

// Matches reports whether what r gives is the same as an object that Stat has
// found, and how that could be told; with [VerifiedSize] nothing but the size is
// known of the object, so that it is not known to be the same.
func (s *ObjectStore) Matches(ctx context.Context, info ObjectInfo, r io.Reader) (verified string, same bool, err error) {
	d := s.digester(ctx, info)
	n, err := io.Copy(&d, r)
	if err != nil {
		return "", false, localError(err)
	}
	return d.name, n == info.Size && d.name != VerifiedSize && d.right(), nil
}

// fetch reads a piece of an object; after an interruption it goes on where that
// was.
func (s *ObjectStore) fetch(ctx context.Context, info ObjectInfo, offset int64, into []byte) error {
	for without := 1; ; without++ {
		n, err := s.fetchSome(ctx, info, offset, into)
		if err == nil {
			return nil
		}
		if n > 0 {
			offset, into, without = offset+int64(n), into[n:], 1
		}
		var cut *interruption
		if !errors.As(err, &cut) {
			return err
		}
		if without >= s.cfg.Tries {
			return cut.error
		}
		if err := pause(ctx, min(s.cfg.Backoff, time.Second<<(without-1))); err != nil {
			return err
		}
	}
}

// interruption is the end of an answer before its time. What goes wrong before
// an answer begins is tried again by the library.
type interruption struct{ error }

// fetchSome makes one request for a piece and returns how much of it came.
func (s *ObjectStore) fetchSome(ctx context.Context, info ObjectInfo, offset int64, into []byte) (int, error) {
	last := offset + int64(len(into)) - 1
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &info.Bucket, Key: &info.Key, IfMatch: &info.ETag, Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, last)),
	})
	if err != nil {
		return 0, s.failed(ctx, "read", info.Location, err)
	}
	defer out.Body.Close()
	want := fmt.Sprintf("bytes %d-%d/%d", offset, last, info.Size)
	if got := aws.ToString(out.ContentRange); got != want {
		return 0, &ObjectError{
			Action: "read", At: info.Location, Host: s.host, Status: http.StatusPartialContent,
			cause: fmt.Errorf("asked for %q, it sent %q", want, clean(got)),
		}
	}
	n, err := io.ReadFull(out.Body, into)
	if err != nil && ctx.Err() == nil {
		return n, &interruption{s.failed(ctx, "read", info.Location, err)}
	}
	return n, context.Cause(ctx)
}

// digester computes what the store tells of the bytes of an object.
type digester struct {
	name string // how it verifies
	want string
	hash hash.Hash

	// of an object of parts: their size, their digests so far, and what of the
	// current part is missing
	part, left int64
	parts      hash.Hash
	count      int
}

func (s *ObjectStore) digester(ctx context.Context, info ObjectInfo) digester {
	etag := strings.Trim(info.ETag, `"`)
	sum, parts, multipart := strings.Cut(etag, "-")
	raw, err := hex.DecodeString(sum)
	n, partsErr := strconv.ParseInt(parts, 10, 64)
	switch {
	case len(info.SHA256) == sha256.Size*2:
		return digester{name: VerifiedDigest, want: info.SHA256, hash: sha256.New()}
	case !info.digest || err != nil || len(raw) != md5.Size:
		return digester{name: VerifiedSize}
	case !multipart:
		return digester{name: VerifiedMD5, want: etag, hash: md5.New()}
	case partsErr != nil:
		return digester{name: VerifiedSize}
	}
	size := s.partSize(ctx, info)
	if size <= 0 || (info.Size+size-1)/size != n {
		return digester{name: VerifiedSize} // parts of different sizes, or a store that does not tell
	}
	return digester{name: VerifiedMD5, want: etag, hash: md5.New(), parts: md5.New(), part: size, left: size}
}

// Write implements [io.Writer].
func (d *digester) Write(p []byte) (int, error) {
	if d.hash == nil {
		return len(p), nil
	}
	if d.parts == nil {
		return d.hash.Write(p)
	}
	for rest := p; len(rest) > 0; {
		n := min(int64(len(rest)), d.left)
		d.hash.Write(rest[:n])
		rest = rest[n:]
		if d.left -= n; d.left == 0 {
			d.endPart()
		}
	}
	return len(p), nil
}

func (d *digester) endPart() {
	d.parts.Write(d.hash.Sum(nil))
	d.hash.Reset()
	d.left = d.part
	d.count++
}

// right reports whether all bytes together are what they should be.
func (d *digester) right() bool {
	switch {
	case d.hash == nil:
		return true
	case d.parts == nil:
		return hex.EncodeToString(d.hash.Sum(nil)) == d.want
	case d.left < d.part:
		d.endPart()
	}
	return hex.EncodeToString(d.parts.Sum(nil))+"-"+strconv.Itoa(d.count) == d.want
}
