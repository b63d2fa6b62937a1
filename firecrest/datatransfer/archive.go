package datatransfer

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// PackArchive writes files, as [FindLocal] returns them, as a gzip-compressed
// tar archive with their permission bits, times and kept links; owners are left
// out. What w has got before an error is no archive.
//
// Errors: [ErrChanged] if a file has another size than when it was found, or was
// replaced; those of w, of the disk and of ctx.
func PackArchive(ctx context.Context, w io.Writer, files []LocalFile) error {
	compressed := gzip.NewWriter(w)
	out := tar.NewWriter(compressed)
	for _, f := range files {
		if err := packFile(ctx, out, f); err != nil {
			return fmt.Errorf("pack %s: %w", f.Path, err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("finish the archive: %w", err)
	}
	if err := compressed.Close(); err != nil {
		return fmt.Errorf("finish the archive: %w", err)
	}
	return nil
}

func packFile(ctx context.Context, out *tar.Writer, f LocalFile) error {
	if err := checkName(f.Name); err != nil {
		return err
	}
	mode := f.Info.Mode()
	header := &tar.Header{Name: f.Name, Mode: int64(mode.Perm()), ModTime: f.Info.ModTime()}
	switch {
	case mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, f.Name+"/"
		return out.WriteHeader(header)
	case mode&fs.ModeSymlink != 0:
		if err := CheckLink(f.Name, f.Link); err != nil {
			return err
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, f.Link
		return out.WriteHeader(header)
	case !mode.IsRegular():
		return errors.New("not a regular file")
	}
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(info, f.Info) || info.Size() != f.Info.Size() {
		return ErrChanged
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(out, untilDone{ctx, in})
	if errors.Is(err, tar.ErrWriteTooLong) || err == nil && n < header.Size {
		return ErrChanged
	}
	return err
}

// checkName refuses what is no clean path below a directory.
func checkName(name string) error {
	if !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return fmt.Errorf("name %q leads out of the archive", name)
	}
	return nil
}

// CheckLink refuses a link that may lead out of the directory that names are
// relative to, as [UnpackArchive] does. Behind its leading `..` it may only descend:
// else another link on its way could bend it outside.
func CheckLink(name, text string) error {
	parts := slices.DeleteFunc(strings.Split(text, "/"), func(p string) bool { return p == "" || p == "." })
	for len(parts) > 0 && parts[0] == ".." {
		parts = parts[1:]
	}
	switch {
	case text == "" || strings.ContainsRune(text, 0):
		return fmt.Errorf("link %q leads nowhere", name)
	case path.IsAbs(text) || !filepath.IsLocal(path.Join(path.Dir(name), text)):
		return fmt.Errorf("link %q leads out of the directory, to %q", name, text)
	case slices.Contains(parts, ".."):
		return fmt.Errorf("link %q may lead out of the directory: %q goes back up", name, text)
	}
	return nil
}

// untilDone reads until the context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
