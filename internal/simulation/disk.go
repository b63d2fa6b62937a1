package simulation

import (
	"path"
	"slices"
	"strings"
	"time"
)

// disk is the remote file system: what is at each clean absolute path.
type disk map[string]*node

type nodeKind byte

const (
	isDir  nodeKind = 'd'
	isLink nodeKind = 'l'
	isFile nodeKind = '-'
)

type node struct {
	kind    nodeKind
	target  string // of a link
	content []byte
	mode    uint32
	changed time.Time
	shows   time.Time // listings do not have it before
}

func newDisk() disk {
	d := disk{}
	d["/"] = &node{kind: isDir, mode: 0o755}
	d.mkdirAll(home + "/" + user)
	return d
}

// Words of the commands for what can be wrong.
const (
	noSuchFile = "No such file or directory"
	fileExists = "File exists"
	isADir     = "Is a directory"
	notADir    = "Not a directory"
)

// add makes something where nothing is yet. It returns "" or what is wrong.
func (d disk) add(at string, n *node) string {
	at = path.Clean(at)
	parent := d[path.Dir(at)]
	switch {
	case d[at] != nil:
		return fileExists
	case parent == nil:
		return noSuchFile
	case parent.kind != isDir:
		return notADir
	}
	n.changed = time.Now()
	d[at] = n
	return ""
}

func (d disk) mkdirAll(at string) string {
	at = path.Clean(at)
	if n := d[at]; n != nil {
		if n.kind == isDir {
			return ""
		}
		return fileExists
	}
	if trouble := d.mkdirAll(path.Dir(at)); trouble != "" {
		return trouble
	}
	return d.add(at, &node{kind: isDir, mode: 0o755})
}

// link makes a symbolic link where nothing is: of several who try, one succeeds.
func (d disk) link(at, target string) string {
	return d.add(at, &node{kind: isLink, target: target, mode: 0o777})
}

// write puts a file there, in place of one that is there.
func (d disk) write(at string, content []byte) string {
	if n := d[path.Clean(at)]; n != nil && n.kind == isFile {
		n.content, n.changed = content, time.Now()
		return ""
	}
	return d.add(at, &node{kind: isFile, content: content, mode: 0o644})
}

// follow finds what a path stands for, through a link at its end.
func (d disk) follow(at string) *node {
	for range 8 {
		n := d[path.Clean(at)]
		if n == nil || n.kind != isLink {
			return n
		}
		if at = n.target; !path.IsAbs(at) {
			at = path.Join(path.Dir(at), n.target)
		}
	}
	return nil
}

// readlink is the text of a link, "" if there is none.
func (d disk) readlink(at string) string {
	if n := d[path.Clean(at)]; n != nil && n.kind == isLink {
		return n.target
	}
	return ""
}

// names lists what is in a directory, in byte order.
func (d disk) names(dir string) []string {
	dir = path.Clean(dir)
	var names []string
	for at := range d {
		if at != dir && path.Dir(at) == dir {
			names = append(names, path.Base(at))
		}
	}
	slices.Sort(names)
	return names
}

// remove takes a path away with all that is below it.
func (d disk) remove(at string) string {
	at = path.Clean(at)
	if d[at] == nil {
		return noSuchFile
	}
	for other := range d {
		if strings.HasPrefix(other, at+"/") {
			delete(d, other)
		}
	}
	delete(d, at)
	return ""
}
