package sandbox

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is what runs between fork and exec. The rules are those of the standard library's own fork: the child of a
// process with many threads has one thread and a copy of all memory, in any state, so that nothing may be called that
// allocates, locks, grows a stack or lets the scheduler in. Everything is prepared before (prepare), every function is
// nosplit (the linker proves that their frames fit), and nothing is used but raw system calls. Signals are blocked from
// before the fork to the exec, so that no handler of the Go runtime ever runs in a child.

// plan is everything that the first process and the command need, as memory that does not move.
type plan struct {
	newRoot   *byte // where the root is mounted in the server's view; nil: the root is entered by chroot
	procAt    *byte // where /proc is mounted, below newRoot
	procType  *byte
	dot       *byte
	slash     *byte
	statusFD  uintptr // pipe to the thread that waits
	stdio     [3]uintptr
	serverFD  uintptr // the server's own /proc
	tty       bool    // stdin is a terminal to be controlled
	dir       *byte
	argv      **byte
	envv      **byte
	paths     **byte // what to try to execute, in this order; nil ends it
	limits    []limit
	selfName  *byte
	setgroups *byte
	uidMap    *byte
	gidMap    *byte
	deny      []byte
	uidLine   []byte
	gidLine   []byte
	keep      uint64 // capabilities that stay, as a bit set
	filter    unix.SockFprog
	keepAlive []any
}

type limit struct {
	resource uintptr
	value    unix.Rlimit
}

// note is what the children write to the status pipe: fixed size, far below PIPE_BUF, so never torn.
type note struct {
	kind  uint32
	errno uint32
	value [24]byte
}

const (
	noteExit    = 1 // value holds the wait status
	notePid     = 2 // value holds the command's pid in the server's pid namespace, in decimal digits
	noteFailed  = 3 // errno, and in value[0] the step, one of the at… constants
	noteSize    = unsafe.Sizeof(note{})
	prSetNoNew  = unix.PR_SET_NO_NEW_PRIVS
	sigsetBytes = 8
)

// The steps of a child, for messages. Their order is that of childSteps.
const (
	atProc = iota
	atPivot
	atFork
	atSession
	atStdio
	atLimits
	atDir
	atUser
	atCaps
	atFilter
	atExec
)

var childSteps = [...]string{"mount /proc", "switch the root", "fork", "start a session", "set standard streams",
	"set limits", "enter the working directory", "make the user namespace", "drop capabilities", "load the system call filter", "execute"}

// spawn forks the first process of a pid namespace, which the calling thread has unshared; the goroutine must be locked
// to its thread.
//
//go:norace
func spawn(p *plan) (pid int, err error) {
	n, errno := fork1(p)
	runtime.KeepAlive(p)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

//go:nosplit
//go:norace
func fork1(p *plan) (uintptr, syscall.Errno) {
	all, old := ^uint64(0), uint64(0)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), sigsetBytes, 0, 0)
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		first(p)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, sigsetBytes, 0, 0)
	return pid, errno
}

// first is pid 1 of the action. It holds no capability and no file once the command runs, and is not dumpable: the
// command shares its user id and must not find anything there. Its death is the death of the whole pid namespace.
//
//go:nosplit
//go:norace
func first(p *plan) {
	_, _, e := syscall.RawSyscall6(unix.SYS_MOUNT, uintptr(unsafe.Pointer(p.procType)), uintptr(unsafe.Pointer(p.procAt)), uintptr(unsafe.Pointer(p.procType)),
		unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, 0, 0)
	check(p, atProc, e)
	_, _, e = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(p.newRoot)), 0, 0)
	check(p, atPivot, e)
	_, _, e = syscall.RawSyscall(unix.SYS_PIVOT_ROOT, uintptr(unsafe.Pointer(p.dot)), uintptr(unsafe.Pointer(p.dot)), 0)
	check(p, atPivot, e)
	_, _, e = syscall.RawSyscall(unix.SYS_UMOUNT2, uintptr(unsafe.Pointer(p.dot)), unix.MNT_DETACH, 0)
	check(p, atPivot, e)
	_, _, e = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(p.slash)), 0, 0)
	check(p, atPivot, e)
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0)
	cmd, _, e := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	check(p, atFork, e)
	if cmd == 0 {
		command(p)
	}
	dropCaps(0)
	if p.statusFD > 0 {
		syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 0, p.statusFD-1, 0)
	}
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, p.statusFD+1, ^uintptr(0)>>32, 0)
	var status uint32
	for {
		pid, _, e := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), unix.WALL, 0, 0, 0)
		if e == 0 && pid == cmd {
			break
		}
	}
	var n note
	n.kind = noteExit
	*(*uint32)(unsafe.Pointer(&n.value)) = status
	syscall.RawSyscall(unix.SYS_WRITE, p.statusFD, uintptr(unsafe.Pointer(&n)), noteSize)
	exit(0)
}

// command becomes the action's command.
//
//go:nosplit
//go:norace
func command(p *plan) {
	_, _, e := syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	check(p, atSession, e)
	if p.tty {
		_, _, e = syscall.RawSyscall(unix.SYS_IOCTL, p.stdio[0], unix.TIOCSCTTY, 0)
		check(p, atSession, e)
	}
	for i := uintptr(0); i < 3; i++ {
		_, _, e = syscall.RawSyscall(unix.SYS_DUP3, p.stdio[i], i, 0)
		check(p, atStdio, e)
	}
	for i := range p.limits {
		_, _, e = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, p.limits[i].resource, uintptr(unsafe.Pointer(&p.limits[i].value)), 0, 0, 0)
		check(p, atLimits, e)
	}
	syscall.RawSyscall(unix.SYS_UMASK, 0o022, 0, 0)
	_, _, e = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(p.dir)), 0, 0)
	check(p, atDir, e)
	var n note
	n.kind = notePid
	_, _, e = syscall.RawSyscall6(unix.SYS_READLINKAT, p.serverFD, uintptr(unsafe.Pointer(p.selfName)), uintptr(unsafe.Pointer(&n.value)), unsafe.Sizeof(n.value), 0, 0)
	check(p, atUser, e)
	syscall.RawSyscall(unix.SYS_WRITE, p.statusFD, uintptr(unsafe.Pointer(&n)), noteSize)
	_, _, e = syscall.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0)
	check(p, atUser, e)
	check(p, atUser, put(p.serverFD, p.setgroups, p.deny))
	check(p, atUser, put(p.serverFD, p.uidMap, p.uidLine))
	check(p, atUser, put(p.serverFD, p.gidMap, p.gidLine))
	syscall.RawSyscall6(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0, 0) // the filter denies keys anyway
	for c := uintptr(0); c < 64; c++ {
		if p.keep>>c&1 == 0 {
			if _, _, e = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0); e != 0 {
				break // the last capability that this kernel knows
			}
		}
	}
	check(p, atCaps, dropCaps(p.keep))
	_, _, e = syscall.RawSyscall6(unix.SYS_PRCTL, prSetNoNew, 1, 0, 0, 0, 0)
	check(p, atCaps, e)
	resetSignals()
	_, _, e = syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&p.filter)))
	check(p, atFilter, e)
	check(p, atExec, execute(p))
}

// resetSignals gives every signal its default and blocks none: a command must not see what hewn was started with.
//
//go:nosplit
//go:norace
func resetSignals() {
	var def [4]uint64 // struct sigaction: handler, flags, restorer, mask
	for s := uintptr(1); s <= 64; s++ {
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, s, uintptr(unsafe.Pointer(&def)), 0, sigsetBytes, 0, 0)
	}
	var none uint64
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&none)), 0, sigsetBytes, 0, 0)
}

// execute tries the candidates as execvp does: the first that is there and may be executed wins.
//
//go:nosplit
//go:norace
func execute(p *plan) syscall.Errno {
	last := syscall.ENOENT
	for at := p.paths; *at != nil; at = (**byte)(unsafe.Add(unsafe.Pointer(at), unsafe.Sizeof(uintptr(0)))) {
		_, _, e := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(*at)), uintptr(unsafe.Pointer(p.argv)), uintptr(unsafe.Pointer(p.envv)))
		switch e {
		case syscall.ENOENT, syscall.ENOTDIR:
		case syscall.EACCES:
			last = e
		default:
			return e
		}
	}
	return last
}

// dropCaps leaves only the capabilities of keep, as permitted and effective.
//
//go:nosplit
//go:norace
func dropCaps(keep uint64) syscall.Errno {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	data[0].Effective, data[1].Effective = uint32(keep), uint32(keep>>32)
	data[0].Permitted, data[1].Permitted = data[0].Effective, data[1].Effective
	_, _, e := syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data)), 0)
	return e
}

// put writes b to a file of the server's /proc.
//
//go:nosplit
//go:norace
func put(dir uintptr, name *byte, b []byte) syscall.Errno {
	fd, _, e := syscall.RawSyscall6(unix.SYS_OPENAT, dir, uintptr(unsafe.Pointer(name)), unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0)
	if e == 0 {
		_, _, e = syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}
	return e
}

// check ends the process with a note if e is an error.
//
//go:nosplit
//go:norace
func check(p *plan, step uint32, e syscall.Errno) {
	if e == 0 {
		return
	}
	var n note
	n.kind, n.errno, n.value[0] = noteFailed, uint32(e), byte(step)
	syscall.RawSyscall(unix.SYS_WRITE, p.statusFD, uintptr(unsafe.Pointer(&n)), noteSize)
	exit(127)
}

//go:nosplit
//go:norace
func exit(code uintptr) {
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
	}
}
