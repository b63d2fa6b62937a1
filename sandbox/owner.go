package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

func (s *Server) putChown(c *call) (reply, error) {
	body := c.object()
	owner, group := body.text("owner"), body.text("group")
	if err := body.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c, owner, group)
	if err != nil {
		return reply{}, err
	}
	defer done()
	uid, gid, err := x.parseOwner(owner, group)
	if err != nil {
		return reply{}, err
	}
	p, err := x.existing(c.path, true)
	if errors.Is(err, syscall.ENOENT) && x.isLink(c.path) {
		return reply{}, commandError(err, 1, "chown: cannot dereference '%s': %s", c.path)
	}
	if err != nil {
		return reply{}, commandError(err, 1, "chown: cannot access '%s': %s", c.path)
	}
	if err := x.chown(p, uid, gid); err != nil {
		changing := "ownership"
		if uid == unchanged {
			changing = "group"
		}
		return reply{}, commandError(err, 1, "chown: changing %s of '%s': %s", changing, c.path)
	}
	f, err := x.describePath(c.path)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(200, output{f}), nil
}

// unchanged stands for an owner or a group that is to stay.
const unchanged = -1

// parseOwner reads owner and group the way chown reads "owner:group": an owner
// without a group stands for the owner's login group as well.
func (x session) parseOwner(owner, group string) (uid, gid int, err error) {
	uid, gid = unchanged, unchanged
	spec := owner + ":" + group
	if owner != "" {
		u, known := x.someone(owner)
		switch {
		case !known && group == "":
			return 0, 0, commandFailed(1, "chown: invalid spec: '%s'", spec)
		case !known:
			return 0, 0, commandFailed(1, "chown: invalid user: '%s'", spec)
		}
		uid, gid = u.uid, u.groups[0].gid
	}
	if group != "" {
		g, known := x.someGroup(group)
		if !known {
			return 0, 0, commandFailed(1, "chown: invalid group: '%s'", spec)
		}
		gid = g
	}
	return uid, gid, nil
}

// someone is a user by name or number.
func (x session) someone(name string) (user, bool) {
	for _, u := range append(userTable{superuser}, x.users...) {
		if u.name == name || strconv.Itoa(u.uid) == name {
			return u, true
		}
	}
	return user{}, false
}

// someGroup is the number of a group by name or number.
func (x session) someGroup(name string) (gid int, known bool) {
	for _, u := range append(userTable{superuser}, x.users...) {
		for _, g := range u.groups {
			if g.name == name || strconv.Itoa(g.gid) == name {
				return g.gid, true
			}
		}
	}
	return 0, false
}

// chown is what the kernel lets a user do: give a file of his own to another
// of his groups.
func (x session) chown(p place, uid, gid int) error {
	owner, group := x.ownership(p)
	if uid == unchanged && gid == unchanged {
		return nil
	}
	if owner.uid != x.user.uid || uid != unchanged && uid != owner.uid {
		return syscall.EPERM
	}
	if gid == unchanged || gid == group.gid {
		return nil
	}
	if !x.user.inGroup(gid) {
		return syscall.EPERM
	}
	return x.groups.set(p, gid)
}

// ownership of a file. Below a user's own directory it is that user's, at the
// top of a volume root's, anywhere else the default user's; in the owner's
// first group, unless it was given to another.
func (vs *volumes) ownership(p place) (user, group) {
	owner := vs.owner(p.rel)
	if gid, given := vs.groups.of(p); given {
		for _, g := range owner.groups {
			if g.gid == gid {
				return owner, g
			}
		}
	}
	return owner, owner.groups[0]
}

// groupTable remembers the files that were given to another group. The
// operating system's groups are nobody's of the site, and are never asked.
type groupTable struct {
	file string

	mu    sync.Mutex
	given map[string]givenGroup // by absolute path
}

// givenGroup is the group of one file, which is told by its inode from another
// that took its name.
type givenGroup struct {
	Inode uint64 `json:"inode"`
	GID   int    `json:"gid"`
}

func openGroups(file string) (*groupTable, error) {
	t := &groupTable{file: file, given: map[string]givenGroup{}}
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := json.Unmarshal(data, &t.given); err != nil {
		return nil, fmt.Errorf("sandbox: read %s: %w", file, err)
	}
	return t, nil
}

func (t *groupTable) of(p place) (gid int, given bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, known := t.given[p.absolute()]
	return g.GID, known && g.Inode == inode(p.info).Ino
}

// set gives a file to a group, and forgets files that are gone.
func (t *groupTable) set(p place, gid int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(t.given)
	next[p.absolute()] = givenGroup{inode(p.info).Ino, gid}
	maps.DeleteFunc(next, func(path string, g givenGroup) bool {
		if !within(path, p.path) { // of another volume
			return false
		}
		info, err := p.dir.Lstat(strings.TrimPrefix(strings.TrimPrefix(path, p.path), "/"))
		return errors.Is(err, fs.ErrNotExist) || err == nil && inode(info).Ino != g.Inode
	})
	return t.save(next)
}

// moved follows a file or directory that was renamed.
func (t *groupTable) moved(from, to place) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]givenGroup{}
	changed := false
	for path, g := range t.given {
		if within(path, from.absolute()) {
			path, changed = to.absolute()+strings.TrimPrefix(path, from.absolute()), true
		}
		next[path] = g
	}
	if !changed {
		return nil
	}
	return t.save(next)
}

func (t *groupTable) save(given map[string]givenGroup) error {
	if err := writeJSON(t.file, given); err != nil {
		return err
	}
	t.given = given
	return nil
}

// passGroup gives a copy to the group of its original, if the user may.
func (x session) passGroup(from, to place) error {
	if gid, given := x.groups.of(from); given {
		return x.chown(to, unchanged, gid)
	}
	return nil
}
