package firecrest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// FilesystemService works on the files of a system, as the user of the token.
//
// Paths are absolute and lie in a file system of the system; see [CheckPath]
// for what is refused before anything is sent. Every operation is a command on
// a login node with a time limit of a few seconds, and one that prints more
// than [System.MaxFileSize] fails with ErrTooLarge. All of them may also fail
// with ErrUnauthenticated, ErrForbidden (the shell's permission denied),
// ErrTimeout, ErrRateLimited and ErrUnavailable; only further errors are listed
// with each. What the shell says otherwise ("Is a directory", a full disk) is
// a 500 that matches no sentinel.
type FilesystemService struct{ client *Client }

// FileEntry is a file, directory or link.
type FileEntry struct {
	// Name is the bare name in a listing, relative to the directory in a
	// recursive one, and the path as asked for otherwise.
	Name string
	// Type is the first character of the mode: - d l p s.
	Type string
	// LinkTarget is the text of a link.
	LinkTarget string
	// User and Group are names, or numbers with NumericUID.
	User, Group string
	// Permissions are the rest of the mode, such as "rwxr-xr-x"; a trailing
	// "." or "+" is a security context or an access list.
	Permissions string
	// LastModified is in the system's local time, without a zone, to the
	// second, as in "2026-01-05T10:00:00".
	LastModified string
	// Size is in bytes; of a link, the length of its text.
	Size int64
}

// IsDir reports whether the entry is a directory.
func (f FileEntry) IsDir() bool { return f.Type == "d" }

// IsLink reports whether the entry is a symbolic link.
func (f FileEntry) IsLink() bool { return f.Type == "l" }

// UnmarshalJSON reads an entry; sizes come as text.
func (f *FileEntry) UnmarshalJSON(b []byte) error {
	var w struct {
		Name         string `json:"name"`
		Type         string `json:"type"`
		LinkTarget   string `json:"linkTarget"`
		User         text   `json:"user"`
		Group        text   `json:"group"`
		Permissions  string `json:"permissions"`
		LastModified string `json:"lastModified"`
		Size         number `json:"size"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*f = FileEntry{w.Name, w.Type, w.LinkTarget, string(w.User), string(w.Group), w.Permissions, w.LastModified, w.Size.n}
	return nil
}

// ListOptions of [FilesystemService.List]. Nil is all false.
type ListOptions struct {
	ShowHidden  bool // names that start with a dot, without "." and ".."
	Recursive   bool // everything below, named relative to the directory
	NumericUID  bool // numbers instead of user and group names
	Dereference bool // describe what links point to; one dangling link fails it all
}

// List returns the entries of a directory, or the one entry that a path to a
// file is. There is no paging: a directory of some 40,000 entries is too large
// for the default limit. Device nodes are left out by the server, and a newline
// in a name comes as the two characters \n. If something is removed from it
// meanwhile the listing fails, and is repeated.
//
// Errors: ErrNotFound, ErrTooLarge.
//
//firecrest:operation GET /filesystem/{system_name}/ops/ls
func (s *FilesystemService) List(ctx context.Context, system, path string, opts *ListOptions) ([]FileEntry, error) {
	if opts == nil {
		opts = &ListOptions{}
	}
	query := url.Values{}
	setTrue(query, "showHidden", opts.ShowHidden)
	setTrue(query, "recursive", opts.Recursive)
	setTrue(query, "numericUid", opts.NumericUID)
	setTrue(query, "dereference", opts.Dereference)
	var entries []FileEntry
	err := s.read(ctx, "ls", system, path, query, &entries)
	return entries, err
}

// FileStat is what stat(2) says of a file. There is no birth time.
type FileStat struct {
	Mode  uint32 `json:"mode"` // type and permission bits: 0o100644 is a plain file
	Ino   int64  `json:"ino"`
	Dev   int64  `json:"dev"`
	Nlink int64  `json:"nlink"`
	UID   int64  `json:"uid"`
	GID   int64  `json:"gid"`
	Size  int64  `json:"size"`  // bytes
	Atime int64  `json:"atime"` // seconds since 1970
	Ctime int64  `json:"ctime"`
	Mtime int64  `json:"mtime"`
}

// IsDir reports whether the mode is that of a directory.
func (s FileStat) IsDir() bool { return s.Mode&0o170000 == 0o040000 }

// IsRegular reports whether the mode is that of a plain file.
func (s FileStat) IsRegular() bool { return s.Mode&0o170000 == 0o100000 }

// Stat describes a file. With dereference a link is followed, else it reports
// itself.
//
// Errors: ErrNotFound.
//
//firecrest:operation GET /filesystem/{system_name}/ops/stat
func (s *FilesystemService) Stat(ctx context.Context, system, path string, dereference bool) (*FileStat, error) {
	query := url.Values{}
	setTrue(query, "dereference", dereference)
	var stat FileStat
	if err := s.read(ctx, "stat", system, path, query, &stat); err != nil {
		return nil, err
	}
	return &stat, nil
}

// ViewOptions choose the part of a file. Nil is the whole file, which must then
// be smaller than [System.MaxFileSize].
type ViewOptions struct {
	// Offset is in bytes, from 0.
	Offset int64
	// Size is the length of the part. It must not pass [System.MaxView] in a
	// file that is larger. Zero is the server's limit.
	Size int64
}

// View returns the text of a file, or a part of it. Invalid UTF-8 comes as
// U+FFFD (before server 2.5.2 it fails with a 500). Size and Offset count
// bytes on the way in but characters on the way out, so parts are exact for
// ASCII only: use [FilesystemService.Download] for anything else. An offset
// past the end gives "". Servers before 2.3.0 ignore both.
//
// Errors: ErrNotFound, ErrTooLarge, ErrInvalid (negative, or over the limit).
//
//firecrest:operation GET /filesystem/{system_name}/ops/view
func (s *FilesystemService) View(ctx context.Context, system, path string, opts *ViewOptions) (string, error) {
	query := url.Values{}
	if opts != nil && opts.Offset != 0 {
		query.Set("offset", strconv.FormatInt(opts.Offset, 10))
	}
	if opts != nil && opts.Size != 0 {
		query.Set("size", strconv.FormatInt(opts.Size, 10))
	}
	var content string
	err := s.read(ctx, "view", system, path, query, &content)
	return content, err
}

// Content is the beginning or the end of a file.
type Content struct {
	Content string `json:"content"`
	// ContentType is what the positions count: "lines" or "bytes".
	ContentType string `json:"contentType"`
	// StartPosition and EndPosition are as the server words them: negative
	// numbers count from the end of the file.
	StartPosition int64 `json:"startPosition"`
	EndPosition   int64 `json:"endPosition"`
}

// PartOptions choose how much of a file [FilesystemService.Head] and
// [FilesystemService.Tail] return. Nil is ten lines. Lines and Bytes exclude
// each other; zero counts as not given.
type PartOptions struct {
	Lines int64
	Bytes int64
	// Skip turns the number round: Head returns all but the last n, Tail
	// everything from the n-th on (the first is 1). Without a number it is
	// ignored.
	Skip bool
}

// Head returns the beginning of a file.
//
// Errors: ErrNotFound, ErrTooLarge, ErrInvalid (both Lines and Bytes).
//
//firecrest:operation GET /filesystem/{system_name}/ops/head
func (s *FilesystemService) Head(ctx context.Context, system, path string, opts *PartOptions) (*Content, error) {
	return s.part(ctx, "head", "skipTrailing", system, path, opts)
}

// Tail returns the end of a file.
//
// Errors: ErrNotFound, ErrTooLarge, ErrInvalid (both Lines and Bytes).
//
//firecrest:operation GET /filesystem/{system_name}/ops/tail
func (s *FilesystemService) Tail(ctx context.Context, system, path string, opts *PartOptions) (*Content, error) {
	return s.part(ctx, "tail", "skipHeading", system, path, opts)
}

func (s *FilesystemService) part(ctx context.Context, operation, skip, system, path string, opts *PartOptions) (*Content, error) {
	query := url.Values{}
	if opts != nil {
		if opts.Lines != 0 {
			query.Set("lines", strconv.FormatInt(opts.Lines, 10))
		}
		if opts.Bytes != 0 {
			query.Set("bytes", strconv.FormatInt(opts.Bytes, 10))
		}
		setTrue(query, skip, opts.Skip)
	}
	var content Content
	if err := s.read(ctx, operation, system, path, query, &content); err != nil {
		return nil, err
	}
	return &content, nil
}

// Checksum returns the SHA-256 of a file as 64 hexadecimal digits. It must be
// done within the time limit of a command, so several gigabytes end in
// ErrTimeout. Paths with white space are refused: the server cannot read its
// own answer for them.
//
// Errors: ErrNotFound.
//
//firecrest:operation GET /filesystem/{system_name}/ops/checksum
func (s *FilesystemService) Checksum(ctx context.Context, system, path string) (string, error) {
	if err := checkNoSpace(path); err != nil {
		return "", err
	}
	var sum struct {
		Checksum string `json:"checksum"`
	}
	err := s.read(ctx, "checksum", system, path, url.Values{}, &sum)
	return sum.Checksum, err
}

// FileType returns what file(1) says of a path: "ASCII text", "directory",
// "broken symbolic link to x", "empty". The words are those of the login node.
//
// Errors: ErrNotFound and ErrForbidden, which servers answer as a success with
// the reason in place of the type.
//
//firecrest:operation GET /filesystem/{system_name}/ops/file
func (s *FilesystemService) FileType(ctx context.Context, system, path string) (string, error) {
	var kind string
	if err := s.read(ctx, "file", system, path, url.Values{}, &kind); err != nil {
		return "", err
	}
	kind = strings.TrimSpace(kind)
	if strings.HasPrefix(kind, "cannot open `"+path+"'") {
		condition := ErrNotFound
		if strings.HasSuffix(kind, "(Permission denied)") {
			condition = ErrForbidden
		}
		return "", fmt.Errorf("file type: %w: %s", condition, clean(kind))
	}
	return kind, nil
}

// read is an operation that reads: GET, a path, an "output".
func (s *FilesystemService) read(ctx context.Context, operation, system, path string, query url.Values, into any) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	query.Set("path", path)
	return s.client.run(ctx, &call{
		method: http.MethodGet, template: opsTemplate + operation, system: system, query: query,
		want: http.StatusOK, into: &member{"output", into},
	})
}

const opsTemplate = "/filesystem/{system_name}/ops/"

// setTrue adds a query parameter if it differs from its default, false.
func setTrue(query url.Values, name string, value bool) {
	if value {
		query.Set(name, "true")
	}
}
