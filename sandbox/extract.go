package sandbox

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// postExtract unpacks an archive into an existing directory.
func (s *Server) postExtract(c *call) (reply, error) {
	body := c.object()
	target := body.required("targetPath", "target_path")
	kind := compression(body)
	if err := body.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c, target)
	if err != nil {
		return reply{}, err
	}
	defer done()
	if err := x.extract(c.path, target, kind); err != nil {
		return reply{}, err
	}
	return reply{status: 204}, nil
}

func (x session) extract(source, target, compression string) error {
	p, err := x.existing(source, true)
	var f *os.File
	if err == nil {
		f, err = x.open(p)
	}
	if err != nil {
		return tarFailed(compression, source, err)
	}
	defer f.Close()
	dir, err := x.existing(target, true)
	if err == nil && !dir.info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return commandError(err, 2, "tar: %s: Cannot open: %s\ntar: Error is not recoverable: exiting now", target)
	}
	plain, err := decompressor(x.ctx, compression, f)
	if err != nil {
		return notCompressed(compression, err)
	}
	u := &unpacking{session: x, top: dir.absolute(), in: tar.NewReader(x.limited(plain))}
	if err = u.run(); err == nil { // a filter that cannot write the rest fails
		_, err = io.Copy(io.Discard, x.limited(plain))
	}
	if cerr := plain.Close(); err == nil {
		err = cerr
	}
	var answer *apiError
	switch {
	case err == nil, errors.As(err, &answer):
		return err
	case x.expired() != nil: // a filter says only that it was killed
		return x.expired()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return commandFailed(2, "tar: Unexpected EOF in archive\ntar: Error is not recoverable: exiting now")
	case errors.Is(err, gzip.ErrChecksum):
		return commandFailed(2, "gzip: stdin: invalid compressed data--crc error\ntar: Child returned status 1\ntar: Error is not recoverable: exiting now")
	case errors.Is(err, tar.ErrHeader):
		return commandFailed(2, "tar: This does not look like a tar archive\ntar: Exiting with failure status due to previous errors")
	}
	return notCompressed(compression, err)
}

// notCompressed is the answer to bytes of another compression than announced.
func notCompressed(compression string, err error) error {
	var answer *apiError
	if errors.As(err, &answer) {
		return answer
	}
	return commandFailed(2, "%s: stdin: not in %s format\ntar: Child returned status 1\ntar: Error is not recoverable: exiting now", compression, compression)
}

// unpacking is one run of tar that reads an archive. Like tar it goes on after
// a member it cannot write, and fails at the end.
type unpacking struct {
	session
	top     string // canonical path of the target directory
	in      *tar.Reader
	refused []string     // complaints
	dirs    []tar.Header // whose mode and time are set last
}

func (u *unpacking) run() error {
	for {
		h, err := u.in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		h.Name = strings.Trim(h.Name, "/") // tar takes absolute names as relative
		if hasDotDot(h.Name) || h.Typeflag == tar.TypeLink && hasDotDot(h.Linkname) {
			u.refused = append(u.refused, "tar: "+h.Name+": Member name contains '..'")
			continue
		}
		if err := u.member(h); err != nil {
			if !isFileError(err) {
				return err // the archive or the time limit, not the member
			}
			u.refused = append(u.refused, "tar: "+h.Name+": Cannot open: "+strerror(err))
		}
	}
	for _, h := range u.dirs {
		if p, err := u.existing(path.Join(u.top, h.Name), true); err == nil {
			u.finish(p, &h)
		}
	}
	if u.refused != nil {
		return commandFailed(2, "%s\ntar: Exiting with failure status due to previous errors", strings.Join(u.refused, "\n"))
	}
	return nil
}

// isFileError tells what a file system said from what an archive did.
func isFileError(err error) bool {
	var (
		no   syscall.Errno
		file *fs.PathError
		link *os.LinkError
	)
	return errors.As(err, &no) || errors.As(err, &file) || errors.As(err, &link)
}

func hasDotDot(name string) bool {
	return slices.Contains(strings.Split(name, "/"), "..")
}

// member writes one member. An existing file gives way, as with tar.
func (u *unpacking) member(h *tar.Header) error {
	name := path.Join(u.top, h.Name)
	if h.Typeflag == tar.TypeXGlobalHeader || name == u.top {
		return nil
	}
	if h.Typeflag == tar.TypeDir {
		u.dirs = append(u.dirs, *h)
		return u.inside(path.Join(name, "x"))
	}
	if err := u.inside(name); err != nil {
		return err
	}
	p, err := u.vacant(name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.file(p, h)
	case tar.TypeSymlink:
		return p.dir.Symlink(h.Linkname, p.rel)
	case tar.TypeLink:
		return u.hardLink(p, path.Join(u.top, h.Linkname))
	}
	return syscall.EPERM // devices and pipes
}

// inside makes the directory of a member and checks that no link on the way
// leads out of the target directory.
func (u *unpacking) inside(name string) error {
	// Every missing directory is made below one that was checked.
	dir := path.Dir(name)
	p, err := u.locate(dir, true)
	if errors.Is(err, syscall.ENOENT) || err == nil && p.volume != nil && p.info == nil {
		if err := u.inside(dir); err != nil {
			return err
		}
		if err := u.mkdir(dir); err != nil {
			return err
		}
		p, err = u.locate(dir, true)
	}
	switch {
	case err != nil:
		return err
	case p.volume == nil || !within(p.absolute(), u.top):
		return syscall.EACCES
	case p.info == nil:
		return syscall.ENOENT
	case !p.info.IsDir():
		return syscall.ENOTDIR
	}
	return nil
}

func (u *unpacking) file(p place, h *tar.Header) error {
	f, err := p.dir.OpenFile(p.rel, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, u.in)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	u.finish(p, h)
	return nil
}

func (u *unpacking) hardLink(p place, to string) error {
	if err := u.inside(to); err != nil {
		return err
	}
	target, err := u.existing(to, false)
	if err != nil {
		return err
	}
	if target.volume != p.volume {
		return syscall.EXDEV
	}
	return p.dir.Link(target.rel, p.rel)
}

// finish sets mode and time of what was unpacked; a file system that cannot
// does not fail the extraction.
func (u *unpacking) finish(p place, h *tar.Header) {
	const umask = 0o022
	_ = p.dir.Chmod(p.rel, fs.FileMode(h.Mode)&0o777&^umask)
	modified := h.ModTime
	if modified.IsZero() {
		modified = time.Now()
	}
	_ = p.dir.Chtimes(p.rel, modified, modified)
}
