package workflow

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestManyFiles: what is known of many files is in events that can be stored, and is
// the same when they are folded; that of a few stays where the inputs are.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n      int
		path   string
		events int
	}{
		{0, "/x", 0},
		{40, "/scratch/project/meshes/coast", 0},
		{300, "/scratch/project/meshes/coast", 2},
		{4000, "/m", 0},
		{8, "/" + strings.Repeat("\x01", 4000), 8},
	} {
		facts := map[string]FileFacts{}
		for i := range test.n {
			facts[fmt.Sprintf("meshes[%d]", i)] = FileFacts{
				Path: fmt.Sprint(test.path, i), SizeBytes: 1 << 40, ModifiedAt: time.Unix(1e9, 123456789).UTC(), SHA256: NewBlob(nil).Digest,
			}
		}
		created := &RunCreated{ID: "01", Files: maps.Clone(facts)}
		rest := created.CutFiles()
		if test.events > 0 && len(rest) != test.events || test.n > 1000 && len(rest) < 2 || test.n < 50 && test.events == 0 && rest != nil {
			t.Errorf("%d files: %d events more", test.n, len(rest))
		}
		r := NewRun(&Workflow{})
		for i, p := range append([]Payload{created}, rest...) {
			e := &Event{Seq: int64(i + 1), Epoch: 1, Data: p}
			if text, err := e.MarshalJSON(); err != nil || len(text) > MaxEventBytes {
				t.Errorf("%d files: event %d takes %d bytes, %v", test.n, i+1, len(text), err)
			}
			if err := Apply(r, e); err != nil {
				t.Fatal(err)
			}
		}
		if !maps.Equal(r.Created.Files, facts) {
			t.Errorf("%d files: %d are known", test.n, len(r.Created.Files))
		}
	}
}
