package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
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
	base    *base
	root    *root
	proc    *proc
	session *session // nil for an action without one
	stdio   [3]int
	// announce asks the children to say when the command runs.
	announce bool

	mu      sync.Mutex
	first   int    // pid of the first process, while it can be signalled
	command int    // pid of the command, as the server sees it
	stopped bool   // asked to end before there was anything to end
	killed  string // why the server itself ended it
	peak    int64
}

// launched is a command that runs.
type launched struct {
	first  int      // its pid namespace's first process
	status *os.File // what the children say
	plan   *plan    // their memory
	begin  time.Time
	upper  int // descriptor of the upper directory where the host cannot see it, else -1
}

// launchAction puts the namespaces and the root of an action together and starts its command; it runs on one of base's
// threads. Whatever comes of it, the job's standard streams are closed afterwards.
func (j *job) launchAction(pl *places) (l *launched, stage string, err error) {
	defer closeAll(j.stdio[:])
	if err := unix.Unshare(actionNamespaces); err != nil {
		return nil, stageNamespace, fmt.Errorf("make namespaces: %w", err)
	}
	if err := setUpNetwork(); err != nil {
		return nil, stageNamespace, err
	}
	upper, err := mountRoot(j.root, pl)
	if err != nil {
		return nil, stageRoot, err
	}
	if l, err = j.launch(); err != nil {
		if upper >= 0 {
			unix.Close(upper)
		}
		return nil, stageChild, err
	}
	l.upper = upper
	return l, "", nil
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

// launch starts the command in the namespaces of the calling thread.
func (j *job) launch() (*launched, error) {
	status, statusW, err := pipe()
	if err != nil {
		return nil, err
	}
	defer unix.Close(statusW)
	p, err := prepare(j.proc, j.stdio, statusW, j.base.proc)
	if err != nil {
		status.Close()
		return nil, err
	}
	p.announce = j.announce
	l := &launched{status: status, plan: p, begin: time.Now(), upper: -1}
	if l.first, err = spawn(p); err != nil {
		status.Close()
		return nil, fmt.Errorf("clone: %w", err)
	}
	j.launchedAs(l.first)
	return l, nil
}

// finish follows a command to its end and calls ended when it has ended and nothing runs any more that could change
// what it left. It returns when all has been taken down. started is called when the command runs, if the job asked for that.
func (j *job) finish(l *launched, started func(), ended func(*reply)) {
	unwatch := j.watch(l.first)
	r := &reply{}
	exited, alone := j.follow(r, l.status, started)
	l.status.Close()
	r.WallNs = int64(time.Since(l.begin))
	unwatch()
	if !alone {
		j.reap(l.first)
	}
	j.mu.Lock()
	r.PeakRSS = max(j.peak, r.PeakRSS)
	r.Killed = j.killed
	j.mu.Unlock()
	if !exited && r.Stage == "" {
		// The first process was killed before it could tell how the command ended: so was the command.
		r.Status = int(unix.SIGKILL)
	}
	ended(r)
	if alone {
		j.reap(l.first)
	}
	runtime.KeepAlive(l.plan)
}

// follow reads what the children say until the command has ended.
func (j *job) follow(r *reply, status *os.File, started func()) (exited, alone bool) {
	var n note
	buf := (*[noteSize]byte)(unsafe.Pointer(&n))[:]
	for {
		if got, err := status.Read(buf); err != nil || got < len(buf) {
			return false, false
		}
		switch n.kind {
		case noteExit:
			r.Status = int(*(*uint32)(unsafe.Pointer(&n.value)))
			r.PeakRSS = *(*int64)(unsafe.Pointer(&n.value[8])) << 10
			return true, n.value[4] == 1
		case notePid:
			pid, _ := strconv.Atoi(string(bytes.TrimRight(n.value[:], "\x00")))
			j.mu.Lock()
			j.command = pid
			j.mu.Unlock()
		case noteRuns:
			if r.Stage == "" {
				started()
			}
		case noteFailed:
			if r.Stage == "" {
				failedAt(r, n.value[0], unix.Errno(n.errno))
			}
		}
	}
}

func failedAt(r *reply, step byte, errno unix.Errno) {
	stage := stageChild
	switch step {
	case atProc:
		stage = stageProc
	case atDir:
		stage = stageDir
	case atExec:
		stage = stageExec
	}
	r.fail(stage, os.NewSyscallError(childSteps[min(int(step), len(childSteps)-1)], errno))
}

// launchedAs notes the first process, and ends it at once if that was asked for meanwhile.
func (j *job) launchedAs(pid int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.first = pid
	if j.stopped {
		unix.Kill(pid, unix.SIGKILL)
	}
}

// reap waits for the first process; from then on its pid may belong to another.
func (j *job) reap(pid int) {
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
		if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != unix.EINTR {
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
