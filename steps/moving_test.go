package steps

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
)

// journal is one that was written before.
type journal struct {
	datatransfer.Journal
	kept map[string]any
}

func (j journal) Load(key string, v any) (bool, error) {
	kept, ok := j.kept[key]
	if !ok {
		return false, nil
	}
	text, err := json.Marshal(kept)
	return true, errors.Join(err, json.Unmarshal(text, v))
}

// TestLiveJobs: of several attempts there may be several jobs, none of which hides
// another.
func TestLiveJobs(t *testing.T) {
	t.Parallel()
	job := func(id string) *firecrest.TransferJob { return &firecrest.TransferJob{ID: firecrest.JobID(id)} }
	m := moving{transferJob: func(datatransfer.Journal) (*firecrest.TransferJob, error) { return job("4"), nil }}
	jobs, err := m.liveJobs(journal{kept: map[string]any{
		digestKey: digestState{jobFormState: jobFormState{Job: job("1")}},
		unpackKey: jobFormState{Job: job("2")},
		packKey:   jobFormState{Job: job("3"), Done: true},
	}})
	if diff := cmp.Diff([]firecrest.TransferJob{*job("1"), *job("2"), *job("4")}, jobs); err != nil || diff != "" {
		t.Errorf("%v, -want +got\n%s", err, diff)
	}
}
