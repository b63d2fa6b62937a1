package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

func openBook(t *testing.T, dir string) (*store.Book, error) {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Book(t.Context())
}

func TestBook(t *testing.T) {
	t.Parallel()
	storetest.Books(t, func(t *testing.T) func() (workflow.Book, error) {
		dir := t.TempDir()
		return func() (workflow.Book, error) {
			b, err := openBook(t, dir)
			if err != nil {
				return nil, err
			}
			return b, nil
		}
	})
}

func TestBookFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := openBook(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Write(t.Context(), map[string][]byte{"key": []byte("precious")}), b.Close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "scheduler.db")
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}

	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text { // wherever copies of the value lie
		if string(text[i:min(i+8, len(text))]) == "precious" {
			text[i] ^= 1
		}
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err = openBook(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Read(t.Context(), func(string, []byte) error { return nil }); !errors.Is(err, workflow.ErrCorrupt) {
		t.Errorf("a damaged value is read: %v", err)
	}
}

func TestBookGarbage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "scheduler.db"), []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := openBook(t, dir); err == nil {
		t.Errorf("opened %v", b)
	}
}

func TestBookOwner(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.TempDir(), store.Options{Owner: workflow.Owner{Socket: "/run/x.sock"}})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := s.BookOwner(); !errors.Is(err, workflow.ErrNotFound) {
		t.Errorf("nobody has it: %v, %v", o, err)
	}
	b, err := s.Book(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if o, err := s.BookOwner(); err != nil || o.Socket != "/run/x.sock" || o.PID != os.Getpid() {
		t.Errorf("owner is %+v, %v", o, err)
	}
}
