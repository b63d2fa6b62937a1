package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// TestViewBlobs: stored values of a run that nobody owns can be read, those of
// another's run cannot.
func TestViewBlobs(t *testing.T) {
	t.Parallel()
	s, id := open(t, t.TempDir(), store.Options{}), storetest.ID(1)
	script := workflow.NewBlob([]byte("#!/bin/sh\n"))
	first := workflow.Event{Seq: 1, At: time.Now().UTC(), Epoch: 1, Data: &workflow.RunCreated{ID: id}}
	h, err := s.Create(t.Context(), id, []byte("name: test\n"), []workflow.Event{first}, []workflow.Blob{script})
	if err != nil {
		t.Fatal(err)
	}
	read := func() (text string, err error) {
		err = s.ViewBlobs(t.Context(), id, func(get workflow.BlobReader) error {
			b, err := get(script.Digest)
			text = string(b)
			return err
		})
		return text, err
	}
	if text, err := read(); !errors.Is(err, workflow.ErrOwned) || text != "" {
		t.Errorf("owned: %q, %v", text, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := read(); err != nil || text != "#!/bin/sh\n" {
		t.Errorf("%q, %v", text, err)
	}
	err = s.ViewBlobs(t.Context(), id, func(get workflow.BlobReader) error {
		_, err := get(workflow.NewBlob(nil).Digest)
		return err
	})
	if !errors.Is(err, workflow.ErrNotFound) {
		t.Errorf("a value that is not there: %v", err)
	}
}
