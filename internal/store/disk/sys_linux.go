package disk

import (
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootID names this run of the machine's kernel.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// setLockOfOpenFile is the command for locks that belong to an open file and not to a process.
const setLockOfOpenFile = unix.F_OFD_SETLK

// syncFS makes everything on the file system that f is on durable.
func syncFS(f *os.File) error { return unix.Syncfs(int(f.Fd())) }

// clone makes dst share its content with src, copy-on-write, where the file system can.
func clone(dst, src *os.File) error { return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) }

func changeTime(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctim.Unix()) }

// hasForeignAttributes says that the file has extended attributes that it would carry into the store, such as those of
// overlay file systems. What the security module sets on every file does not count.
func hasForeignAttributes(f *os.File) bool {
	buf := make([]byte, 1024)
	n, err := unix.Flistxattr(int(f.Fd()), buf)
	if err != nil {
		return err == unix.ERANGE
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		if name != "" && !strings.HasPrefix(name, "security.") {
			return true
		}
	}
	return false
}

// birthTime is when the file was made, 0 where the file system does not know: inode numbers are given again.
func birthTime(path string, _ *syscall.Stat_t) int64 {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BTIME, &st); err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}
