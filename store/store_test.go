package store_test

import (
	"testing"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) func() workflow.Store {
		dir := t.TempDir()
		return func() workflow.Store {
			s, err := store.Open(dir, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}
