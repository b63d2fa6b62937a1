package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/sandbox/objects"
)

// Answers of upload and download besides the job. Members without a value are
// left out.
type (
	s3Directives struct {
		Method      string   `json:"transferMethod"`
		DownloadURL string   `json:"downloadUrl,omitempty"`
		PartURLs    []string `json:"partsUploadUrls,omitzero"` // [] for no bytes
		CompleteURL string   `json:"completeUploadUrl,omitempty"`
		MaxPartSize int64    `json:"maxPartSize,omitempty"`
	}
	streamerDirectives struct {
		Method      string `json:"transferMethod"`
		Coordinates string `json:"coordinates"`
	}
	wormholeDirectives struct {
		Method string `json:"transferMethod"`
		Code   string `json:"wormholeCode,omitempty"`
	}
)

// staged is an object on its way through the user's bucket.
type staged struct {
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	Upload   string `json:"upload"`
	Parts    int    `json:"parts"`    // planned
	PartSize int64  `json:"partSize"` // bytes, of every part but the last at most
}

// expireDays is how long the bucket of a user keeps objects.
const expireDays = 10

// largest is what a client asks for when it moves one large file.
type largest struct {
	method  string
	code    string // of a wormhole upload
	size    int64
	sized   bool
	account string
}

func (s *Server) postTransferUpload(c *call) (_ reply, err error) {
	want, err := c.readLargest(true)
	if err != nil {
		return reply{}, err
	}
	o := order{Target: pasted(c.path)}
	switch want.method {
	case methodStreamer:
		if err := s.checkVacant(c); err != nil {
			return reply{}, err
		}
		return s.beginStream(c, "stream-in", want.account, "receive", o.Target)
	case methodWormhole:
		o.Code = want.code
		return s.begin(c, 201, "wormhole-in", want.account, o, wormholeDirectives{Method: want.method})
	}
	if !want.sized {
		return reply{}, unhandled(`("unsupported operand type(s) for /: 'NoneType' and 'int'",)`)
	}
	if o.Staged, err = s.stage(c, want.account, want.size); err != nil {
		return reply{}, err
	}
	defer func() { s.unstage(o.Staged, err) }()
	directives := s3Directives{Method: want.method, PartURLs: []string{}, MaxPartSize: o.Staged.PartSize}
	for n := range o.Staged.Parts {
		part, err := s.presign(c, "PUT", o.Staged, url.Values{"uploadId": {o.Staged.Upload}, "partNumber": {strconv.Itoa(n + 1)}})
		if err != nil {
			return reply{}, err
		}
		directives.PartURLs = append(directives.PartURLs, part)
	}
	if directives.CompleteURL, err = s.presign(c, "POST", o.Staged, url.Values{"uploadId": {o.Staged.Upload}}); err != nil {
		return reply{}, err
	}
	return s.begin(c, 201, "ingress", want.account, o, directives)
}

func (s *Server) postTransferDownload(c *call) (_ reply, err error) {
	want, err := c.readLargest(false)
	if err != nil {
		return reply{}, err
	}
	o := order{Source: pasted(c.path)}
	if want.method == methodWormhole { // alone in not looking at the source
		o.Code = newWormholeCode()
		return s.begin(c, 201, "wormhole-out", want.account, o, wormholeDirectives{want.method, o.Code})
	}
	size, err := s.sizeOf(c)
	var answer *apiError
	switch failed := errors.As(err, &answer); {
	case failed && (want.method == methodS3 || answer.status == 404):
		return reply{}, err
	case err != nil && !failed:
		return reply{}, err
	case want.method == methodStreamer:
		return s.beginStream(c, "stream-out", want.account, "send", o.Source)
	}
	if o.Staged, err = s.stage(c, want.account, size); err != nil {
		return reply{}, err
	}
	defer func() { s.unstage(o.Staged, err) }()
	from, err := s.presign(c, "GET", o.Staged, nil)
	if err != nil {
		return reply{}, err
	}
	return s.begin(c, 201, "egress", want.account, o, s3Directives{Method: want.method, DownloadURL: from})
}

// readLargest reads the body of an upload or download, and checks that the
// system has the method.
func (c *call) readLargest(upload bool) (largest, error) {
	body := c.object()
	c.path = body.required(primaryPath...)
	want := largest{account: body.nullable("account")}
	want.readDirectives(body, upload)
	if err := body.err(); err != nil {
		return largest{}, err
	}
	switch has := c.site.transfer().Method; {
	case has == methodNone:
		return largest{}, unhandled(`("'NoneType' object has no attribute 'service_type'",)`)
	case has != want.method:
		return largest{}, fail(400, "Requested transfer method is not available.")
	}
	return want, nil
}

// readDirectives tries each method in turn, as the reference does: when none
// fits, the complaints of all of them are the answer.
func (want *largest) readDirectives(body object, upload bool) {
	names := []string{"transferDirectives", "transfer_directives"}
	raw, found := body.find(names)
	if !found {
		body.complain(names[0], missing)
		return
	}
	refused := &checker{}
	for _, method := range []string{methodWormhole, methodS3, methodStreamer} {
		in := object{checker: &checker{}, within: names[0]}
		if isNull(raw) || json.Unmarshal(raw, &in.members) != nil {
			in.complain(method, "Input should be a valid dictionary or object to extract fields from")
		} else {
			want.readMethod(in, method, upload)
		}
		if len(in.fields) == 0 {
			return
		}
		refused.fields = append(refused.fields, in.fields...)
		refused.lines = append(refused.lines, in.lines...)
	}
	body.fields, body.lines = append(body.fields, refused.fields...), append(body.lines, refused.lines...)
}

// methodTypes are the names of the methods in complaints.
var methodTypes = map[string]string{
	methodS3: "DataTransferType.s3", methodStreamer: "DataTransferType.streamer", methodWormhole: "DataTransferType.wormhole",
}

func (want *largest) readMethod(in object, method string, upload bool) {
	raw, found := in.find([]string{"transferMethod", "transfer_method"})
	if said, _ := decodeText(raw); !found {
		in.complain("transferMethod", missing)
	} else if said != method {
		in.complain("transferMethod", fmt.Sprintf("Input should be <%s: '%s'>", methodTypes[method], method))
	}
	want.method = method
	switch {
	case method == methodWormhole && upload:
		want.code = in.required("wormholeCode", "wormhole_code")
	case method == methodS3:
		want.size, want.sized = in.integer("fileSize", "file_size")
	}
}

// unhandled is the answer when the reference server trips over something.
func unhandled(message string) error {
	return &apiError{status: 500, message: message, unhandled: true}
}

// checkVacant refuses the target of a streamer upload if something is there.
func (s *Server) checkVacant(c *call) error {
	x, done, err := s.command(c)
	if err != nil {
		return err
	}
	defer done()
	switch _, err := x.existing(c.path, false); {
	case err == nil:
		return fail(403, "Target file '%s' already exists.", c.path)
	case errors.Is(err, syscall.ENOENT):
		return nil
	default:
		return commandError(err, 1, "stat: cannot statx '%s': %s", c.path)
	}
}

// sizeOf looks at the source of a download.
func (s *Server) sizeOf(c *call) (int64, error) {
	x, done, err := s.command(c)
	if err != nil {
		return 0, err
	}
	defer done()
	p, err := x.existing(c.path, true)
	if err != nil {
		return 0, commandError(err, 1, "stat: cannot statx '%s': %s", c.path)
	}
	return p.info.Size(), nil
}

// makeBucket makes the bucket of a user, if it is not there.
func (s *Server) makeBucket(user string) error {
	if err := s.objects.MakeBucket(user, objects.BucketOptions{ExpireDays: expireDays}); err != nil {
		return fmt.Errorf("bucket of %s: %w", user, err)
	}
	return nil
}

// maxParts is how many parts the object store takes.
const maxParts = 10_000

// stage plans the way of a file of that size through the user's bucket. No
// bytes, and less, are no parts: such an upload cannot be completed.
func (s *Server) stage(c *call, account string, size int64) (*staged, error) {
	if _, err := jobHeader(c.site.TransferDirectives, account); err != nil {
		return nil, err // before anything is left in the bucket
	}
	to := &staged{Bucket: c.user, Key: s.objectKey(c), PartSize: c.site.transfer().MaxPartSize}
	parts := max(0, size/to.PartSize)
	if size > 0 && size%to.PartSize > 0 {
		parts++
	}
	if parts > maxParts {
		return nil, unhandled(fmt.Sprintf(`("Part number must be an integer between 1 and %d, inclusive",)`, maxParts))
	}
	to.Parts = int(parts)
	if _, err := s.loginUser(c); err != nil {
		return nil, err
	}
	err := s.makeBucket(to.Bucket)
	if err != nil {
		return nil, err
	}
	if to.Upload, err = s.objects.CreateMultipart(to.Bucket, to.Key); err != nil {
		return nil, fmt.Errorf("stage %s: %w", c.path, err)
	}
	return to, nil
}

// unstage leaves nothing in the bucket if there is no job to use it. What cannot be
// removed expires with the bucket's objects.
func (s *Server) unstage(o *staged, err error) {
	if err != nil {
		_ = s.objects.AbortMultipart(o.Bucket, o.Key, o.Upload)
	}
}

// objectKey is a new key for the file that a call is about.
func (s *Server) objectKey(c *call) string {
	if strings.HasSuffix(c.route.op, "/download") && s.release.has(namesFirst) {
		return path.Base(c.path) + "_" + newUUID()
	}
	return newUUID() + "/" + path.Base(c.path)
}

// presign makes a URL for the host that the caller reached the sandbox under.
func (s *Server) presign(c *call, method string, o *staged, query url.Values) (string, error) {
	return s.objects.Presign(c.baseURL()+StorePath, method, o.Bucket, o.Key, query, s.lasting(c, "presigned-expiry", time.Duration(c.site.transfer().TTL)))
}

// baseURL is where the caller finds the sandbox.
func (c *call) baseURL() string {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

// beginStream answers with a job that waits for a peer.
func (s *Server) beginStream(c *call, kind, account, operation, path string) (reply, error) {
	tc := c.site.transfer()
	stream := newStreamer(operation, path, tc.PortRange)
	stream.IPs, stream.Wait, stream.Limit = tc.PublicIPs, time.Duration(tc.WaitTimeout), tc.InboundTransferLimit
	stream.TextEOF = tc.TextEOF
	return s.begin(c, 201, kind, account, order{Stream: &stream}, streamerDirectives{methodStreamer, stream.coordinates()})
}
