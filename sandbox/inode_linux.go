package sandbox

import (
	"io/fs"
	"syscall"
)

// inode is what the kernel knows of a file, owner and group left out.
func inode(info fs.FileInfo) statOutput {
	st := info.Sys().(*syscall.Stat_t)
	return statOutput{
		Mode: st.Mode, Ino: st.Ino, Dev: st.Dev, Nlink: uint64(st.Nlink), Size: st.Size,
		Atime: int64(st.Atim.Sec), Ctime: int64(st.Ctim.Sec), Mtime: int64(st.Mtim.Sec),
	}
}
