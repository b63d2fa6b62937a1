package datatransfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// Upload is a local file on its way to a system. An existing file there is
// replaced; missing directories are made.
type Upload struct {
	Mover  *Mover // [Mover.Upload] fills it in
	System string
	From   string // local file
	To     string // absolute path of the remote file
	Method firecrest.TransferMethod
	// Account is what transfer jobs are charged to, where they are.
	Account string
	// PartSize, in bytes, if smaller than that of the service, is the size of the
	// parts that go to an object store, 5 MiB or more. The service is told of a
	// larger file then, so that it gives addresses enough: an object of one or two
	// parts would go over as many connections only.
	PartSize int64
	// Facts is what the service says of the system; nil: it is asked.
	Facts *firecrest.System
	// Journal lets another process go on; nil: none can.
	Journal Journal
	// Progress, if set, is told about once a second how many bytes have been sent,
	// on the goroutine of whoever called.
	Progress func(done, total int64)
	// SHA256 of the file, if it is known.
	SHA256 string

	file  *os.File
	info  fs.FileInfo
	state uploadState
}

// uploadState is what the journal knows of an upload.
type uploadState struct {
	Stage    stage                    `json:"stage,omitempty"`
	Method   firecrest.TransferMethod `json:"method,omitempty"`
	Size     int64                    `json:"size"`
	Modified time.Time                `json:"modified"`
	PartSize int64                    `json:"part_size,omitempty"`
	// Round counts the transfers that were begun, from 1.
	Round int                    `json:"round,omitempty"`
	Job   *firecrest.TransferJob `json:"job,omitempty"` // nil: none that may do something
	Begun time.Time              `json:"begun,omitzero"`
	// Asked says that the store was asked to put the parts together; Unsure that
	// it is not known whether it did.
	Asked  bool `json:"asked,omitempty"`
	Unsure bool `json:"unsure,omitempty"`
	// Lost is when a request for a job was first sent whose answer did not come:
	// there may be a job that waits for a file in vain.
	Lost time.Time `json:"lost,omitzero"`
	// Active is when the job was first seen running, of an unsure upload.
	Active time.Time `json:"active,omitzero"`
	SHA256 string    `json:"sha256,omitempty"`
}

// stage is how far a transfer is.
type stage string

const (
	stageNew   stage = ""
	stageBegun stage = "begun" // there is a job
	stageMoved stage = "moved" // the bytes are with the store, the job, or on disk
	stageStale stage = "stale" // the job must end before a new transfer begins
)

const uploadKey = "upload"

// uploadSecrets are what the service gave for an upload.
type uploadSecrets struct {
	Round       int      `json:"round"`
	Parts       []string `json:"parts,omitempty"`
	Complete    string   `json:"complete,omitempty"`
	Coordinates string   `json:"coordinates,omitempty"`
}

// Upload carries an upload out, waiting for its jobs.
func (m *Mover) Upload(ctx context.Context, u *Upload) (*Result, error) {
	u.Mover = m
	defer u.Close()
	var seen *Seen
	for {
		result, pending, err := u.Continue(ctx, seen)
		if err == nil && pending != nil {
			seen, err = m.wait(ctx, pending)
		}
		switch {
		case err != nil:
			m.dismiss(ctx, u.state.Job)
			return nil, err
		case result != nil:
			return result, nil
		}
	}
}

// Continue does what can be done now. It returns the result, or the job to wait
// for first; seen is then what became of it. After an error that passes it may be
// called again. Close u in the end.
func (u *Upload) Continue(ctx context.Context, seen *Seen) (*Result, *Pending, error) {
	if err := u.open(ctx); err != nil {
		return nil, nil, err
	}
	for {
		if seen != nil && (u.state.Job == nil || u.state.Job.ID != seen.ID) {
			seen = nil
		}
		var pending *Pending
		var err error
		switch u.state.Stage {
		case stageNew:
			var done *Result
			if done, err = u.begin(ctx); done != nil {
				return done, nil, err
			}
		case stageBegun:
			pending, err = u.send(ctx, seen)
		case stageMoved:
			var done *Result
			if done, pending, err = u.settle(ctx, seen); done != nil {
				return done, nil, err
			}
		case stageStale:
			pending, err = u.replace(ctx, seen)
		}
		if err != nil || pending != nil {
			return nil, pending, err
		}
	}
}

// LiveJob is the job that may still do something to the remote file, nil if
// there is none: by the journal, whether or not the upload has been continued.
func (u *Upload) LiveJob() (*firecrest.TransferJob, error) {
	err := u.load()
	return u.state.Job, err
}

func (u *Upload) load() error {
	if u.Journal == nil {
		u.Journal = newMemory()
	}
	_, err := u.Journal.Load(uploadKey, &u.state)
	return journalError(err)
}

// open reads the journal and opens the file, which must be the same as before.
func (u *Upload) open(ctx context.Context) error {
	if u.file != nil {
		return nil
	}
	if err := u.load(); err != nil {
		return err
	}
	file, err := os.Open(u.From)
	if err != nil {
		return localError(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", u.From)
	}
	if err != nil {
		return errors.Join(localError(err), file.Close())
	}
	u.file, u.info = file, info
	if u.state.Method == "" {
		u.state.Size, u.state.Modified, u.state.SHA256 = info.Size(), info.ModTime(), u.SHA256
		return nil
	}
	return u.unchanged()
}

// unchanged makes sure that the file is what it was.
func (u *Upload) unchanged() error {
	info, err := os.Stat(u.From)
	if err != nil {
		return localError(err)
	}
	if info.Size() != u.state.Size || !info.ModTime().Equal(u.state.Modified) {
		return fmt.Errorf("%s: %w since its upload began", u.From, ErrChanged)
	}
	return nil
}

// Close closes the local file.
func (u *Upload) Close() error {
	if u.file == nil {
		return nil
	}
	err := u.file.Close()
	u.file = nil
	return err
}

// begin sends a small file, or has the service prepare the transfer of a large
// one.
func (u *Upload) begin(ctx context.Context) (*Result, error) {
	facts, err := u.Mover.facts(ctx, u.Facts, u.System)
	if err != nil {
		return nil, err
	}
	if u.state.Method == "" {
		if u.state.Method, err = method(facts, u.Method, u.state.Size, facts.MaxUpload()); err != nil {
			return nil, err
		}
	}
	if u.state.Method == Direct {
		return u.direct(ctx)
	}
	if err := u.check(); err != nil {
		return nil, err
	}
	if err := u.makeDirectory(ctx); err != nil {
		return nil, err
	}
	if u.state.Round >= maxRounds {
		return nil, fmt.Errorf("%w: the addresses of %d transfers in a row could not be used", ErrExpired, u.state.Round)
	}
	switch u.state.Method {
	case firecrest.MethodWormhole:
		return nil, u.wormhole(ctx)
	case firecrest.MethodStreamer:
		if err := u.clearTarget(ctx); err != nil {
			return nil, err
		}
	}
	return nil, u.request(ctx, facts)
}

// check refuses, before anything is changed, what the service would mangle.
func (u *Upload) check() error {
	request := firecrest.UploadRequest{Method: u.state.Method, FileSize: u.state.Size, Account: u.Account}
	if request.Method == firecrest.MethodWormhole {
		request.WormholeCode = "1-a-b" // it is made up later
	}
	return request.Check(u.To)
}

// request has the service submit the job and give the addresses.
func (u *Upload) request(ctx context.Context, facts *firecrest.System) error {
	request := firecrest.UploadRequest{Method: u.state.Method, FileSize: u.state.Size, Account: u.Account}
	if u.state.Method == firecrest.MethodS3 {
		request.FileSize = u.declared(facts)
	}
	asked := time.Now().UTC()
	transfer, err := u.Mover.client.Transfer.Upload(ctx, u.System, u.To, request)
	if err != nil {
		return u.noAnswer(ctx, asked, err)
	}
	secrets := uploadSecrets{Round: u.state.Round + 1, Complete: string(transfer.CompleteURL), Coordinates: string(transfer.Coordinates)}
	for _, part := range transfer.PartURLs {
		secrets.Parts = append(secrets.Parts, string(part))
	}
	// The job comes first: without its addresses it can be cancelled at least.
	u.state.Method = transfer.Method
	u.state.PartSize = transfer.PartSize
	if transfer.Method == firecrest.MethodS3 && request.FileSize > u.state.Size {
		u.state.PartSize = u.PartSize
	}
	if err := u.begun(ctx, transfer.Job); err != nil {
		return err
	}
	return journalError(u.Journal.KeepPrivate(secrets))
}

// noAnswer notes that there may be a job that nobody knows of.
func (u *Upload) noAnswer(ctx context.Context, asked time.Time, err error) error {
	if firecrest.SubmitClassOf(err) != firecrest.SubmitAmbiguous || !u.state.Lost.IsZero() {
		return err
	}
	u.state.Lost = asked
	return errors.Join(err, u.keep(ctx))
}

// begun notes the job of a new transfer.
func (u *Upload) begun(ctx context.Context, job firecrest.TransferJob) error {
	job.System = u.System
	u.state.Stage, u.state.Job, u.state.Begun = stageBegun, &job, time.Now().UTC()
	u.state.Round++
	u.state.Asked, u.state.Unsure, u.state.Active = false, false, time.Time{}
	return u.keep(ctx)
}

// send moves the bytes.
func (u *Upload) send(ctx context.Context, seen *Seen) (*Pending, error) {
	var secrets uploadSecrets
	found, err := u.Journal.LoadPrivate(&secrets)
	if err != nil {
		return nil, journalError(err)
	}
	if !found || secrets.Round != u.state.Round { // this side ended before it had them all
		return nil, u.stale(ctx)
	}
	switch u.state.Method {
	case firecrest.MethodS3:
		return nil, u.sendParts(ctx, secrets)
	case firecrest.MethodStreamer:
		return u.stream(ctx, firecrest.Secret(secrets.Coordinates), seen)
	}
	return nil, u.stale(ctx) // the program that was sending is gone
}

// stale gives the transfer up; its job must end before the next begins.
func (u *Upload) stale(ctx context.Context) error {
	u.state.Stage = stageStale
	return u.keep(ctx)
}

// replace waits for the end of a job that is of no use, and starts again.
func (u *Upload) replace(ctx context.Context, seen *Seen) (*Pending, error) {
	if u.state.Job != nil && (seen == nil || !seen.Over()) {
		if err := u.Mover.client.Compute.Cancel(ctx, u.System, u.state.Job.ID); err != nil {
			return nil, err
		}
		return &Pending{Job: *u.state.Job, Since: u.state.Begun, Stale: true}, nil
	}
	u.state.Stage, u.state.Job = stageNew, nil
	return nil, u.keep(ctx)
}

// makeDirectory makes the directory of the target if it is missing.
func (u *Upload) makeDirectory(ctx context.Context) error {
	dir := path.Dir(u.To)
	files := u.Mover.client.Filesystem
	_, err := files.Stat(ctx, u.System, dir, true)
	if !errors.Is(err, firecrest.ErrNotFound) {
		return err
	}
	_, err = files.Mkdir(ctx, u.System, dir, true)
	return err
}

func (u *Upload) keep(ctx context.Context) error { return keep(ctx, u.Journal, uploadKey, u.state) }

func (u *Upload) report(done int64) {
	if u.Progress != nil {
		u.Progress(done, u.state.Size)
	}
}
