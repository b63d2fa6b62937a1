package objects

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
)

// keptHeaders are those of a PUT that come back with the object.
var keptHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Language", "Content-Type", "Expires"}

// objectHeader is what an object keeps of the header of the request that made it.
func objectHeader(h http.Header) http.Header {
	kept := http.Header{}
	for name, values := range h {
		if slices.Contains(keptHeaders, name) || strings.HasPrefix(name, "X-Amz-Meta-") {
			kept[name] = values
		}
	}
	var encodings []string
	for encoding := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if encoding = strings.TrimSpace(encoding); encoding != "" && encoding != "aws-chunked" {
			encodings = append(encodings, encoding)
		}
	}
	if len(encodings) > 0 {
		kept.Set("Content-Encoding", strings.Join(encodings, ","))
	}
	return kept
}

// receive stores the body of a PUT.
func (s *Store) receive(w http.ResponseWriter, q *request) (part, error) {
	if q.Header.Get("X-Amz-Copy-Source") != "" {
		return part{}, errNotImplemented
	}
	c, err := contentOf(q.Request)
	if err != nil {
		return part{}, err
	}
	p, err := s.write(c, c)
	if err != nil {
		return part{}, err
	}
	w.Header().Set("Etag", quoted(p.MD5))
	for name, value := range p.Checksums {
		w.Header().Set("X-Amz-Checksum-"+name, value)
	}
	if q.fault.Truncate && q.fault.After < p.Size {
		p.Size = q.fault.After
		return p, os.Truncate(s.path("data", p.File), p.Size)
	}
	return p, nil
}

func (s *Store) putObjectRequest(w http.ResponseWriter, q *request) error {
	p, err := s.receive(w, q)
	if err != nil {
		return err
	}
	if q.fault.Lose {
		s.removeFiles([]part{p})
		return nil
	}
	_, err = s.putObject(q.bucket, &object{
		Info: Info{Key: q.key, Size: p.Size, ETag: quoted(p.MD5)}, Header: objectHeader(q.Header), Checksums: p.Checksums, Parts: []part{p},
	}, preconditionOf(q.Header))
	return err
}

func (s *Store) uploadPart(w http.ResponseWriter, q *request) error {
	number, err := strconv.Atoi(q.query.Get("partNumber"))
	if err != nil {
		return errPartNumber
	}
	u, err := s.lockUpload(q.bucket, q.key, q.query.Get("uploadId"))
	if err != nil {
		return err // before the client sends the bytes
	}
	u.mu.Unlock()
	p, err := s.receive(w, q)
	if err != nil {
		return err
	}
	if q.fault.Lose {
		s.removeFiles([]part{p})
		return nil
	}
	return s.putPart(q.bucket, q.key, u.ID, number, p)
}

// createdUpload is the answer to the beginning of an upload.
type createdUpload struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadID string `xml:"UploadId"`
}

func (s *Store) createMultipartUpload(w http.ResponseWriter, q *request) error {
	algorithm := strings.ToLower(q.Header.Get("X-Amz-Checksum-Algorithm"))
	if algorithm != "" && checksums[algorithm] == nil {
		return errNotImplemented
	}
	id, err := s.createMultipart(&upload{Bucket: q.bucket, Key: q.key, Header: objectHeader(q.Header), Algorithm: algorithm})
	if err != nil {
		return err
	}
	return writeXML(w, http.StatusOK, createdUpload{Bucket: q.bucket, Key: q.key, UploadID: id})
}

// completion is the document that completes an upload; the order of the
// elements of a part does not matter.
type completion struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []struct {
		PartNumber int
		ETag       string
		Others     []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	} `xml:"Part"`
}

// completedUpload is the answer to it.
type completedUpload struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

func (s *Store) completeMultipartUpload(w http.ResponseWriter, q *request) error {
	var document completion
	if err := readXML(q.Request, &document); err != nil {
		return err
	}
	var parts []Part
	for _, p := range document.Parts {
		named := Part{Number: p.PartNumber, ETag: p.ETag, checksums: map[string]string{}}
		for _, other := range p.Others {
			if algorithm, ok := strings.CutPrefix(other.XMLName.Local, "Checksum"); ok {
				named.checksums[strings.ToLower(algorithm)] = other.Value
			}
		}
		parts = append(parts, named)
	}
	whole, err := checksumHeaders(q.Header)
	if err != nil {
		return err
	}
	o, err := s.completeMultipart(q.bucket, q.key, q.query.Get("uploadId"), parts, whole, preconditionOf(q.Header))
	if err != nil {
		return err
	}
	return writeXML(w, http.StatusOK, completedUpload{
		Location: "http://" + q.Host + escape(q.URL.Path), Bucket: q.bucket, Key: q.key, ETag: o.ETag,
	})
}

func (s *Store) abortMultipartUpload(w http.ResponseWriter, q *request) error {
	if err := s.AbortMultipart(q.bucket, q.key, q.query.Get("uploadId")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Store) deleteObject(w http.ResponseWriter, q *request) error {
	if err := s.Remove(q.bucket, q.key); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getObject answers GET and HEAD.
func (s *Store) getObject(w http.ResponseWriter, q *request) error {
	r, err := s.Open(q.bucket, q.key)
	if err != nil {
		return err
	}
	defer r.Close()
	size := r.Size()
	if q.fault.Truncate {
		size = min(size, q.fault.After)
	}
	describe(w.Header(), r.object, q.Header.Get("X-Amz-Checksum-Mode") != "")
	if err := preconditionOf(q.Header).checkRead(r.object); err != nil {
		return err
	}
	from, length, partial, err := r.extent(w.Header(), q, size)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+length-1, size))
		for name := range r.object.Checksums {
			w.Header().Del("X-Amz-Checksum-" + name)
		}
	}
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(status)
	if q.Method == http.MethodHead {
		return nil
	}
	if _, err := io.Copy(w, io.NewSectionReader(r, from, length)); err != nil {
		panic(http.ErrAbortHandler) // the client left, or the answer is short
	}
	return nil
}

// describe writes what is known of an object into a header.
func describe(h http.Header, o *object, withChecksums bool) {
	h.Set("Content-Type", "binary/octet-stream")
	for name, values := range o.Header {
		h[name] = values
	}
	h.Set("Etag", o.ETag)
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	for name, value := range o.Checksums {
		if withChecksums {
			h.Set("X-Amz-Checksum-"+name, value)
		}
	}
}

// extent is the piece of an object that a request wants: a part of it, a range,
// or all.
func (r *Reader) extent(h http.Header, q *request, size int64) (from, length int64, partial bool, err error) {
	if text := q.query.Get("partNumber"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return 0, 0, false, errPartNumber
		}
		if number > len(r.object.Parts) {
			return 0, 0, false, errPartUnavailable
		}
		for _, p := range r.object.Parts[:number-1] {
			from += p.Size
		}
		h.Set("X-Amz-Mp-Parts-Count", strconv.Itoa(len(r.object.Parts)))
		return from, r.object.Parts[number-1].Size, size > 0, nil
	}
	from, length, partial, ok := parseRange(q.Header.Get("Range"), size)
	if !ok {
		return 0, 0, false, errRange.with("RangeRequested", q.Header.Get("Range")).with("ActualObjectSize", strconv.FormatInt(size, 10)).
			headed("Content-Range", fmt.Sprintf("bytes */%d", size))
	}
	return from, length, partial, nil
}

func (e *apiError) headed(name, value string) *apiError {
	more := *e
	more.header = http.Header{name: {value}}
	return &more
}

// parseRange reads a Range header. What is not one range of bytes is ignored, as
// S3 does; ok is false for one that lies outside.
func parseRange(text string, size int64) (from, length int64, partial, ok bool) {
	whole := func() (int64, int64, bool, bool) { return 0, size, false, true }
	spec, isBytes := strings.CutPrefix(text, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !isBytes || !dash || strings.Contains(spec, ",") {
		return whole()
	}
	if first == "" { // the last bytes
		n, err := strconv.ParseUint(last, 10, 62)
		if err != nil {
			return whole()
		}
		n = min(n, uint64(size))
		return size - int64(n), int64(n), true, n > 0
	}
	a, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return whole()
	}
	b := uint64(size) - 1
	if last != "" {
		end, err := strconv.ParseUint(last, 10, 62)
		if err != nil || end < a {
			return whole()
		}
		b = min(end, b)
	}
	if a >= uint64(size) {
		return 0, 0, false, false
	}
	return int64(a), int64(b - a + 1), true, true
}

// precondition is what the conditional headers of a request demand.
type precondition struct{ match, noneMatch string }

func preconditionOf(h http.Header) precondition {
	return precondition{h.Get("If-Match"), h.Get("If-None-Match")}
}

// check decides about a write over old; err is why there is none.
func (p precondition) check(old *object, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.match != "":
		return err
	case err != nil:
		return nil
	case p.match != "" && p.match != old.ETag, p.noneMatch == "*", p.noneMatch == old.ETag:
		return errPrecondition
	}
	return nil
}

// checkRead decides about a read.
func (p precondition) checkRead(o *object) error {
	switch {
	case p.match != "" && p.match != "*" && p.match != o.ETag:
		return errPrecondition
	case p.noneMatch == "*", p.noneMatch == o.ETag:
		return &apiError{status: http.StatusNotModified, code: "NotModified"}
	}
	return nil
}
