package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootID names this run of the machine's kernel.
func bootID() string {
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return fmt.Sprint(tv.Sec)
}

// setLockOfOpenFile is the command for locks that belong to an open file and not to a process: F_OFD_SETLK, which the
// kernel has and package unix does not name.
const setLockOfOpenFile = 90

// syncFS makes everything durable that can be made so here.
func syncFS(*os.File) error { return unix.Sync() }

// clone is not to be had for open files here.
func clone(_, _ *os.File) error { return errors.ErrUnsupported }

func changeTime(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctimespec.Unix()) }

// hasForeignAttributes matters for overlay file systems only, which do not exist here.
func hasForeignAttributes(*os.File) bool { return false }

// birthTime is when the file was made: inode numbers are given again.
func birthTime(_ string, st *syscall.Stat_t) int64 { return st.Birthtimespec.Nano() }

// setEpoch gives an open file or directory the constant time.
func setEpoch(fd int) error {
	tv := unix.NsecToTimeval(epoch.UnixNano())
	return unix.Futimes(fd, []unix.Timeval{tv, tv})
}

// scatter is for ext4 only.
func scatter(*os.File) {}
