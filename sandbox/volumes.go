package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// volumes are the file systems of the site, the same on every system.
type volumes struct {
	list   []*volume
	users  userTable
	groups *groupTable
}

// volume is one file system. Every access goes through dir, which cannot be
// made to leave its directory, not even by links swapped in mid-way.
type volume struct {
	path           string // absolute, the same for requests and job scripts
	dataType       string
	defaultWorkDir bool
	dir            *os.Root
}

func openVolumes(root string, users userTable) (*volumes, error) {
	groups, err := openGroups(filepath.Join(root, "groups.json"))
	if err != nil {
		return nil, err
	}
	vs := &volumes{users: users, groups: groups}
	for _, v := range []*volume{
		{path: filepath.Join(root, "home"), dataType: "users", defaultWorkDir: true},
		{path: filepath.Join(root, "scratch"), dataType: "scratch"},
	} {
		for _, u := range users {
			if err := os.MkdirAll(filepath.Join(v.path, u.name), 0o755); err != nil {
				return nil, errors.Join(fmt.Errorf("sandbox: %w", err), vs.close())
			}
		}
		dir, err := os.OpenRoot(v.path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sandbox: %w", err), vs.close())
		}
		v.dir = dir
		vs.list = append(vs.list, v)
	}
	return vs, nil
}

func (vs *volumes) close() error {
	var errs []error
	for _, v := range vs.list {
		errs = append(errs, v.dir.Close())
	}
	return errors.Join(errs...)
}

// paths are where the volumes are.
func (vs *volumes) paths() []string {
	var paths []string
	for _, v := range vs.list {
		paths = append(paths, v.path)
	}
	return paths
}

// home is where a user's shell starts.
func (vs *volumes) home(name string) string { return path.Join(vs.list[0].path, name) }

// containing returns the volume at or above an absolute clean path.
func (vs *volumes) containing(p string) *volume {
	for _, v := range vs.list {
		if within(p, v.path) {
			return v
		}
	}
	return nil
}

// leadsToVolume says whether a clean path is an ancestor of some volume.
func (vs *volumes) leadsToVolume(p string) bool {
	return slices.ContainsFunc(vs.list, func(v *volume) bool { return within(v.path, p) })
}

// owner of a file: below a user's own directory that user, at the top of a
// volume root, anywhere else the default user.
func (vs *volumes) owner(rel string) user {
	if rel == "." {
		return superuser
	}
	top, _, _ := strings.Cut(rel, "/")
	if u, known := vs.users.find(top); known {
		return u
	}
	return vs.users.first()
}

// within says whether a clean absolute path is dir or below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
