package objects

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// Info describes an object.
type Info struct {
	Key      string    `json:"key"`
	Size     int64     `json:"size"`     // bytes
	ETag     string    `json:"etag"`     // with its quotes
	Modified time.Time `json:"modified"` // whole seconds
}

// object is the manifest of an object: what it is, and where its bytes are.
type object struct {
	Info
	Header    http.Header       `json:"header,omitempty"`    // answered with the bytes
	Checksums map[string]string `json:"checksums,omitempty"` // by algorithm, as on the wire
	Upload    string            `json:"upload,omitempty"`    // the multipart upload that made it
	Parts     []part            `json:"parts"`

	readers int  // that have the files open
	retired bool // no longer an object: the last reader removes the files
}

// part is a file of bytes.
type part struct {
	File      string            `json:"file"`
	Size      int64             `json:"size"`
	MD5       []byte            `json:"md5"`
	Checksums map[string]string `json:"checksums,omitempty"`
}

// checkKey refuses keys that S3 has no objects for.
func checkKey(key string) error {
	switch {
	case len(key) > 1024:
		return errKeyTooLong
	case key == "" || !utf8.ValidString(key):
		return errInvalidURI
	}
	return nil
}

// Stat describes an object. The error of one that is missing is fs.ErrNotExist.
func (s *Store) Stat(bucket, key string) (Info, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return Info{}, err
	}
	o, err := b.find(key)
	if err != nil {
		return Info{}, err
	}
	return o.Info, nil
}

// Put stores what r gives as an object, which replaces one of the same key when
// all of it has come.
func (s *Store) Put(bucket, key string, r io.Reader) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	p, err := s.write(r, nil)
	if err != nil {
		return Info{}, err
	}
	return s.putObject(bucket, &object{Info: Info{Key: key, Size: p.Size, ETag: quoted(p.MD5)}, Parts: []part{p}}, precondition{})
}

// putObject makes an object of parts that are on disk. They are removed if that
// fails.
func (s *Store) putObject(bucket string, o *object, when precondition) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Modified = now()
	err := func() error {
		b, err := s.bucket(bucket)
		if err != nil {
			return err
		}
		old, err := b.find(o.Key)
		if err := when.check(old, err); err != nil {
			return err
		}
		if err := writeJSON(b.manifest(o.Key), o); err != nil {
			return err
		}
		if old := b.objects[o.Key]; old != nil {
			s.retire(old)
		}
		b.objects[o.Key] = o
		return nil
	}()
	if err != nil && o.Upload == "" {
		s.removeFiles(o.Parts)
	}
	return o.Info, err
}

// Remove deletes an object; one that is missing is fine.
func (s *Store) Remove(bucket, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return err
	}
	if o := b.objects[key]; o != nil {
		return s.forget(b, o)
	}
	return nil
}

// forget removes an object for good; the caller holds the lock.
func (s *Store) forget(b *bucket, o *object) error {
	if err := os.Remove(b.manifest(o.Key)); err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	delete(b.objects, o.Key)
	s.retire(o)
	return nil
}

// retire removes the bytes of what is no longer an object, as soon as nobody
// reads them; the caller holds the lock.
func (s *Store) retire(o *object) {
	o.retired = true
	if o.readers == 0 {
		s.removeFiles(o.Parts)
	}
}

// removeFiles removes bytes that nothing refers to. What it cannot remove is
// swept when the store is opened next.
func (s *Store) removeFiles(parts []part) {
	for _, p := range parts {
		_ = os.Remove(s.path("data", p.File))
	}
}

// Reader reads an object as it was when it was opened, whatever becomes of its
// key meanwhile.
type Reader struct {
	*io.SectionReader
	Info

	object *object
	store  *Store

	mu    sync.Mutex
	file  *os.File // of part index, open
	index int
	once  sync.Once
}

// Open opens an object for reading. The error of one that is missing is
// fs.ErrNotExist.
func (s *Store) Open(bucket, key string) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	o, err := b.find(key)
	if err != nil {
		return nil, err
	}
	return s.reader(o), nil
}

// reader opens an object that the caller, who holds the lock, has found.
func (s *Store) reader(o *object) *Reader {
	o.readers++
	r := &Reader{Info: o.Info, object: o, store: s}
	r.SectionReader = io.NewSectionReader(readerAt{r}, 0, o.Info.Size)
	return r
}

// Size is how many bytes the object has.
func (r *Reader) Size() int64 { return r.Info.Size }

// Close ends the reading.
func (r *Reader) Close() error {
	var err error
	r.once.Do(func() {
		r.mu.Lock()
		if r.file != nil {
			err = r.file.Close()
		}
		r.mu.Unlock()
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		r.object.readers--
		if r.object.retired {
			r.store.retire(r.object)
		}
	})
	return err
}

// readerAt reads across the parts, with one file open at a time.
type readerAt struct{ *Reader }

func (r readerAt) ReadAt(p []byte, off int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.object.Parts {
		size := r.object.Parts[i].Size
		if off >= size {
			off -= size
			continue
		}
		if err := r.open(i); err != nil {
			return n, err
		}
		m, err := r.file.ReadAt(p[:min(int64(len(p)), size-off)], off)
		n, p, off = n+m, p[m:], 0
		if len(p) == 0 {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	return n, io.EOF
}

func (r *Reader) open(i int) error {
	if r.file != nil && r.index == i {
		return nil
	}
	if r.file != nil {
		r.file.Close()
	}
	var err error
	r.file, err = os.Open(r.store.path("data", r.object.Parts[i].File))
	r.index = i
	return err
}
