package steps

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A call is a datatransfer.Journal: what a transfer notes are checkpoints of the
// attempt, and its addresses are in a file that only the user can read.

// KeepPrivate implements datatransfer.Journal.
func (c *call) KeepPrivate(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	name, err := c.PrivatePath("json")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// LoadPrivate implements datatransfer.Journal.
func (c *call) LoadPrivate(v any) (bool, error) {
	name, err := c.PrivatePath("json")
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(text, v)
}
