package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sources looks at the local files that steps have read. Each is read once.
type sources struct {
	digests map[string]string
}

// changed reports whether what a path or pattern names is not what it was at an
// instant: by its digest if that is known, else by its time. What is not there any
// more, or no file, tells nothing.
func (s *sources) changed(path string, since time.Time, digest string) bool {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && digest != "" {
		now, err := s.digest(path)
		return err != nil || now != digest
	}
	changed := false
	_ = filepath.WalkDir(fixedPart(path), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // as if it were not there
		}
		if info, err := d.Info(); err == nil && !d.IsDir() && info.ModTime().After(since) {
			changed = true
			return fs.SkipAll
		}
		return nil
	})
	return changed
}

func (s *sources) digest(path string) (digest string, err error) {
	if known := s.digests[path]; known != "" {
		return known, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	if s.digests == nil {
		s.digests = map[string]string{}
	}
	s.digests[path] = hex.EncodeToString(h.Sum(nil))
	return s.digests[path], nil
}

// fixedPart is the directory before the first wildcard of a pattern; the path itself
// if it has none.
func fixedPart(path string) string {
	if i := strings.IndexAny(path, "*?["); i >= 0 {
		return filepath.Dir(path[:i] + "x")
	}
	return path
}
