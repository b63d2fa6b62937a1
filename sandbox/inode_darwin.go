package sandbox

import (
	"io/fs"
	"syscall"
)

// inode is what the kernel knows of a file, owner and group left out.
func inode(info fs.FileInfo) statOutput {
	st := info.Sys().(*syscall.Stat_t)
	return statOutput{
		Mode: uint32(st.Mode), Ino: st.Ino, Dev: uint64(st.Dev), Nlink: uint64(st.Nlink), Size: st.Size,
		Atime: st.Atimespec.Sec, Ctime: st.Ctimespec.Sec, Mtime: st.Mtimespec.Sec,
	}
}
