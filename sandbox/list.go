package sandbox

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// file is one entry of a listing, as `ls -l` shows it.
type file struct {
	Name         string  `json:"name"`
	Type         string  `json:"type"`
	LinkTarget   *string `json:"linkTarget"`
	User         string  `json:"user"`
	Group        string  `json:"group"`
	Permissions  string  `json:"permissions"`
	LastModified string  `json:"lastModified"` // cluster-local, no zone
	Size         string  `json:"size"`
}

// describe renders what is at p under the given name.
func (x session) describe(p place, name string, numeric bool) (file, error) {
	owner, group := x.ownership(p)
	f := file{
		Name:         shownName(name),
		Type:         typeLetter(p.info.Mode()),
		User:         owner.name,
		Group:        group.name,
		Permissions:  permissions(p.info.Mode()),
		LastModified: p.info.ModTime().Format("2006-01-02T15:04:05"),
		Size:         strconv.FormatInt(p.info.Size(), 10),
	}
	if numeric {
		f.User, f.Group = strconv.Itoa(owner.uid), strconv.Itoa(group.gid)
	}
	if f.Type == "l" {
		target, err := p.dir.Readlink(p.rel)
		if err != nil {
			return file{}, err
		}
		target = shownName(target)
		f.LinkTarget = &target
	}
	return f, nil
}

// describePath is the reply of operations on a single object.
func (x session) describePath(name string) (file, error) {
	p, err := x.existing(name, false)
	if err != nil {
		return file{}, commandError(err, 2, "ls: cannot access '%s': %s", name)
	}
	return x.describe(p, name, false)
}

func (s *Server) getLs(c *call) (reply, error) {
	q := c.query()
	l := listing{
		hidden: q.boolean("showHidden"), recursive: q.boolean("recursive"),
		numeric: q.boolean("numericUid"), dereference: q.boolean("dereference"),
		limit: s.cfg.MaxOpsFileSize, files: []file{},
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c)
	if err != nil {
		return reply{}, err
	}
	defer done()
	l.session = x
	if err := l.run(c.path); err != nil {
		return reply{}, err
	}
	return jsonReply(200, output{l.files}), nil
}

// listing is one run of ls.
type listing struct {
	session
	hidden, recursive, numeric, dereference bool

	limit   int64 // bytes the command may print
	printed int64
	files   []file
}

func (l *listing) run(name string) error {
	p, err := l.existing(name, l.dereference)
	if err != nil {
		return commandError(err, 2, "ls: cannot access '%s': %s", name)
	}
	if !p.info.IsDir() {
		return l.add(p, name)
	}
	return l.directory(p, name, "", 2)
}

// directory lists p: its own entries first, then those of its directories, as
// ls -R does. within is the path of p below the listed directory.
func (l *listing) directory(p place, name, within string, rc int) error {
	if err := l.expired(); err != nil {
		return err
	}
	names, err := l.entries(p)
	if err != nil {
		return commandError(err, rc, "ls: cannot open directory '%s': %s", name)
	}
	var below []string
	for _, entry := range names {
		if strings.HasPrefix(entry, ".") && !l.hidden {
			continue
		}
		child, err := l.existing(path.Join(p.absolute(), entry), l.dereference)
		if err != nil {
			return commandError(err, 1, "ls: cannot access '%s': %s", path.Join(name, entry))
		}
		if err := l.add(child, path.Join(within, entry)); err != nil {
			return err
		}
		if child.info.IsDir() {
			below = append(below, entry)
		}
	}
	for _, entry := range below {
		if !l.recursive {
			break
		}
		child, err := l.existing(path.Join(p.absolute(), entry), l.dereference)
		if err != nil {
			return commandError(err, 1, "ls: cannot access '%s': %s", path.Join(name, entry))
		}
		if err := l.directory(child, path.Join(name, entry), path.Join(within, entry), 1); err != nil {
			return err
		}
	}
	return nil
}

// add appends an entry, unless the command would by now have printed more than
// the server accepts. Device nodes do not show.
func (l *listing) add(p place, name string) error {
	if p.info.Mode()&fs.ModeDevice != 0 {
		return nil
	}
	f, err := l.describe(p, name, l.numeric)
	if err != nil {
		return commandError(err, 1, "ls: cannot access '%s': %s", name)
	}
	l.printed += int64(len(`-rwxrwxrwx 1 ""  2006-01-02T15:04:05   `)+len(f.User)+len(f.Group)+len(f.Size)+len(f.Name)) + 1
	if f.LinkTarget != nil {
		l.printed += int64(len(` -> ""`) + len(*f.LinkTarget))
	}
	if l.printed >= l.limit {
		return errTooMuchOutput
	}
	l.files = append(l.files, f)
	return nil
}

// entries are the names in a directory, in byte order.
func (x session) entries(p place) ([]string, error) {
	dir, err := x.open(p)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func typeLetter(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "d"
	case mode&fs.ModeSymlink != 0:
		return "l"
	case mode&fs.ModeNamedPipe != 0:
		return "p"
	case mode&fs.ModeSocket != 0:
		return "s"
	}
	return "-"
}

// permissions is the nine letters of ls.
func permissions(mode fs.FileMode) string {
	letters := []byte("rwxrwxrwx")
	for i := range letters {
		if mode&(1<<(8-i)) == 0 {
			letters[i] = '-'
		}
	}
	for _, special := range []struct {
		bit    fs.FileMode
		at     int
		letter byte
	}{{fs.ModeSetuid, 2, 's'}, {fs.ModeSetgid, 5, 's'}, {fs.ModeSticky, 8, 't'}} {
		switch {
		case mode&special.bit == 0:
		case letters[special.at] == 'x':
			letters[special.at] = special.letter
		default:
			letters[special.at] = special.letter - 'a' + 'A'
		}
	}
	return string(letters)
}

// shownName is a name as it comes out of the quoting of ls and the partial
// unquoting of the server: control characters and bytes that are no text stay
// escaped.
func shownName(name string) string {
	clean := true
	for i := range len(name) {
		clean = clean && name[i] >= ' ' && name[i] < 0x7f
	}
	if clean {
		return name
	}
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		switch escape := strings.IndexByte("\a\b\t\n\v\f\r", name[0]); {
		case escape >= 0:
			b.WriteString(`\` + "abtnvfr"[escape:escape+1])
		case r < ' ', r == 0x7f, r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\%03o`, name[0])
		default:
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

// statOutput is what stat prints, times in epoch seconds.
type statOutput struct {
	Mode  uint32 `json:"mode"`
	Ino   uint64 `json:"ino"`
	Dev   uint64 `json:"dev"`
	Nlink uint64 `json:"nlink"`
	UID   int    `json:"uid"`
	GID   int    `json:"gid"`
	Size  int64  `json:"size"`
	Atime int64  `json:"atime"`
	Ctime int64  `json:"ctime"`
	Mtime int64  `json:"mtime"`
}

func (s *Server) getStat(c *call) (reply, error) {
	q := c.query()
	dereference := q.boolean("dereference")
	if err := q.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c)
	if err != nil {
		return reply{}, err
	}
	defer done()
	p, err := x.existing(c.path, dereference)
	if err != nil {
		return reply{}, commandError(err, 1, "stat: cannot statx '%s': %s", c.path)
	}
	out := inode(p.info)
	owner, group := x.ownership(p)
	out.UID, out.GID = owner.uid, group.gid
	return jsonReply(200, output{out}), nil
}
