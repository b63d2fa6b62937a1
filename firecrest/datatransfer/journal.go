package datatransfer

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// Journal keeps what lets a transfer go on after the process that began it has
// ended. It belongs to one transfer.
type Journal interface {
	// Put notes a value, which is nothing secret; Flush makes what was put durable
	// before it returns.
	Put(key string, v any) error
	Flush(ctx context.Context) error
	// Load reads the newest value of a key, flushed or not. It reports false if
	// there is none.
	Load(key string, v any) (bool, error)
	// KeepPrivate keeps addresses and secrets, durable when it returns, where only
	// the user can read them. LoadPrivate reads what was kept last.
	KeepPrivate(v any) error
	LoadPrivate(v any) (bool, error)
}

// JournalError is a failure of the journal: what happened in the transfer may
// not be on record.
type JournalError struct{ Err error }

// Error returns the error of the journal.
func (e *JournalError) Error() string { return fmt.Sprintf("journal of the transfer: %v", e.Err) }

// Unwrap returns the error of the journal.
func (e *JournalError) Unwrap() error { return e.Err }

func journalError(err error) error {
	if err == nil {
		return nil
	}
	return &JournalError{err}
}

// keep makes a value durable.
func keep(ctx context.Context, j Journal, key string, v any) error {
	if err := j.Put(key, v); err != nil {
		return journalError(err)
	}
	return journalError(j.Flush(ctx))
}

// memory is a journal that ends with the process.
type memory struct {
	mu      sync.Mutex
	values  map[string][]byte
	private []byte
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func (m *memory) Put(key string, v any) error {
	text, err := json.Marshal(v)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = text
	return err
}

func (m *memory) Flush(context.Context) error { return nil }

func (m *memory) Load(key string, v any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.values[key]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(text, v)
}

func (m *memory) KeepPrivate(v any) (err error) {
	m.private, err = json.Marshal(v)
	return err
}

func (m *memory) LoadPrivate(v any) (bool, error) {
	if m.private == nil {
		return false, nil
	}
	return true, json.Unmarshal(m.private, v)
}
