package subject

import (
	"context"
	"strings"

	"github.com/fcflow/fcflow/internal/simulation"
	"github.com/fcflow/fcflow/workflow"
)

// store lets the host say whether something becomes durable.
type store struct {
	workflow.Store
	host  *simulation.Host
	nonce string
}

// Create implements workflow.Store.
func (s store) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	var h workflow.History
	err := s.host.Commit(s.words(first), func() (err error) {
		h, err = s.Store.Create(ctx, id, frozen, first, blobs)
		return err
	})
	if err != nil {
		if h != nil {
			_ = h.Close() // the lock of a process that died
		}
		return nil, err
	}
	return history{h, s}, nil
}

// Open implements workflow.Store.
func (s store) Open(ctx context.Context, id workflow.RunID) (workflow.History, error) {
	h, err := s.Store.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return history{h, s}, nil
}

type history struct {
	workflow.History
	store store
}

// Append implements workflow.History.
func (h history) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	return h.store.host.Commit(h.store.words(events), func() error { return h.History.Append(ctx, after, events, blobs...) })
}

// words name the events of a commit.
func (s store) words(events []workflow.Event) string {
	var b strings.Builder
	for i, e := range events {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(e.Data.Kind()))
		if _, sending := e.Data.(*workflow.SubmissionSending); sending {
			b.WriteString("=" + workflow.Token(s.nonce, workflow.UnitRef{Step: e.Step, Instance: e.Instance}, e.Attempt))
		}
	}
	return b.String()
}
