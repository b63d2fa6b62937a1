package sandbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// session is the files of the site as one user sees them: paths, links and
// permissions behave as they would in that user's shell. It lives as long as
// one command.
type session struct {
	*volumes
	user user
	ctx  context.Context
}

// expired is the cause once the command's time is up.
func (x session) expired() error {
	if x.ctx.Err() == nil {
		return nil
	}
	return context.Cause(x.ctx)
}

// limited is r until the command's time is up.
func (x session) limited(r io.Reader) io.Reader { return limitedReader{x, r} }

type limitedReader struct {
	session
	r io.Reader
}

func (l limitedReader) Read(p []byte) (int, error) {
	if err := l.expired(); err != nil {
		return 0, err
	}
	return l.r.Read(p)
}

// place is where a path led: a volume, a path in it free of links, and what is
// there; info is nil if the last component does not exist.
type place struct {
	*volume
	rel  string
	info fs.FileInfo
}

// Permission bits, shifted for owner, group or others.
const (
	mayRead   fs.FileMode = 4
	mayWrite  fs.FileMode = 2
	maySearch fs.FileMode = 1
)

// Limits of Linux: the bytes of a path, and how many links it may go through.
const (
	maxPath  = 4096
	maxLinks = 40
)

// locate walks a path the way the kernel does: component by component, `..`
// after links, relative to the home directory. It follows a link in the last
// place if follow is set or the path ends in a slash. Everything outside the
// volumes is closed to the user.
func (x session) locate(name string, follow bool) (place, error) {
	if name == "" {
		return place{}, syscall.ENOENT
	}
	if strings.ContainsRune(name, 0) {
		return place{}, syscall.EINVAL
	}
	if len(name) >= maxPath {
		return place{}, syscall.ENAMETOOLONG
	}
	mustBeDir := strings.HasSuffix(name, "/") || strings.HasSuffix(name, "/.")
	todo := strings.Split(name, "/")
	at := "/"
	if !strings.HasPrefix(name, "/") {
		at = x.home(x.user.name)
	}
	here, err := x.look(at)
	if err != nil {
		return place{}, err
	}
	for links := 0; len(todo) > 0; {
		step := todo[0]
		todo = todo[1:]
		if step == "" || step == "." {
			continue
		}
		if err := errors.Join(x.expired(), x.enter(here)); err != nil {
			return place{}, err
		}
		if here, err = x.look(path.Join(at, step)); err != nil {
			return place{}, err
		}
		if here.info == nil || here.info.Mode()&fs.ModeSymlink == 0 {
			at = path.Join(at, step)
			continue
		}
		if len(todo) == 0 && !follow && !mustBeDir {
			break
		}
		if links++; links > maxLinks {
			return place{}, syscall.ELOOP
		}
		target, err := here.dir.Readlink(here.rel)
		if err != nil {
			return place{}, err
		}
		if strings.HasPrefix(target, "/") {
			at = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
		if here, err = x.look(at); err != nil {
			return place{}, err
		}
	}
	if mustBeDir && here.info != nil && !here.info.IsDir() {
		return place{}, syscall.ENOTDIR
	}
	return here, nil
}

// look returns what is at a clean absolute path, without following a link. An
// ancestor of the volumes is a place without a volume.
func (x session) look(p string) (place, error) {
	v := x.containing(p)
	if v == nil {
		if x.leadsToVolume(p) {
			return place{}, nil
		}
		return place{}, syscall.EACCES
	}
	rel, err := filepath.Rel(v.path, p)
	if err != nil {
		return place{}, err
	}
	info, err := v.dir.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return place{volume: v, rel: rel}, nil
	}
	return place{volume: v, rel: rel, info: info}, err
}

// enter checks that the walk may pass through p.
func (x session) enter(p place) error {
	switch {
	case p.volume == nil:
		return nil
	case p.info == nil:
		return syscall.ENOENT
	case !p.info.IsDir():
		return syscall.ENOTDIR
	}
	return x.check(p, maySearch)
}

// check says whether the user has all of the given permissions on p.
func (x session) check(p place, want fs.FileMode) error {
	if p.volume == nil {
		return syscall.EACCES
	}
	owner, group := x.ownership(p)
	mode := p.info.Mode().Perm()
	switch {
	case owner.uid == x.user.uid:
		mode >>= 6
	case x.user.inGroup(group.gid):
		mode >>= 3
	}
	if mode&want != want {
		return syscall.EACCES
	}
	return nil
}

// existing is locate for a path that has to exist.
func (x session) existing(name string, follow bool) (place, error) {
	p, err := x.locate(name, follow)
	switch {
	case err != nil:
		return place{}, err
	case p.volume == nil:
		return place{}, syscall.EACCES
	case p.info == nil:
		return place{}, syscall.ENOENT
	}
	return p, nil
}

// changeable is locate for a path whose entry is to be made or removed: the
// user needs to write the directory it is in.
func (x session) changeable(name string, follow bool) (place, error) {
	p, err := x.locate(name, follow)
	if err != nil {
		return place{}, err
	}
	if p.volume == nil || p.rel == "." {
		return place{}, syscall.EACCES
	}
	parent, err := x.look(path.Dir(p.absolute()))
	if err != nil {
		return place{}, err
	}
	if parent.info == nil {
		return place{}, syscall.ENOENT
	}
	return p, x.check(parent, mayWrite|maySearch)
}

// vacant is changeable for a path at which something new is made; what is there,
// a file or an empty directory, is removed.
func (x session) vacant(name string) (place, error) {
	p, err := x.changeable(name, false)
	if err == nil && p.info != nil {
		err = p.dir.Remove(p.rel)
	}
	return p, err
}

func (p place) absolute() string { return path.Join(p.path, p.rel) }

// open opens what is there for reading. It never blocks on a pipe.
func (x session) open(p place) (*os.File, error) {
	if err := x.check(p, mayRead); err != nil {
		return nil, err
	}
	if p.info.Mode()&(fs.ModeSocket|fs.ModeDevice) != 0 {
		return nil, syscall.ENXIO
	}
	return p.dir.OpenFile(p.rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// create opens a file for writing from its beginning, making it if need be.
func (x session) create(name string) (*os.File, error) {
	p, err := x.locate(name, true)
	switch {
	case err != nil:
		return nil, err
	case p.info == nil && p.volume != nil:
		if p, err = x.changeable(name, true); err != nil {
			return nil, err
		}
	case p.volume == nil || p.info.IsDir():
		return nil, syscall.EISDIR
	case !p.info.Mode().IsRegular():
		return nil, syscall.ENXIO
	default:
		if err := x.check(p, mayWrite); err != nil {
			return nil, err
		}
	}
	return p.dir.OpenFile(p.rel, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK, 0o644)
}
