package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// benchStore opens a store where a commit costs what it costs in use.
func benchStore(b *testing.B) *store.Store {
	dir := b.TempDir()
	name, _ := store.FileSystem(dir)
	if name == "tmpfs" || name == "ramfs" {
		b.Fatalf("%s is on %s, where a commit costs nothing: set TMPDIR to a directory on a disk", dir, name)
	}
	b.Logf("file system %s", name)
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func benchHistory(b *testing.B) workflow.History {
	h, err := benchStore(b).Create(b.Context(), storetest.ID(1), nil, []workflow.Event{storetest.Created(storetest.ID(1))}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.Close() })
	return h
}

// BenchmarkAppend measures commits of one event.
func BenchmarkAppend(b *testing.B) {
	h := benchHistory(b)
	last := int64(1)
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		e := storetest.Events(1, last, last+1)
		began := time.Now()
		if err := h.Append(b.Context(), last, e); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		last++
	}
	slices.Sort(took)
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50/commit")
	b.ReportMetric(float64((sum / time.Duration(len(took))).Microseconds()), "µs-mean/commit")
}

// BenchmarkAppendMany measures commits of 256 events, per event.
func BenchmarkAppendMany(b *testing.B) {
	const many = 256
	h := benchHistory(b)
	last := int64(1)
	for b.Loop() {
		if err := h.Append(b.Context(), last, storetest.Events(1, last, last+many)); err != nil {
			b.Fatal(err)
		}
		last += many
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(last), "ns/event")
}

// BenchmarkRead measures reading and decoding, per event.
func BenchmarkRead(b *testing.B) {
	const last = 20_000
	h := benchHistory(b)
	for after := int64(1); after < last; after += 1000 {
		if err := h.Append(b.Context(), after, storetest.Events(1, after, min(after+1000, last))); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := h.Read(b.Context(), 1, func(workflow.Event) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*last), "ns/event")
}

// BenchmarkOpen measures taking over a run of 100,000 events, without the fold.
func BenchmarkOpen(b *testing.B) {
	const last = 100_000
	s, id := benchStore(b), storetest.ID(1)
	h, err := s.Create(b.Context(), id, nil, []workflow.Event{storetest.Created(id)}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for after := int64(1); after < last; after += 1000 {
		if err := h.Append(b.Context(), after, storetest.Events(1, after, min(after+1000, last))); err != nil {
			b.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if h, err = s.Open(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
