package datatransfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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

// minPart is the smallest part, in bytes, that object stores take.
const minPart = 5 << 20

// declared is the size of the file as the service is told.
func (u *Upload) declared(facts *firecrest.System) int64 {
	if u.PartSize < minPart || facts.Transfer == nil || facts.Transfer.MaxPartSize <= u.PartSize {
		return u.state.Size
	}
	count := (u.state.Size + u.PartSize - 1) / u.PartSize
	if count > mostParts {
		return u.state.Size
	}
	return max(u.state.Size, (count-1)*facts.Transfer.MaxPartSize+1)
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

// sendParts sends the file to an object store.
func (u *Upload) sendParts(ctx context.Context, secrets uploadSecrets) error {
	p, err := u.parts(secrets)
	if err != nil {
		return err
	}
	now := time.Now()
	if p.complete.expired(now) {
		return u.stale(ctx)
	}
	u.report(p.sent())
	digest := u.digest(ctx)
	err = u.Mover.sendParts(ctx, p,
		func(i int, etag string) error { return journalError(u.Journal.Put(u.partKey(i), etag)) },
		func() error {
			u.report(p.meter.bytes.Load())
			return journalError(u.Journal.Flush(ctx))
		})
	if flushErr := u.Journal.Flush(ctx); err == nil {
		err = journalError(flushErr)
	}
	if digestErr := digest(); err == nil {
		err = digestErr
	}
	if err != nil {
		return u.unusable(ctx, err)
	}
	u.report(p.sent())
	if err := u.unchanged(); err != nil {
		return err
	}
	again := u.state.Asked
	u.state.Asked = true
	if err := u.keep(ctx); err != nil {
		return err
	}
	certain, err := u.Mover.completeParts(ctx, p, again)
	if err != nil {
		return u.unusable(ctx, err)
	}
	u.state.Stage, u.state.Unsure = stageMoved, !certain
	return u.keep(ctx)
}

// unusable gives the transfer up if its addresses are of no use any more, and
// returns any other error.
func (u *Upload) unusable(ctx context.Context, err error) error {
	var store *StoreError
	if errors.Is(err, ErrExpired) || errors.As(err, &store) && store.gone() {
		return u.stale(ctx)
	}
	return err
}

func (u *Upload) partKey(i int) string { return fmt.Sprintf("part.%d.%d", u.state.Round, i) }

// parts is the file as the object store gets it.
func (u *Upload) parts(secrets uploadSecrets) (*parts, error) {
	p := &parts{size: u.state.Size, partSize: u.state.PartSize, content: u.file}
	if p.partSize <= 0 || p.count() > len(secrets.Parts) {
		return nil, fmt.Errorf("the service gave %d addresses for parts of %d bytes, and the file has %d bytes", len(secrets.Parts), p.partSize, p.size)
	}
	var err error
	if p.complete, err = parseLink(firecrest.Secret(secrets.Complete)); err != nil {
		return nil, err
	}
	p.etags = make([]string, p.count())
	for i := range p.etags {
		l, err := parseLink(firecrest.Secret(secrets.Parts[i]))
		if err != nil {
			return nil, err
		}
		p.links = append(p.links, l)
		if _, err := u.Journal.Load(u.partKey(i), &p.etags[i]); err != nil {
			return nil, journalError(err)
		}
	}
	return p, nil
}

// digest begins to hash the file, and returns what waits for the end of that.
func (u *Upload) digest(ctx context.Context) (wait func() error) {
	if u.state.SHA256 != "" {
		return func() error { return nil }
	}
	type sum struct {
		text string
		err  error
	}
	done := make(chan sum, 1)
	go func() {
		text, err := hashOf(ctx, io.NewSectionReader(u.file, 0, u.state.Size))
		done <- sum{text, err}
	}()
	return func() error {
		s := <-done
		u.state.SHA256 = s.text
		return s.err
	}
}

// hashOf is the SHA-256 of what r gives.
func hashOf(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, untilDone{ctx, r}); err != nil {
		return "", localError(err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// settle looks at what the job made of it.
func (u *Upload) settle(ctx context.Context, seen *Seen) (*Result, *Pending, error) {
	var told error
	if u.state.Job != nil {
		if seen == nil || !seen.Over() {
			pending, err := u.patience(ctx, seen)
			return nil, pending, err
		}
		var err error
		if told, err = u.Mover.judge(ctx, *u.state.Job, *seen); err != nil {
			return nil, nil, err
		}
	}
	result, err := u.verify(ctx)
	if err == nil && told != nil && u.state.Method == firecrest.MethodS3 && !u.certain(result) {
		err = &MismatchError{u.To, "is as large as the file, and may be what was there before"}
	}
	var mismatch *MismatchError
	switch {
	case errors.As(err, &mismatch) && u.state.Unsure && u.state.Method == firecrest.MethodStreamer:
		u.state.Job = nil // it was cut short here, and that is all that is wrong
		return nil, nil, u.stale(ctx)
	case errors.As(err, &mismatch) && told != nil:
		return nil, nil, fmt.Errorf("%w: %w", told, err)
	case err != nil:
		return nil, nil, err
	}
	u.state.Job = nil
	if err := u.keep(ctx); err != nil {
		return nil, nil, err
	}
	if !u.state.Lost.IsZero() {
		u.Mover.reap(ctx, u.System, u.To, u.state.Lost)
	}
	return result, nil, nil
}

// How long a job may run that perhaps has nothing to fetch: the time in which it
// looks a few times, and that in which it fetches, at bytes per second.
const (
	unsurePatience = 5 * time.Minute
	unsureRate     = 4 << 20
)

// patience waits for the job. If nobody knows whether the object is there, it
// does so for some time only: the job itself would for a day.
func (u *Upload) patience(ctx context.Context, seen *Seen) (*Pending, error) {
	pending := &Pending{Job: *u.state.Job, Since: u.state.Begun}
	if !u.state.Unsure {
		return pending, nil
	}
	limit := unsurePatience + time.Duration(u.state.Size/unsureRate)*time.Second
	switch {
	case seen == nil || !seen.State.IsActive():
	case u.state.Active.IsZero():
		u.state.Active = time.Now().UTC()
		if err := u.keep(ctx); err != nil {
			return nil, err
		}
	case time.Since(u.state.Active) > limit:
		return nil, u.stale(ctx)
	}
	pending.Again = limit / 4
	return pending, nil
}

// stale gives the transfer up; its job must end before the next begins.
func (u *Upload) stale(ctx context.Context) error {
	u.state.Stage = stageStale
	return u.keep(ctx)
}

// replace waits for the end of a job that is of no use, and starts again.
func (u *Upload) replace(ctx context.Context, seen *Seen) (*Pending, error) {
	if u.state.Job != nil && (seen == nil || !seen.Over()) {
		if err := u.Mover.retire(ctx, *u.state.Job); err != nil {
			return nil, err
		}
		return &Pending{Job: *u.state.Job, Since: u.state.Begun, Stale: true}, nil
	}
	u.state.Stage, u.state.Job = stageNew, nil
	return nil, u.keep(ctx)
}

// verify compares the copy with the file.
func (u *Upload) verify(ctx context.Context) (*Result, error) {
	if err := u.digest(ctx)(); err != nil {
		return nil, err
	}
	if err := u.unchanged(); err != nil {
		return nil, err
	}
	result := &Result{Method: u.state.Method, Size: u.state.Size, SHA256: u.state.SHA256, Verified: VerifiedSize}
	found, err := u.Mover.client.Filesystem.Stat(ctx, u.System, u.To, true)
	switch {
	case errors.Is(err, firecrest.ErrNotFound):
		return nil, &MismatchError{u.To, "is not there after its upload"}
	case err != nil:
		return nil, err
	case found.Size != u.state.Size:
		return nil, &MismatchError{u.To, fmt.Sprintf("has %d bytes after the upload of %d", found.Size, u.state.Size)}
	}
	digest, err := u.Mover.RemoteDigest(ctx, u.System, u.To, found.Size)
	switch {
	case err != nil:
		return nil, err
	case digest != "" && digest != u.state.SHA256:
		return nil, &MismatchError{u.To, fmt.Sprintf("has another SHA-256 (%s) than what was uploaded (%s)", digest, u.state.SHA256)}
	case digest != "":
		result.Verified = VerifiedDigest
	}
	return result, nil
}

// certain reports whether what lies at the target is known to be the file, even
// if nothing said that it was written: another one of that size may have been
// there before.
func (u *Upload) certain(r *Result) bool { return r.Verified == VerifiedDigest || u.state.Size == 0 }

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
