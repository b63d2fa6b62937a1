package sandbox

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// destination is where mv and cp put a source: at the target, or in it if it is
// a directory. A target that cannot be looked at is an error.
func (x session) destination(source, target string) (string, error) {
	p, err := x.locate(target, true)
	switch {
	case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR):
		return target, nil // the attempt will say what is wrong
	case err != nil:
		return "", err
	case p.info == nil || !p.info.IsDir():
		return target, nil
	}
	return path.Join(target, path.Base(source)), nil
}

// move does what mv does. Between file systems it copies and then removes, so
// both exist for a while.
func (t *transferJob) move() error {
	source := strings.TrimRight(t.Source, "/")
	target, again, err := t.settle(func() (string, error) {
		if _, err := t.existing(source, false); err != nil {
			return "", commandError(err, 1, "mv: cannot stat '%s': %s", t.Source)
		}
		target, err := t.destination(source, t.Target)
		if err != nil {
			return "", commandError(err, 1, "mv: cannot stat '%s': %s", t.Target)
		}
		return target, nil
	})
	if err != nil {
		return err
	}
	if _, err := t.existing(source, false); again && errors.Is(err, syscall.ENOENT) {
		return nil // it was moved before the interruption
	}
	from, to, err := t.ends(source, target)
	if err != nil {
		return commandError(err, 1, "mv: cannot move '%s' to '%s': %s", t.Source, target)
	}
	if err := replaceable("mv", "move", t.Source, target, from, to); err != nil {
		return err
	}
	if from.volume == to.volume {
		if err = from.dir.Rename(from.rel, to.rel); errors.Is(err, syscall.EEXIST) {
			err = syscall.ENOTEMPTY // rename has two numbers for that
		}
		if err == nil {
			err = t.groups.moved(from, to)
		}
	} else {
		err = t.moveAcross(from, to, source, target, again)
	}
	if err != nil {
		return commandError(err, 1, "mv: cannot move '%s' to '%s': %s", t.Source, target)
	}
	return nil
}

// ends are what is moved and where to.
func (t *transferJob) ends(source, target string) (from, to place, err error) {
	if from, err = t.changeable(source, false); err != nil {
		return from, to, err
	}
	if from.info == nil {
		return from, to, syscall.ENOENT
	}
	to, err = t.changeable(strings.TrimRight(target, "/"), false)
	if err == nil && to.info == nil && strings.HasSuffix(target, "/") && !from.info.IsDir() {
		err = syscall.ENOTDIR
	}
	return from, to, err
}

// moveAcross copies to another volume and removes the source. What an
// interrupted run has copied is completed.
func (t *transferJob) moveAcross(from, to place, source, target string, again bool) error {
	if to.info != nil && !again {
		if err := to.dir.Remove(to.rel); err != nil {
			return err
		}
	}
	k := copying{session: t.session}
	k.copy(from, source, target, nil)
	if err := k.err("mv"); err != nil {
		return err
	}
	return t.removeAll(from)
}

// replaceable refuses the pairs that mv and cp refuse.
func replaceable(tool, verb, source, target string, from, to place) error {
	switch {
	case to.info != nil && os.SameFile(from.info, to.info):
		return commandFailed(1, "%s: '%s' and '%s' are the same file", tool, source, target)
	case from.info.IsDir() && within(to.absolute(), from.absolute()) && verb == "move":
		return commandFailed(1, "mv: cannot move '%s' to a subdirectory of itself, '%s'", source, target)
	case from.info.IsDir() && within(to.absolute(), from.absolute()):
		return commandFailed(1, "cp: cannot copy a directory, '%s', into itself, '%s'", source, target)
	case to.info != nil && from.info.IsDir() && !to.info.IsDir():
		return commandFailed(1, "%s: cannot overwrite non-directory '%s' with directory '%s'", tool, target, source)
	case to.info != nil && !from.info.IsDir() && to.info.IsDir():
		return commandFailed(1, "%s: cannot overwrite directory '%s' with non-directory '%s'", tool, target, source)
	}
	return nil
}

// copy does what cp does with --force, --recursive and --preserve=all.
func (t *transferJob) copy() error {
	source := strings.TrimRight(t.Source, "/")
	from, err := t.existing(source, t.Dereference)
	if err != nil {
		return commandError(err, 1, "cp: cannot stat '%s': %s", t.Source)
	}
	target, _, err := t.settle(func() (string, error) { return t.destination(source, t.Target) })
	if err != nil {
		return commandError(err, 1, "cp: cannot stat '%s': %s", t.Target)
	}
	to, err := t.locate(strings.TrimRight(target, "/"), true)
	if err == nil && to.volume != nil {
		err = replaceable("cp", "copy", t.Source, target, from, to)
		var refused *apiError
		if errors.As(err, &refused) {
			return err
		}
	}
	k := copying{session: t.session, dereference: t.Dereference}
	k.copy(from, source, target, nil)
	return k.err("cp")
}

// copying is one run of cp. Like cp it goes on after a file it cannot copy, and
// fails at the end.
type copying struct {
	session
	dereference bool
	refused     []string
}

// err is the failure of tool, if anything was refused.
func (k *copying) err(tool string) error {
	if err := k.expired(); err != nil {
		return err
	}
	if k.refused == nil {
		return nil
	}
	return commandFailed(1, "%s: %s", tool, strings.Join(k.refused, "\n"+tool+": "))
}

func (k *copying) refuse(text string, err error) {
	k.refused = append(k.refused, text+": "+strerror(err))
}

// copy writes what is at from, called source by the user, to target. above are
// the directories it is in, to notice when followed links lead back up.
func (k *copying) copy(from place, source, target string, above []fs.FileInfo) {
	if k.expired() != nil {
		return
	}
	switch mode := from.info.Mode(); {
	case mode.IsDir():
		k.directory(from, source, target, above)
	case mode.IsRegular():
		k.file(from, source, target)
	case mode&fs.ModeSymlink != 0:
		if err := k.link(from, target); err != nil {
			k.refuse("cannot create symbolic link '"+target+"'", err)
		}
	default:
		k.refuse("cannot create special file '"+target+"'", syscall.EPERM)
	}
}

func (k *copying) directory(from place, source, target string, above []fs.FileInfo) {
	for _, dir := range above {
		if os.SameFile(dir, from.info) {
			k.refuse("cannot copy cyclic symbolic link '"+source+"'", syscall.ELOOP)
			return
		}
	}
	names, err := k.entries(from)
	if err != nil {
		k.refuse("cannot access '"+source+"'", err)
		return
	}
	to, err := k.locate(target, true)
	if err == nil && to.info == nil {
		err = k.mkdir(target)
	}
	if err == nil {
		to, err = k.existing(target, true)
	}
	if err == nil && !to.info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		k.refuse("cannot create directory '"+target+"'", err)
		return
	}
	for _, name := range names {
		child, err := k.existing(path.Join(from.absolute(), name), k.dereference)
		if err != nil {
			k.refuse("cannot stat '"+path.Join(source, name)+"'", err)
			continue
		}
		k.copy(child, path.Join(source, name), path.Join(target, name), append(above, from.info))
	}
	k.preserve(from, to)
}

func (k *copying) file(from place, source, target string) {
	in, err := k.open(from)
	if err != nil {
		k.refuse("cannot open '"+source+"' for reading", err)
		return
	}
	defer in.Close()
	out, err := k.create(target)
	if errors.Is(err, syscall.EACCES) {
		out, err = k.force(target, err)
	}
	if err != nil {
		k.refuse("cannot create regular file '"+target+"'", err)
		return
	}
	_, err = io.Copy(out, k.limited(in))
	if err := errors.Join(err, out.Close()); err != nil {
		k.refuse("error writing '"+target+"'", err)
		return
	}
	if to, err := k.existing(target, true); err == nil {
		k.preserve(from, to)
	}
}

// force makes way for a file by removing one that may not be written.
func (k *copying) force(target string, denied error) (*os.File, error) {
	p, err := k.changeable(target, false)
	if err != nil || p.info == nil || p.info.IsDir() {
		return nil, denied
	}
	if err := p.dir.Remove(p.rel); err != nil {
		return nil, err
	}
	return k.create(target)
}

// link copies a symbolic link as it is.
func (k *copying) link(from place, target string) error {
	text, err := from.dir.Readlink(from.rel)
	if err != nil {
		return err
	}
	p, err := k.vacant(target)
	if err != nil {
		return err
	}
	return p.dir.Symlink(text, p.rel)
}

// preserve gives a copy the group, mode and time of its original; a file system
// that cannot does not fail the copy.
func (k *copying) preserve(from, to place) {
	_ = k.passGroup(from, to)
	_ = to.dir.Chmod(to.rel, from.info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
	_ = to.dir.Chtimes(to.rel, from.info.ModTime(), from.info.ModTime())
}
