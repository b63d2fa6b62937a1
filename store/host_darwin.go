package store

import (
	"slices"
	"syscall"
)

// bootID names this boot of this host; "" if it has no such name.
func bootID() string {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

// FileSystem names the kind of file system a directory is on, and says whether
// other hosts may use it too.
func FileSystem(dir string) (name string, network bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "an unknown file system", false
	}
	var text []byte
	for _, c := range st.Fstypename {
		if c == 0 {
			break
		}
		text = append(text, byte(c))
	}
	name = string(text)
	return name, slices.Contains([]string{"nfs", "smbfs", "afpfs", "webdav", "macfuse", "osxfuse"}, name)
}
