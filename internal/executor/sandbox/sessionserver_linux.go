package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// sessions are the open sessions of a server.
type sessions struct {
	mu   sync.Mutex
	last int
	open map[int]*session
}

// session is a network that stays up, and the roots in which its processes run.
type session struct {
	base   *base
	limits limits
	ns     []int // network, IPC and host name, in the order of sessionNamespaces

	mu     sync.Mutex
	closed bool
	killed string         // the limit that the session went over
	roots  map[string]int // mount namespaces in which a root lies at baseRoot
	jobs   map[*job]used
	idle   sync.WaitGroup
}

var sessionNamespaces = []struct {
	name string
	flag int
}{{"net", unix.CLONE_NEWNET}, {"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}}

// handle does one request about sessions.
func (ss *sessions) handle(s *server, rq *request, own *wire, files []int) {
	if rq.Op == opOpen {
		closeAll(files)
		ss.serve(s.base, rq.Limits, own)
		return
	}
	ss.mu.Lock()
	se := ss.open[rq.Session]
	ss.mu.Unlock()
	if se == nil {
		closeAll(files)
		send(own, (&reply{}).fail(stageNamespace, fmt.Errorf("session %d is not open", rq.Session)))
		return
	}
	switch rq.Op {
	case opMount:
		closeAll(files)
		r := &reply{}
		upper, err := se.mount(rq.Name, rq.Root)
		if err != nil {
			r.fail(stageRoot, err)
		}
		if upper < 0 {
			send(own, r)
			return
		}
		send(own, r, upper)
		unix.Close(upper)
	case opStart:
		se.start(s, rq, own, files)
	case opSocket:
		closeAll(files)
		se.socket(own)
	default:
		closeAll(files)
		send(own, (&reply{}).fail(stageChild, fmt.Errorf("no such request %q", rq.Op)))
	}
}

// serve opens a session and keeps it until hewn closes its socket.
func (ss *sessions) serve(b *base, l limits, own *wire) {
	se, err := newSession(b, l)
	if err != nil {
		send(own, (&reply{}).fail(stageNamespace, err))
		return
	}
	defer se.close()
	ss.mu.Lock()
	if ss.open == nil {
		ss.open = map[int]*session{}
	}
	ss.last++
	id := ss.last
	ss.open[id] = se
	ss.mu.Unlock()
	defer func() {
		ss.mu.Lock()
		delete(ss.open, id)
		ss.mu.Unlock()
	}()
	if send(own, &reply{Session: id}) == nil {
		var c control
		receive(own, &c) // nothing is ever said: this ends when the socket is closed
	}
}

func newSession(b *base, l limits) (se *session, err error) {
	se = &session{base: b, limits: l, roots: map[string]int{}, jobs: map[*job]used{}}
	b.work(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS); err != nil {
			err = fmt.Errorf("make namespaces: %w", err)
			return
		}
		if err = setUpNetwork(); err != nil {
			return
		}
		for _, n := range sessionNamespaces {
			var fd int
			if fd, err = unix.Open("/proc/thread-self/ns/"+n.name, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				return
			}
			se.ns = append(se.ns, fd)
		}
	})
	if err != nil {
		closeAll(se.ns)
	}
	return se, err
}

// enter puts the calling thread, one of base's, into the session.
func (se *session) enter() error {
	for i, n := range sessionNamespaces {
		if err := unix.Setns(se.ns[i], n.flag); err != nil {
			return fmt.Errorf("enter the session: %w", err)
		}
	}
	return nil
}

// mount puts a root together in a mount namespace of its own and keeps that. It gives a descriptor of the upper directory
// where that is to be collected and not visible from the host, else -1.
func (se *session) mount(name string, r *root) (upper int, err error) {
	if r == nil {
		return -1, fmt.Errorf("no root")
	}
	places, err := se.base.locate(r)
	if err != nil {
		return -1, err
	}
	binds := make([]int, len(r.Binds))
	for i, bd := range r.Binds {
		if binds[i], err = se.base.clone(bd.Host, true); err != nil {
			closeAll(binds[:i])
			return -1, err
		}
	}
	defer closeAll(binds)
	ns := -1
	upper = -1
	se.base.work(func() {
		if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return
		}
		if upper, err = mountRoot(r, places); err != nil {
			return
		}
		if err = mountBinds(r.Binds, binds); err != nil {
			return
		}
		if err = closeRoot(r); err == nil {
			ns, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
	})
	if err == nil {
		err = se.keep(name, ns)
	}
	if upper >= 0 && (err != nil || !r.Collect) {
		unix.Close(upper)
		upper = -1
	}
	return upper, err
}

// closeRoot makes a root read-only that is to be: itself, not what is mounted in it. Nobody inside can take that back, who
// has no rights over the mount namespace.
func closeRoot(r *root) error {
	if !r.ReadOnly {
		return nil
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return os.NewSyscallError("make the root read-only", unix.MountSetattr(unix.AT_FDCWD, baseRoot, 0, &attr))
}

// keep takes over the mount namespace of a root.
func (se *session) keep(name string, ns int) error {
	se.mu.Lock()
	defer se.mu.Unlock()
	if _, ok := se.roots[name]; ok || se.closed {
		unix.Close(ns)
		return fmt.Errorf("a root %q is mounted already, or the session is closed", name)
	}
	se.roots[name] = ns
	return nil
}

// mountBinds attaches detached copies of the host's mounts to the root at baseRoot.
func mountBinds(binds []bind, fds []int) error {
	dirFD, err := unix.Open(baseRoot, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dirFD)
	for i, b := range binds {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
		if !b.Writable {
			attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
		}
		if err := unix.MountSetattr(fds[i], "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			return fmt.Errorf("bind %s: %w", b.Host, err)
		}
		err := mountAt(dirFD, b.At, func(target string) error {
			return unix.MoveMount(fds[i], "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
		})
		if err != nil {
			return fmt.Errorf("bind %s at %s: %w", b.Host, b.At, err)
		}
	}
	return nil
}

// start runs a process in a root. It replies when the process runs, and again when it has ended.
func (se *session) start(s *server, rq *request, own *wire, files []int) {
	var j *job
	var err error
	if rq.Proc != nil && rq.Proc.TTY {
		closeAll(files)
		j = &job{base: s.base, proc: rq.Proc, stdio: [3]int{-1, -1, -1}}
	} else if j, err = s.newJob(rq, files, 3); err != nil {
		send(own, (&reply{}).fail(stageChild, err))
		return
	}
	j.announce, j.session = true, se
	ns, err := se.add(j, rq.Name)
	if err != nil {
		closeAll(j.stdio[:])
		send(own, (&reply{}).fail(stageRoot, err))
		return
	}
	defer se.remove(j)
	go j.obey(own)
	var l *launched
	master := -1
	s.base.work(func() { l, master, err = se.launch(j, ns) })
	if master >= 0 {
		defer unix.Close(master)
	}
	if err != nil {
		send(own, (&reply{}).fail(stageChild, err))
		return
	}
	j.finish(l, func() {
		if master >= 0 {
			send(own, &reply{Started: true}, master)
		} else {
			send(own, &reply{Started: true})
		}
	}, func(r *reply) { send(own, r) })
}

// launch starts a job on the calling thread, one of base's.
func (se *session) launch(j *job, ns int) (l *launched, master int, err error) {
	defer func() { closeAll(j.stdio[:]) }()
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return nil, -1, fmt.Errorf("enter the root: %w", err)
	}
	// A copy of the root's mounts, so that each process has the /proc of its own pid namespace.
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWPID); err != nil {
		return nil, -1, fmt.Errorf("make namespaces: %w", err)
	}
	if err := se.enter(); err != nil {
		return nil, -1, err
	}
	master = -1
	if j.proc.TTY {
		if master, j.stdio, err = openTerminal(); err != nil {
			return nil, -1, err
		}
		// Before the process runs, which else would see a change at once.
		unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(j.proc.Rows), Col: uint16(j.proc.Cols)})
	}
	l, err = j.launch()
	return l, master, err
}

// openTerminal makes a pty in the root's own /dev/pts, where its processes find it by name.
func openTerminal() (master int, slave [3]int, err error) {
	slave = [3]int{-1, -1, -1}
	master, err = unix.Open(baseRoot+"/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, slave, fmt.Errorf("make a terminal: %w", err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		unix.Close(master)
		return -1, slave, fmt.Errorf("unlock the terminal: %w", err)
	}
	for i := range slave {
		n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
		if err == nil {
			slave[i], err = unix.Open(baseRoot+"/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			unix.Close(master)
			closeAll(slave[:i])
			return -1, [3]int{-1, -1, -1}, fmt.Errorf("open the terminal: %w", err)
		}
	}
	return master, slave, nil
}

// socket gives hewn a TCP socket of the session's network, which hewn connects.
func (se *session) socket(own *wire) {
	fds := [2]int{-1, -1}
	var err error
	se.base.work(func() {
		if err = se.enter(); err != nil {
			return
		}
		for i, family := range []int{unix.AF_INET, unix.AF_INET6} {
			// A machine without one of the two still has the other.
			fds[i], _ = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		}
		if fds[0] < 0 && fds[1] < 0 {
			err = os.NewSyscallError("socket", unix.EAFNOSUPPORT)
		}
	})
	r := &reply{}
	var files []int
	for i, fd := range fds {
		if fd >= 0 {
			files = append(files, fd)
			r.Status |= 1 << i // which of the two it is
		}
	}
	if err != nil {
		r.fail(stageNamespace, err)
	}
	send(own, r, files...)
	closeAll(files)
}

// add counts a job and gives the mount namespace of its root.
func (se *session) add(j *job, name string) (int, error) {
	se.mu.Lock()
	defer se.mu.Unlock()
	ns, ok := se.roots[name]
	if !ok || se.closed || se.killed != "" {
		return -1, fmt.Errorf("no root %q is mounted, or the session is closed", name)
	}
	se.jobs[j] = used{}
	se.idle.Add(1)
	return ns, nil
}

func (se *session) remove(j *job) {
	se.mu.Lock()
	delete(se.jobs, j)
	se.mu.Unlock()
	se.idle.Done()
}

// close kills all processes, waits until they are gone, and gives up roots and network.
func (se *session) close() {
	se.mu.Lock()
	se.closed = true
	for j := range se.jobs {
		j.kill("")
	}
	se.mu.Unlock()
	se.idle.Wait()
	for _, ns := range se.roots {
		unix.Close(ns)
	}
	closeAll(se.ns)
}
