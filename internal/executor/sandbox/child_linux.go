package sandbox

import (
	"reflect"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is what runs between clone and exec. As with vfork, the children share the server's memory, on stacks of
// their own (a copy of a Go process's memory, page by page as it is written to, costs more than all the rest of a step).
// The server goes on meanwhile, so that the rules are stricter than those of the standard library's fork: nothing may be
// called that allocates, locks, grows a stack or lets the scheduler in, and nothing may be written but the child's own
// stack. Everything is prepared before (prepare), every function is nosplit, and nothing is used but raw system calls.
// Signals are blocked from before the clone to the exec, so that no handler of the Go runtime ever runs in a child.
//
// cloneFirst (clone_linux_*.s) clones the first process, calls first there, clones the command, calls command in it and
// attend in the first process. There is no other code between them.

// plan is everything that the first process and the command need, as memory that does not move.
type plan struct {
	first, attend, command uintptr // addresses of the functions; cloneFirst expects them here, in this order

	newRoot   *byte // where the root is mounted in the server's view; nil: the root is entered by chroot
	procAt    *byte // where /proc is mounted, below newRoot
	procType  *byte
	dot       *byte
	slash     *byte
	statusFD  uintptr // pipe to the thread that waits
	stdio     [3]uintptr
	serverFD  uintptr // the server's own /proc
	tty       bool    // stdin is a terminal to be controlled
	announce  bool    // say when the command runs
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
	stacks    []byte
}

// stackSize is that of each of the two stacks of an action. The linker proves that all frames fit in under 1 KiB.
const stackSize = 16 << 10

// stackRoom is what lies above a stack pointer that is handed to cloneFirst.
const stackRoom = 64

func cloneFirst(flags, stack, commandStack uintptr, p *plan) (pid int)

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
	noteExit    = 1 // value holds the wait status, a 1 if no other process was left, and the largest resident set in KiB
	notePid     = 2 // value holds the command's pid in the server's pid namespace, in decimal digits
	noteRuns    = 4 // the command has been executed, or has failed, which a note before says
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

// spawn starts the first process of the pid namespace that the calling thread has unshared; the goroutine must be locked
// to its thread. p must stay reachable until the first process has ended.
//
//go:norace
//go:nocheckptr
func spawn(p *plan) (pid int, err error) {
	p.first, p.attend, p.command = reflect.ValueOf(first).Pointer(), reflect.ValueOf(attend).Pointer(), reflect.ValueOf(command).Pointer()
	top := (uintptr(unsafe.Pointer(&p.stacks[0])) + stackSize) &^ 15
	all, old := ^uint64(0), uint64(0)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), sigsetBytes, 0, 0)
	pid = cloneFirst(unix.CLONE_VM|uintptr(unix.SIGCHLD), top-stackRoom, top+stackSize-stackRoom, p)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, sigsetBytes, 0, 0)
	if pid < 0 {
		return 0, syscall.Errno(-pid)
	}
	return pid, nil
}

// first is pid 1 of the action: it mounts /proc, which only a process of this pid namespace can do on older kernels, and
// makes the new root the only one. Like the server it is not dumpable: the command shares its user id and must not find
// anything there.
//
//go:nosplit
//go:norace
//go:nocheckptr
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
	// The command may map its user to the server's 0 only if whoever makes its namespace could set file capabilities.
	check(p, atCaps, dropCaps(1<<unix.CAP_SETFCAP))
}

// attend waits for the command, as pid 1 for all that lose their parents too, and ends with it. Its death is the death
// of the whole pid namespace. An exit note says whether anything else was alive.
//
//go:nosplit
//go:norace
//go:nocheckptr
func attend(p *plan, cmd int) {
	dropCaps(0)
	statusFD := p.statusFD
	if cmd < 0 {
		check(p, atFork, syscall.Errno(-cmd))
	}
	if statusFD > 0 {
		syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 0, statusFD-1, 0)
	}
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, statusFD+1, ^uintptr(0)>>32, 0)
	if p.announce {
		var n note
		n.kind = noteRuns
		syscall.RawSyscall(unix.SYS_WRITE, statusFD, uintptr(unsafe.Pointer(&n)), noteSize)
	}
	var status, ignored uint32
	var usage unix.Rusage
	for {
		pid, _, e := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), unix.WALL, uintptr(unsafe.Pointer(&usage)), 0, 0)
		if e == 0 && int(pid) == cmd {
			break
		}
	}
	var n note
	n.kind = noteExit
	*(*uint32)(unsafe.Pointer(&n.value)) = status
	*(*int64)(unsafe.Pointer(&n.value[8])) = usage.Maxrss
	for {
		pid, _, e := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&ignored)), unix.WALL|unix.WNOHANG, 0, 0, 0)
		if e == syscall.ECHILD {
			n.value[4] = 1
			break
		}
		if e == 0 && pid == 0 {
			break // something lives on, for a moment
		}
	}
	syscall.RawSyscall(unix.SYS_WRITE, statusFD, uintptr(unsafe.Pointer(&n)), noteSize)
	exit(0)
}

// command becomes the action's command. It has been cloned into a user namespace of its own.
//
//go:nosplit
//go:norace
//go:nocheckptr
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
//go:nocheckptr
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
//go:nocheckptr
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
//go:nocheckptr
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
//go:nocheckptr
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
//go:nocheckptr
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
//go:nocheckptr
func exit(code uintptr) {
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
	}
}
