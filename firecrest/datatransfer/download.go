package datatransfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// Download is a file of a system on its way here. It takes its name when it is
// complete, verified and on disk; an existing file is replaced.
type Download struct {
	Mover  *Mover // [Mover.Download] fills it in
	System string
	From   string // absolute path of the remote file
	To     string // local file; below Root, if that is set
	// Root confines the local file: nothing is written outside, whatever links
	// there are. Nil: the directory of To.
	Root *os.Root
	// Part is the name, in the same directory, that the file has before it is
	// complete. An interrupted download goes on with it. Default: hidden, with the
	// name of the file in it.
	Part   string
	Method firecrest.TransferMethod
	// Account is what transfer jobs are charged to, where they are.
	Account string
	// Facts is what the service says of the system; nil: it is asked.
	Facts *firecrest.System
	// Source and Digest are what is known of the remote file; nil and "": it is
	// asked for them.
	Source *firecrest.FileStat
	Digest string
	// Journal lets another process go on; nil: none can.
	Journal Journal
	// Progress, if set, is told about once a second how many bytes have come, on
	// the goroutine of whoever called.
	Progress func(done, total int64)

	root  *os.Root
	own   bool // root was opened here
	name  string
	part  string
	file  *os.File
	state downloadState
}

// downloadState is what the journal knows of a download.
type downloadState struct {
	Stage    stage                    `json:"stage,omitempty"`
	Method   firecrest.TransferMethod `json:"method,omitempty"`
	Size     int64                    `json:"size"`
	Modified int64                    `json:"modified"` // of the remote file, in seconds since 1970
	Digest   string                   `json:"digest,omitempty"`
	Round    int                      `json:"round,omitempty"`
	Job      *firecrest.TransferJob   `json:"job,omitempty"` // nil: none that does anything yet
	Begun    time.Time                `json:"begun,omitzero"`
	// Connected says that a job was spoken to directly; it does that once.
	Connected bool `json:"connected,omitempty"`
	// ETag and Chunk are those of the object whose ranges are on disk; Object
	// counts the objects that there were.
	ETag   string `json:"etag,omitempty"`
	Chunk  int64  `json:"chunk,omitempty"`
	Object int    `json:"object,omitempty"`
}

const downloadKey = "download"

// downloadSecrets are what the service gave for a download.
type downloadSecrets struct {
	Round       int    `json:"round"`
	URL         string `json:"url,omitempty"`
	Coordinates string `json:"coordinates,omitempty"`
	Code        string `json:"code,omitempty"`
}

// Download carries a download out, waiting for its jobs.
func (m *Mover) Download(ctx context.Context, d *Download) (*Result, error) {
	d.Mover = m
	defer d.Close()
	var seen *Seen
	for {
		result, pending, err := d.Continue(ctx, seen)
		if err == nil && pending != nil {
			seen, err = m.wait(ctx, pending)
		}
		switch {
		case err != nil:
			m.dismiss(ctx, d.state.Job)
			return nil, errors.Join(err, d.Discard())
		case result != nil:
			return result, nil
		}
	}
}

// Continue does what can be done now. It returns the result, or the job to wait
// for first; seen is then what became of it. After an error that passes it may be
// called again. Close d in the end; Discard it before that if it is given up.
func (d *Download) Continue(ctx context.Context, seen *Seen) (*Result, *Pending, error) {
	if err := d.open(); err != nil {
		return nil, nil, err
	}
	for {
		if seen != nil && (d.state.Job == nil || d.state.Job.ID != seen.ID) {
			seen = nil
		}
		var pending *Pending
		var err error
		switch d.state.Stage {
		case stageNew:
			err = d.begin(ctx)
		case stageBegun:
			pending, err = d.receive(ctx, seen)
		case stageStale:
			pending, err = d.replace(ctx, seen)
		case stageMoved:
			result, err := d.finish(ctx)
			return result, nil, err
		}
		if err != nil || pending != nil {
			return nil, pending, err
		}
	}
}

// LiveJob is the job that still does something for the download; nil if there is
// none.
func (d *Download) LiveJob() (*firecrest.TransferJob, error) {
	err := d.load()
	return d.state.Job, err
}

// open reads the journal and opens the file under its passing name.
func (d *Download) open() error {
	if d.file != nil {
		return nil
	}
	if err := d.load(); err != nil {
		return err
	}
	if err := d.openRoot(); err != nil {
		return localError(err)
	}
	if err := d.root.MkdirAll(filepath.Dir(d.part), 0o755); err != nil {
		return localError(err)
	}
	file, err := d.root.OpenFile(d.part, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if d.state.Stage == stageMoved || d.state.Chunk > 0 { // somebody removed it
			d.state.Stage, d.state.Chunk, d.state.ETag = d.before(), 0, ""
		}
		file, err = d.root.OpenFile(d.part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	case err == nil && d.state.Chunk == 0 && d.state.Stage != stageMoved: // of another attempt
		err = file.Truncate(0)
	}
	d.file = file
	return localError(err)
}

// before is the stage in which the bytes come.
func (d *Download) before() stage {
	if d.state.Method == Direct {
		return stageNew
	}
	return stageBegun
}

func (d *Download) load() error {
	if d.Journal == nil {
		d.Journal = newMemory()
	}
	_, err := d.Journal.Load(downloadKey, &d.state)
	return journalError(err)
}

func (d *Download) openRoot() error {
	if d.root != nil {
		return nil
	}
	d.root, d.name = d.Root, d.To
	if d.root == nil {
		dir := filepath.Dir(d.To)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		d.root, d.own, d.name = root, true, filepath.Base(d.To)
	}
	part := d.Part
	if part == "" {
		part = "." + filepath.Base(d.name) + ".part"
	}
	d.part = filepath.Join(filepath.Dir(d.name), part)
	return nil
}

// Close closes what is open, and leaves the incomplete file where it is.
func (d *Download) Close() error {
	var err error
	if d.file != nil {
		err = d.file.Close()
		d.file = nil
	}
	if d.own {
		err = errors.Join(err, d.root.Close())
		d.root, d.own = nil, false
	}
	return err
}

// Discard removes the incomplete file.
func (d *Download) Discard() error {
	if err := d.openRoot(); err != nil {
		return localError(err)
	}
	var err error
	if d.file != nil {
		err = d.file.Close()
		d.file = nil
	}
	return localError(errors.Join(err, d.root.RemoveAll(d.part), d.root.RemoveAll(d.part+incoming)))
}

// begin looks at the remote file and fetches it, or has the service prepare the
// transfer of a large one.
func (d *Download) begin(ctx context.Context) error {
	facts, err := d.Mover.facts(ctx, d.Facts, d.System)
	if err != nil {
		return err
	}
	if d.state.Method == "" {
		if err := d.look(ctx); err != nil {
			return err
		}
		if d.state.Method, err = method(facts, d.Method, d.state.Size, facts.MaxDownload()); err != nil {
			return err
		}
	}
	if d.state.Method == Direct {
		return d.direct(ctx, facts)
	}
	if d.state.Round >= maxRounds {
		return fmt.Errorf("%w: the addresses of %d transfers in a row could not be used", ErrExpired, d.state.Round)
	}
	transfer, err := d.Mover.client.Transfer.Download(ctx, d.System, d.From, firecrest.DownloadRequest{Method: d.state.Method, Account: d.Account})
	if err != nil {
		return err
	}
	transfer.Job.System = d.System
	d.state.Stage, d.state.Method, d.state.Job, d.state.Begun = stageBegun, transfer.Method, &transfer.Job, time.Now().UTC()
	d.state.Round++
	d.state.Connected, d.state.ETag, d.state.Chunk = false, "", 0
	if err := d.keep(ctx); err != nil {
		return err
	}
	return journalError(d.Journal.KeepPrivate(downloadSecrets{
		Round: d.state.Round, URL: string(transfer.URL), Coordinates: string(transfer.Coordinates), Code: string(transfer.WormholeCode),
	}))
}

// look learns what the remote file is.
func (d *Download) look(ctx context.Context) error {
	source, err := d.Source, error(nil)
	if source == nil {
		source, err = d.Mover.client.Filesystem.Stat(ctx, d.System, d.From, true)
	}
	switch {
	case err != nil:
		return err
	case !source.IsRegular():
		return fmt.Errorf("%s is not a regular file", d.From)
	}
	d.state.Size, d.state.Modified, d.state.Digest = source.Size, source.Mtime, d.Digest
	if d.state.Digest == "" {
		d.state.Digest, err = d.Mover.RemoteDigest(ctx, d.System, d.From, source.Size)
	}
	return err
}

// receive gets the bytes of a large file, when its job is so far.
func (d *Download) receive(ctx context.Context, seen *Seen) (*Pending, error) {
	var secrets downloadSecrets
	found, err := d.Journal.LoadPrivate(&secrets)
	if err != nil {
		return nil, journalError(err)
	}
	if !found || secrets.Round != d.state.Round { // this side ended before it had them
		return nil, d.stale(ctx)
	}
	switch d.state.Method {
	case firecrest.MethodStreamer:
		return d.stream(ctx, firecrest.Secret(secrets.Coordinates), seen)
	case firecrest.MethodWormhole:
		return nil, d.wormhole(ctx, firecrest.Secret(secrets.Code))
	}
	var told error
	if d.state.Job != nil { // the object is there when the job has ended
		if seen == nil || !seen.Over() {
			return &Pending{Job: *d.state.Job, Since: d.state.Begun}, nil
		}
		told, err = d.Mover.judge(ctx, *d.state.Job, *seen)
		var failed *JobError
		if err != nil && !errors.As(err, &failed) {
			return nil, err
		}
		d.state.Job = nil
		if keepErr := d.keep(ctx); err != nil || keepErr != nil {
			return nil, errors.Join(err, keepErr)
		}
	}
	err = d.fetch(ctx, firecrest.Secret(secrets.URL))
	var store *StoreError
	if told != nil && errors.As(err, &store) && store.gone() {
		err = fmt.Errorf("%w: %w", told, err)
	}
	return nil, err
}

// stale gives the transfer up; its job must end before the next begins.
func (d *Download) stale(ctx context.Context) error {
	d.state.Stage = stageStale
	return d.keep(ctx)
}

// replace waits for the end of a job that is of no use, and starts again.
func (d *Download) replace(ctx context.Context, seen *Seen) (*Pending, error) {
	if d.state.Job != nil && (seen == nil || !seen.Over()) {
		if err := d.Mover.client.Compute.Cancel(ctx, d.System, d.state.Job.ID); err != nil {
			return nil, err
		}
		return &Pending{Job: *d.state.Job, Since: d.state.Begun, Stale: true}, nil
	}
	d.state.Stage, d.state.Job = stageNew, nil
	return nil, d.keep(ctx)
}

func (d *Download) moved(ctx context.Context) error {
	d.report(d.state.Size)
	d.state.Stage, d.state.Job = stageMoved, nil
	return d.keep(ctx)
}

// finish verifies the file and gives it its name.
func (d *Download) finish(ctx context.Context) (*Result, error) {
	info, err := d.file.Stat()
	if err != nil {
		return nil, localError(err)
	}
	if info.Size() != d.state.Size {
		return nil, &MismatchError{d.From, fmt.Sprintf("had %d bytes, and %d came: it changed, or was cut short", d.state.Size, info.Size())}
	}
	sum, err := hashOf(ctx, io.NewSectionReader(d.file, 0, d.state.Size))
	if err != nil {
		return nil, err
	}
	result := &Result{Method: d.state.Method, Size: d.state.Size, SHA256: sum, Verified: VerifiedSize}
	switch {
	case d.state.Digest == "":
		if err := d.unchanged(ctx); err != nil {
			return nil, err
		}
	case d.state.Digest != sum:
		return nil, &MismatchError{d.From, fmt.Sprintf("had the SHA-256 %s, and what came has %s: it changed, or was damaged", d.state.Digest, sum)}
	default:
		result.Verified = VerifiedDigest
	}
	return result, localError(d.place())
}

// unchanged makes sure that the remote file is what it was: bytes of two
// versions may have the right size.
func (d *Download) unchanged(ctx context.Context) error {
	found, err := d.Mover.client.Filesystem.Stat(ctx, d.System, d.From, true)
	if err != nil {
		return err
	}
	if found.Size != d.state.Size || found.Mtime != d.state.Modified {
		return &MismatchError{d.From, "changed while it was downloaded"}
	}
	return nil
}

// place gives the file its name, durably.
func (d *Download) place() error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	err := d.file.Close()
	d.file = nil
	if err != nil {
		return err
	}
	if err := d.root.Rename(d.part, d.name); err != nil {
		return err
	}
	dir, err := d.root.Open(filepath.Dir(d.name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (d *Download) keep(ctx context.Context) error { return keep(ctx, d.Journal, downloadKey, d.state) }

func (d *Download) report(done int64) {
	if d.Progress != nil {
		d.Progress(done, d.state.Size)
	}
}
