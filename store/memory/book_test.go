package memory_test

import (
	"testing"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

func TestBook(t *testing.T) {
	t.Parallel()
	storetest.Books(t, func(*testing.T) func() (workflow.Book, error) {
		shelf := memory.NewShelf()
		return func() (workflow.Book, error) { return opened(shelf.Open()) }
	})
}

// opened keeps a nil book from becoming an interface that is not nil.
func opened(b *memory.Book, err error) (workflow.Book, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}
