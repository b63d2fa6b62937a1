package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// sample is a run whose file has everything: branches, overflow pages, free
// pages, buckets inside a page and out of it.
type sample struct {
	store  *store.Store
	id     workflow.RunID
	db     string
	intact []byte
	events []workflow.Event
	blobs  []workflow.Blob
}

func newSample(t testing.TB, dir string, events int64) *sample {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &sample{store: s, id: storetest.ID(1)}
	d.db = filepath.Join(s.Paths(d.id).Dir, "run.db")
	h, err := s.Create(t.Context(), d.id, []byte("name: test\n"), []workflow.Event{storetest.Created(d.id)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for after := int64(1); after < events; after += 7 {
		b := workflow.NewBlob([]byte(strings.Repeat("x", int(after*after%9000))))
		d.blobs = append(d.blobs, b)
		if err := h.Append(t.Context(), after, storetest.Events(1, after, min(after+7, events)), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Read(t.Context(), 1, collect(&d.events)); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if d.intact, err = os.ReadFile(d.db); err != nil {
		t.Fatal(err)
	}
	return d
}

// try puts a damaged file in place. It must be refused, or be as good as the
// intact one: nothing may be missing from it, and a run must be able to go on.
// It reports which.
func (d *sample) try(t testing.TB, file []byte) (refused bool) {
	t.Helper()
	if err := os.WriteFile(d.db, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var read []workflow.Event
	if err := d.store.ReadEvents(t.Context(), d.id, 1, collect(&read)); err != nil {
		if !damaged(err) {
			t.Errorf("read: %v", err)
		}
	} else if !reflect.DeepEqual(read, d.events) {
		t.Fatalf("read %d events that differ", len(read))
	}
	h, err := d.store.Open(t.Context(), d.id)
	if err != nil {
		if !damaged(err) {
			t.Errorf("open: %v", err)
		}
		return true
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	var events []workflow.Event
	err = h.Read(t.Context(), 1, collect(&events))
	if err == nil {
		err = d.readBlobs(t, h)
	}
	if err != nil {
		if !damaged(err) {
			t.Errorf("read as the owner: %v", err)
		}
		return true
	}
	if !reflect.DeepEqual(events, d.events) {
		t.Fatalf("the owner read %d events that differ", len(events))
	}
	last := int64(len(events))
	if err := h.Append(t.Context(), last, storetest.Events(h.Epoch(), last, last+50)); err != nil {
		t.Errorf("append: %v", err)
	}
	return false
}

func (d *sample) readBlobs(t testing.TB, h workflow.History) error {
	for _, b := range d.blobs {
		got, err := h.Blob(t.Context(), b.Digest)
		if err != nil {
			return err
		}
		if string(got) != string(b.Bytes) {
			t.Fatalf("blob %s differs", b.Digest)
		}
	}
	text, err := h.Frozen(t.Context())
	if err == nil && string(text) != "name: test\n" {
		t.Fatalf("the workflow differs: %q", text)
	}
	return err
}

func damaged(err error) bool {
	return errors.Is(err, workflow.ErrCorrupt) || errors.Is(err, workflow.ErrNewer) || errors.Is(err, workflow.ErrNotFound)
}

// damage changes a copy of a file in one of the ways files get damaged.
func damage(random *rand.Rand, intact []byte) (string, []byte) {
	const page = 4096
	file := append([]byte(nil), intact...)
	pages := len(file) / page
	at := random.IntN(len(file))
	if random.IntN(2) == 0 { // where the structure is
		at = random.IntN(pages)*page + random.IntN(200)
	}
	switch random.IntN(6) {
	default:
		bit := random.IntN(8)
		file[at] ^= 1 << bit
		return fmt.Sprintf("bit %d of byte %d flipped", bit, at), file
	case 1:
		for i := range file[at:min(at+8, len(file))] {
			file[at+i] = byte(random.Uint32())
		}
		return fmt.Sprintf("8 bytes from %d are noise", at), file
	case 2:
		return fmt.Sprintf("cut after %d bytes", at), file[:at]
	case 3:
		clear(file[at/page*page : at/page*page+page])
		return fmt.Sprintf("page %d is zero", at/page), file
	case 4:
		from := random.IntN(pages)
		copy(file[at/page*page:], intact[from*page:from*page+page])
		return fmt.Sprintf("page %d is a copy of page %d", at/page, from), file
	}
}

// TestHeadInThePlaceOfTheOther: the file would be read as it was one commit ago.
func TestHeadInThePlaceOfTheOther(t *testing.T) {
	t.Parallel()
	const page = 4096
	d := newSample(t, t.TempDir(), 20)
	for from := range 2 {
		file := append([]byte(nil), d.intact...)
		copy(file[(1-from)*page:][:page], d.intact[from*page:])
		if !d.try(t, file) {
			t.Errorf("with head %d in both places the file is taken", from)
		}
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	tries := 250
	if testing.Short() {
		tries = 60
	}
	d := newSample(t, t.TempDir(), 500)
	if d.try(t, d.intact) {
		t.Fatal("the intact file is refused")
	}
	refused := 0
	for range tries {
		what, file := damage(random, d.intact)
		if d.try(t, file) {
			refused++
		}
		if t.Failed() {
			t.Fatal(what)
		}
	}
	t.Logf("%d of %d damaged files refused", refused, tries)
	if refused < tries/4 {
		t.Error("most damage went unnoticed")
	}
}

func FuzzDamage(f *testing.F) {
	d := newSample(f, f.TempDir(), 300)
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		what, file := damage(rand.New(rand.NewPCG(seed, 1)), d.intact)
		d.try(t, file)
		if t.Failed() {
			t.Log(what)
		}
	})
}

// TestCorruptNames checks that damage in an event is told with its number.
func TestCorruptNames(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*bolt.Tx) error{
		"event 2": func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte("events"))
			rec := append([]byte(nil), b.Get(be(2))...)
			rec[len(rec)/2] ^= 1
			return b.Put(be(2), rec)
		},
		"event 3 is missing":           func(tx *bolt.Tx) error { return tx.Bucket([]byte("events")).Delete(be(3)) },
		"event 5 is missing":           func(tx *bolt.Tx) error { return tx.Bucket([]byte("events")).Delete(be(5)) },
		"event 6 follows 5":            func(tx *bolt.Tx) error { return copyEvent(tx, 5, 6) },
		"event 4: corrupt history":     func(tx *bolt.Tx) error { return copyEvent(tx, 5, 4) },
		"the last event is unreadable": func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("head"), []byte("x")) },
		"holds no history":             func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("meta")) },
		"the history of run":           func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("run"), []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, id := open(t, t.TempDir(), store.Options{}), storetest.ID(1)
			newRun(t, s, id, 5)
			edit(t, s, id, harm)
			err := s.ReadEvents(t.Context(), id, 1, func(workflow.Event) error { return nil })
			if !errors.Is(err, workflow.ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("read: %v", err)
			}
		})
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	s, id := open(t, t.TempDir(), store.Options{}), storetest.ID(1)
	newRun(t, s, id, 5)
	edit(t, s, id, func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{0, 0, 0, 2})
	})
	if _, err := s.Open(t.Context(), id); !errors.Is(err, workflow.ErrNewer) {
		t.Errorf("open: %v", err)
	}
	if err := s.ReadEvents(t.Context(), id, 1, func(workflow.Event) error { return nil }); !errors.Is(err, workflow.ErrNewer) {
		t.Errorf("read: %v", err)
	}
	if err := s.Delete(t.Context(), id); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func be(seq byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, seq} }

func copyEvent(tx *bolt.Tx, from, to byte) error {
	b := tx.Bucket([]byte("events"))
	return b.Put(be(to), append([]byte(nil), b.Get(be(from))...))
}

// edit changes a history behind the store's back.
func edit(t *testing.T, s *store.Store, id workflow.RunID, f func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(s.Paths(id).Dir, "run.db"), 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}
