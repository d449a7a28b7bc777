package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// base is a mount namespace with nothing in it but what actions need: it is copied for every action, and copying the
// host's, with its dozens of mounts, would be paid every time. It holds
//
//	/       an empty tmpfs            /dev   the few devices, read-only
//	/proc   the server's own          /r /t  empty, where roots and uppers in memory are mounted
//	/m/0…   directories of the host: where views and Config.TempDir lie
//
// Directories of the host are attached when the first action needs them, from the server's first mount namespace, which
// still has all of the host's mounts.
type base struct {
	mu    sync.Mutex
	ns    int          // the mount namespace
	proc  int          // the server's /proc
	shown []attachment // what is under /m, in the order of attaching
	host  chan func()  // runs functions on a thread that is in the host's mounts

	tasks   chan func() // for the threads that set actions up
	threads int         // how many there are; under mu
}

// maxThreads is how many roots are put together at the same time. It takes about a millisecond each, mostly processor
// time; some wait for the disk.
const maxThreads = 8

type attachment struct{ dir, at string }

var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// newBase must be called on the locked main goroutine of the server, before any other thread has unshared anything; it
// takes scratch, an empty directory of the host, as a place to mount on.
func newBase(scratch string) (*base, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	// Threads that stay in the host's mounts must find the server's own processes in /proc too.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, &procError{err}
	}
	b := &base{host: make(chan func()), tasks: make(chan func())}
	err := onThread(func() error { return b.build(scratch) })
	if err != nil {
		return nil, err
	}
	return b, nil
}

// onThread runs f on a thread of its own, which ends with it: f may change what belongs to a thread.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

func (b *base) build(scratch string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := unix.Mount("tmpfs", scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=1m"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for _, dir := range []string{"proc", "dev", baseRoot, baseTmp, baseAt} {
		if err := os.Mkdir(filepath.Join(scratch, dir), 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("proc", filepath.Join(scratch, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return &procError{err}
	}
	if err := makeDev(filepath.Join(scratch, "dev")); err != nil {
		return err
	}
	if err := unix.Chdir(scratch); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the host's root: %w", err)
	}
	var err error
	if b.proc, err = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	b.ns, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return err
}

// procError says that the kernel does not let us mount /proc, which happens in containers that hide parts of theirs.
type procError struct{ err error }

func (e *procError) Error() string { return "mount /proc: " + e.err.Error() }
func (e *procError) Unwrap() error { return e.err }

// makeDev fills dir with the devices, bound from the host's since nobody may make devices in a user namespace. It is
// shared by all actions and therefore read-only, which does not hinder writing to the devices.
func makeDev(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID, "mode=0755,size=64k"); err != nil {
		return fmt.Errorf("mount a tmpfs for /dev: %w", err)
	}
	for _, name := range devices {
		at := filepath.Join(dir, name)
		f, err := os.OpenFile(at, os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		f.Close()
		if err := unix.Mount("/dev/"+name, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	for _, l := range [][2]string{{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"}} {
		if err := os.Symlink(l[1], filepath.Join(dir, l[0])); err != nil {
			return err
		}
	}
	for _, name := range []string{"pts", "shm"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	// Each mount, not only the directory: where hewn is run by the machine's root, actions own the devices and could
	// change their modes for everybody.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(unix.AT_FDCWD, dir, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("make /dev read-only: %w", err)
	}
	return nil
}

// serveHost runs functions that need the host's mounts, on the calling thread, for ever.
func (b *base) serveHost() {
	for f := range b.host {
		f()
	}
}

// clone takes a detached copy of the mount at a directory or file of the host.
func (b *base) clone(hostPath string, recursive bool) (fd int, err error) {
	done := make(chan struct{})
	b.host <- func() {
		flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
		if recursive {
			flags |= unix.AT_RECURSIVE
		}
		fd, err = unix.OpenTree(unix.AT_FDCWD, hostPath, flags)
		close(done)
	}
	<-done
	if err != nil {
		err = &os.PathError{Op: "show", Path: hostPath, Err: err}
	}
	return fd, err
}

// path gives the place in base at which a directory of the host is seen, attaching parent (an ancestor or the directory
// itself) if it is not there yet.
func (b *base) path(dir, parent string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.shown {
		if dir == a.dir {
			return a.at, nil
		}
		if rest, ok := strings.CutPrefix(dir, strings.TrimSuffix(a.dir, "/")+"/"); ok {
			return a.at + "/" + rest, nil
		}
	}
	fd, err := b.clone(parent, false)
	if errors.Is(err, unix.EINVAL) { // something is mounted below it
		fd, err = b.clone(parent, true)
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	at := baseAt + "/" + strconv.Itoa(len(b.shown))
	err = onThread(func() error {
		if err := b.enter(); err != nil {
			return err
		}
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		return os.NewSyscallError("move_mount", unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH))
	})
	if err != nil {
		return "", err
	}
	b.shown = append(b.shown, attachment{parent, at})
	return filepath.Join(at, strings.TrimPrefix(dir, parent)), nil
}

// enter puts the calling thread, which must be locked and never used again for anything else, into base.
func (b *base) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare file system attributes: %w", err)
	}
	if err := unix.Setns(b.ns, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter the server's mounts: %w", err)
	}
	return nil
}

// work runs f on a thread that is in base, and leaves what f unshared as soon as f returns. Threads are kept: making one
// for each action costs more than going back.
func (b *base) work(f func()) {
	done := make(chan struct{})
	task := func() { defer close(done); f() }
	select {
	case b.tasks <- task:
	default:
		b.mu.Lock()
		if b.threads < maxThreads {
			b.threads++
			go b.thread()
		}
		b.mu.Unlock()
		b.tasks <- task
	}
	<-done
}

func (b *base) thread() {
	runtime.LockOSThread()
	err := b.enter()
	pids, pidsErr := unix.Open("/proc/self/ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == nil && pidsErr == nil {
		task := <-b.tasks
		task()
		err = errors.Join(unix.Setns(b.ns, unix.CLONE_NEWNS), unix.Setns(pids, unix.CLONE_NEWPID))
	}
	// Such a thread is of no use for anything: it ends with its goroutine, and another takes its place.
	if pidsErr == nil {
		unix.Close(pids)
	}
	b.mu.Lock()
	b.threads--
	b.mu.Unlock()
}
