package sandbox

import (
	"slices"
	"strconv"
)

// user is one person of the imitated site who can log in. The operating
// system's own users play no part, so the sandbox is the same whoever runs it.
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

// userTable holds everybody who can log in, the default user first.
type userTable []user

// users are those of the people of the site who have an SSH key.
func (st *site) users() userTable {
	var table userTable
	for _, p := range st.people() {
		if p.SSHKey != nil && !*p.SSHKey {
			continue
		}
		u := user{name: p.Name, uid: p.UID, accounts: p.Accounts}
		for _, g := range p.Groups {
			u.groups = append(u.groups, group{g.Name, g.GID})
		}
		table = append(table, u)
	}
	return table
}

// superuser owns what no user made: the tops of the file systems.
var superuser = user{name: "root", groups: []group{{"root", 0}}}

// accountsOf are the accounts a user may charge on the system; nil stands for
// any.
func (sys *SystemConfig) accountsOf(u user) []string {
	switch {
	case len(u.accounts) == 0 && len(sys.Accounts) == 0:
		return nil
	case len(u.accounts) == 0:
		return sys.Accounts
	case len(sys.Accounts) == 0:
		return u.accounts
	}
	return slices.DeleteFunc(slices.Clone(u.accounts), func(name string) bool { return !slices.Contains(sys.Accounts, name) })
}

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
	return slices.ContainsFunc(u.groups, func(g group) bool { return g.gid == gid })
}
