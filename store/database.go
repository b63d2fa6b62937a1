package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/fcflow/fcflow/store/record"
	"github.com/fcflow/fcflow/workflow"
)

// schemaVersion is raised when an older program could not read the file.
const schemaVersion = 1

// The buckets of run.db. Events are keyed by their sequence number in eight
// bytes, big-endian, so that they lie in order; blobs by their SHA-256.
var (
	eventsBucket = []byte("events")
	blobsBucket  = []byte("blobs")
	metaBucket   = []byte("meta")

	schemaKey = []byte("schema")
	runKey    = []byte("run")
	frozenKey = []byte("frozen") // digest of the workflow text, which is a blob
	headKey   = []byte("head")
)

// fill is how full an event page gets before it is split: events only come at
// the end, so that room in the middle would stay empty.
const fill = 0.95

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openDatabase locks a history and opens it: exclusively to own it, shared to
// read it. [errHeld] if it stays locked for that long.
func openDatabase(ctx context.Context, name string, readOnly bool, patience time.Duration) (*bolt.DB, error) {
	how, flag := syscall.LOCK_EX, os.O_RDWR
	if readOnly {
		how, flag = syscall.LOCK_SH, os.O_RDONLY
	}
	o := databaseOptions()
	o.ReadOnly = readOnly
	// bbolt's own wait for the lock cannot be cancelled, and it trusts the pages
	// it maps.
	o.OpenFile = func(name string, _ int, _ fs.FileMode) (*os.File, error) {
		f, err := lockFile(ctx, name, flag, how, patience)
		if err != nil {
			return nil, err
		}
		if err := checkPages(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	return bolt.Open(name, fileMode, o)
}

// createDatabase makes an empty history and locks it.
func createDatabase(name string) (*bolt.DB, error) {
	o := databaseOptions()
	o.OpenFile = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag|os.O_EXCL, mode)
		if err != nil {
			return nil, err
		}
		return f, errors.Join(f.Chmod(mode), tryLock(f, syscall.LOCK_EX))
	}
	return bolt.Open(name, fileMode, o)
}

func databaseOptions() *bolt.Options {
	return &bolt.Options{
		Timeout: time.Second, // never waits: the file comes locked
		// The free pages are found by a scan when the file is opened. A stored
		// list would cost a page in each commit, and a damaged one would let live
		// pages be overwritten.
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		NoStatistics:   true,
	}
}

// initDatabase fills an empty file.
func initDatabase(tx *bolt.Tx, id workflow.RunID, frozen workflow.Blob) error {
	for _, name := range [][]byte{eventsBucket, blobsBucket, metaBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	return errors.Join(
		meta.Put(schemaKey, binary.BigEndian.AppendUint32(nil, schemaVersion)),
		meta.Put(runKey, []byte(id)),
		meta.Put(frozenKey, []byte(frozen.Digest)),
		putBlob(tx, frozen),
		putHead(tx, record.Head{}),
	)
}

// checkDatabase tells whether the file is a history this program can read, and
// that of the run.
func checkDatabase(tx *bolt.Tx, id workflow.RunID) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil || tx.Bucket(eventsBucket) == nil || tx.Bucket(blobsBucket) == nil {
		return fmt.Errorf("%s holds no history: %w", dbName, workflow.ErrCorrupt)
	}
	schema := meta.Get(schemaKey)
	if len(schema) != 4 {
		return fmt.Errorf("%s has no schema version: %w", dbName, workflow.ErrCorrupt)
	}
	if v := binary.BigEndian.Uint32(schema); v > schemaVersion {
		return fmt.Errorf("%s has schema version %d, this program knows %d: %w", dbName, v, schemaVersion, workflow.ErrNewer)
	}
	if owner := meta.Get(runKey); string(owner) != string(id) {
		return fmt.Errorf("%s is the history of run %q: %w", dbName, owner, workflow.ErrCorrupt)
	}
	return nil
}

func key(seq int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(seq)) }

// putHead stores where the history stands, in the commit of its last event.
func putHead(tx *bolt.Tx, h record.Head) error {
	b := make([]byte, 0, 20)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Epoch))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return tx.Bucket(metaBucket).Put(headKey, b)
}

func getHead(tx *bolt.Tx) (record.Head, error) {
	b := tx.Bucket(metaBucket).Get(headKey)
	if len(b) != 20 || crc32.Checksum(b[:16], castagnoli) != binary.BigEndian.Uint32(b[16:]) {
		return record.Head{}, fmt.Errorf("the number of the last event is unreadable: %w", workflow.ErrCorrupt)
	}
	return record.Head{
		Seq:   int64(binary.BigEndian.Uint64(b)),
		Epoch: int64(binary.BigEndian.Uint64(b[8:])),
	}, nil
}

// getFrozen returns the workflow text.
func getFrozen(tx *bolt.Tx) ([]byte, error) {
	text, err := getBlob(tx, string(tx.Bucket(metaBucket).Get(frozenKey)))
	if errors.Is(err, workflow.ErrNotFound) {
		return nil, fmt.Errorf("the workflow text is missing: %w", workflow.ErrCorrupt)
	}
	return text, err
}

func putBlob(tx *bolt.Tx, b workflow.Blob) error {
	digest, err := hex.DecodeString(b.Digest)
	if err != nil {
		return err
	}
	blobs := tx.Bucket(blobsBucket)
	if blobs.Get(digest) != nil {
		return nil
	}
	return blobs.Put(digest, b.Bytes)
}

func getBlob(tx *bolt.Tx, digest string) ([]byte, error) {
	k, err := hex.DecodeString(digest)
	if err != nil || len(k) == 0 {
		return nil, fmt.Errorf("blob %q: %w", digest, workflow.ErrNotFound)
	}
	stored := tx.Bucket(blobsBucket).Get(k)
	if stored == nil {
		return nil, fmt.Errorf("blob %q: %w", digest, workflow.ErrNotFound)
	}
	text := append([]byte{}, stored...)
	if workflow.NewBlob(text).Digest != digest {
		return nil, fmt.Errorf("blob %q: the digest differs: %w", digest, workflow.ErrCorrupt)
	}
	return text, nil
}

// eachRecord calls f with the records from a sequence number on, at most limit
// of them, and returns the number after the last. At the end of the history it
// checks that this is where it has to end.
func eachRecord(tx *bolt.Tx, from, limit int64, f func(seq int64, rec []byte) error) (next int64, end bool, err error) {
	next = from
	c := tx.Bucket(eventsBucket).Cursor()
	for k, rec := c.Seek(key(from)); ; k, rec = c.Next() {
		if k == nil {
			break
		}
		if next == from+limit {
			return next, false, nil
		}
		if len(k) != 8 || binary.BigEndian.Uint64(k) != uint64(next) {
			return next, false, fmt.Errorf("event %d is missing: %w", next, workflow.ErrCorrupt)
		}
		if err := f(next, rec); err != nil {
			return next, false, err
		}
		next++
	}
	head, err := getHead(tx)
	if err != nil {
		return next, false, err
	}
	if next <= head.Seq {
		return next, false, fmt.Errorf("event %d is missing, %d is the last: %w", next, head.Seq, workflow.ErrCorrupt)
	}
	if next > from && next != head.Seq+1 {
		return next, false, fmt.Errorf("event %d follows %d, which is the last: %w", next-1, head.Seq, workflow.ErrCorrupt)
	}
	return next, true, nil
}
