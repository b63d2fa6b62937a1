package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fcflow/fcflow/firecrest/datatransfer"
)

// placing moves unpacked files to the directory that they belong in, below one
// root. Directories are merged, files and links replaced one by one.
type placing struct {
	root     *os.Root
	from, to string
	files    []unpackedFile
}

// placingKey is the checkpoint that says that files move to their place: what lies
// there from then on is the attempt's own. It holds whether the same was there
// before.
const placingKey = "placing"

// mayPlace judges what is in the way, once, and reports whether all of it is there
// already.
func (c *call) mayPlace(ctx context.Context, onExists string, p placing) (same bool, err error) {
	placing, err := c.Load(placingKey, &same)
	if err != nil {
		return false, &datatransfer.JournalError{Err: err}
	}
	if placing {
		return same, nil
	}
	began, err := c.beganEarlier()
	if err != nil {
		return false, err
	}
	if onExists != replace && !began {
		if same, err = p.conflicts(onExists); err != nil {
			return false, err
		}
	}
	if err := c.keep(ctx, placingKey, same); err != nil {
		return false, &datatransfer.JournalError{Err: err}
	}
	return same, nil
}

// conflicts looks at what is there already. It reports whether all of it will do,
// and refuses what is not known to be the same.
func (p *placing) conflicts(onExists string) (same bool, err error) {
	there, all := 0, 0
	for _, f := range p.files {
		if f.info.IsDir() {
			continue
		}
		all++
		at := filepath.Join(p.to, f.name)
		old, err := p.root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return false, localError(err)
		case onExists == failExists:
			return false, refuse("%s exists", filepath.Join(p.root.Name(), at))
		}
		if equal, err := p.equal(f, at, old); err != nil {
			return false, localError(err)
		} else if !equal {
			return false, refuse("%s exists and is not the same; set on_exists: replace to overwrite it", filepath.Join(p.root.Name(), at))
		}
		there++
	}
	return there == all && all > 0, nil
}

// equal reports whether a file that is there is the one that came.
func (p *placing) equal(f unpackedFile, at string, old fs.FileInfo) (bool, error) {
	if f.info.Mode()&old.Mode()&fs.ModeSymlink != 0 {
		came, err := p.root.Readlink(filepath.Join(p.from, f.name))
		there, oldErr := p.root.Readlink(at)
		return came == there, errors.Join(err, oldErr)
	}
	if !old.Mode().IsRegular() || !f.info.Mode().IsRegular() || old.Size() != f.info.Size() {
		return false, nil
	}
	var digests [2]string
	for i, name := range []string{at, filepath.Join(p.from, f.name)} {
		file, err := p.root.Open(name)
		if err != nil {
			return false, err
		}
		digests[i], err = digestOf(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return false, err
		}
	}
	return digests[0] == digests[1], nil
}

// place moves everything, durably.
func (p *placing) place() error {
	parent := filepath.Dir(p.to)
	if err := p.root.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if _, err := p.root.Lstat(p.to); errors.Is(err, fs.ErrNotExist) && p.whole() {
		if err := p.syncDirs(p.from); err != nil {
			return err
		}
		return errors.Join(p.root.Rename(p.from, p.to), syncDir(p.root, parent))
	}
	for _, f := range p.files {
		if err := p.move(f); err != nil {
			return err
		}
	}
	return errors.Join(p.syncDirs(p.to), syncDir(p.root, parent))
}

// syncDirs makes the names in the directories durable, where they are now.
func (p *placing) syncDirs(base string) error {
	for _, f := range p.files {
		if f.info.IsDir() {
			if err := syncDir(p.root, filepath.Join(base, f.name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole reports whether the directory that came holds nothing but the files.
func (p *placing) whole() bool {
	all, err := unpacked(p.root, p.from)
	return err == nil && len(all) == len(p.files)
}

func (p *placing) move(f unpackedFile) error {
	at := filepath.Join(p.to, f.name)
	if f.info.IsDir() {
		return p.root.MkdirAll(at, 0o755)
	}
	if err := p.root.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return p.root.Rename(filepath.Join(p.from, f.name), at)
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
