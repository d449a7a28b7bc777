package disk

import (
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

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

// setEpoch gives an open file or directory the constant time. Package unix goes by way of /proc, which takes five times
// as long: a tenth of what making a view takes.
func setEpoch(fd int) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&epochSpecs[0])), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// topDirectory is FS_TOPDIR_FL of ext4, `chattr +T`.
const topDirectory = 0x20000

// scatter asks the file system to give each directory that is made in f a place of its own on the disk. On an ext4 without
// a journal making a file means to walk over all inodes near by that were removed within the last minutes, and what has
// been removed lies where other things of the same directory lie. File systems that know nothing of it refuse.
func scatter(f *os.File) {
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil && flags&topDirectory == 0 {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDirectory)
	}
}
