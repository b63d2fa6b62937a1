package firecrest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// TransferService moves, copies, packs and deletes files in batch jobs, for
// what takes longer than the server lets a command run, and prepares the
// transfer of files too large for [FilesystemService.Upload] and Download.
//
// Every operation submits one job and returns at once. Whether the job does
// what it should is seen in its log, see [TransferService.Result], and never in
// its state: jobs that failed end COMPLETED with exit code 0. The server does
// not look whether a source exists before it submits, except for a download.
//
// A job must not be submitted twice by accident, so a request is repeated only
// if it is certain that it was not carried out. After an error that is a
// [*SubmitError] of class SubmitAmbiguous there may be a job; its log cannot be
// found then, so look at what it should have done. Paths that the server would
// mangle in the script of the job are refused with a [*PathError] and nothing
// is sent.
//
// Systems may charge transfers to an account, see [System.NeedsAccount]; where
// they do not, the account is ignored. All operations need a healthy scheduler.
type TransferService struct{ client *Client }

// TransferKind says what the job of a transfer does.
type TransferKind string

// All kinds.
const (
	TransferMove     TransferKind = "move"
	TransferCopy     TransferKind = "copy"
	TransferRemove   TransferKind = "remove"
	TransferCompress TransferKind = "compress"
	TransferExtract  TransferKind = "extract"
	// TransferIngress fetches an uploaded object from the object store,
	// TransferEgress puts a file there to be downloaded.
	TransferIngress TransferKind = "ingress"
	TransferEgress  TransferKind = "egress"
	// TransferPeer speaks to this side directly: streamer or wormhole.
	TransferPeer TransferKind = "peer"
)

// TransferJob is the job of a transfer. It can be stored and used later.
type TransferJob struct {
	ID      JobID        `json:"id"`
	System  string       `json:"system"`
	Kind    TransferKind `json:"kind"`
	WorkDir string       `json:"work_dir"`
	// OutputLog and ErrorLog are files in WorkDir. The server never deletes
	// them.
	OutputLog string `json:"output_log"`
	ErrorLog  string `json:"error_log"`
}

// TransferOptions of the operations that submit a job. Nil is no account.
type TransferOptions struct {
	Account string // what the job is charged to
}

func (o *TransferOptions) account() string {
	if o == nil {
		return ""
	}
	return o.Account
}

const transferTemplate = "/filesystem/{system_name}/transfer/"

// Move moves a file or directory. An existing target that is a directory gets
// the source in it.
//
//firecrest:operation POST /filesystem/{system_name}/transfer/mv
func (s *TransferService) Move(ctx context.Context, system, source, target string, opts *TransferOptions) (*TransferJob, error) {
	return s.between(ctx, system, "mv", TransferMove, transferBody{Source: source, Target: target, Account: opts.account()})
}

// CopyOptions of [TransferService.Copy]. Nil keeps links.
type CopyOptions struct {
	Account     string // what the job is charged to
	Dereference bool   // copy what links point to (servers ≥ 2.2.8)
}

// Copy copies a file or directory with all that is in it, modes and times kept.
// Existing files are overwritten.
//
//firecrest:operation POST /filesystem/{system_name}/transfer/cp
func (s *TransferService) Copy(ctx context.Context, system, source, target string, opts *CopyOptions) (*TransferJob, error) {
	if opts == nil {
		opts = &CopyOptions{}
	}
	return s.between(ctx, system, "cp", TransferCopy, transferBody{
		Source: source, Target: target, Account: opts.Account, Dereference: opts.Dereference,
	})
}

// Remove deletes a file, or a directory with everything in it. If there is
// nothing, the job fails.
//
//firecrest:operation DELETE /filesystem/{system_name}/transfer/rm
func (s *TransferService) Remove(ctx context.Context, system, path string, opts *TransferOptions) (*TransferJob, error) {
	if err := firstError(checkPasted(path), checkName("account", opts.account())); err != nil {
		return nil, unsent(err)
	}
	query := url.Values{"path": {path}}
	setText(query, "account", opts.account())
	reply, err := s.submit(ctx, TransferRemove, &call{
		method: http.MethodDelete, template: transferTemplate + "rm", system: system, query: query, want: http.StatusOK,
	})
	if err != nil {
		return nil, err
	}
	return &reply.job, nil
}

// CompressJobOptions of [TransferService.Compress]. Nil is a gzip archive of
// the source, links kept as links.
type CompressJobOptions struct {
	CompressOptions
	Account string // what the job is charged to
}

// Compress writes a tar archive as [FilesystemService.Compress] does, without
// its limit of time. Unlike there, MatchPattern does not change the
// compression.
//
// Errors: ErrUnsupported (servers before 2.2.0), ErrInvalid (unknown
// compression).
//
//firecrest:operation POST /filesystem/{system_name}/transfer/compress
func (s *TransferService) Compress(ctx context.Context, system, source, target string, opts *CompressJobOptions) (*TransferJob, error) {
	if opts == nil {
		opts = &CompressJobOptions{}
	}
	return s.between(ctx, system, "compress", TransferCompress, transferBody{
		Source: source, Target: target, Account: opts.Account,
		MatchPattern: opts.MatchPattern, Dereference: opts.Dereference, Compression: orGzip(opts.Compression),
	})
}

// ExtractJobOptions of [TransferService.Extract]. Nil is a gzip archive.
type ExtractJobOptions struct {
	Compression Compression // of the archive; empty is gzip
	Account     string      // what the job is charged to
}

// Extract unpacks a tar archive as [FilesystemService.Extract] does, without
// its limit of time.
//
// Errors: ErrUnsupported (servers before 2.2.0).
//
//firecrest:operation POST /filesystem/{system_name}/transfer/extract
func (s *TransferService) Extract(ctx context.Context, system, archive, target string, opts *ExtractJobOptions) (*TransferJob, error) {
	if opts == nil {
		opts = &ExtractJobOptions{}
	}
	return s.between(ctx, system, "extract", TransferExtract, transferBody{
		Source: archive, Target: target, Account: opts.Account, Compression: orGzip(opts.Compression),
	})
}

// transferBody is the body of every operation from one path to another.
type transferBody struct {
	Source       string      `json:"sourcePath"`
	Target       string      `json:"targetPath"`
	Account      string      `json:"account,omitempty"`
	MatchPattern string      `json:"matchPattern,omitempty"`
	Dereference  bool        `json:"dereference,omitempty"`
	Compression  Compression `json:"compression,omitempty"`
}

func (s *TransferService) between(ctx context.Context, system, operation string, kind TransferKind, body transferBody) (*TransferJob, error) {
	err := firstError(checkPasted(body.Source), checkPasted(body.Target), checkUnescaped(body.MatchPattern), checkName("account", body.Account))
	if err != nil {
		return nil, unsent(err)
	}
	reply, err := s.post(ctx, system, operation, kind, body)
	if err != nil {
		return nil, err
	}
	return &reply.job, nil
}

func (s *TransferService) post(ctx context.Context, system, operation string, kind TransferKind, body any) (*transferReply, error) {
	payload, err := jsonBody(body)
	if err != nil {
		return nil, unsent(err)
	}
	return s.submit(ctx, kind, &call{
		method: http.MethodPost, template: transferTemplate + operation, system: system,
		body: payload, want: http.StatusCreated,
	})
}

// submit carries out a call that submits a job.
func (s *TransferService) submit(ctx context.Context, kind TransferKind, c *call) (*transferReply, error) {
	reply := &transferReply{}
	c.replay, c.unsigned, c.into = replayUnsent, true, reply
	if err := s.client.run(ctx, c); err != nil {
		return nil, classifySubmit(err)
	}
	reply.job.Kind = kind
	return reply, nil
}

// transferReply is the answer of every operation, in the shape of every
// release: the directives lie beside the job up to 2.3.1, are spelt with
// underscores up to 2.4.2, and in camel case since.
type transferReply struct {
	job        TransferJob
	directives transferDirectives
}

type transferDirectives struct {
	Method       TransferMethod `json:"transfermethod"`
	PartURLs     []Secret       `json:"partsuploadurls"`
	CompleteURL  Secret         `json:"completeuploadurl"`
	PartSize     number         `json:"maxpartsize"`
	DownloadURL  Secret         `json:"downloadurl"`
	Coordinates  Secret         `json:"coordinates"`
	WormholeCode Secret         `json:"wormholecode"`
}

// UnmarshalJSON reads an answer. One without the id of a job, or without the
// names of its logs, is none.
func (r *transferReply) UnmarshalJSON(b []byte) error {
	var w struct {
		Job struct {
			ID      text   `json:"jobId"`
			System  string `json:"system"`
			WorkDir string `json:"workingDirectory"`
			Logs    struct {
				Output string `json:"outputLog"`
				Error  string `json:"errorLog"`
			} `json:"logs"`
		} `json:"transferJob"`
		Directives json.RawMessage `json:"transferDirectives"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	id, ok := acceptedID(w.Job.ID)
	if !ok {
		return fmt.Errorf("%q is not the id of a job", clean(string(w.Job.ID)))
	}
	r.job = TransferJob{ID: id, System: w.Job.System, WorkDir: w.Job.WorkDir, OutputLog: w.Job.Logs.Output, ErrorLog: w.Job.Logs.Error}
	if err := firstError(CheckPath(r.job.OutputLog), CheckPath(r.job.ErrorLog)); err != nil {
		return fmt.Errorf("job %s: log: %w", id, err)
	}
	if err := folded(b, &r.directives); err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	if len(w.Directives) > 0 {
		if err := folded(w.Directives, &r.directives); err != nil {
			return fmt.Errorf("job %s: directives: %w", id, err)
		}
	}
	return nil
}

// unsent is what a request ends with that was refused on this side.
func unsent(err error) error {
	return &SubmitError{Class: SubmitNotSent, Permanent: true, Err: err}
}
