// Package objects is a small S3 service on disk: the object store behind the
// transfers of a sandbox. Requests are path style; it checks signatures of
// version 4 by signing again, in the query (presigned) and in the header, and
// their times. Objects are read and written in one request or in parts, and
// listed.
//
// Everything lives in one directory. Names of files in it are made here: a key
// is text, never a path. What was acknowledged survives the end of the process,
// however it ends, but is not synced against a loss of power.
//
//	credentials.json      the one key pair, 0600
//	buckets/HASH/         bucket.json, and a manifest for each object
//	uploads/ID/           upload.json, and a record for each part
//	data/                 the bytes of objects and parts, with random names
//
// Not offered: copies, versions, tags, access lists, and bodies whose chunks are
// signed one by one; they are answered with NotImplemented.
package objects

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// DefaultRegion is the region of a store whose Config names none.
const DefaultRegion = "us-east-1"

// Config says what a store serves. Only Dir is required.
type Config struct {
	Dir    string // of the state; made with mode 0700. One process at a time may use it
	Path   string // prefix of the paths of requests, such as "/s3"
	Region string // that requests must be signed for; default DefaultRegion

	// MinPartSize is the smallest size in bytes of a part that is not the last;
	// completing an upload with a smaller one fails. Default 0: any size.
	MinPartSize int64

	// Fault, if set, is asked about every request before it is handled. op is
	// the name of the operation in S3's own words, such as "UploadPart".
	Fault func(op string, r *http.Request) *Fault
	// Observe, if set, is told every answer to an operation; status is 0 if the
	// connection was cut before there was one.
	Observe func(op string, status int)
}

// Credentials are the one key pair that a store knows.
type Credentials struct {
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
}

// Store is an open store and its HTTP handler. It is safe for concurrent use.
type Store struct {
	cfg         Config
	credentials Credentials

	mu      sync.RWMutex
	buckets map[string]*bucket
	uploads map[string]*upload
}

// Open makes what is missing in the directory and reads what is there.
func Open(cfg Config) (*Store, error) {
	if cfg.Region == "" {
		cfg.Region = DefaultRegion
	}
	s := &Store{cfg: cfg, buckets: map[string]*bucket{}, uploads: map[string]*upload{}}
	for _, dir := range []string{cfg.Dir, s.path("buckets"), s.path("uploads"), s.path("data")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("objects: %w", err)
		}
	}
	if err := errors.Join(s.loadCredentials(), s.loadBuckets(), s.loadUploads(), s.sweep()); err != nil {
		return nil, err
	}
	return s, nil
}

// Credentials survive restarts.
func (s *Store) Credentials() Credentials { return s.credentials }

// Region is the one that requests must be signed for.
func (s *Store) Region() string { return s.cfg.Region }

func (s *Store) loadCredentials() error {
	file := s.path("credentials.json")
	err := readJSON(file, &s.credentials)
	if errors.Is(err, fs.ErrNotExist) {
		s.credentials = Credentials{AccessKey: "SANDBOX" + rand.Text()[:13], SecretKey: rand.Text() + rand.Text()}
		return writeJSON(file, s.credentials)
	}
	return err
}

// sweep removes the bytes that nothing refers to: what a process that died was
// writing.
func (s *Store) sweep() error {
	used := map[string]bool{}
	for _, b := range s.buckets {
		for _, o := range b.objects {
			for _, p := range o.Parts {
				used[p.File] = true
			}
		}
	}
	for _, u := range s.uploads {
		for _, p := range u.parts {
			used[p.File] = true
		}
	}
	entries, err := os.ReadDir(s.path("data"))
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	for _, e := range entries {
		if !used[e.Name()] {
			if err := os.Remove(s.path("data", e.Name())); err != nil {
				return fmt.Errorf("objects: %w", err)
			}
		}
	}
	return nil
}

// path is a file of the store; every element is a name made here.
func (s *Store) path(names ...string) string {
	return filepath.Join(append([]string{s.cfg.Dir}, names...)...)
}

// now is when something happens, in the whole seconds that the API tells.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("objects: read %s: %w", file, err)
	}
	return nil
}

// writeJSON replaces file in one step.
func writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("objects: encode %s: %w", file, err)
	}
	temp := file + "." + rand.Text() + temporary
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	if err := os.Rename(temp, file); err != nil {
		return errors.Join(fmt.Errorf("objects: %w", err), os.Remove(temp))
	}
	return nil
}

// temporary ends the names of files that have not got their own yet.
const temporary = ".tmp"
