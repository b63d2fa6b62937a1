package sandbox

import "strconv"

// user is one person of the imitated site. The operating system's own users
// play no part, so the sandbox is the same whoever runs it.
type user struct {
	name     string
	uid      int
	groups   []group // the first is the primary one
	accounts []string
}

type group struct {
	name string
	gid  int
}

// userTable holds everybody, the default user first.
type userTable []user

func defaultUsers() userTable {
	return userTable{{
		name:     "demo",
		uid:      1000,
		groups:   []group{{"users", 100}, {"proj", 200}},
		accounts: []string{"proj"},
	}}
}

// superuser owns what no user made: the tops of the file systems.
var superuser = user{name: "root", groups: []group{{"root", 0}}}

func (t userTable) first() user { return t[0] }

func (t userTable) find(name string) (user, bool) {
	for _, u := range t {
		if u.name == name {
			return u, true
		}
	}
	return user{}, false
}

// uid of a user as text, for the batch system.
func (t userTable) uid(name string) string {
	u, known := t.find(name)
	if !known {
		u = t.first()
	}
	return strconv.Itoa(u.uid)
}

func (u user) inGroup(gid int) bool {
	for _, g := range u.groups {
		if g.gid == gid {
			return true
		}
	}
	return false
}
