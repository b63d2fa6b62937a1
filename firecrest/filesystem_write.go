package firecrest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
)

// Mkdir makes a directory and returns it. With parents, missing parents are
// made too and an existing directory is no error; without, exactly one caller
// succeeds in making it.
//
// It is repeated after a failure of unknown outcome only with parents.
//
// Errors: ErrExists, ErrNotFound (the parent).
//
//firecrest:operation POST /filesystem/{system_name}/ops/mkdir
func (s *FilesystemService) Mkdir(ctx context.Context, system, path string, parents bool) (*FileEntry, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	kind := replayUnsent
	if parents {
		kind = replayAlways
	}
	body := struct {
		Path   string `json:"sourcePath"`
		Parent bool   `json:"parent"`
	}{path, parents}
	return s.describe(ctx, http.MethodPost, "mkdir", system, body, kind, http.StatusCreated)
}

// Symlink makes the symbolic link link, which points to target, and returns
// it. The target need not exist, but must be an absolute path in a file system
// of the system, because the server checks it. If link is an existing
// directory, the link is made inside it.
//
// Servers before 2.5.0 make a link to a missing target and then answer
// ErrNotFound: read the link back. Symlink is not repeated after a failure of
// unknown outcome.
//
// Errors: ErrExists, ErrNotFound (the directory of link).
//
//firecrest:operation POST /filesystem/{system_name}/ops/symlink
func (s *FilesystemService) Symlink(ctx context.Context, system, target, link string) (*FileEntry, error) {
	if err := firstError(CheckPath(target), CheckPath(link)); err != nil {
		return nil, err
	}
	body := struct {
		Target string `json:"sourcePath"`
		Link   string `json:"linkPath"`
	}{target, link}
	return s.describe(ctx, http.MethodPost, "symlink", system, body, replayUnsent, http.StatusCreated)
}

// Chmod changes the mode of a file or directory, not of what lies in it, and
// returns it as it is then. The mode is octal ("640") or symbolic ("u+x,go-w").
//
// After a failure of unknown outcome it is repeated only with an octal mode.
//
// Errors: ErrNotFound, ErrForbidden (somebody else's file).
//
//firecrest:operation PUT /filesystem/{system_name}/ops/chmod
func (s *FilesystemService) Chmod(ctx context.Context, system, path, mode string) (*FileEntry, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	kind := replayAlways
	switch {
	case symbolicMode.MatchString(mode):
		kind = replayUnsent // u-g,g=u twice is not what it is once
	case !octalMode.MatchString(mode):
		return nil, fmt.Errorf("mode %q is neither octal, such as 640, nor symbolic, such as u+x,go-w", mode)
	}
	// Release 2.1 knows the path in this spelling only.
	body := struct {
		Path string `json:"path"`
		Mode string `json:"mode"`
	}{path, mode}
	return s.describe(ctx, http.MethodPut, "chmod", system, body, kind, http.StatusOK)
}

var (
	octalMode    = regexp.MustCompile(`^[0-7]{1,5}$`)
	symbolicMode = regexp.MustCompile(`^[ugoa]*([-+=]([rwxXst]*|[ugo]))+(,[ugoa]*([-+=]([rwxXst]*|[ugo]))+)*$`)
)

// Chown changes the owner and the group of a file or directory, and returns it
// as it is then. An empty group stays as it is, unless there is an owner: an
// owner alone stands for the owner's login group as well. Users may give their
// files to another of their own groups, and little else.
//
// Errors: ErrNotFound, ErrForbidden. A name that the login node does not know
// is a 500 that matches no sentinel.
//
//firecrest:operation PUT /filesystem/{system_name}/ops/chown
func (s *FilesystemService) Chown(ctx context.Context, system, path, owner, group string) (*FileEntry, error) {
	if err := firstError(CheckPath(path), checkName("owner", owner), checkName("group", group)); err != nil {
		return nil, err
	}
	body := struct {
		Path  string `json:"path"`
		Owner string `json:"owner"` // null is refused, empty is not
		Group string `json:"group"`
	}{path, owner, group}
	return s.describe(ctx, http.MethodPut, "chown", system, body, replayAlways, http.StatusOK)
}

// Compression of an archive.
type Compression string

// The compressions servers since 2.4.0 know. Before, all archives are gzip.
const (
	CompressionNone  Compression = "none"
	CompressionGzip  Compression = "gzip" // the default
	CompressionBzip2 Compression = "bzip2"
	CompressionXz    Compression = "xz"
)

// CompressOptions of [FilesystemService.Compress]. Nil is a gzip archive of the
// source, links kept as links.
type CompressOptions struct {
	Compression Compression // empty is gzip
	Dereference bool        // store what links point to
	// MatchPattern, if not empty, is a regular expression of find(1) that must
	// match the whole path. The server then searches the parent directory of
	// the source, not the source, and always writes gzip. What it may not read
	// is left out without a word.
	MatchPattern string
}

// Compress writes a tar archive of source, a file or directory, to target. Its
// members begin with the last part of the source path. An existing target is
// overwritten. The archive must be finished within the time limit of a
// command; ErrTimeout leaves a part of it behind.
//
// With a MatchPattern there is a request before, for the directory to search:
// in place of one that it cannot enter, the server packs the home directory.
//
// Compress is not repeated after a failure of unknown outcome.
//
// Errors: ErrNotFound, ErrInvalid (unknown compression).
//
//firecrest:operation POST /filesystem/{system_name}/ops/compress
func (s *FilesystemService) Compress(ctx context.Context, system, source, target string, opts *CompressOptions) error {
	if opts == nil {
		opts = &CompressOptions{}
	}
	if err := firstError(CheckPath(source), CheckPath(target), checkQuoting(opts.MatchPattern)); err != nil {
		return err
	}
	if opts.MatchPattern != "" {
		if _, err := s.Stat(ctx, system, path.Dir(source)+"/.", true); err != nil {
			return err
		}
	}
	body := struct {
		Source       string      `json:"sourcePath"`
		Target       string      `json:"targetPath"`
		MatchPattern string      `json:"matchPattern,omitempty"`
		Dereference  bool        `json:"dereference"`
		Compression  Compression `json:"compression"`
	}{source, target, opts.MatchPattern, opts.Dereference, orGzip(opts.Compression)}
	return s.archive(ctx, "compress", system, body)
}

// Extract unpacks a tar archive into target, which must be an existing
// directory. Files of the same name are overwritten. The compression must be
// the archive's; empty is gzip. A wrong one is a 500.
//
// Extract is not repeated after a failure of unknown outcome.
//
// Errors: ErrNotFound (archive or directory).
//
//firecrest:operation POST /filesystem/{system_name}/ops/extract
func (s *FilesystemService) Extract(ctx context.Context, system, archive, target string, compression Compression) error {
	if err := firstError(CheckPath(archive), CheckPath(target)); err != nil {
		return err
	}
	body := struct {
		Source      string      `json:"sourcePath"`
		Target      string      `json:"targetPath"`
		Compression Compression `json:"compression"`
	}{archive, target, orGzip(compression)}
	return s.archive(ctx, "extract", system, body)
}

func orGzip(c Compression) Compression {
	if c == "" {
		return CompressionGzip
	}
	return c
}

// Remove deletes a file, or a directory with everything in it, without asking.
// Something that is not there is ErrNotFound; but if a first try may have
// deleted it and a second finds nothing, Remove succeeds.
//
// Errors: ErrNotFound.
//
//firecrest:operation DELETE /filesystem/{system_name}/ops/rm
func (s *FilesystemService) Remove(ctx context.Context, system, path string) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	c := &call{
		method: http.MethodDelete, template: opsTemplate + "rm", system: system,
		query: url.Values{"path": {path}}, want: http.StatusNoContent,
	}
	err := s.client.run(ctx, c)
	if c.attempt > 1 && isNotFound(err) {
		return nil
	}
	return err
}

// describe is a change after which the server describes the file.
func (s *FilesystemService) describe(ctx context.Context, method, operation, system string, body any, kind replay, want int) (*FileEntry, error) {
	payload, err := jsonBody(body)
	if err != nil {
		return nil, err
	}
	var entry FileEntry
	err = s.client.run(ctx, &call{
		method: method, template: opsTemplate + operation, system: system,
		body: payload, replay: kind, want: want, into: &member{"output", &entry},
	})
	if err != nil {
		return nil, err
	}
	return &entry, nil
}

// archive is an operation on a tar archive: it runs once, and answers nothing.
func (s *FilesystemService) archive(ctx context.Context, operation, system string, body any) error {
	payload, err := jsonBody(body)
	if err != nil {
		return err
	}
	return s.client.run(ctx, &call{
		method: http.MethodPost, template: opsTemplate + operation, system: system,
		body: payload, replay: replayUnsent, want: http.StatusNoContent,
	})
}
