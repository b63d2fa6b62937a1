package objects

import (
	"crypto/rand"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// request is one request on its way.
type request struct {
	*http.Request
	query       url.Values
	bucket, key string
	fault       *Fault
}

// operation is what a request asks for.
type operation struct {
	name   string // S3's
	public bool   // anybody may do it to a public bucket
	handle func(*Store, http.ResponseWriter, *request) error
}

// ServeHTTP answers one request.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := rand.Text()[:16]
	w.Header().Set("Server", "AmazonS3")
	w.Header().Set("X-Amz-Request-Id", id)
	q := &request{Request: r, fault: &Fault{}}
	op, err := s.route(q)
	if err == nil && s.cfg.Fault != nil {
		if f := s.cfg.Fault(op.name, r); f != nil {
			q.fault = f
		}
	}
	answer := &statusWriter{ResponseWriter: w}
	defer func() {
		if s.cfg.Observe != nil && op.name != "" {
			s.cfg.Observe(op.name, answer.status)
		}
	}()
	if q.fault.CutReply {
		cut := &cutWriter{ResponseWriter: answer, after: q.fault.After}
		defer cut.cut()
		w = cut
	} else {
		w = answer
	}
	if err == nil {
		err = s.perform(w, q, op)
	}
	switch {
	case err != nil:
		writeError(w, q, id, err)
	case answer.status == 0:
		w.WriteHeader(http.StatusOK)
	}
}

// perform lets a routed request pass the fault and the check of its signature.
func (s *Store) perform(w http.ResponseWriter, q *request, op operation) error {
	if e := q.fault.before(q.Request); e != nil {
		return e
	}
	anonymous, err := s.authenticate(q.Request, q.query)
	if err != nil {
		return err
	}
	if anonymous && !(op.public && s.public(q.bucket)) {
		return errAccessDenied
	}
	return op.handle(s, w, q)
}

// route takes a request apart.
func (s *Store) route(q *request) (operation, error) {
	path, ok := strings.CutPrefix(q.URL.Path, s.cfg.Path)
	if !ok || path != "" && path[0] != '/' {
		return operation{}, errInvalidURI
	}
	q.bucket, q.key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	var err error
	if q.query, err = url.ParseQuery(q.URL.RawQuery); err != nil {
		return operation{}, errInvalidURI
	}
	level := objectOperations
	switch {
	case q.bucket == "":
		level = serviceOperations
	case q.key == "":
		level = bucketOperations
	default:
		if err := checkKey(q.key); err != nil {
			return operation{}, err
		}
	}
	for name := range unknownQueries {
		if q.query.Has(name) {
			return operation{}, errNotImplemented
		}
	}
	for _, row := range level {
		if row.method == q.Method && (row.query == "" || q.query.Has(row.query)) {
			return row.operation, nil
		}
	}
	return operation{}, errMethod
}

// row says which requests ask for an operation: the first that fits.
type row struct {
	method, query string
	operation
}

var serviceOperations = []row{
	{"GET", "", operation{"ListBuckets", false, (*Store).listBuckets}},
}

var bucketOperations = []row{
	{"GET", "location", operation{"GetBucketLocation", true, (*Store).getLocation}},
	{"GET", "list-type", operation{"ListObjectsV2", true, (*Store).listObjects}},
	{"HEAD", "", operation{"HeadBucket", true, (*Store).headBucket}},
	{"PUT", "", operation{"CreateBucket", false, (*Store).createBucket}},
	{"DELETE", "", operation{"DeleteBucket", false, (*Store).deleteBucket}},
}

var objectOperations = []row{
	{"PUT", "partNumber", operation{"UploadPart", false, (*Store).uploadPart}},
	{"PUT", "", operation{"PutObject", false, (*Store).putObjectRequest}},
	{"POST", "uploads", operation{"CreateMultipartUpload", false, (*Store).createMultipartUpload}},
	{"POST", "uploadId", operation{"CompleteMultipartUpload", false, (*Store).completeMultipartUpload}},
	{"DELETE", "uploadId", operation{"AbortMultipartUpload", false, (*Store).abortMultipartUpload}},
	{"DELETE", "", operation{"DeleteObject", false, (*Store).deleteObject}},
	{"HEAD", "", operation{"HeadObject", true, (*Store).getObject}},
	{"GET", "", operation{"GetObject", true, (*Store).getObject}},
}

// unknownQueries name what S3 has and this store has not, so that a request for
// it is not taken for another.
var unknownQueries = map[string]bool{
	"acl": true, "cors": true, "delete": true, "lifecycle": true, "policy": true, "tagging": true, "torrent": true,
	"versionId": true, "versioning": true, "versions": true, "attributes": true, "restore": true, "select": true,
	"retention": true, "legal-hold": true, "website": true, "notification": true, "encryption": true, "logging": true,
}

// statusWriter remembers the status for Config.Observe.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writeError answers with an error document.
func writeError(w http.ResponseWriter, q *request, id string, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{status: 500, code: "InternalError", message: "We encountered an internal error. Please try again."}
	}
	for name, values := range e.header {
		w.Header()[name] = values
	}
	if q.Method == http.MethodHead || e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	_ = writeXML(w, e.status, e.document(q.URL.Path, id)) // a client that left needs no answer
}

// writeXML answers with a document.
func writeXML(w http.ResponseWriter, status int, v any) error {
	text, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	text = append([]byte(xml.Header), text...)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, err = w.Write(text)
	return err
}

// readXML reads a document from a request's body, whatever its type is called.
func readXML(r *http.Request, v any) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxDocument))
	if err != nil {
		return errIncompleteBody
	}
	if want := r.Header.Get("X-Amz-Content-Sha256"); want != "" && want != unsignedPayload && want != hashed(string(text)) {
		return errContentSHA
	}
	if err := xml.Unmarshal(text, v); err != nil {
		return errMalformedXML
	}
	return nil
}

// maxDocument is far above a completion with the largest number of parts.
const maxDocument = 8 << 20
