package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"github.com/fcflow/fcflow/workflow"
)

// Book implements [workflow.Book] with a file of the state directory. Whoever has
// it open has its lock, which the operating system releases however that process
// ends.
type Book struct {
	name  string
	db    *bolt.DB
	nonce string
}

const (
	bookName      = "scheduler.db"
	bookOwnerName = "scheduler.json"
	bookSchema    = 1
)

var (
	valuesBucket = []byte("values")
	nonceKey     = []byte("nonce")
)

// Book opens the book of the state directory, and makes one if there is none.
// [workflow.ErrOwned] if another process has it.
func (s *Store) Book(ctx context.Context) (*Book, error) {
	b := &Book{name: filepath.Join(filepath.Dir(s.runs), bookName)}
	if err := b.open(ctx); err != nil {
		return nil, b.wrong(err)
	}
	if err := writeJSON(filepath.Dir(b.name), bookOwnerName, s.Self()); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// BookOwner says who had the book last, or has it, for asking that process instead.
// [workflow.ErrNotFound] if nobody had.
func (s *Store) BookOwner() (o workflow.Owner, err error) {
	err = readJSON(filepath.Join(filepath.Dir(s.runs), bookOwnerName), &o)
	if errors.Is(err, fs.ErrNotExist) {
		err = workflow.ErrNotFound
	}
	return o, err
}

func (b *Book) open(ctx context.Context) error {
	o := databaseOptions()
	o.OpenFile = func(name string, _ int, _ fs.FileMode) (*os.File, error) {
		f, err := lockFile(ctx, name, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX, readerPatience)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && info.Size() > 0 {
			err = checkPages(f)
		}
		if err = errors.Join(err, f.Chmod(fileMode)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	db, err := bolt.Open(b.name, fileMode, o)
	switch {
	case errors.Is(err, errHeld):
		return workflow.ErrOwned
	case err != nil:
		return err
	}
	b.db = db
	if err := errors.Join(db.Update(b.initialize), SyncDir(filepath.Dir(b.name))); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// initialize fills an empty file, and tells whether another is a book that this
// program can read.
func (b *Book) initialize(tx *bolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucketIfNotExists(valuesBucket); err != nil {
		return err
	}
	if meta.Get(schemaKey) == nil {
		err = errors.Join(
			meta.Put(schemaKey, binary.BigEndian.AppendUint32(nil, bookSchema)),
			meta.Put(nonceKey, []byte(rand.Text())),
		)
	}
	schema := meta.Get(schemaKey)
	b.nonce = string(meta.Get(nonceKey))
	switch {
	case err != nil:
		return err
	case len(schema) != 4 || b.nonce == "":
		return fmt.Errorf("it is no book of schedules: %w", workflow.ErrCorrupt)
	case binary.BigEndian.Uint32(schema) > bookSchema:
		return fmt.Errorf("schema version %d, this program knows %d: %w", binary.BigEndian.Uint32(schema), bookSchema, workflow.ErrNewer)
	}
	return nil
}

func (b *Book) wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", b.name, err)
}

// Nonce implements [workflow.Book].
func (b *Book) Nonce() string { return b.nonce }

// Read implements [workflow.Book].
func (b *Book) Read(ctx context.Context, f func(key string, value []byte) error) error {
	return b.wrong(b.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(valuesBucket).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(v) < 4 || crc32.Checksum(v[4:], castagnoli) != binary.BigEndian.Uint32(v) {
				return fmt.Errorf("the value of %q is damaged: %w", k, workflow.ErrCorrupt)
			}
			if err := f(string(k), append([]byte{}, v[4:]...)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Write implements [workflow.Book].
func (b *Book) Write(ctx context.Context, changes map[string][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.wrong(b.db.Update(func(tx *bolt.Tx) error {
		values := tx.Bucket(valuesBucket)
		for key, value := range changes {
			var err error
			if value == nil {
				err = values.Delete([]byte(key))
			} else {
				sum := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(value)), crc32.Checksum(value, castagnoli))
				err = values.Put([]byte(key), append(sum, value...))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// Close lets go of the book.
func (b *Book) Close() error { return b.wrong(b.db.Close()) }
