package firecrest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
)

// Upload writes size bytes of content to the file name in the directory dir,
// which must exist. An existing file is overwritten in place, not atomically,
// so a reader may see a part. Content is read from its beginning for every
// try.
//
// The server takes up to [System.MaxUpload] bytes; the caller is expected to
// check. Servers cannot answer an empty upload: the file is created, the
// request times out; Upload then looks at the file and succeeds.
//
// Errors: ErrNotFound (dir), ErrTooLarge.
//
//firecrest:operation POST /filesystem/{system_name}/ops/upload
func (s *FilesystemService) Upload(ctx context.Context, system, dir, name string, content io.ReaderAt, size int64) error {
	if err := firstError(CheckPath(dir), checkFileName(name)); err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("upload of %q: negative size", name)
	}
	body, err := fileBody(name, content, size)
	if err != nil {
		return err
	}
	c := &call{
		method: http.MethodPost, template: opsTemplate + "upload", system: system,
		query: url.Values{"path": {dir}}, body: body, bulk: true, want: http.StatusNoContent,
	}
	if size > 0 {
		return s.client.run(ctx, c)
	}
	c.replay = replayUnsent
	err = s.client.run(ctx, c)
	if !errors.Is(err, ErrTimeout) {
		return err
	}
	stat, statErr := s.Stat(ctx, system, path.Join(dir, name), true)
	if statErr == nil && stat.Size == 0 {
		return nil
	}
	return err
}

// fileBody is the multipart form of an upload: one part named file.
func fileBody(name string, content io.ReaderAt, size int64) (func() *payload, error) {
	var frame bytes.Buffer
	form := multipart.NewWriter(&frame)
	if _, err := form.CreateFormFile("file", name); err != nil {
		return nil, err
	}
	head := bytes.Clone(frame.Bytes())
	frame.Reset()
	if err := form.Close(); err != nil {
		return nil, err
	}
	tail := frame.Bytes()
	return func() *payload {
		file := &exactReader{io.NewSectionReader(content, 0, size), size}
		return &payload{
			reader:      io.MultiReader(bytes.NewReader(head), file, bytes.NewReader(tail)),
			size:        int64(len(head)) + size + int64(len(tail)),
			contentType: form.FormDataContentType(),
		}
	}, nil
}

// exactReader fails if the content ends early: the file shrank meanwhile.
type exactReader struct {
	reader io.Reader
	left   int64
}

func (r *exactReader) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		return n, fmt.Errorf("the content ends %d bytes early", r.left)
	}
	return n, err
}

// Download writes the bytes of a file to w and returns how many there were. If
// it fails, w may have got some of them; it is repeated only as long as it has
// not. Fewer bytes than the server announced are an error.
//
// The server can send up to [System.MaxDownload] bytes; the caller is expected
// to check, with [FilesystemService.Stat] and dereference.
//
// Errors: ErrNotFound, ErrTooLarge.
//
//firecrest:operation GET /filesystem/{system_name}/ops/download
func (s *FilesystemService) Download(ctx context.Context, system, path string, w io.Writer) (int64, error) {
	if err := CheckPath(path); err != nil {
		return 0, err
	}
	var written int64
	err := s.client.run(ctx, &call{
		method: http.MethodGet, template: opsTemplate + "download", system: system,
		query: url.Values{"path": {path}}, bulk: true, want: http.StatusOK,
		sink: func(answer io.Reader) (err error) {
			written, err = io.Copy(w, answer)
			return err
		},
	})
	return written, err
}
