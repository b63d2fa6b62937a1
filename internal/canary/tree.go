package canary

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Seen is what was looked through.
type Seen struct {
	Files int
	Bytes int64
}

func (s Seen) String() string {
	return fmt.Sprintf("%d files, %.1f MiB", s.Files, float64(s.Bytes)/(1<<20))
}

// overlap is more than any form of a canary is long.
const overlap = 64 << 10

// Tree looks through a directory: the content of files, their names, and the
// texts of links, which are not followed. Files that vanish meanwhile are passed
// by.
func (s *Scanner) Tree(root string) (hits []Hit, seen Seen, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		}
		hits = append(hits, s.plain(path+" (its name)", []byte(d.Name()))...)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			text, err := os.Readlink(path)
			hits = append(hits, s.plain(path+" (its link)", []byte(text))...)
			return ignoreMissing(err)
		case !d.Type().IsRegular():
			return nil
		}
		found, n, err := s.file(path)
		hits = append(hits, found...)
		seen.Files++
		seen.Bytes += n
		return ignoreMissing(err)
	})
	return hits, seen, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Scanner) file(path string) (hits []Hit, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	var piece bytes.Buffer
	for {
		n, err := io.CopyN(&piece, f, s.window)
		size += n
		if n > 0 {
			hits = append(hits, s.Bytes(path, piece.Bytes())...)
		}
		switch {
		case errors.Is(err, io.EOF):
			return hits, size, nil
		case err != nil:
			return hits, size, err
		}
		piece.Next(max(0, piece.Len()-overlap))
	}
}
