package objects

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Part names a part of an upload that is to be completed.
type Part struct {
	Number int    // from 1
	ETag   string // as the answer to its PUT said, with or without quotes

	checksums map[string]string
}

const maxParts = 10_000

// upload is a multipart upload in progress.
type upload struct {
	ID        string      `json:"id"`
	Bucket    string      `json:"bucket"`
	Key       string      `json:"key"`
	Header    http.Header `json:"header,omitempty"`
	Algorithm string      `json:"algorithm,omitempty"` // of the checksums of its parts
	Created   time.Time   `json:"created"`

	dir string

	mu    sync.Mutex // held while the parts change or become an object; before Store.mu
	parts map[int]part
	over  bool // completed or aborted
}

const uploadFile = "upload.json"

// CreateMultipart begins an upload in parts and returns its id.
func (s *Store) CreateMultipart(bucket, key string) (string, error) {
	return s.createMultipart(&upload{Bucket: bucket, Key: key})
}

func (s *Store) createMultipart(u *upload) (string, error) {
	if err := checkKey(u.Key); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.bucket(u.Bucket); err != nil {
		return "", err
	}
	u.ID, u.Created, u.parts = rand.Text(), now(), map[int]part{}
	u.dir = s.path("uploads", u.ID)
	if err := os.Mkdir(u.dir, 0o700); err != nil {
		return "", fmt.Errorf("objects: %w", err)
	}
	if err := writeJSON(filepath.Join(u.dir, uploadFile), u); err != nil {
		return "", err
	}
	s.uploads[u.ID] = u
	return u.ID, nil
}

// PutPart stores what r gives as a part, which replaces one of the same number,
// and returns its ETag.
func (s *Store) PutPart(bucket, key, uploadID string, number int, r io.Reader) (etag string, err error) {
	p, err := s.write(r, nil)
	if err != nil {
		return "", err
	}
	return quoted(p.MD5), s.putPart(bucket, key, uploadID, number, p)
}

func (s *Store) putPart(bucket, key, uploadID string, number int, p part) error {
	u, err := s.lockUpload(bucket, key, uploadID)
	if err == nil {
		defer u.mu.Unlock()
		err = u.put(number, p)
	}
	if err != nil {
		s.removeFiles([]part{p})
		return err
	}
	if old, ok := u.parts[number]; ok {
		s.removeFiles([]part{old})
	}
	u.parts[number] = p
	return nil
}

// put makes a part durable.
func (u *upload) put(number int, p part) error {
	if number < 1 || number > maxParts {
		return errPartNumber
	}
	return writeJSON(filepath.Join(u.dir, strconv.Itoa(number)), p)
}

// CompleteMultipart makes the object of the named parts, in ascending order; the
// others are dropped. Completing an upload again gives the same answer, as long
// as the object is the one it made.
func (s *Store) CompleteMultipart(bucket, key, uploadID string, parts []Part) (Info, error) {
	o, err := s.completeMultipart(bucket, key, uploadID, parts, nil, precondition{})
	if err != nil {
		return Info{}, err
	}
	return o.Info, nil
}

func (s *Store) completeMultipart(bucket, key, uploadID string, parts []Part, whole map[string]string, when precondition) (*object, error) {
	u, err := s.lockUpload(bucket, key, uploadID)
	if err != nil {
		if o := s.madeBy(bucket, key, uploadID); o != nil {
			return o, nil
		}
		return nil, err
	}
	defer u.mu.Unlock()
	o, err := s.assemble(u, parts, whole)
	if err != nil {
		return nil, err
	}
	if _, err := s.putObject(bucket, o, when); err != nil {
		return nil, err
	}
	return o, s.drop(u, o.Parts)
}

// madeBy returns the object that a completed upload made, if it is still there.
func (s *Store) madeBy(bucket, key, uploadID string) *object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[bucket]; b != nil && b.objects[key] != nil && b.objects[key].Upload == uploadID {
		return b.objects[key]
	}
	return nil
}

// assemble checks the named parts and makes an object of them.
func (s *Store) assemble(u *upload, parts []Part, whole map[string]string) (*object, error) {
	if len(parts) == 0 {
		return nil, errMalformedXML
	}
	o := &object{Info: Info{Key: u.Key}, Header: u.Header, Upload: u.ID}
	sums := md5.New()
	for i, named := range parts {
		p, ok := u.parts[named.Number]
		switch {
		case i > 0 && named.Number <= parts[i-1].Number:
			return nil, errPartOrder
		case !ok || strings.Trim(named.ETag, `"`) != hex.EncodeToString(p.MD5):
			return nil, errInvalidPart
		case i < len(parts)-1 && p.Size < s.cfg.MinPartSize:
			return nil, errTooSmall
		}
		for name, value := range named.checksums {
			if p.Checksums[name] != "" && p.Checksums[name] != value {
				return nil, errInvalidPart
			}
		}
		o.Parts = append(o.Parts, p)
		o.Size += p.Size
		sums.Write(p.MD5)
	}
	o.ETag = `"` + hex.EncodeToString(sums.Sum(nil)) + "-" + strconv.Itoa(len(parts)) + `"`
	var err error
	if o.Checksums, err = s.checksumsOf(o, u.Algorithm, whole); err != nil {
		return nil, err
	}
	return o, nil
}

// checksumsOf are those of the whole object: what the client says, if it is
// true, else the checksum of the checksums of the parts.
func (s *Store) checksumsOf(o *object, algorithm string, whole map[string]string) (map[string]string, error) {
	for name, want := range whole {
		if strings.Contains(want, "-") {
			continue // of checksums of parts: computed below
		}
		sum := checksums[name]()
		for _, p := range o.Parts {
			if err := s.copyPart(sum, p); err != nil {
				return nil, err
			}
		}
		if want != base64.StdEncoding.EncodeToString(sum.Sum(nil)) {
			return nil, errBadDigest
		}
		return map[string]string{name: want}, nil
	}
	if algorithm == "" {
		return nil, nil
	}
	sum := checksums[algorithm]()
	for _, p := range o.Parts {
		raw, err := base64.StdEncoding.DecodeString(p.Checksums[algorithm])
		if err != nil || len(raw) == 0 {
			return nil, nil
		}
		sum.Write(raw)
	}
	return map[string]string{algorithm: base64.StdEncoding.EncodeToString(sum.Sum(nil)) + "-" + strconv.Itoa(len(o.Parts))}, nil
}

func (s *Store) copyPart(w io.Writer, p part) error {
	f, err := os.Open(s.path("data", p.File))
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// AbortMultipart ends an upload and drops its parts.
func (s *Store) AbortMultipart(bucket, key, uploadID string) error {
	u, err := s.lockUpload(bucket, key, uploadID)
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	return s.drop(u, nil)
}

// drop forgets an upload and removes the parts that no object keeps.
func (s *Store) drop(u *upload, kept []part) error {
	u.over = true
	s.mu.Lock()
	delete(s.uploads, u.ID)
	s.mu.Unlock()
	files := map[string]bool{}
	for _, p := range kept {
		files[p.File] = true
	}
	for _, p := range u.parts {
		if !files[p.File] {
			s.removeFiles([]part{p})
		}
	}
	if err := os.RemoveAll(u.dir); err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	return nil
}

// lockUpload finds an upload in progress and takes its lock.
func (s *Store) lockUpload(bucket, key, id string) (*upload, error) {
	s.mu.RLock()
	_, err := s.bucket(bucket)
	u := s.uploads[id]
	s.mu.RUnlock()
	switch {
	case err != nil:
		return nil, err
	case u == nil || u.Bucket != bucket || u.Key != key:
		return nil, errNoSuchUpload
	}
	u.mu.Lock()
	if u.over {
		u.mu.Unlock()
		return nil, errNoSuchUpload
	}
	return u, nil
}

func (s *Store) loadUploads() error {
	dirs, err := os.ReadDir(s.path("uploads"))
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	for _, d := range dirs {
		u := &upload{dir: s.path("uploads", d.Name()), parts: map[int]part{}}
		err := readJSON(filepath.Join(u.dir, uploadFile), u)
		if errors.Is(err, fs.ErrNotExist) || err == nil && s.spent(u) {
			if err := os.RemoveAll(u.dir); err != nil {
				return fmt.Errorf("objects: %w", err)
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := u.load(); err != nil {
			return err
		}
		s.uploads[u.ID] = u
	}
	return nil
}

// spent says whether an upload cannot be completed any more: its bucket is gone,
// its object was made and the process died before it forgot the upload, or that
// object would have expired.
func (s *Store) spent(u *upload) bool {
	b := s.buckets[u.Bucket]
	return b == nil || b.objects[u.Key] != nil && b.objects[u.Key].Upload == u.ID || b.ended(u.Created)
}

func (u *upload) load() error {
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var p part
		if err := readJSON(filepath.Join(u.dir, e.Name()), &p); err != nil {
			return err
		}
		u.parts[number] = p
	}
	return nil
}

func quoted(sum []byte) string { return `"` + hex.EncodeToString(sum) + `"` }
