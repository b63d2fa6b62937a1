package batch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// disk keeps one file per job, <id>.json, and beside it the folder <id> that
// belongs to the runner. The parts of an array are together in <id>.array, for a
// thousand files take seconds to write, and a part gets a file of its own when it
// is written alone. Files are never deleted, so the highest one says which ids
// were given out.
type disk struct {
	dir  string
	sync bool // what is written is on disk when it is said to be
}

// stored is the form of a record on disk. A script need not be UTF-8, as
// strings in JSON must.
type stored struct {
	*record
	Script []byte `json:"script,omitempty"` // of a part, it is with the array
}

// storedArray is the form of an array on disk.
type storedArray struct {
	Script []byte    `json:"script"`
	Parts  []*record `json:"parts"`
}

// runDir is the folder of one run of a job: a requeued one gets a new one.
func (d disk) runDir(job Job) string {
	name := job.ID
	if job.Restarts > 0 {
		name += "." + strconv.Itoa(job.Restarts)
	}
	return filepath.Join(d.dir, name)
}

// save writes a record so that after a crash at any moment the disk holds the
// old one or the new one.
func (d disk) save(rec *record) error {
	s := stored{record: rec}
	if rec.Array == nil {
		s.Script = []byte(rec.Spec.Script)
	}
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return d.write(rec.ID+".json", data)
}

// saveArray is save for all parts of an array.
func (d disk) saveArray(parts []*record) error {
	data, err := json.Marshal(storedArray{[]byte(parts[0].Spec.Script), parts})
	if err != nil {
		return err
	}
	return d.write(parts[0].Array.Job+".array", data)
}

func (d disk) write(name string, data []byte) error {
	path := filepath.Join(d.dir, name)
	if err := d.writeFile(path+".tmp", data); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil || !d.sync {
		return err
	}
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (d disk) writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil && d.sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// load reads all records, by ascending id. What a crash left of a file that was
// being written is removed.
func (d disk) load() ([]*record, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("batch table: %w", err)
	}
	found := loaded{jobs: map[string]*record{}, scripts: map[string]string{}}
	for _, e := range entries {
		path := filepath.Join(d.dir, e.Name())
		id, kind, _ := strings.Cut(e.Name(), ".")
		switch kind {
		case "json":
			err = found.readJob(path, id)
		case "array":
			err = found.readArray(path, id)
		case "json.tmp", "array.tmp":
			err = os.Remove(path)
		}
		if err != nil {
			return nil, fmt.Errorf("batch table: read %q: %w", path, err)
		}
	}
	for id, rec := range found.jobs {
		if rec.Array == nil {
			continue
		}
		script, known := found.scripts[rec.Array.Job]
		if !known {
			return nil, fmt.Errorf("batch table: job %s is a part of array %s, whose file is gone", id, rec.Array.Job)
		}
		rec.Spec.Script = script
	}
	return slices.SortedFunc(maps.Values(found.jobs), func(a, b *record) int { return cmp.Compare(a.number(), b.number()) }), nil
}

// loaded is what load has read so far.
type loaded struct {
	jobs    map[string]*record
	scripts map[string]string // of arrays
}

func (l loaded) readJob(path, id string) error {
	s := stored{record: new(record)}
	if err := readJSON(path, &s); err != nil {
		return err
	}
	if s.ID != id {
		return fmt.Errorf("holds job %q", s.ID)
	}
	s.Spec.Script = string(s.Script)
	return l.add(s.record)
}

func (l loaded) readArray(path, id string) error {
	var a storedArray
	if err := readJSON(path, &a); err != nil {
		return err
	}
	l.scripts[id] = string(a.Script)
	for _, rec := range a.Parts {
		if rec.Array == nil || rec.Array.Job != id {
			return fmt.Errorf("holds job %q", rec.ID)
		}
		if err := l.add(rec); err != nil {
			return err
		}
	}
	return nil
}

// add keeps the newest record of each job.
func (l loaded) add(rec *record) error {
	if _, err := strconv.ParseUint(rec.ID, 10, 64); err != nil {
		return fmt.Errorf("holds job %q", rec.ID)
	}
	if old := l.jobs[rec.ID]; old == nil || old.Write < rec.Write {
		l.jobs[rec.ID] = rec
	}
	return nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
