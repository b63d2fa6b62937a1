package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// parcel is a folder or a zip archive that is being written. It gets its name
// when it is complete.
type parcel struct {
	to, temp string
	at       time.Time // of all that is in it
	file     *os.File  // of the archive
	archive  *zip.Writer
}

// newParcel begins a parcel; nothing may be where it is to be.
func newParcel(to string, at time.Time) (*parcel, error) {
	to = filepath.Clean(to)
	if _, err := os.Lstat(to); err == nil {
		return nil, withHint(fmt.Errorf("%s exists already: %w", to, fs.ErrExist), "name a new folder or archive with -o")
	}
	p := &parcel{to: to, at: at.UTC()}
	var err error
	dir := filepath.Dir(to)
	if !strings.HasSuffix(to, ".zip") {
		p.temp, err = os.MkdirTemp(dir, "."+filepath.Base(to)+"-*")
		return p, err
	}
	if p.file, err = os.CreateTemp(dir, "."+filepath.Base(to)+"-*"); err != nil {
		return nil, err
	}
	p.temp, p.archive = p.file.Name(), zip.NewWriter(p.file)
	return p, nil
}

// put adds a file.
func (p *parcel) put(path string, content io.Reader) error {
	if p.archive != nil {
		header := &zip.FileHeader{Name: path, Method: zip.Deflate, Modified: p.at}
		header.SetMode(0o644)
		w, err := p.archive.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, content)
		return err
	}
	file := filepath.Join(p.temp, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// finish gives the parcel its name.
func (p *parcel) finish() error {
	if p.archive != nil {
		if err := errors.Join(p.archive.Close(), p.file.Sync(), p.file.Close()); err != nil {
			return errors.Join(err, os.RemoveAll(p.temp))
		}
	}
	if err := os.Rename(p.temp, p.to); err != nil {
		return errors.Join(err, os.RemoveAll(p.temp))
	}
	return nil
}

// drop removes what there is of it.
func (p *parcel) drop() error {
	if p.file != nil {
		_ = p.file.Close() // what is in it is not wanted
	}
	return os.RemoveAll(p.temp)
}
