package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// volumes are the file systems of the site, the same on every system.
type volumes struct {
	list  []*volume
	users userTable
}

// volume is one file system. Every access goes through dir, which cannot be
// made to leave its directory, not even by links swapped in mid-way.
type volume struct {
	path           string // absolute, the same for requests and job scripts
	dataType       string
	defaultWorkDir bool
	dir            *os.Root
}

func openVolumes(root string, users userTable) (*volumes, error) {
	vs := &volumes{users: users}
	for _, v := range []*volume{
		{path: filepath.Join(root, "home"), dataType: "users", defaultWorkDir: true},
		{path: filepath.Join(root, "scratch"), dataType: "scratch"},
	} {
		for _, u := range users {
			if err := os.MkdirAll(filepath.Join(v.path, u.name), 0o755); err != nil {
				return nil, errors.Join(fmt.Errorf("sandbox: %w", err), vs.close())
			}
		}
		dir, err := os.OpenRoot(v.path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sandbox: %w", err), vs.close())
		}
		v.dir = dir
		vs.list = append(vs.list, v)
	}
	return vs, nil
}

func (vs *volumes) close() error {
	var errs []error
	for _, v := range vs.list {
		errs = append(errs, v.dir.Close())
	}
	return errors.Join(errs...)
}

// home is where a user's shell starts.
func (vs *volumes) home(name string) string { return path.Join(vs.list[0].path, name) }

// containing returns the volume at or above an absolute clean path.
func (vs *volumes) containing(p string) *volume {
	for _, v := range vs.list {
		if within(p, v.path) {
			return v
		}
	}
	return nil
}

// leadsToVolume says whether a clean path is an ancestor of some volume.
func (vs *volumes) leadsToVolume(p string) bool {
	for _, v := range vs.list {
		if within(v.path, p) {
			return true
		}
	}
	return false
}

// owner of a file: below a user's own directory that user, at the top of a
// volume root, anywhere else the default user.
func (vs *volumes) owner(rel string) user {
	if rel == "." {
		return superuser
	}
	top, _, _ := strings.Cut(rel, "/")
	if u, known := vs.users.find(top); known {
		return u
	}
	return vs.users.first()
}

// within says whether a clean absolute path is dir or below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

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
	owner, mode := x.owner(p.rel), p.info.Mode().Perm()
	switch {
	case owner.uid == x.user.uid:
		mode >>= 6
	case x.user.inGroup(owner.groups[0].gid):
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
