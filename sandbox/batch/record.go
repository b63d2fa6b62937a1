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
	Held    bool          `json:"held,omitempty"` // --hold: stays pending until it is cancelled
	Begin   time.Time     `json:"begin,omitzero"` // stays pending until then
	Depends *dependencies `json:"depends,omitempty"`
	// KillOnInvalid cancels the job once its dependencies cannot be met.
	KillOnInvalid bool      `json:"kill_on_invalid,omitempty"`
	Requeue       bool      `json:"requeue,omitempty"`
	Requeued      time.Time `json:"requeued,omitzero"` // when it last was
	Warning       warning   `json:"warning,omitzero"`
	Stop          stop      `json:"stop,omitzero"`

	// What is only of interest until the job is accepted.
	timeGiven bool       // the submission says something about the time limit
	array     *arraySpec // of which rec is the model
	join      bool       // stderr goes where stdout goes
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
	Cause State     `json:"cause"` // the state it ends in
	At    time.Time `json:"at"`
}

// stored is the form of a record on disk. A script need not be UTF-8, as
// strings in JSON must.
type stored struct {
	*record
	Script []byte `json:"script,omitempty"`
}

// newRecord applies the directives of the script and refuses what sbatch or
// qsub itself would refuse, without asking the controller.
func newRecord(spec Spec, pbs bool, now time.Time) (*record, error) {
	rec := &record{Job: Job{State: Pending, Reason: "None", Nodes: 1}}
	read, name := applyDirectives, "sbatch"
	if pbs {
		read, name = applyPBSDirectives, "STDIN"
	} else if err := checkScript(spec.Script); err != nil {
		return nil, err
	}
	if err := read(rec, spec, now); err != nil {
		return nil, err
	}
	if rec.Spec.Name == "" {
		rec.Spec.Name = name
	}
	if rec.Spec.Env == nil {
		rec.Spec.Env = map[string]string{"F7T_version": "v2.0.0"}
	} else {
		rec.Spec.Env = maps.Clone(rec.Spec.Env)
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

// runDir is the folder of one run of a job: a requeued one gets a new one.
func (d disk) runDir(job Job) string {
	name := job.ID
	if job.Restarts > 0 {
		name += "." + strconv.Itoa(job.Restarts)
	}
	return filepath.Join(d.dir, name)
}

// save writes a record so that after a crash at any moment the file holds the
// old record or the new one.
func (d disk) save(rec *record) error { return d.saveAll([]*record{rec}) }

// saveAll is save for the parts of a new array. The one that bears the array's
// id is written last: without it load takes the others for never accepted.
func (d disk) saveAll(records []*record) error {
	for _, rec := range records {
		if err := d.write(rec); err != nil {
			return err
		}
	}
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (d disk) write(rec *record) error {
	s := stored{record: rec}
	if !rec.isFollower() {
		s.Script = []byte(rec.Spec.Script)
	}
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, rec.ID+".json")
	if err := writeSynced(path+".tmp", data); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// isFollower says whether rec is a part of an array whose script is kept by
// another part.
func (r *record) isFollower() bool { return r.Array != nil && r.Array.Job != r.ID }

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
	return d.withArrays(records)
}

// withArrays gives the parts of arrays their script, and removes the parts of an
// array that was not accepted as a whole.
func (d disk) withArrays(records []*record) ([]*record, error) {
	scripts := map[string]string{}
	for _, rec := range records {
		if rec.Array != nil && !rec.isFollower() {
			scripts[rec.ID] = rec.Spec.Script
		}
	}
	var accepted []*record
	for _, rec := range records {
		if rec.isFollower() {
			script, known := scripts[rec.Array.Job]
			if !known {
				if err := os.Remove(filepath.Join(d.dir, rec.ID+".json")); err != nil {
					return nil, fmt.Errorf("batch table: %w", err)
				}
				continue
			}
			rec.Spec.Script = script
		}
		accepted = append(accepted, rec)
	}
	return accepted, nil
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
