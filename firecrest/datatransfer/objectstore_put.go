package datatransfer

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // it is what object stores check; damage is looked for, not malice
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// PutOptions say more about what is put.
type PutOptions struct {
	// SHA256, in hexadecimal digits, is kept with the object, so that whoever
	// reads it through fcflow can verify it.
	SHA256 string
	// Progress, if not nil, is told how many bytes the store has taken, one call
	// at a time.
	Progress func(done, total int64)
}

const (
	mostParts  = 10_000 // that an object may have
	putMemory  = 64 << 20
	abortAfter = 15 * time.Second // that ending a failed upload may take
)

// Put makes an object of the size bytes that r gives; it replaces one of the same
// key when all of it has come. If r is an [io.ReaderAt], as a file is, it is read
// from its beginning, by several goroutines; else it is read once, in order, and
// up to 64 MiB of it, or one part of a very large one, are kept in memory. The
// store checks the MD5 of what it gets.
//
// Parts of an upload that this process does not live to end stay in the bucket,
// invisible, until its own rules remove them.
func (s *ObjectStore) Put(ctx context.Context, at Location, r io.Reader, size int64, opts PutOptions) (ObjectInfo, error) {
	u := &putting{store: s, at: at, opts: opts, source: r, size: size, part: s.piece}
	if size > mostParts*u.part {
		const mebibyte = 1 << 20
		u.part = (size/mostParts/mebibyte + 1) * mebibyte
	}
	u.random, _ = r.(io.ReaderAt)
	if opts.Progress == nil {
		u.opts.Progress = func(int64, int64) {}
	}
	var err error
	if size <= u.part {
		err = u.whole(ctx)
	} else {
		err = u.inParts(ctx)
	}
	if err != nil {
		return ObjectInfo{}, err
	}
	info, err := s.Stat(ctx, at)
	lost := func(cause error) error {
		return &ObjectError{Action: "write", At: at, Host: s.host, cause: cause, final: true}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = lost(errors.New("the store took it, and does not have it"))
	case err == nil && info.Size != size:
		err = lost(fmt.Errorf("it has %d bytes of the %d that were sent", info.Size, size))
	}
	return info, err
}

// putting is one object on its way to the store.
type putting struct {
	store  *ObjectStore
	at     Location
	opts   PutOptions
	source io.Reader
	random io.ReaderAt // the source, if it is one
	size   int64
	part   int64 // size of a part

	mu   sync.Mutex // for what follows
	done int64
	sums [][]byte // of the parts
	err  error
}

// outgoing is a piece of the source, and its MD5.
type outgoing struct {
	io.ReadSeeker
	size int64
	md5  []byte
}

// piece reads the source at an offset; the pieces are taken in order. buffer has
// room for one.
func (u *putting) piece(offset, size int64, buffer []byte) (outgoing, error) {
	c := outgoing{size: size}
	if u.random != nil {
		c.ReadSeeker = io.NewSectionReader(u.random, offset, size)
	} else {
		if n, err := io.ReadFull(u.source, buffer[:size]); err != nil {
			return c, u.short(offset+int64(n), err)
		}
		c.ReadSeeker = bytes.NewReader(buffer[:size])
	}
	return c, nil
}

// sum computes the MD5 of a piece; several goroutines may do so at once.
func (u *putting) sum(c *outgoing, offset int64) error {
	h := md5.New() //nolint:gosec // see the import
	n, err := io.Copy(h, c)
	if err == nil && n < c.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return u.short(offset+n, err)
	}
	c.md5 = h.Sum(nil)
	_, err = c.Seek(0, io.SeekStart)
	return localError(err)
}

// short explains why the source ended.
func (u *putting) short(at int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the source has %d bytes instead of %d: %w", at, u.size, io.ErrUnexpectedEOF)
	}
	return localError(err)
}

// ended checks that the source has no more than it should.
func (u *putting) ended() error {
	var one [1]byte
	n := 0
	if u.random != nil {
		n, _ = u.random.ReadAt(one[:], u.size) // an error is fine: there is nothing there
	} else {
		n, _ = io.ReadFull(u.source, one[:])
	}
	if n > 0 {
		return localError(fmt.Errorf("the source has more than %d bytes", u.size))
	}
	return nil
}

func (u *putting) metadata() map[string]string {
	if u.opts.SHA256 == "" {
		return nil
	}
	return map[string]string{metaSHA256: u.opts.SHA256}
}

// whole sends the object in one request.
func (u *putting) whole(ctx context.Context) error {
	var buffer []byte
	if u.random == nil {
		buffer = make([]byte, u.size)
	}
	c, err := u.piece(0, u.size, buffer)
	if err == nil {
		err = errors.Join(u.sum(&c, 0), u.ended())
	}
	if err != nil {
		return err
	}
	_, err = u.store.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &u.at.Bucket, Key: &u.at.Key, Body: c, ContentLength: &u.size,
		ContentMD5: aws.String(base64.StdEncoding.EncodeToString(c.md5)), Metadata: u.metadata(),
	})
	if err != nil {
		return u.store.failed(ctx, "write", u.at, err)
	}
	u.opts.Progress(u.size, u.size)
	return nil
}

// inParts sends the object in parts, some at a time.
func (u *putting) inParts(ctx context.Context) error {
	up, err := u.store.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.at.Bucket, Key: &u.at.Key, Metadata: u.metadata()})
	if err != nil {
		return u.store.failed(ctx, "write", u.at, err)
	}
	parts, err := u.sendParts(ctx, up.UploadId)
	if err == nil {
		err = u.complete(ctx, up.UploadId, parts)
	}
	if err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortAfter)
		defer cancel()
		// What went wrong is known; what stays behind here the bucket's rules remove.
		_, _ = u.store.client.AbortMultipartUpload(cleanup, &s3.AbortMultipartUploadInput{Bucket: &u.at.Bucket, Key: &u.at.Key, UploadId: up.UploadId})
	}
	return err
}

// sendParts reads the source, part by part, and hands them to goroutines.
func (u *putting) sendParts(ctx context.Context, id *string) ([]types.CompletedPart, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	count := int((u.size + u.part - 1) / u.part)
	parts := make([]types.CompletedPart, count)
	u.sums = make([][]byte, count)
	width := min(u.store.cfg.Connections, count)
	if u.random == nil {
		width = max(1, min(width, int(putMemory/u.part)))
	}
	buffers := make(chan []byte, width)
	for range width {
		buffers <- nil
	}
	var workers sync.WaitGroup
	for i := range count {
		buffer, ok := u.take(ctx, buffers)
		if !ok {
			break
		}
		offset := int64(i) * u.part
		c, err := u.piece(offset, min(u.part, u.size-offset), buffer)
		if err != nil {
			u.fail(err, cancel)
			break
		}
		workers.Go(func() {
			defer func() { buffers <- buffer }()
			var err error
			if parts[i], err = u.send(ctx, id, i, c); err != nil {
				u.fail(err, cancel)
			}
		})
	}
	workers.Wait()
	if u.err == nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if u.err == nil {
		u.err = u.ended()
	}
	return parts, u.err
}

// take waits for room to send another part; a buffer is made when it is first
// needed.
func (u *putting) take(ctx context.Context, buffers chan []byte) ([]byte, bool) {
	select {
	case b := <-buffers:
		if b == nil && u.random == nil {
			b = make([]byte, u.part)
		}
		return b, ctx.Err() == nil
	case <-ctx.Done():
		return nil, false
	}
}

// fail keeps the first error and ends the others' work.
func (u *putting) fail(err error, cancel context.CancelCauseFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
	cancel(err)
}

// send sends part i, from 0.
func (u *putting) send(ctx context.Context, id *string, i int, c outgoing) (types.CompletedPart, error) {
	if err := u.sum(&c, int64(i)*u.part); err != nil {
		return types.CompletedPart{}, err
	}
	number := aws.Int32(int32(i + 1))
	out, err := u.store.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.at.Bucket, Key: &u.at.Key, UploadId: id, PartNumber: number, Body: c, ContentLength: &c.size,
		ContentMD5: aws.String(base64.StdEncoding.EncodeToString(c.md5)),
	})
	if err != nil {
		return types.CompletedPart{}, u.store.failed(ctx, fmt.Sprintf("write part %d of", i+1), u.at, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sums[i] = c.md5
	u.done += c.size
	u.opts.Progress(u.done, u.size)
	return types.CompletedPart{ETag: out.ETag, PartNumber: number}, nil
}

// complete makes the parts an object. A store that says it does not know the
// upload may have done so the first time, when its answer was lost.
func (u *putting) complete(ctx context.Context, id *string, parts []types.CompletedPart) error {
	_, err := u.store.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.at.Bucket, Key: &u.at.Key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err == nil {
		return nil
	}
	err = u.store.failed(ctx, "complete", u.at, err)
	var answer *ObjectError
	if errors.As(err, &answer) && answer.Code == "NoSuchUpload" {
		if info, lookErr := u.store.Stat(ctx, u.at); lookErr == nil && info.Size == u.size && strings.Trim(info.ETag, `"`) == u.etag() {
			return nil
		}
	}
	return err
}

// etag is what a store calls an object of these parts.
func (u *putting) etag() string {
	sum := md5.Sum(slices.Concat(u.sums...)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:]) + "-" + strconv.Itoa(len(u.sums))
}
