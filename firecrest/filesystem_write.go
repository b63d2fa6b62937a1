package firecrest

import (
	"context"
	"net/http"
	"net/url"
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
	var entry FileEntry
	if err := s.write(ctx, "mkdir", system, body, kind, http.StatusCreated, &entry); err != nil {
		return nil, err
	}
	return &entry, nil
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
	var entry FileEntry
	if err := s.write(ctx, "symlink", system, body, replayUnsent, http.StatusCreated, &entry); err != nil {
		return nil, err
	}
	return &entry, nil
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
	// the source, not the source, and always writes gzip.
	MatchPattern string
}

// Compress writes a tar archive of source, a file or directory, to target. Its
// members begin with the last part of the source path. An existing target is
// overwritten. The archive must be finished within the time limit of a
// command; ErrTimeout leaves a part of it behind.
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
	body := struct {
		Source       string      `json:"sourcePath"`
		Target       string      `json:"targetPath"`
		MatchPattern string      `json:"matchPattern,omitempty"`
		Dereference  bool        `json:"dereference"`
		Compression  Compression `json:"compression"`
	}{source, target, opts.MatchPattern, opts.Dereference, orGzip(opts.Compression)}
	return s.write(ctx, "compress", system, body, replayUnsent, http.StatusNoContent, nil)
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
	return s.write(ctx, "extract", system, body, replayUnsent, http.StatusNoContent, nil)
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

// write is an operation with a JSON body.
func (s *FilesystemService) write(ctx context.Context, operation, system string, body any, kind replay, want int, into any) error {
	payload, err := jsonBody(body)
	if err != nil {
		return err
	}
	c := &call{
		method: http.MethodPost, template: opsTemplate + operation, system: system,
		body: payload, replay: kind, want: want,
	}
	if into != nil {
		c.into = &member{"output", into}
	}
	return s.client.run(ctx, c)
}
