//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The ways to lock a file; lockTry alone or together with another fails with errLocked instead of waiting.
const (
	lockShared = unix.LOCK_SH
	lockAlone  = unix.LOCK_EX
	lockTry    = unix.LOCK_NB
)

var errLocked = errors.New("locked by somebody else")

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			return errLocked
		}
		return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
}

// lockByte locks one byte of an open file, wherever its end is, or fails with errLocked.
func lockByte(f *os.File, at int64) error {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: at, Len: 1}
	for {
		err := unix.FcntlFlock(f.Fd(), setLockOfOpenFile, &l)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.EACCES:
			return errLocked
		}
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
}

// sameFile says that path still names the file that f has open.
func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

func isReadOnly(err error) bool   { return errors.Is(err, unix.EROFS) }
func tooManyLinks(err error) bool { return errors.Is(err, unix.EMLINK) }
func crossDevice(err error) bool  { return errors.Is(err, unix.EXDEV) }

// links is how many names the file has, owned whether it belongs to this user.
func links(st fs.FileInfo) (n uint64, owned bool) {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Nlink), int(sys.Uid) == os.Geteuid()
	}
	return 0, false
}

func mmap(f *os.File, n int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_SHARED)
}

func munmap(b []byte) { _ = unix.Munmap(b) }
