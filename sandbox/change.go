package sandbox

import (
	"errors"
	"io"
	"io/fs"
	"mime"
	"path"
	"strings"
	"syscall"
)

func (s *Server) postMkdir(c *call) (reply, error) {
	body := c.object()
	parent := body.boolean("parent")
	if err := body.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c)
	if err != nil {
		return reply{}, err
	}
	defer done()
	if parent {
		err = x.mkdirAll(c.path)
	} else {
		err = x.mkdir(c.path)
	}
	if err != nil {
		return reply{}, commandError(err, 1, "mkdir: cannot create directory '%s': %s", c.path)
	}
	f, err := x.describePath(c.path)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(201, output{f}), nil
}

func (x session) mkdir(name string) error {
	p, err := x.locate(strings.TrimRight(name, "/"), false)
	if err != nil {
		return err
	}
	if p.volume == nil || p.info != nil {
		return syscall.EEXIST
	}
	if p, err = x.changeable(strings.TrimRight(name, "/"), false); err != nil {
		return err
	}
	if err := p.dir.Mkdir(p.rel, 0o755); err != nil {
		return err
	}
	return p.dir.Chmod(p.rel, 0o755) // whatever the umask of this process
}

// mkdirAll makes name and every parent that is missing. Directories that are
// already there are fine.
func (x session) mkdirAll(name string) error {
	p, err := x.locate(name, true)
	if err == nil && (p.volume == nil || p.info != nil && p.info.IsDir()) {
		return nil
	}
	if errors.Is(err, syscall.ENOENT) {
		if err := x.mkdirAll(path.Dir(strings.TrimRight(name, "/"))); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	err = x.mkdir(name)
	if errors.Is(err, syscall.EEXIST) {
		if p, serr := x.existing(name, true); serr == nil && p.info.IsDir() {
			return nil // somebody else made it in between
		}
	}
	return err
}

func (s *Server) postSymlink(c *call) (reply, error) {
	body := c.object()
	link := body.required("linkPath", "link_path")
	if err := body.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c, link)
	if err != nil {
		return reply{}, err
	}
	defer done()
	at := link
	if p, err := x.existing(link, true); err == nil && p.info.IsDir() {
		at = path.Join(link, path.Base(c.path)) // ln puts the link into an existing directory
	}
	p, err := x.changeable(at, false)
	if err == nil {
		err = p.dir.Symlink(c.path, p.rel)
	}
	if err != nil {
		return reply{}, commandError(err, 1, "ln: failed to create symbolic link '%s': %s", at)
	}
	f, err := x.describePath(link)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(201, output{f}), nil
}

func (s *Server) deleteRm(c *call) (reply, error) {
	x, done, err := s.command(c)
	if err != nil {
		return reply{}, err
	}
	defer done()
	if err := x.rm(c.path); err != nil {
		return reply{}, err
	}
	return reply{status: 204}, nil
}

// rm removes what is at name, whatever it is.
func (x session) rm(name string) error {
	if base := path.Base(name); base == ".." || strings.HasSuffix(name, "/.") {
		return commandFailed(1, "rm: refusing to remove '.' or '..' directory: skipping '%s'", name)
	}
	p, err := x.changeable(strings.TrimRight(name, "/"), false)
	if err == nil && p.info == nil {
		err = syscall.ENOENT
	}
	if err == nil {
		err = x.removeAll(p)
	}
	if err != nil {
		return commandError(err, 1, "rm: cannot remove '%s': %s", name)
	}
	return nil
}

// removeAll removes p and what is below it, never following a link.
func (x session) removeAll(p place) error {
	if err := x.expired(); err != nil {
		return err
	}
	if p.info.IsDir() {
		names, err := x.entries(p)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			if err := x.check(p, mayWrite|maySearch); err != nil {
				return err
			}
		}
		for _, name := range names {
			child, err := x.look(path.Join(p.absolute(), name))
			if err == nil && child.info != nil {
				err = x.removeAll(child)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := p.dir.Remove(p.rel); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// postUpload writes one file. The reference server truncates the target in
// place, and so does this: a reader may see part of the file.
func (s *Server) postUpload(c *call) (reply, error) {
	name, content, found, err := s.uploadedFile(c)
	// What is left of the body is read, so that the client gets to the answer.
	_, _ = io.Copy(io.Discard, io.LimitReader(c.r.Body, 64<<20))
	if err != nil {
		return reply{}, err
	}
	if !found {
		var k checker
		k.add("body", "file", "file", missing)
		return reply{}, k.err()
	}
	if size := int64(len(content)); size > s.cfg.MaxOpsFileSize || size == s.cfg.MaxOpsFileSize && s.release.has(uploadsLess) {
		return reply{}, fail(413, "File to upload is too large.")
	}
	target := c.path + "/" + name
	x, done, err := s.command(c, target)
	if err != nil {
		return reply{}, err
	}
	defer done()
	f, err := x.create(target)
	if err != nil {
		return reply{}, commandError(err, 1, "bash: line 1: %s: %s", target)
	}
	_, werr := s.quota(f, c.route.op, target).Write(content)
	if err := errors.Join(werr, f.Close()); err != nil {
		return reply{}, commandError(err, 1, "cat: write error: %s")
	}
	if len(content) == 0 {
		// The reference waits for input until its deadline, the file made.
		return reply{}, errCommandTime
	}
	return reply{status: 204}, nil
}

// uploadedFile reads the part named "file" of a multipart body, at most one
// byte more than an upload may have. Its name is taken as sent.
func (s *Server) uploadedFile(c *call) (name string, content []byte, found bool, err error) {
	parts, err := c.r.MultipartReader()
	if err != nil {
		return "", nil, false, nil // another kind of body has no part named file
	}
	for {
		part, err := parts.NextPart()
		if err != nil {
			return "", nil, false, nil
		}
		if part.FormName() != "file" {
			continue
		}
		_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		name, found := params["filename"]
		if err != nil || !found {
			return "", nil, false, nil
		}
		content, err := io.ReadAll(io.LimitReader(part, s.cfg.MaxOpsFileSize+1))
		return name, content, true, err
	}
}
