package datatransfer

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ErrArchive says that an archive is damaged, or holds what is refused.
var ErrArchive = errors.New("bad archive")

// ErrRefused is the [ErrArchive] of one that holds what is refused: another copy of
// it would be refused too.
var ErrRefused = fmt.Errorf("%w: refused", ErrArchive)

// ArchiveLimits bound what an archive may unpack to.
type ArchiveLimits struct {
	// Bytes is the size of all files together, 0 for 1 TiB.
	Bytes int64
	// Entries counts files, links and directories, 0 for 1,000,000.
	Entries int
}

// UnpackArchive unpacks a gzip-compressed tar archive below root, and nothing
// outside it whatever the archive says. Files keep their permission bits and
// times, and belong to the caller; they replace files and links of the same
// name, and directories are merged. What is in the files is on disk then; their
// names may not be before their directories have been synced.
//
// It refuses, as [ErrRefused], absolute names, names with `..`, links out of
// root, devices and pipes, and more than the limits. What it wrote before it
// noticed stays: give it a new directory, and rename that when it is complete.
func UnpackArchive(ctx context.Context, r io.Reader, root *os.Root, limits ArchiveLimits) error {
	if limits.Bytes == 0 {
		limits.Bytes = 1 << 40
	}
	if limits.Entries == 0 {
		limits.Entries = 1_000_000
	}
	plain, err := gzip.NewReader(untilDone{ctx, r})
	if err != nil {
		return damaged(err)
	}
	u := &unpacking{root: root, in: tar.NewReader(plain), left: limits, known: map[string]bool{".": true}}
	if err := u.run(); err != nil {
		return err
	}
	// The checksum stands at the very end.
	if n, err := io.CopyN(io.Discard, plain, maxPadding); n == maxPadding {
		return fmt.Errorf("%w: more than %d bytes behind its end", ErrArchive, maxPadding)
	} else if !errors.Is(err, io.EOF) {
		return damaged(err)
	}
	return nil
}

// maxPadding is more than any tar rounds its archives up to.
const maxPadding = 16 << 20

// damaged tells a broken archive from a reader that failed.
func damaged(err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, tar.ErrHeader) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || strings.HasPrefix(err.Error(), "flate:") {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	return err
}

type unpacking struct {
	root *os.Root
	in   *tar.Reader
	left ArchiveLimits

	known map[string]bool // directories that are there
	// Links are made when no file is to be written any more, so that none is
	// written through one, and the modes of directories after that.
	links, dirs []*tar.Header
}

func (u *unpacking) run() error {
	for {
		h, err := u.in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return damaged(err)
		}
		if err := u.member(h); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	if err := u.makeLinks(); err != nil {
		return err
	}
	for _, h := range slices.Backward(u.dirs) {
		if err := u.finishDir(h); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	return nil
}

func (u *unpacking) member(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if !filepath.IsLocal(h.Name) || strings.ContainsRune(h.Name, 0) {
		return fmt.Errorf("%w: the name leads out of the directory", ErrRefused)
	}
	h.Name = path.Clean(h.Name)
	if err := u.count(); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		u.dirs = append(u.dirs, h)
		return u.directory(h.Name)
	}
	if h.Name == "." {
		return fmt.Errorf("%w: a file in place of the directory", ErrRefused)
	}
	if err := u.directory(path.Dir(h.Name)); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(h)
	case tar.TypeSymlink:
		if err := CheckLink(h.Name, h.Linkname); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		u.links = append(u.links, h)
		return nil
	case tar.TypeLink:
		return u.hardLink(h)
	}
	return fmt.Errorf("%w: neither a file nor a directory nor a link", ErrRefused)
}

func (u *unpacking) count() error {
	if u.left.Entries--; u.left.Entries < 0 {
		return fmt.Errorf("%w: too many files", ErrRefused)
	}
	return nil
}

// directory makes a directory and those it is in. Nothing is written through a
// link, not even one that was in root before.
func (u *unpacking) directory(name string) error {
	if u.known[name] {
		return nil
	}
	if err := u.directory(path.Dir(name)); err != nil {
		return err
	}
	info, err := u.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := u.count(); err != nil {
			return err
		}
		err = u.root.Mkdir(name, 0o700)
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%q is in the way", name)
	}
	if err != nil {
		return err
	}
	u.known[name] = true
	return nil
}

// makeRoom removes what a member replaces.
func (u *unpacking) makeRoom(name string) error {
	info, err := u.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%q is in the way", name)
	}
	return u.root.Remove(name)
}

func (u *unpacking) file(h *tar.Header) error {
	if u.left.Bytes -= h.Size; u.left.Bytes < 0 {
		return fmt.Errorf("%w: too many bytes", ErrRefused)
	}
	if err := u.makeRoom(h.Name); err != nil {
		return err
	}
	f, err := u.root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, u.in); err != nil {
		return damaged(err)
	}
	if err := f.Chmod(fs.FileMode(h.Mode) & fs.ModePerm); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return u.root.Chtimes(h.Name, h.ModTime, h.ModTime)
}

// hardLink links to a file that the archive held before.
func (u *unpacking) hardLink(h *tar.Header) error {
	if !filepath.IsLocal(h.Linkname) || strings.ContainsRune(h.Linkname, 0) {
		return fmt.Errorf("%w: a link to %q, out of the directory", ErrRefused, h.Linkname)
	}
	to := path.Clean(h.Linkname)
	if info, err := u.root.Lstat(to); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: a link to %q, which is no file before it in the archive", ErrRefused, h.Linkname)
	}
	if to == h.Name {
		return nil
	}
	if err := u.makeRoom(h.Name); err != nil {
		return err
	}
	return u.root.Link(to, h.Name)
}

// makeLinks makes the symbolic links. Each climbs no higher than root before it
// descends and lies in directories that are none, so whatever they go through,
// together they stay inside.
func (u *unpacking) makeLinks() error {
	for _, h := range u.links {
		err := u.makeRoom(h.Name)
		if err == nil {
			err = u.root.Symlink(h.Linkname, h.Name)
		}
		if err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
	return nil
}

func (u *unpacking) finishDir(h *tar.Header) error {
	if err := u.root.Chmod(h.Name, fs.FileMode(h.Mode)&fs.ModePerm); err != nil {
		return err
	}
	return u.root.Chtimes(h.Name, h.ModTime, h.ModTime)
}
