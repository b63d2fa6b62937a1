package record_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/store/record"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// FuzzDecode gives records with a right checksum and any text.
func FuzzDecode(f *testing.F) {
	for _, e := range append(storetest.Events(1, 1, 3), storetest.Created(storetest.ID(1))) {
		rec, err := record.Append(nil, &e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(rec[4:])
	}
	f.Add([]byte(`{"seq":2,"at":"2026-03-01T12:00:00Z","epoch":1,"kind":"of.tomorrow","v":2,"data":[1]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rec := append(binary.LittleEndian.AppendUint32(nil, crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))), text...)
		if _, err := record.Decode(2, rec); err != nil && !errors.Is(err, workflow.ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

// TestEveryBit: no single bit of a record can change unnoticed.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	want := storetest.Events(1, 1, 2)[0]
	rec, err := record.Append(nil, &want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := record.Decode(2, rec)
	if err != nil || !cmp.Equal(got, want) {
		t.Fatalf("%v %s", err, cmp.Diff(want, got))
	}
	for bit := range len(rec) * 8 {
		rec[bit/8] ^= 1 << (bit % 8)
		if _, err := record.Decode(2, rec); !errors.Is(err, workflow.ErrCorrupt) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		rec[bit/8] ^= 1 << (bit % 8)
	}
	for n := range rec {
		if _, err := record.Decode(2, rec[:n]); !errors.Is(err, workflow.ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := record.Decode(3, rec); !errors.Is(err, workflow.ErrCorrupt) {
		t.Fatalf("in the place of another: %v", err)
	}
}
