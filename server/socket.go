package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// maxSocketPath is what the kernel takes: 107 bytes on Linux, 103 on macOS.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// Listen opens the socket of this process: a new name in
// $XDG_RUNTIME_DIR/fcflow, else in fcflow-<uid> of the directory for temporary
// files. Only processes of the same user are let in. Closing the listener
// removes the socket.
func Listen(getenv func(string) string) (net.Listener, error) {
	var random [6]byte
	rand.Read(random[:]) // never fails
	name := hex.EncodeToString(random[:]) + ".sock"
	var errs []error
	for _, dir := range socketDirs(getenv) {
		path := filepath.Join(dir, name)
		if len(path) > maxSocketPath {
			errs = append(errs, fmt.Errorf("%s is longer than a socket's path may be (%d bytes)", path, maxSocketPath))
			continue
		}
		if err := privateDir(dir, os.Geteuid()); err != nil {
			errs = append(errs, err)
			continue
		}
		removeStale(dir)
		l, err := net.Listen("unix", path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		return &ownListener{l, os.Geteuid()}, nil
	}
	return nil, fmt.Errorf("open a socket for other terminals: %w", errors.Join(errs...))
}

func socketDirs(getenv func(string) string) []string {
	mine := "fcflow-" + strconv.Itoa(os.Geteuid())
	var dirs []string
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "fcflow"))
	}
	if dir := getenv("TMPDIR"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, mine))
	}
	return append(dirs, filepath.Join("/tmp", mine))
}

// privateDir makes a directory that only we, who have an id, can enter. One that is
// there must be so already: in a directory for everybody, others may have made it.
func privateDir(dir string, me int) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch owner := info.Sys().(*syscall.Stat_t).Uid; {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case int(owner) != me:
		return fmt.Errorf("%s belongs to user %d", dir, owner)
	case info.Mode().Perm() != 0o700:
		return fmt.Errorf("%s has mode %04o, not 0700; run: chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// removeStale removes sockets that processes left behind when they were killed.
// Young ones are left alone: between its two system calls a living process is
// not to be told from a dead one.
func removeStale(dir string) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*.sock"))
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Type() != os.ModeSocket || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		conn, err := net.DialTimeout("unix", path, time.Second)
		switch {
		case err == nil:
			_ = conn.Close()
		case errors.Is(err, syscall.ECONNREFUSED):
			_ = os.Remove(path) // the next process will try again
		}
	}
}

// ownListener turns away connections of other users.
type ownListener struct {
	net.Listener
	me int // the id of our user
}

func (l *ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if checkPeer(conn, l.me) == nil {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// checkPeer makes sure that the process at the other end is ours.
func checkPeer(conn net.Conn, me int) error {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var uid int
	var peerErr error
	if err := raw.Control(func(fd uintptr) { uid, peerErr = peerUID(int(fd)) }); err != nil {
		return err
	}
	if peerErr != nil {
		return fmt.Errorf("user of the other end: %w", peerErr)
	}
	if uid != me {
		return fmt.Errorf("the other end belongs to user %d", uid)
	}
	return nil
}
