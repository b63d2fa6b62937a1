package datatransfer

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // it is what object stores tell; damage is looked for, not malice
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// parts is an object that is sent in pieces.
type parts struct {
	links    []link // at least as many as there are pieces
	complete link
	size     int64
	partSize int64
	content  io.ReaderAt
	etags    []string // of the pieces that the store has, "" for others
	meter    meter

	// tells is set once the store was seen to give MD5 digests.
	tells atomic.Bool
}

// count is the number of pieces.
func (p *parts) count() int { return int((p.size + p.partSize - 1) / p.partSize) }

// span is where piece i begins and how long it is, in bytes.
func (p *parts) span(i int) (offset, size int64) {
	offset = int64(i) * p.partSize
	return offset, min(p.partSize, p.size-offset)
}

// missing are the pieces that the store does not have.
func (p *parts) missing() []int {
	var list []int
	for i := range p.count() {
		if p.etags[i] == "" {
			list = append(list, i)
		}
	}
	return list
}

// sent is how many bytes the store has of finished pieces.
func (p *parts) sent() int64 {
	var n int64
	for i := range p.count() {
		if p.etags[i] != "" {
			_, size := p.span(i)
			n += size
		}
	}
	return n
}

// sendParts sends the pieces that are missing.
func (m *Mover) sendParts(ctx context.Context, p *parts, keep func(i int, etag string) error, tick func() error) error {
	p.meter.bytes.Store(p.sent())
	send := func(ctx context.Context, i int) (string, error) { return m.sendPart(ctx, p, i) }
	have := func(i int, etag string) error {
		p.etags[i] = etag
		return keep(i, etag)
	}
	return inParallel(ctx, m.settings.Connections, p.missing(), m.settings.Flush, send, have, tick)
}

const (
	// expectAbove is the size, in bytes, from which a store is asked whether it
	// will take a piece before it is sent.
	expectAbove = 1 << 20
	// maxDamaged is how often a piece is sent to a store that has never told an
	// MD5 digest before another digest is taken for one of another kind.
	maxDamaged = 3
)

// errDamaged: the store has other bytes than were sent.
var errDamaged = errors.New("the digest is not that of what was sent")

// sendPart sends one piece and returns what the store calls it.
func (m *Mover) sendPart(ctx context.Context, p *parts, i int) (etag string, err error) {
	offset, size := p.span(i)
	var body *partBody
	damaged := 0
	call := &storeCall{
		action: fmt.Sprintf("send part %d of %d", i+1, p.count()), link: p.links[i], method: http.MethodPut, header: http.Header{},
		body: func() (io.Reader, int64) {
			body.takeBack()
			body = &partBody{reader: io.NewSectionReader(p.content, offset, size), hash: md5.New(), meter: &p.meter} //nolint:gosec // see above
			return body, size
		},
		read: func(resp *http.Response) error {
			if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxStoreAnswer)); err != nil {
				return err
			}
			sum, sent := body.sum()
			etag = resp.Header.Get("ETag")
			switch {
			case sent != size:
				return fmt.Errorf("it took %d bytes of %d", sent, size)
			case etag == "":
				return errors.New("no ETag was given")
			case !isMD5(etag) || encrypted(resp.Header):
				return nil
			case strings.EqualFold(strings.Trim(etag, `"`), sum):
				p.tells.Store(true)
				return nil
			}
			if damaged++; damaged >= maxDamaged && !p.tells.Load() {
				return nil
			}
			return errDamaged
		},
	}
	if size > expectAbove {
		call.header.Set("Expect", "100-continue")
	}
	failure := m.ask(ctx, call)
	if failure == nil {
		return etag, nil
	}
	body.takeBack()
	if err := body.localFailure(); err != nil {
		return "", err
	}
	return "", failure
}

// partBody is a piece on its way; its bytes are counted and hashed. The
// transport may still read it when the answer is there.
type partBody struct {
	reader io.Reader
	meter  *meter

	mu    sync.Mutex
	hash  hash.Hash
	n     int64
	taken bool
	err   error // of reading the file
}

func (b *partBody) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hash.Write(p[:n]) // never fails
	b.n += int64(n)
	if !b.taken {
		b.meter.add(int64(n))
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *partBody) sum() (digest string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return hex.EncodeToString(b.hash.Sum(nil)), b.n
}

// takeBack uncounts what was sent: it has to be sent again.
func (b *partBody) takeBack() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.taken {
		b.taken = true
		b.meter.add(-b.n)
	}
}

// localFailure is why the file could not be read.
func (b *partBody) localFailure() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return localError(b.err)
}

func isMD5(etag string) bool {
	digest, err := hex.DecodeString(strings.Trim(etag, `"`))
	return err == nil && len(digest) == md5.Size
}

// encrypted reports whether the store keeps the object under a key that makes
// its ETag another digest.
func encrypted(h http.Header) bool {
	return strings.HasPrefix(h.Get("X-Amz-Server-Side-Encryption"), "aws:kms") ||
		h.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != ""
}

// completeParts puts the pieces together. It reports false if nobody knows
// whether the store has done it: an answer was lost, and now the upload is gone.
// maybe says that the store may have been asked before.
func (m *Mover) completeParts(ctx context.Context, p *parts, maybe bool) (certain bool, err error) {
	text, err := completion(p.etags[:p.count()])
	if err != nil {
		return false, err
	}
	failure := m.ask(ctx, &storeCall{
		action: "put the parts together", link: p.complete, method: http.MethodPost, header: http.Header{},
		body: func() (io.Reader, int64) { return bytes.NewReader(text), int64(len(text)) },
		read: func(resp *http.Response) error {
			root, code, message, err := readAnswer(resp.Body)
			switch {
			case err != nil:
				return err
			case root == "CompleteMultipartUploadResult":
				return nil
			}
			// The status was sent before the work was done, and then it failed.
			failure := &StoreError{Status: http.StatusConflict, Code: code, Message: message}
			if code == "InternalError" || code == "SlowDown" || code == "ServiceUnavailable" {
				failure.Status = http.StatusServiceUnavailable
			}
			return failure
		},
	})
	switch {
	case failure == nil:
		return true, nil
	case failure.gone() && (maybe || failure.unsure):
		return false, nil
	}
	return false, failure
}

// completion is the list of pieces as object stores want it.
func completion(etags []string) ([]byte, error) {
	type part struct {
		ETag       string
		PartNumber int
	}
	list := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Part    []part
	}{}
	for i, etag := range etags {
		list.Part = append(list.Part, part{etag, i + 1})
	}
	text, err := xml.Marshal(list)
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), text...), nil
}
