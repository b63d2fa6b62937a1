package sandbox

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// compression is a word of the API, gzip unless the body says otherwise.
func compression(body object) string {
	return body.oneOf("compression", "gzip", "none", "bzip2", "gzip", "xz")
}

// postCompress writes an archive of the source, its members below the source's
// own name; with a pattern, of the matching files below the source's parent.
func (s *Server) postCompress(c *call) (reply, error) {
	body := c.object()
	target := body.required("targetPath", "target_path")
	pattern := body.nullable("matchPattern", "match_pattern")
	dereference := body.boolean("dereference")
	kind := compression(body)
	if err := body.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c, target, pattern)
	if err != nil {
		return reply{}, err
	}
	defer done()
	if pattern != "" {
		kind = "gzip" // what the command of the reference uses, always
	}
	pack, err := x.packing(c.path, pattern, dereference)
	if err == nil {
		err = pack.write(target, kind)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{status: 204}, nil
}

// packing is one run of tar that writes an archive.
type packing struct {
	session
	parent, base string
	dereference  bool
	match        func(name string) bool // nil without a pattern

	archive fs.FileInfo // the file being written, which is left out
	out     *tar.Writer
	matched []string // members picked by pattern
}

// packing prepares an archive of source, or with a pattern of what is beside it.
func (x session) packing(source, pattern string, dereference bool) (k *packing, err error) {
	name := strings.TrimRight(source, "/")
	k = &packing{session: x, parent: path.Dir(name), base: path.Base(name), dereference: dereference}
	if pattern != "" {
		if k.match, err = findPattern(pattern); err != nil {
			return nil, commandFailed(1, "find: %s", err)
		}
	}
	return k, nil
}

func (k *packing) write(target, compression string) error {
	source, err := k.source()
	if err != nil {
		return err
	}
	f, err := k.create(target)
	if err != nil {
		return tarFailed(compression, target, err)
	}
	defer f.Close()
	if k.archive, err = f.Stat(); err != nil {
		return err
	}
	compressed, err := compressor(k.ctx, compression, f)
	if err != nil {
		return err
	}
	k.out = tar.NewWriter(compressed)
	if k.match != nil {
		err = k.addMatching(source, ".")
	} else {
		err = k.add(source, k.base, nil)
	}
	if err := errors.Join(err, k.out.Close(), compressed.Close(), f.Close()); err != nil {
		if timeout := k.expired(); timeout != nil {
			return timeout // a filter says only that it was killed
		}
		return commandError(err, 2, "tar: %s: %s\ntar: Error is not recoverable: exiting now", target)
	}
	return nil
}

// source is where the archive starts: the source, or its parent when files are
// picked by pattern.
func (k *packing) source() (place, error) {
	parent, err := k.existing(k.parent, true)
	if err == nil && !parent.info.IsDir() {
		err = syscall.ENOTDIR
	}
	switch {
	case err != nil && k.match != nil:
		return place{}, commandError(err, 1, "bash: line 1: cd: %s: %s", k.parent)
	case err != nil:
		return place{}, commandError(err, 2, "tar: %s: Cannot open: %s\ntar: Error is not recoverable: exiting now", k.parent)
	case k.match != nil:
		return parent, nil
	}
	source, err := k.existing(path.Join(k.parent, k.base), k.dereference)
	if err != nil {
		return place{}, commandError(err, 2, "tar: %s: Cannot stat: %s\ntar: Exiting with failure status due to previous errors", k.base)
	}
	return source, nil
}

// add writes p and what is below it. above are the directories it is in, to
// notice when followed links lead back up.
func (k *packing) add(p place, name string, above []fs.FileInfo) error {
	if err := k.expired(); err != nil {
		return err
	}
	if os.SameFile(p.info, k.archive) {
		return nil
	}
	if err := k.member(p, name); err != nil || !p.info.IsDir() {
		return err
	}
	for _, dir := range above {
		if os.SameFile(dir, p.info) {
			return syscall.ELOOP
		}
	}
	names, err := k.entries(p)
	if err != nil {
		return commandError(err, 2, "tar: %s: Cannot open: %s\ntar: Exiting with failure status due to previous errors", name)
	}
	for _, entry := range names {
		child, err := k.existing(path.Join(p.absolute(), entry), k.dereference)
		if err != nil {
			return commandError(err, 2, "tar: %s: Cannot stat: %s\ntar: Exiting with failure status due to previous errors", path.Join(name, entry))
		}
		if err := k.add(child, path.Join(name, entry), append(above, p.info)); err != nil {
			return err
		}
	}
	return nil
}

// addMatching writes the regular files below p whose whole path, as find
// prints it, matches.
func (k *packing) addMatching(p place, name string) error {
	if err := k.expired(); err != nil {
		return err
	}
	names, err := k.entries(p)
	if err != nil {
		return commandError(err, 1, "find: '%s': %s", name)
	}
	for _, entry := range names {
		child, err := k.look(path.Join(p.absolute(), entry))
		if err != nil || child.info == nil {
			continue // gone since the directory was read
		}
		shown := name + "/" + entry
		switch {
		case child.info.IsDir():
			err = k.addMatching(child, shown)
		case child.info.Mode().IsRegular() && k.match(shown) && !os.SameFile(child.info, k.archive):
			k.matched = append(k.matched, shown)
			err = k.member(child, shown)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// member writes one member, with the owner the site's user table knows.
func (k *packing) member(p place, name string) error {
	link := ""
	if p.info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = p.dir.Readlink(p.rel); err != nil {
			return err
		}
	}
	if p.info.Mode()&(fs.ModeSocket|fs.ModeDevice) != 0 {
		return nil // tar leaves these out too, with a remark
	}
	h, err := tar.FileInfoHeader(p.info, link)
	if err != nil {
		return err
	}
	owner, group := k.ownership(p)
	h.Name, h.Format = name, tar.FormatGNU
	// tar writes neither; they would lie where other programs look for a part of
	// the name.
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	h.Uname, h.Gname, h.Uid, h.Gid = owner.name, group.name, owner.uid, group.gid
	if p.info.IsDir() {
		h.Name += "/"
	}
	if !p.info.Mode().IsRegular() {
		return k.out.WriteHeader(h)
	}
	f, err := k.open(p)
	if err != nil {
		return commandError(err, 2, "tar: %s: Cannot open: %s\ntar: Exiting with failure status due to previous errors", name)
	}
	defer f.Close()
	if err := k.out.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(k.out, k.limited(f), h.Size)
	return err
}

// tarFailed is the text of a tar that cannot open its archive; with a
// compression a child process does that.
func tarFailed(compression, name string, err error) error {
	if compression == "none" {
		return commandError(err, 2, "tar: %s: Cannot open: %s\ntar: Error is not recoverable: exiting now", name)
	}
	return commandError(err, 2, "tar (child): %s: Cannot open: %s\ntar (child): Error is not recoverable: exiting now\n"+
		"tar: Child returned status 2\ntar: Error is not recoverable: exiting now", name)
}
