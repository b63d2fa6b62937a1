package batch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// record is what the table keeps of a job: the row others see and what the
// watcher must not forget.
type record struct {
	Job
	Held    bool    `json:"held,omitempty"` // --hold: stays pending until it is cancelled
	Warning warning `json:"warning,omitzero"`
	Stop    stop    `json:"stop,omitzero"`
}

// warning is the signal of --signal, sent some time before the time limit.
type warning struct {
	Signal syscall.Signal `json:"signal"`
	Before time.Duration  `json:"before_ns"`
	Target Target         `json:"target"`
	Sent   bool           `json:"sent,omitempty"`
}

// stop says that a running job is being ended, why and since when.
type stop struct {
	Cause State     `json:"cause"` // Cancelled or Timeout
	At    time.Time `json:"at"`
}

// stored is the form of a record on disk. A script need not be UTF-8, as
// strings in JSON must.
type stored struct {
	*record
	Script []byte `json:"script"`
}

// newRecord applies the directives of the script, asks admit, and refuses what
// sbatch would refuse.
func newRecord(spec Spec, admit func(*Spec) error) (*record, error) {
	if err := checkScript(spec.Script); err != nil {
		return nil, err
	}
	rec := &record{Job: Job{State: Pending, Reason: "None", Nodes: 1}}
	if err := applyDirectives(rec, spec); err != nil {
		return nil, err
	}
	if rec.Spec.Name == "" {
		rec.Spec.Name = "sbatch"
	}
	if rec.Spec.Env == nil {
		rec.Spec.Env = map[string]string{"F7T_version": "v2.0.0"}
	} else {
		rec.Spec.Env = maps.Clone(rec.Spec.Env)
	}
	if admit != nil {
		if err := admit(&rec.Spec); err != nil {
			return nil, err
		}
	}
	if !filepath.IsAbs(rec.Spec.WorkingDir) {
		return nil, fmt.Errorf("working directory %q is not an absolute path", rec.Spec.WorkingDir)
	}
	for name, value := range rec.Spec.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, rejected("invalid environment variable %q", name)
		}
	}
	return rec, nil
}

func (r *record) number() uint64 {
	n, _ := strconv.ParseUint(r.ID, 10, 64) // checked by load, made by Submit
	return n
}

// disk keeps one file per job, <id>.json, and beside it the folder <id> that
// belongs to the runner. Files are never deleted, so the highest one says
// which ids were given out.
type disk struct{ dir string }

func (d disk) runDir(id string) string { return filepath.Join(d.dir, id) }

// save writes a record so that after a crash at any moment the file holds the
// old record or the new one.
func (d disk) save(rec *record) error {
	data, err := json.MarshalIndent(stored{rec, []byte(rec.Spec.Script)}, "", "\t")
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, rec.ID+".json")
	if err := writeSynced(path+".tmp", data); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// load reads all records, by ascending id. What a crash left of a record that
// was being written is removed.
func (d disk) load() ([]*record, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("batch table: %w", err)
	}
	var records []*record
	for _, e := range entries {
		path := filepath.Join(d.dir, e.Name())
		if strings.HasSuffix(path, ".tmp") {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("batch table: %w", err)
			}
		}
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		rec, err := readRecord(path, id)
		if err != nil {
			return nil, fmt.Errorf("batch table: read %q: %w", path, err)
		}
		records = append(records, rec)
	}
	slices.SortFunc(records, func(a, b *record) int { return cmp.Compare(a.number(), b.number()) })
	return records, nil
}

func readRecord(path, id string) (*record, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := stored{record: new(record)}
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if _, err := strconv.ParseUint(id, 10, 64); err != nil || s.ID != id {
		return nil, fmt.Errorf("holds job %q", s.ID)
	}
	s.Spec.Script = string(s.Script)
	return s.record, nil
}
