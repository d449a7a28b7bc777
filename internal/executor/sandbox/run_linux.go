package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// actionNamespaces is what the thread of an action unshares; the user namespace is made by the command itself.
const actionNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWPID

// job is one command on its way through the server. The goroutine that runs it is locked to a thread which ends with it.
type job struct {
	base  *base
	root  *root
	proc  *proc
	stdio [3]int

	mu      sync.Mutex
	first   int    // pid of the first process, while it can be signalled
	command int    // pid of the command, as the server sees it
	stopped bool   // asked to end before there was anything to end
	killed  string // why the server itself ended it
	peak    int64
}

// runAction does a whole action on the calling thread.
func (j *job) runAction(pl *places) (r *reply, upper int) {
	r = &reply{}
	if err := j.base.enter(); err != nil {
		return r.fail(stageNamespace, err), -1
	}
	if err := unix.Unshare(actionNamespaces); err != nil {
		return r.fail(stageNamespace, fmt.Errorf("make namespaces: %w", err)), -1
	}
	if err := setUpNetwork(); err != nil {
		return r.fail(stageNamespace, err), -1
	}
	upper, err := mountRoot(j.root, pl)
	if err != nil {
		return r.fail(stageRoot, err), -1
	}
	return j.runCommand(r, nil), upper
}

// setUpNetwork brings the loopback device of a new network namespace up and names the host.
func setUpNetwork() error {
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring the loopback device up: %w", err)
	}
	return nil
}

// runCommand forks the command in the thread's namespaces and waits until it has ended. started, if not nil, is told
// when the command's pid is known.
func (j *job) runCommand(r *reply, started func()) *reply {
	statusR, statusW, err := pipe()
	if err != nil {
		return r.fail(stageChild, err)
	}
	defer unix.Close(statusR)
	p, err := prepare(j.proc, j.stdio, statusW, j.base.proc)
	if err != nil {
		unix.Close(statusW)
		return r.fail(stageChild, err)
	}
	begin := time.Now()
	first, err := spawn(p)
	unix.Close(statusW)
	for _, fd := range j.stdio {
		unix.Close(fd)
	}
	if err != nil {
		return r.fail(stageChild, fmt.Errorf("fork: %w", err))
	}
	j.forked(first)
	watch := j.watch(first)
	exited := j.follow(r, statusR, started)
	r.WallNs = int64(time.Since(begin))
	var usage unix.Rusage
	j.reap(first, &usage)
	watch()
	j.mu.Lock()
	defer j.mu.Unlock()
	r.PeakRSS = max(j.peak, usage.Maxrss<<10)
	r.Killed = j.killed
	if !exited && r.Stage == "" {
		// The first process was killed before it could tell how the command ended: so was the command.
		r.Status = int(unix.SIGKILL)
	}
	return r
}

// follow reads what the children say until they have all ended.
func (j *job) follow(r *reply, status int, started func()) (exited bool) {
	var n note
	buf := (*[noteSize]byte)(unsafe.Pointer(&n))[:]
	for {
		got, err := unix.Read(status, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || got < len(buf) {
			return exited
		}
		switch n.kind {
		case noteExit:
			r.Status = int(*(*uint32)(unsafe.Pointer(&n.value)))
			return true
		case notePid:
			pid, _ := strconv.Atoi(string(bytes.TrimRight(n.value[:], "\x00")))
			j.mu.Lock()
			j.command = pid
			j.mu.Unlock()
			if started != nil {
				started()
			}
		case noteFailed:
			if r.Stage == "" {
				stage := stageChild
				switch n.value[0] {
				case atProc:
					stage = stageProc
				case atDir:
					stage = stageDir
				case atExec:
					stage = stageExec
				}
				step := childSteps[min(int(n.value[0]), len(childSteps)-1)]
				r.fail(stage, os.NewSyscallError(step, unix.Errno(n.errno)))
			}
		}
	}
}

// forked notes the first process, and ends it at once if that was asked for meanwhile.
func (j *job) forked(pid int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.first = pid
	if j.stopped {
		unix.Kill(pid, unix.SIGKILL)
	}
}

// reap waits for the first process; from then on its pid may belong to another.
func (j *job) reap(pid int, usage *unix.Rusage) {
	// The first process is waited for without being reaped, so that kill cannot hit a stranger in between.
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT|unix.WALL, nil); err != unix.EINTR {
			break
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.first, j.command = 0, 0
	for {
		if _, err := unix.Wait4(pid, nil, unix.WALL, usage); err != unix.EINTR {
			return
		}
	}
}

// kill ends everything of the job. why is kept for the first call that names one.
func (j *job) kill(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
	if j.killed == "" {
		j.killed = why
	}
	if j.first != 0 {
		unix.Kill(j.first, unix.SIGKILL)
	}
}

// signal sends a signal to the command.
func (j *job) signal(sig int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.command != 0 {
		unix.Kill(j.command, unix.Signal(sig))
	}
}
