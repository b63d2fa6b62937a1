package objects

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"os"
	"strconv"
	"strings"
)

// checksums makes the hash of an x-amz-checksum-NAME header.
var checksums = map[string]func() hash.Hash{
	"crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"md5":       md5.New,
	"sha1":      sha1.New,
	"sha256":    sha256.New,
	"sha512":    sha512.New,
}

// checksumHeaders are the checksums that a request brings in its header, by
// algorithm.
func checksumHeaders(h http.Header) (map[string]string, error) {
	var found map[string]string
	for name := range h {
		algorithm, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-checksum-")
		if !ok || algorithm == "algorithm" || algorithm == "type" || algorithm == "mode" {
			continue
		}
		if checksums[algorithm] == nil {
			return nil, errNotImplemented
		}
		if found == nil {
			found = map[string]string{}
		}
		found[algorithm] = h.Get(name)
	}
	return found, nil
}

// maxPut is the largest body of a PUT, in bytes.
const maxPut = 5 << 30

// content is the body of a PUT, and what must be true of it.
type content struct {
	io.Reader
	size      int64             // of the bytes without the framing of chunks
	md5       []byte            // wanted, or nil
	sha256    string            // wanted, in hexadecimal digits, or ""
	checksums map[string]string // wanted, by algorithm
	trailer   *trailer          // brings one more checksum, or nil
}

// trailer reads what follows the last chunk of a body.
type trailer struct {
	r         *bufio.Reader
	algorithm string
}

// contentOf reads the header of a PUT. The framing of chunks with unsigned
// trailers, which the current SDKs send, is taken off.
func contentOf(r *http.Request) (*content, error) {
	c := &content{Reader: r.Body, size: r.ContentLength}
	if text := r.Header.Get("Content-Md5"); text != "" {
		sum, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(sum) != md5.Size {
			return nil, errInvalidDigest
		}
		c.md5 = sum
	}
	var err error
	if c.checksums, err = checksumHeaders(r.Header); err != nil {
		return nil, err
	}
	switch payload := r.Header.Get("X-Amz-Content-Sha256"); {
	case payload == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		if err := c.unchunk(r.Header); err != nil {
			return nil, err
		}
	case strings.HasPrefix(payload, "STREAMING-"):
		return nil, errNotImplemented
	case payload != "" && payload != unsignedPayload:
		c.sha256 = payload
	}
	switch {
	case c.size < 0:
		return nil, errLength
	case c.size > maxPut:
		return nil, errTooLarge
	}
	return c, nil
}

func (c *content) unchunk(h http.Header) error {
	var err error
	if c.size, err = strconv.ParseInt(h.Get("X-Amz-Decoded-Content-Length"), 10, 64); err != nil || c.size < 0 {
		return errLength
	}
	framed := bufio.NewReader(c.Reader)
	c.Reader = httputil.NewChunkedReader(framed)
	c.trailer = &trailer{r: framed}
	if name := strings.ToLower(h.Get("X-Amz-Trailer")); name != "" {
		algorithm, ok := strings.CutPrefix(name, "x-amz-checksum-")
		if !ok || checksums[algorithm] == nil {
			return errNotImplemented
		}
		c.trailer.algorithm = algorithm
	}
	return nil
}

// value reads the checksum after the last chunk.
func (t *trailer) value() (string, error) {
	fields, err := textproto.NewReader(t.r).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return "", errIncompleteBody
	}
	return fields.Get("X-Amz-Checksum-" + t.algorithm), nil
}

// write stores a body in a file of its own, if it is what c says; c may be nil.
// It never holds more of it than a buffer.
func (s *Store) write(r io.Reader, c *content) (p part, err error) {
	p.File = rand.Text()
	file, err := os.OpenFile(s.path("data", p.File), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return p, fmt.Errorf("objects: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			s.removeFiles([]part{p})
		}
	}()
	sum := md5.New()
	sums := c.hashes()
	sinks := []io.Writer{file, sum}
	for _, h := range sums {
		sinks = append(sinks, h)
	}
	if c != nil {
		r = io.LimitReader(r, c.size+1)
	}
	if p.Size, err = io.Copy(io.MultiWriter(sinks...), r); err != nil {
		var local *os.PathError
		if c == nil || errors.As(err, &local) {
			return p, fmt.Errorf("objects: %w", err)
		}
		return p, errIncompleteBody // the client left, or its framing is wrong
	}
	p.MD5 = sum.Sum(nil)
	if c != nil {
		p.Checksums, err = c.check(p, sums)
	}
	return p, err
}

// hashes are those that check needs, by algorithm; "" is the hash of the whole
// payload that the signature covers.
func (c *content) hashes() map[string]hash.Hash {
	sums := map[string]hash.Hash{}
	if c == nil {
		return sums
	}
	for name := range c.checksums {
		sums[name] = checksums[name]()
	}
	if c.trailer != nil && c.trailer.algorithm != "" {
		sums[c.trailer.algorithm] = checksums[c.trailer.algorithm]()
	}
	if c.sha256 != "" {
		sums[""] = sha256.New()
	}
	return sums
}

// check compares what came with what was announced, and returns the checksums.
func (c *content) check(p part, sums map[string]hash.Hash) (map[string]string, error) {
	wanted := map[string]string{}
	for name, value := range c.checksums {
		wanted[name] = value
	}
	if c.trailer != nil {
		value, err := c.trailer.value()
		if err != nil {
			return nil, err
		}
		if c.trailer.algorithm != "" {
			wanted[c.trailer.algorithm] = value
		}
	}
	switch {
	case p.Size != c.size:
		return nil, errIncompleteBody
	case c.md5 != nil && !bytes.Equal(c.md5, p.MD5):
		return nil, errBadDigest
	case c.sha256 != "" && c.sha256 != hex.EncodeToString(sums[""].Sum(nil)):
		return nil, errContentSHA
	}
	for name, want := range wanted {
		if want != base64.StdEncoding.EncodeToString(sums[name].Sum(nil)) {
			return nil, errBadDigest
		}
	}
	return wanted, nil
}
