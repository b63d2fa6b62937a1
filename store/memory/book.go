package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/fcflow/fcflow/workflow"
)

// Shelf holds a book, which one at a time may have open.
type Shelf struct {
	mu     sync.Mutex
	nonce  string
	values map[string][]byte
	owned  bool
}

// NewShelf returns the place of an empty book.
func NewShelf() *Shelf { return &Shelf{nonce: rand.Text(), values: map[string][]byte{}} }

// Open takes the book. [workflow.ErrOwned] if it is not closed since the last time.
func (s *Shelf) Open() (*Book, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owned {
		return nil, workflow.ErrOwned
	}
	s.owned = true
	return &Book{shelf: s}, nil
}

// Book implements [workflow.Book].
type Book struct {
	shelf  *Shelf
	closed bool
}

var errClosed = errors.New("the book is closed")

// Nonce implements [workflow.Book].
func (b *Book) Nonce() string { return b.shelf.nonce }

// Read implements [workflow.Book].
func (b *Book) Read(ctx context.Context, f func(key string, value []byte) error) error {
	b.shelf.mu.Lock()
	values := maps.Clone(b.shelf.values)
	closed := b.closed
	b.shelf.mu.Unlock()
	if closed {
		return errClosed
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(key, slices.Clone(values[key])); err != nil {
			return err
		}
	}
	return nil
}

// Write implements [workflow.Book].
func (b *Book) Write(ctx context.Context, changes map[string][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	if b.closed {
		return errClosed
	}
	for key, value := range changes {
		if value == nil {
			delete(b.shelf.values, key)
		} else {
			b.shelf.values[key] = slices.Clone(value)
		}
	}
	return nil
}

// Close lets go of the book.
func (b *Book) Close() error {
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	if !b.closed {
		b.closed, b.shelf.owned = true, false
	}
	return nil
}
