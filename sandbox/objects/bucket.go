package objects

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// BucketOptions say how a bucket differs from a private one that keeps what it
// holds.
type BucketOptions struct {
	Public     bool // anybody may read and list it
	ExpireDays int  // objects vanish so many days after they were written, uploads after they were begun; 0 = never
}

// bucket is a bucket and the index of its objects.
type bucket struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	BucketOptions

	dir     string
	objects map[string]*object
}

const day = 24 * time.Hour

// MakeBucket makes a bucket unless there is one, whose options it then changes.
func (s *Store) MakeBucket(name string, opts BucketOptions) error {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(c rune) bool { return c == '/' || c == unicode.ReplacementChar || unicode.IsControl(c) }) {
		return errInvalidBucketName
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		b = &bucket{Name: name, Created: now(), dir: s.path("buckets", hashed(name)), objects: map[string]*object{}}
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	changed := *b
	changed.BucketOptions = opts
	if err := writeJSON(filepath.Join(b.dir, bucketFile), changed); err != nil {
		return err
	}
	b.BucketOptions = opts
	s.buckets[name] = b
	return nil
}

// removeBucket removes an empty bucket.
func (s *Store) removeBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(name)
	if err != nil {
		return err
	}
	for _, o := range b.objects {
		if !b.expired(o) {
			return errBucketNotEmpty
		}
		if err := s.forget(b, o); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	delete(s.buckets, name)
	return nil
}

// bucket finds a bucket; the caller holds the lock.
func (s *Store) bucket(name string) (*bucket, error) {
	b := s.buckets[name]
	if b == nil {
		return nil, errNoSuchBucket
	}
	return b, nil
}

// public says whether anybody may read a bucket.
func (s *Store) public(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[name]
	return b != nil && b.Public
}

// expired says whether the bucket's rule has ended an object's life. Nobody sees
// it any more; its bytes go when the store is opened next.
func (b *bucket) expired(o *object) bool { return b.ended(o.Modified) }

// ended says whether the life of what was made then is over.
func (b *bucket) ended(since time.Time) bool {
	return b.ExpireDays > 0 && !time.Now().Before(since.Add(time.Duration(b.ExpireDays)*day))
}

// find returns a living object; the caller holds the lock.
func (b *bucket) find(key string) (*object, error) {
	o := b.objects[key]
	if o == nil || b.expired(o) {
		return nil, errNoSuchKey
	}
	return o, nil
}

// manifest is the file that makes an object exist.
func (b *bucket) manifest(key string) string {
	return filepath.Join(b.dir, hashed(key)+manifestSuffix)
}

const (
	bucketFile     = "bucket.json"
	manifestSuffix = ".object"
)

// hashed is the name of a file for any text.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (s *Store) loadBuckets() error {
	dirs, err := filepath.Glob(s.path("buckets", "*"))
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	for _, dir := range dirs {
		b := &bucket{dir: dir, objects: map[string]*object{}}
		err := readJSON(filepath.Join(dir, bucketFile), b)
		if errors.Is(err, fs.ErrNotExist) { // was being made, or removed
			err = os.RemoveAll(dir)
			if err != nil {
				return fmt.Errorf("objects: %w", err)
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := b.load(); err != nil {
			return err
		}
		s.buckets[b.Name] = b
	}
	return nil
}

func (b *bucket) load() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	for _, e := range entries {
		file := filepath.Join(b.dir, e.Name())
		switch {
		case strings.HasSuffix(e.Name(), temporary):
			if err := os.Remove(file); err != nil {
				return fmt.Errorf("objects: %w", err)
			}
		case strings.HasSuffix(e.Name(), manifestSuffix):
			o := &object{}
			if err := readJSON(file, o); err != nil {
				return err
			}
			if b.expired(o) {
				if err := os.Remove(file); err != nil {
					return fmt.Errorf("objects: %w", err)
				}
				continue
			}
			b.objects[o.Key] = o
		}
	}
	return nil
}
