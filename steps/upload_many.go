package steps

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// Many files go as one archive: it is packed on one side, moved, and unpacked on
// the other. The names in it never stand on a command line.

// bundle is the checkpoint of many files on their way.
type bundle struct {
	Dir   string `json:"dir"`   // that they end up in
	Files int64  `json:"files"` // without directories and links
	Bytes int64  `json:"bytes"`
	// Packed says that the archive is complete; Moved is what moving it came to.
	Packed bool                 `json:"packed,omitempty"`
	Moved  *datatransfer.Result `json:"moved,omitempty"`
}

const (
	bundleKey = "bundle"
	packKey   = "pack"
	unpackKey = "unpack"
)

// archivePath is where an archive lies on the system while it is needed.
func (c *call) archivePath() string { return path.Join(c.controlPart(), c.Token+".tar.gz") }

// sendMany uploads a directory, or what a pattern matches.
func (c *call) sendMany(ctx context.Context, in uploadIn, from string) engine.Outcome {
	files, err := datatransfer.FindLocal(from)
	if err != nil {
		return c.failed(ctx, noLocal(from, err))
	}
	var b bundle
	if found, err := c.Load(bundleKey, &b); err != nil {
		return lost(err)
	} else if !found {
		if b, err = c.beginMany(ctx, in, from, files); err != nil {
			return c.failed(ctx, err)
		}
		if b.Files == 0 && b.Dir == "" { // the same is there
			return engine.Success(c.sameTree(in, from, files))
		}
	}
	if n, size := countLocal(files); n != b.Files || size != b.Bytes {
		return c.failed(ctx, fail(workflow.CauseInputChanged, "%s changed while it was uploaded", from))
	}
	if b.Moved == nil {
		if ended := c.moveArchive(ctx, in, files, &b); ended != nil {
			return *ended
		}
	}
	if ended := c.unpackThere(ctx, in, b); ended != nil {
		return *ended
	}
	if err := c.checkTree(ctx, b.Dir, files); err != nil {
		return c.failed(ctx, err)
	}
	c.tidy(ctx, c.archivePath())
	return engine.Success(transferOut{
		Path: b.Dir, SizeBytes: b.Bytes, SHA256: b.Moved.SHA256, Verified: b.Moved.Verified, Method: string(b.Moved.Method), Files: b.Files,
	})
}

// treePath is the directory on the system that local files end up in.
func (c *call) treePath(in uploadIn, from string, files []datatransfer.LocalFile) (string, error) {
	to := in.To
	if slices.ContainsFunc(files, func(f datatransfer.LocalFile) bool { return f.Name == "." }) { // a directory keeps its name
		to = target(to, filepath.Base(from))
	}
	return c.path(in.inWorkdir, to)
}

// beginMany finds out where files go, and whether they may. It returns the zero
// bundle if all of them are there already.
func (c *call) beginMany(ctx context.Context, in uploadIn, from string, files []datatransfer.LocalFile) (bundle, error) {
	dir, err := c.treePath(in, from, files)
	if err != nil {
		return bundle{}, err
	}
	same, err := c.acceptTree(ctx, in, dir, files)
	if err != nil || same {
		return bundle{}, err
	}
	if err := c.begin(ctx); err != nil {
		return bundle{}, &datatransfer.JournalError{Err: err}
	}
	if _, err := c.files().Mkdir(ctx, c.system(), dir, true); err != nil {
		return bundle{}, err
	}
	b := bundle{Dir: dir}
	b.Files, b.Bytes = countLocal(files)
	return b, c.keep(ctx, bundleKey, b)
}

func countLocal(files []datatransfer.LocalFile) (n, bytes int64) {
	for _, f := range files {
		if f.Info.Mode().IsRegular() {
			n, bytes = n+1, bytes+f.Info.Size()
		}
	}
	return n, bytes
}

// remoteTree lists what lies in a directory of the system, by name; nil if there
// is none.
func (c *call) remoteTree(ctx context.Context, dir string) (map[string]firecrest.FileEntry, error) {
	entries, err := c.files().List(ctx, c.system(), dir, &firecrest.ListOptions{ShowHidden: true, Recursive: true})
	if isNotFound(err) {
		return nil, nil
	}
	tree := map[string]firecrest.FileEntry{}
	for _, e := range entries {
		tree[path.Clean(e.Name)] = e
	}
	return tree, err
}

// tooMuch reports whether an error says that a directory holds more than can be
// listed.
func tooMuch(err error) bool {
	return errors.Is(err, firecrest.ErrTooLarge) || errors.Is(err, firecrest.ErrTimeout)
}

// maxCompared bounds how many files are looked at or compared by digest before
// something is skipped, one request each.
const maxCompared = 100

// remoteTargets finds what lies where files are to go, by name, in a directory
// that holds more than can be listed. Of links it does not learn the text.
func (c *call) remoteTargets(ctx context.Context, dir string, files []datatransfer.LocalFile) (map[string]firecrest.FileEntry, error) {
	if len(files) > maxCompared {
		return nil, refuse("%s holds too much to be listed, and %d files are too many to be looked for there one by one; upload them to a directory of their own, or set on_exists: replace", dir, len(files))
	}
	tree := map[string]firecrest.FileEntry{}
	for _, f := range files {
		found, err := c.files().Stat(ctx, c.system(), path.Join(dir, f.Name), false)
		switch {
		case isNotFound(err):
			continue
		case err != nil:
			return nil, err
		}
		entry := firecrest.FileEntry{Name: f.Name, Size: found.Size}
		if found.IsDir() {
			entry.Type = "d"
		}
		tree[f.Name] = entry
	}
	return tree, nil
}

// acceptTree judges what is in the target already: true if all of it will do.
func (c *call) acceptTree(ctx context.Context, in uploadIn, dir string, files []datatransfer.LocalFile) (same bool, err error) {
	began, err := c.beganEarlier()
	if err != nil || in.OnExists == replace || began {
		return false, err
	}
	tree, err := c.remoteTree(ctx, dir)
	if tooMuch(err) {
		tree, err = c.remoteTargets(ctx, dir, files)
	}
	if err != nil || len(tree) == 0 {
		return false, err
	}
	n, compared := 0, 0
	for _, f := range files {
		there, ok := found(tree, f.Name)
		if !ok || f.Info.IsDir() && there.IsDir() || f.Link != "" && f.Link == there.LinkTarget {
			continue
		}
		n++
		name := path.Join(dir, f.Name)
		if compared++; in.OnExists == failExists || compared > maxCompared || !f.Info.Mode().IsRegular() || there.Size != f.Info.Size() {
			return false, refuse("%s exists and is not known to be the same; set on_exists: replace to overwrite it", name)
		}
		digest, err := fileDigest(f.Path)
		if err != nil {
			return false, refuse("%v", err)
		}
		if sum, err := c.remoteDigest(ctx, name, there.Size); err != nil {
			return false, err
		} else if sum != digest {
			return false, refuse("%s exists and is not known to be the same; set on_exists: replace to overwrite it", name)
		}
	}
	total, _ := countLocal(files)
	return int64(n) == total && total > 0, nil
}

// sameTree is the result of an upload of what was there already.
func (c *call) sameTree(in uploadIn, from string, files []datatransfer.LocalFile) transferOut {
	dir, _ := c.treePath(in, from, files) // it was good a moment ago
	out := transferOut{Path: dir, Verified: verifiedDigest, Skipped: true, Method: methodNone}
	out.Files, out.SizeBytes = countLocal(files)
	return out
}

// moveArchive packs the files and uploads the archive.
func (c *call) moveArchive(ctx context.Context, in uploadIn, files []datatransfer.LocalFile, b *bundle) *engine.Outcome {
	local, err := c.PrivatePath("tar.gz")
	if err != nil {
		return c.failedOr(ctx, localError(err))
	}
	if _, err := os.Stat(local); err != nil || !b.Packed {
		if err := packLocal(ctx, local, files); err != nil {
			return c.failedOr(ctx, err)
		}
		b.Packed = true
		if err := c.keep(ctx, bundleKey, b); err != nil {
			return outcome(lost(err))
		}
	}
	u, err := c.newUpload(ctx, in, local, c.archivePath())
	if err != nil {
		return c.failedOr(ctx, err)
	}
	moved, ended := c.moveOnce(ctx, u)
	if ended == nil {
		ended = c.confirm(ctx, in.transferIn, c.archivePath(), moved)
	}
	if ended != nil {
		return ended
	}
	b.Moved = moved
	if err := c.keep(ctx, bundleKey, b); err != nil {
		return outcome(lost(err))
	}
	return nil
}

// packLocal writes an archive, durably.
func packLocal(ctx context.Context, name string, files []datatransfer.LocalFile) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return localError(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	err = datatransfer.PackArchive(ctx, w, files)
	if err := errors.Join(err, w.Flush(), file.Sync(), file.Close()); !errors.Is(err, datatransfer.ErrChanged) {
		return localError(err)
	}
	return fail(workflow.CauseInputChanged, "%v", err)
}

// unpackThere unpacks the archive on the system.
func (c *call) unpackThere(ctx context.Context, in uploadIn, b bundle) *engine.Outcome {
	return c.carryOut(ctx, unpackKey, jobForm{
		more: true,
		now: func(ctx context.Context) error {
			return c.files().Extract(ctx, c.system(), c.archivePath(), b.Dir, firecrest.CompressionGzip)
		},
		submit: func(ctx context.Context) (*firecrest.TransferJob, error) {
			return c.client().Transfer.Extract(ctx, c.system(), c.archivePath(), b.Dir, &firecrest.ExtractJobOptions{Account: c.account(in.Account)})
		},
	})
}

// checkTree makes sure that the files are in the directory. A directory too large
// to be listed is believed to hold what its archive did.
func (c *call) checkTree(ctx context.Context, dir string, files []datatransfer.LocalFile) error {
	tree, err := c.remoteTree(ctx, dir)
	if tooMuch(err) {
		c.Logger.Info().Str("path", dir).Msg("too large to be listed; its archive was verified")
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.Info.Mode().IsRegular() || !listsPlainly(f.Name) {
			continue
		}
		if there, ok := tree[f.Name]; !ok || there.Size != f.Info.Size() {
			return fail(workflow.CauseTransfer, "%s is not as it was packed after its archive was unpacked", path.Join(dir, f.Name))
		}
	}
	return nil
}

// found is what a listing has of a name, in whatever form it shows it: characters
// that do not print come as C writes them, and those beyond ASCII too where the
// login node speaks no UTF-8.
func found(tree map[string]firecrest.FileEntry, name string) (entry firecrest.FileEntry, ok bool) {
	for _, form := range []string{name, escapedName(name, unicode.MaxRune), escapedName(name, unicode.MaxASCII)} {
		if entry, ok = tree[form]; ok {
			break
		}
	}
	return entry, ok
}

// escapedName is a name as ls quotes it in C, where characters up to last print.
func escapedName(name string, last rune) string {
	var b strings.Builder
	for i, r := range name {
		size := utf8.RuneLen(r)
		switch at := strings.IndexRune("\a\b\t\n\v\f\r", r); {
		case at >= 0:
			b.WriteString(`\` + "abtnvfr"[at:at+1])
		case r == utf8.RuneError && !strings.HasPrefix(name[i:], string(r)): // a byte that is no text
			fmt.Fprintf(&b, `\%03o`, name[i])
		case r < ' ' || r == 0x7f || r > last:
			for _, c := range []byte(name[i : i+size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// listsPlainly reports whether a name looks the same in every listing: the server
// reads the output of a command, in the language of the login node.
func listsPlainly(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' })
}

// tidy removes a file of fcflow's own on the system. One that stays goes with the
// run.
func (c *call) tidy(ctx context.Context, p string) {
	if err := c.files().Remove(ctx, c.system(), p); err != nil && !isNotFound(err) {
		c.Logger.Warn().Err(err).Str("path", p).Msg("archive not deleted")
	}
}

// plural counts files for people.
func plural(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
