package sandbox

import (
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Places in the server's own small mount namespace; see base_linux.go.
const (
	baseRoot = "/r" // where an action's root is put together
	baseTmp  = "/t" // where an upper directory in memory is mounted
	baseDev  = "/dev"
	baseAt   = "/m" // where directories of the host are shown
)

// UserID is the user, and the group, that commands run as unless they ask for another.
const UserID = 1000

// userOf is who a command runs as: what executor.Process says of AsRoot, UID and GID.
func userOf(asRoot bool, uid, gid uint32) (u, g uint32) {
	switch {
	case asRoot:
		return 0, gid
	case uid == 0:
		return UserID, UserID
	}
	return uid, gid
}

// rootCaps are the capabilities that a command with uid 0 keeps, in a user namespace that owns nothing and maps one id:
// they let package tools set owners and modes of what is theirs anyway, and reach nothing else.
const rootCaps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER |
	1<<unix.CAP_FSETID | 1<<unix.CAP_KILL | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID

// maxOpenFiles is the limit of open files of every command, where the machine's own hard limit allows it: one number
// for all machines, since programs look at it.
const maxOpenFiles = 65536

// prepare puts together what the children of one command need. stdio and statusFD stay open until spawn has returned.
func prepare(p *proc, stdio [3]int, statusFD int, serverProc int) (*plan, error) {
	if len(p.Args) == 0 {
		return nil, fmt.Errorf("no command")
	}
	var c cstrings
	pl := &plan{
		newRoot: c.str(baseRoot), procAt: c.str(baseRoot + "/proc"), procType: c.str("proc"), dot: c.str("."), slash: c.str("/"),
		statusFD: uintptr(statusFD), serverFD: uintptr(serverProc), tty: p.TTY, dir: c.str(p.Dir),
		argv: c.vector(p.Args), envv: c.vector(p.Env), paths: c.vector(candidates(p)),
		selfName: c.str("self"), setgroups: c.str("self/setgroups"), uidMap: c.str("self/uid_map"), gidMap: c.str("self/gid_map"),
		deny: []byte("deny"), limits: commandLimits(p), stacks: make([]byte, 2*stackSize+16),
	}
	for i, fd := range stdio {
		pl.stdio[i] = uintptr(fd)
	}
	if p.UID == 0 {
		pl.keep = rootCaps
	}
	// The server maps the user of hewn to 0, for uid and gid alike.
	pl.uidLine = fmt.Appendf(nil, "%d 0 1\n", p.UID)
	pl.gidLine = fmt.Appendf(nil, "%d 0 1\n", p.GID)
	program := filterProgram()
	pl.filter = unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if c.err != nil {
		return nil, c.err
	}
	return pl, nil
}

// candidates are the paths at which a command is looked for: as it is if it has a slash, else in the action's PATH.
func candidates(p *proc) []string {
	name := p.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var found []string
	for _, kv := range p.Env {
		if dirs, ok := strings.CutPrefix(kv, "PATH="); ok {
			found = found[:0]
			for _, dir := range strings.Split(dirs, ":") {
				if dir == "" {
					dir = "."
				}
				found = append(found, path.Join(dir, name))
				if dir == "." {
					found[len(found)-1] = "./" + name
				}
			}
		}
	}
	return found
}

func commandLimits(p *proc) []limit {
	limits := []limit{{unix.RLIMIT_CORE, unix.Rlimit{}}}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		files.Max = min(files.Max, maxOpenFiles)
		files.Cur = files.Max
		limits = append(limits, limit{unix.RLIMIT_NOFILE, files})
	}
	var stack unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_STACK, &stack) == nil {
		stack.Cur = min(stack.Max, 8<<20)
		limits = append(limits, limit{unix.RLIMIT_STACK, stack})
	}
	if p.Processes > 0 {
		// Counted in the command's own user namespace, so by action. The kernel never refuses the machine's real root,
		// whose processes the watcher counts instead.
		n := uint64(p.Processes)
		limits = append(limits, limit{unix.RLIMIT_NPROC, unix.Rlimit{Cur: n, Max: n}})
	}
	return limits
}

// cstrings makes zero-terminated strings and remembers the first that cannot be one.
type cstrings struct{ err error }

func (c *cstrings) str(s string) *byte {
	p, err := syscall.BytePtrFromString(s)
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%q contains a zero byte", s)
	}
	return p
}

func (c *cstrings) vector(list []string) **byte {
	v := make([]*byte, len(list)+1)
	for i, s := range list {
		v[i] = c.str(s)
	}
	return &v[0]
}

// pipe gives a pipe whose reading end is for a goroutine, its writing end for another process.
func pipe() (r *os.File, w int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, 0, os.NewSyscallError("pipe", err)
	}
	if err := unix.SetNonblock(p[1], false); err != nil {
		return nil, 0, err
	}
	return os.NewFile(uintptr(p[0]), "pipe"), p[1], nil
}
