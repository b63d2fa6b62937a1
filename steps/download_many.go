package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// remoteBundle is the checkpoint of many files on their way here.
type remoteBundle struct {
	bundle
	Source  string   `json:"source"` // directory on the system
	Counted bool     `json:"counted"`
	Pattern string   `json:"pattern,omitempty"` // of find(1), on the system
	Names   []string `json:"names,omitempty"`   // that a pattern matched
}

// from is the directory that the files are in.
func (b *remoteBundle) from() string {
	if b.Pattern != "" { // Source is a name in it
		return path.Dir(b.Source)
	}
	return b.Source
}

// fetchMany downloads a directory, or what a pattern matches.
func (c *call) fetchMany(ctx context.Context, in downloadIn) engine.Outcome {
	if datatransfer.IsStoreAddress(in.To) {
		return c.failed(ctx, refuse("%s is not one file; only that can be put as an object: pack it with `compress` first", in.From))
	}
	root, err := openOutput(c.Run.OutputDir)
	if err != nil {
		return c.failed(ctx, localError(err))
	}
	defer root.Close()
	var b remoteBundle
	if found, err := c.Load(bundleKey, &b); err != nil {
		return lost(err)
	} else if !found {
		if b, err = c.beginFetch(ctx, in, root); err != nil {
			return c.failed(ctx, err)
		}
	}
	if ended := c.packThere(ctx, in, b); ended != nil {
		return *ended
	}
	archive, ended := c.fetchArchive(ctx, in, &b)
	if ended != nil {
		return *ended
	}
	out := transferOut{
		Path: filepath.Join(c.Run.OutputDir, b.Dir), SHA256: b.Moved.SHA256, Verified: b.Moved.Verified, Method: string(b.Moved.Method),
	}
	if err := c.unpackHere(ctx, in, root, archive, b, &out); err != nil {
		return c.failed(ctx, err)
	}
	c.tidy(ctx, c.archivePath())
	return engine.Success(out)
}

// beginFetch finds out what is fetched, and where it goes.
func (c *call) beginFetch(ctx context.Context, in downloadIn, root *os.Root) (remoteBundle, error) {
	var b remoteBundle
	from, err := c.path(in.inWorkdir, in.From)
	if err != nil {
		return b, err
	}
	to := in.To
	if datatransfer.IsGlob(in.From) {
		err = c.match(ctx, from, &b)
	} else {
		b.Source, to = from, target(to, path.Base(from))
		err = c.count(ctx, from, &b)
	}
	if err != nil {
		return b, err
	}
	if b.Dir, err = c.outputPath(to); err != nil {
		return b, err
	}
	began, err := c.beganEarlier()
	if err != nil {
		return b, err
	}
	switch there, err := root.Stat(b.Dir); {
	case err != nil: // nothing, or what says so when it is written to
	case in.OnExists == failExists && !began && b.Pattern == "":
		return b, refuse("%s exists", filepath.Join(c.Run.OutputDir, b.Dir))
	case !there.IsDir():
		return b, refuse("%s exists and is not a directory", filepath.Join(c.Run.OutputDir, b.Dir))
	}
	// Both at once: what has begun, and is no bundle, is one file.
	err = c.Put(bundleKey, b)
	if err == nil {
		err = c.begin(ctx)
	}
	if err != nil {
		return b, &datatransfer.JournalError{Err: err}
	}
	return b, nil
}

// count notes how many files a directory has, and how large they are, where it
// is small enough to be listed. It refuses what would be refused when all of it has
// come.
func (c *call) count(ctx context.Context, dir string, b *remoteBundle) error {
	entries, err := c.files().List(ctx, c.system(), dir, &firecrest.ListOptions{ShowHidden: true, Recursive: true})
	if tooMuch(err) {
		return nil
	}
	if err != nil {
		return err
	}
	b.Counted = true
	for _, e := range entries {
		name := path.Join(path.Base(dir), e.Name) // in the archive
		switch {
		case e.Type == "-":
			b.Files, b.Bytes = b.Files+1, b.Bytes+e.Size
		case e.Type == "p":
			return refuse("%s is a pipe, which cannot be fetched; download what lies beside it by a pattern", path.Join(dir, e.Name))
		case e.IsLink() && e.LinkTarget != "":
			if err := datatransfer.CheckLink(name, e.LinkTarget); err != nil {
				return refuse("%v; it would lead nowhere here: download what it points to by itself, and what lies beside it by a pattern", err)
			}
		}
	}
	return nil
}

// maxPattern bounds the names that one command of the system can be given, in
// bytes.
const maxPattern = 64 << 10

// match finds what a pattern matches on the system.
func (c *call) match(ctx context.Context, pattern string, b *remoteBundle) error {
	base := datatransfer.GlobBase(pattern)
	entries, err := c.files().List(ctx, c.system(), base, &firecrest.ListOptions{ShowHidden: true, Recursive: true})
	if err != nil {
		return err
	}
	found, err := datatransfer.MatchRemote(pattern, entries)
	if err != nil {
		return refuse("%v", err)
	}
	var alternatives []string
	for _, f := range found {
		if f.Entry.IsDir() {
			continue
		}
		if !listsPlainly(f.Name) {
			return refuse("%s: its name cannot be told from a listing; download the directory it lies in", f.Path)
		}
		if f.Entry.Type == "l" { // servers pack regular files by pattern, and no links
			return refuse("%s is a link, which a pattern cannot fetch; name what it points to, or download the directory it lies in", f.Path)
		}
		if f.Entry.Type != "-" {
			return refuse("%s is not a regular file", f.Path)
		}
		b.Names = append(b.Names, f.Name)
		b.Files, b.Bytes = b.Files+1, b.Bytes+f.Entry.Size
		alternatives = append(alternatives, findName(f.Name))
	}
	b.Counted, b.Source = true, path.Join(base, "x") // the directory that this lies in is searched
	b.Pattern = `\./\(` + strings.Join(alternatives, `\|`) + `\)`
	switch {
	case b.Files == 0:
		return refuse("%s matches directories without files", pattern)
	case len(b.Pattern) > maxPattern:
		return refuse("%s matches too many files (%d) for one command; download the directory", pattern, b.Files)
	}
	return nil
}

// findName is a regular expression of find(1) for a name. What would mean
// something to the server or a shell is matched by any character; what comes is
// compared with the name.
func findName(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case strings.ContainsRune("'\"&<>$`!", r):
			b.WriteByte('.')
		case strings.ContainsRune(".*+?[]^\\", r):
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// packThere packs the files on the system.
func (c *call) packThere(ctx context.Context, in downloadIn, b remoteBundle) *engine.Outcome {
	options := firecrest.CompressOptions{MatchPattern: b.Pattern, Dereference: b.Pattern != ""}
	return c.carryOut(ctx, packKey, jobForm{
		more: true,
		now: func(ctx context.Context) error {
			return c.files().Compress(ctx, c.system(), b.Source, c.archivePath(), &options)
		},
		submit: func(ctx context.Context) (*firecrest.TransferJob, error) {
			return c.client().Transfer.Compress(ctx, c.system(), b.Source, c.archivePath(), &firecrest.CompressJobOptions{
				CompressOptions: options, Account: c.account(in.Account),
			})
		},
	})
}

// fetchArchive downloads the archive, and returns where it is.
func (c *call) fetchArchive(ctx context.Context, in downloadIn, b *remoteBundle) (string, *engine.Outcome) {
	local, err := c.PrivatePath("tar.gz")
	if err != nil {
		return "", c.failedOr(ctx, localError(err))
	}
	if _, err := os.Stat(local); err == nil && b.Moved != nil {
		return local, nil
	}
	d, err := c.newDownload(ctx, in, c.archivePath())
	if err != nil {
		return "", c.failedOr(ctx, err)
	}
	d.To, d.Part = local, c.Token+".part"
	moved, ended := c.moveOnce(ctx, d)
	if ended == nil {
		ended = c.confirm(ctx, in.transferIn, c.archivePath(), moved)
	}
	if ended != nil {
		return "", ended
	}
	b.Moved = moved
	if err := c.keep(ctx, bundleKey, b); err != nil {
		return "", outcome(lost(err))
	}
	return local, nil
}

// unpackHere unpacks the archive into a hidden directory, compares what came with
// what was expected, and moves it to its place.
func (c *call) unpackHere(ctx context.Context, in downloadIn, root *os.Root, archive string, b remoteBundle, out *transferOut) error {
	hidden := c.partName()
	if err := errors.Join(root.RemoveAll(hidden), root.Mkdir(hidden, 0o755)); err != nil {
		return localError(err)
	}
	defer func() { _ = root.RemoveAll(hidden) }() // or the next entry does
	part, err := root.OpenRoot(hidden)
	if err != nil {
		return localError(err)
	}
	defer part.Close()
	if err := unpackInto(ctx, part, archive); err != nil {
		return err
	}
	from := hidden
	if b.Pattern == "" { // members begin with the name of the directory
		from = filepath.Join(hidden, path.Base(b.Source))
	}
	files, err := unpacked(root, from)
	if err != nil {
		return localError(err)
	}
	if files, err = b.expected(files); err != nil {
		return err
	}
	for _, f := range files {
		if f.info.Mode().IsRegular() {
			out.Files, out.SizeBytes = out.Files+1, out.SizeBytes+f.info.Size()
		}
	}
	p := placing{root: root, from: from, to: b.Dir, files: files}
	if out.Skipped, err = c.mayPlace(ctx, in.OnExists, p); err != nil {
		return err
	}
	return localError(p.place())
}

func unpackInto(ctx context.Context, root *os.Root, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return localError(err)
	}
	defer file.Close()
	err = datatransfer.UnpackArchive(ctx, file, root, datatransfer.ArchiveLimits{})
	if errors.Is(err, datatransfer.ErrArchive) && !errors.Is(err, datatransfer.ErrRefused) {
		return fail(workflow.CauseTransfer, "%v", err)
	}
	return localError(err)
}

// unpackedFile is something that came in an archive, named from the directory
// that it belongs in.
type unpackedFile struct {
	name string
	info fs.FileInfo
}

func unpacked(root *os.Root, dir string) ([]unpackedFile, error) {
	var files []unpackedFile
	err := fs.WalkDir(root.FS(), filepath.ToSlash(dir), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		name, _ := filepath.Rel(dir, filepath.FromSlash(p)) // both are below the root
		files = append(files, unpackedFile{name, info})
		return err
	})
	return files, err
}

// expected compares what came with what was there, and leaves out what a pattern
// of the system matched without being asked for.
func (b remoteBundle) expected(files []unpackedFile) ([]unpackedFile, error) {
	kept := files
	if b.Pattern != "" {
		wanted := map[string]bool{}
		for _, name := range b.Names {
			for ; name != "."; name = path.Dir(name) {
				wanted[filepath.FromSlash(name)] = true
			}
		}
		kept = nil
		for _, f := range files {
			if wanted[f.name] || f.name == "." {
				kept = append(kept, f)
			}
		}
	}
	var n, bytes int64
	for _, f := range kept {
		if f.info.Mode().IsRegular() {
			n, bytes = n+1, bytes+f.info.Size()
		}
	}
	if b.Counted && (n != b.Files || bytes != b.Bytes) {
		return nil, fail(workflow.CauseTransfer, "%s had %s of %d bytes when it was listed, and %d of %d bytes came: it changed, or packing it failed",
			b.from(), plural(b.Files), b.Bytes, n, bytes)
	}
	return kept, nil
}
