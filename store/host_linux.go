package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// bootID names this boot of this host; "" if it has no such name.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// FileSystem names the kind of file system a directory is on, and says whether
// other hosts may use it too. The name of an unknown one is its number.
func FileSystem(dir string) (name string, network bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "an unknown file system", false
	}
	number := uint32(st.Type)
	if name, ok := networkFileSystems[number]; ok {
		return name, true
	}
	if name, ok := localFileSystems[number]; ok {
		return name, false
	}
	return fmt.Sprintf("file system 0x%x", number), false
}

// The numbers are those of statfs(2) and of the file systems' own sources.
var (
	networkFileSystems = map[uint32]string{
		0x6969: "nfs", 0x517b: "smb", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x0bd00bd0: "lustre",
		0x47504653: "gpfs", 0x65735546: "fuse", 0x00c36400: "ceph", 0x19830326: "beegfs",
		0x5346414f: "afs", 0x01021997: "9p", 0xaad7aaea: "panfs", 0x20030528: "orangefs",
		0x01161970: "gfs2", 0x7461636f: "ocfs2",
	}
	localFileSystems = map[uint32]string{
		0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs", 0x794c7630: "overlay",
		0x01021994: "tmpfs", 0x858458f6: "ramfs", 0xf2f52010: "f2fs",
	}
)
