package firecrest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// TransferMethod is how the bytes of a large file travel. A system has one, see
// [System.Transfer].
type TransferMethod string

// All methods.
const (
	// MethodS3 goes over an object store, by presigned URLs.
	MethodS3 TransferMethod = "s3"
	// MethodStreamer goes over a WebSocket to the job (servers ≥ 2.4.1).
	MethodStreamer TransferMethod = "streamer"
	// MethodWormhole goes through the wormhole program (≥ 2.4.0).
	MethodWormhole TransferMethod = "wormhole"
)

// UploadRequest says how a file is to be uploaded.
type UploadRequest struct {
	Method TransferMethod
	// FileSize is in bytes. With S3 it is required, and decides how many part
	// URLs there are. An empty file cannot be uploaded so.
	FileSize int64
	// WormholeCode is the code that the sending program waits with.
	WormholeCode Secret
	Account      string // what the job is charged to
}

// Check reports why a file cannot be uploaded to target so, as far as that is
// known without asking the server. [TransferService.Upload] does it too.
func (r UploadRequest) Check(target string) error {
	if err := checkName("account", r.Account); err != nil {
		return err
	}
	if base := path.Base(target); strings.HasSuffix(target, "/") || base == "." || base == ".." {
		return &PathError{target, "does not end in the name of a file"}
	}
	switch r.Method {
	case MethodS3:
		if r.FileSize <= 0 {
			return fmt.Errorf("upload of %d bytes: only a file that is not empty can go over an object store", r.FileSize)
		}
		return checkExpanded(target)
	case MethodWormhole:
		if !wormholeCode.MatchString(string(r.WormholeCode)) {
			return errors.New("the wormhole code is not a number and words with a - between them")
		}
	case MethodStreamer:
	default:
		return fmt.Errorf("%q is not a transfer method", r.Method)
	}
	return checkUnquoted(target)
}

var wormholeCode = regexp.MustCompile(`^[0-9]{1,9}(-[A-Za-z0-9]{1,40}){1,16}$`)

// UploadTransfer is an upload that a job waits for.
type UploadTransfer struct {
	Job TransferJob
	// Method is the one the server chose. Servers before 2.5.0 may choose
	// another than the one asked for.
	Method TransferMethod
	// S3: part i of PartSize bytes, from 0, goes to PartURLs[i] with PUT, then
	// a list of the parts to CompleteURL with POST. Who has the URLs can do
	// that, for [Transfer.URLTTL] from now. They are never sent a token.
	PartURLs    []Secret
	CompleteURL Secret
	PartSize    int64
	// Streamer: where the job listens, and the secret for it.
	Coordinates Secret
}

// Upload submits the job that fetches a file and writes it to target, which is
// the path of the file itself. The bytes are then sent as the reply says; they
// should be there soon, as the job occupies a node while it waits for them.
//
// A lost reply leaves a job that can never get its file.
//
// Errors: ErrUnsupported (the system has another method), ErrForbidden
// (streamer: the target exists).
//
//firecrest:operation POST /filesystem/{system_name}/transfer/upload
func (s *TransferService) Upload(ctx context.Context, system, target string, req UploadRequest) (*UploadTransfer, error) {
	if err := req.Check(target); err != nil {
		return nil, unsent(err)
	}
	reply, err := s.post(ctx, system, "upload", TransferPeer, uploadBody{
		Path: target, Account: req.Account, Directives: &uploadDirectives{req.Method, req.FileSize, string(req.WormholeCode)},
	})
	if isBeforeDirectives(err) {
		if req.Method != MethodS3 {
			return nil, unsent(fmt.Errorf("upload by %s: %w by this release: %w", req.Method, ErrUnsupported, err))
		}
		reply, err = s.post(ctx, system, "upload", TransferPeer, uploadBody{
			Path: path.Dir(target), FileName: path.Base(target), FileSize: req.FileSize, Account: req.Account,
		})
	}
	if err != nil {
		return nil, err
	}
	d := reply.directives
	upload := &UploadTransfer{
		Job: reply.job, Method: d.method(), PartURLs: d.PartURLs, CompleteURL: d.CompleteURL, PartSize: d.PartSize.n, Coordinates: d.Coordinates,
	}
	switch upload.Method {
	case MethodS3:
		upload.Job.Kind = TransferIngress
		if d.CompleteURL == "" || d.PartSize.n <= 0 || len(d.PartURLs) == 0 || slices.Contains(d.PartURLs, "") {
			return nil, incomplete(reply.job, "URLs")
		}
	case MethodStreamer:
		if d.Coordinates == "" {
			return nil, incomplete(reply.job, "coordinates")
		}
	}
	return upload, nil
}

// uploadBody is the body of both ages: up to 2.3.1 the path is the directory,
// with name and size beside it, since then it is the file, with directives.
type uploadBody struct {
	Path       string            `json:"path"`
	FileName   string            `json:"fileName,omitempty"`
	FileSize   int64             `json:"fileSize,omitempty"`
	Account    string            `json:"account,omitempty"`
	Directives *uploadDirectives `json:"transferDirectives,omitempty"`
}

type uploadDirectives struct {
	Method       TransferMethod `json:"transferMethod"`
	FileSize     int64          `json:"fileSize,omitempty"`
	WormholeCode string         `json:"wormholeCode,omitempty"`
}

// isBeforeDirectives reports whether a server refused an upload because it
// misses what newer ones do not take. It has done nothing then.
func isBeforeDirectives(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Status == http.StatusBadRequest && failure.Type == "validation" &&
		slices.ContainsFunc(failure.Fields, func(f FieldError) bool { return f.Location == "body" && f.Name == "fileName" })
}

// DownloadRequest says how a file is to be downloaded.
type DownloadRequest struct {
	Method  TransferMethod
	Account string // what the job is charged to
}

func (r DownloadRequest) check(source string) error {
	switch r.Method {
	case MethodS3, MethodStreamer, MethodWormhole:
		return firstError(checkUnquoted(source), checkName("account", r.Account))
	}
	return fmt.Errorf("%q is not a transfer method", r.Method)
}

// DownloadTransfer is a download that a job makes ready.
type DownloadTransfer struct {
	Job TransferJob
	// Method is the one the server chose. Servers before 2.5.0 may choose
	// another than the one asked for.
	Method TransferMethod
	// S3: where the file is when the job has succeeded, for GET, also of
	// ranges, until [Transfer.URLTTL] from now. It is never sent a token.
	URL Secret
	// Streamer: where the job listens, and the secret for it.
	Coordinates Secret
	// Wormhole: the code for the receiving program.
	WormholeCode Secret
}

// Download submits the job that sends a file. With S3 it copies it to the
// object store, which fails for directories and for empty files; otherwise it
// waits for this side.
//
// Errors: ErrUnsupported (the system has another method), ErrNotFound,
// ErrForbidden.
//
//firecrest:operation POST /filesystem/{system_name}/transfer/download
func (s *TransferService) Download(ctx context.Context, system, source string, req DownloadRequest) (*DownloadTransfer, error) {
	if err := req.check(source); err != nil {
		return nil, unsent(err)
	}
	body := struct {
		Path       string           `json:"path"`
		Account    string           `json:"account,omitempty"`
		Directives uploadDirectives `json:"transferDirectives"` // ignored up to 2.3.1
	}{source, req.Account, uploadDirectives{Method: req.Method}}
	reply, err := s.post(ctx, system, "download", TransferPeer, body)
	if err != nil {
		return nil, err
	}
	d := reply.directives
	download := &DownloadTransfer{Job: reply.job, Method: d.method(), URL: d.DownloadURL, Coordinates: d.Coordinates, WormholeCode: d.WormholeCode}
	switch {
	case download.Method == MethodS3 && d.DownloadURL == "":
		return nil, incomplete(reply.job, "URL")
	case download.Method == MethodStreamer && d.Coordinates == "":
		return nil, incomplete(reply.job, "coordinates")
	case download.Method == MethodWormhole && d.WormholeCode == "":
		return nil, incomplete(reply.job, "code")
	}
	if download.Method == MethodS3 {
		download.Job.Kind = TransferEgress
	}
	return download, nil
}

// method is the method of a reply. Releases that know only one do not say.
func (d transferDirectives) method() TransferMethod {
	if d.Method == "" {
		return MethodS3
	}
	return d.Method
}

// incomplete is a reply that lacks what its method needs: there is a job, but
// nothing can be done with it.
func incomplete(job TransferJob, what string) error {
	return &SubmitError{Err: fmt.Errorf("the server submitted transfer job %s but gave no %s for it", job.ID, what)}
}
