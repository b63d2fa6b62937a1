package sandbox

import (
	"errors"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

func (s *Server) putChmod(c *call) (reply, error) {
	body := c.object()
	mode := body.required("mode")
	if err := body.err(); err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c, mode)
	if err != nil {
		return reply{}, err
	}
	defer done()
	change, valid := parseMode(mode)
	if !valid {
		return reply{}, commandFailed(1, "chmod: invalid mode: '%s'\nTry 'chmod --help' for more information.", mode)
	}
	p, err := x.existing(c.path, true)
	if errors.Is(err, syscall.ENOENT) && x.isLink(c.path) {
		return reply{}, commandFailed(1, "chmod: cannot operate on dangling symlink '%s'", c.path)
	}
	if err != nil {
		return reply{}, commandError(err, 1, "chmod: cannot access '%s': %s", c.path)
	}
	owner, _ := x.ownership(p)
	err = syscall.EPERM
	if owner.uid == x.user.uid {
		err = p.dir.Chmod(p.rel, fileMode(change(modeBits(p.info.Mode()), p.info.IsDir())))
	}
	if err != nil {
		return reply{}, commandError(err, 1, "chmod: changing permissions of '%s': %s", c.path)
	}
	f, err := x.describePath(c.path)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(200, output{f}), nil
}

// isLink says whether a path is a link, wherever that leads.
func (x session) isLink(name string) bool {
	p, err := x.existing(name, false)
	return err == nil && p.info.Mode()&fs.ModeSymlink != 0
}

// The bits of a mode above the permissions.
const (
	setUID = 0o4000
	setGID = 0o2000
	sticky = 0o1000
)

func modeBits(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for flag, bit := range specialBits {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits) & fs.ModePerm
	for flag, bit := range specialBits {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

var specialBits = map[fs.FileMode]uint32{fs.ModeSetuid: setUID, fs.ModeSetgid: setGID, fs.ModeSticky: sticky}

// modeChange makes the new mode of a file or directory from its old one.
type modeChange func(bits uint32, dir bool) uint32

// parseMode reads the mode that chmod takes, octal or symbolic.
func parseMode(text string) (change modeChange, valid bool) {
	if octalMode.MatchString(text) {
		want, err := strconv.ParseUint(text, 8, 32)
		if err != nil || want > 0o7777 {
			return nil, false
		}
		return func(bits uint32, dir bool) uint32 {
			if dir && len(text) < 5 { // a directory keeps these unless they are spelt out
				return uint32(want) | bits&(setUID|setGID)
			}
			return uint32(want)
		}, true
	}
	var changes []modeChange
	for clause := range strings.SplitSeq(text, ",") {
		m := modeClause.FindStringSubmatch(clause)
		if m == nil {
			return nil, false
		}
		for _, action := range modeAction.FindAllString(m[2], -1) {
			changes = append(changes, symbolic(m[1], action[0], action[1:]))
		}
	}
	return func(bits uint32, dir bool) uint32 {
		for _, change := range changes {
			bits = change(bits, dir)
		}
		return bits
	}, true
}

var (
	octalMode  = regexp.MustCompile(`^[0-7]{1,12}$`)
	modeClause = regexp.MustCompile(`^([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)$`)
	modeAction = regexp.MustCompile(`[-+=](?:[ugo]|[rwxXst]*)`)
)

// umask is that of the imitated login shell. It limits what a clause without
// an owner changes.
const umask = 0o022

// symbolic is one action, such as +x, for the classes in who.
func symbolic(who string, op byte, letters string) modeChange {
	var affected uint32
	for _, class := range who {
		affected |= map[rune]uint32{'u': setUID | 0o700, 'g': setGID | 0o070, 'o': sticky | 0o007, 'a': 0o7777}[class]
	}
	return func(bits uint32, dir bool) uint32 {
		value := modeValue(letters, bits, dir)
		kept := uint32(0) // what a directory keeps of setuid and setgid
		if dir && !strings.Contains(letters, "s") {
			kept = setUID | setGID
		}
		preserved := kept
		if affected != 0 {
			value &= affected
			preserved |= ^affected
		} else {
			value &^= umask
		}
		value &^= kept
		switch op {
		case '+':
			return (bits | value) & 0o7777
		case '-':
			return bits &^ value
		}
		return (bits&preserved | value) & 0o7777
	}
}

// modeValue is what the letters of an action stand for, for all classes.
func modeValue(letters string, bits uint32, dir bool) uint32 {
	var value uint32
	for _, letter := range letters {
		switch letter {
		case 'r':
			value |= 0o444
		case 'w':
			value |= 0o222
		case 'x':
			value |= 0o111
		case 'X':
			if dir || bits&0o111 != 0 {
				value |= 0o111
			}
		case 's':
			value |= setUID | setGID
		case 't':
			value |= sticky
		case 'u':
			value |= bits >> 6 & 7 * 0o111
		case 'g':
			value |= bits >> 3 & 7 * 0o111
		case 'o':
			value |= bits & 7 * 0o111
		}
	}
	return value
}
