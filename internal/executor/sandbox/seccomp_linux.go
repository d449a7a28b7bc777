package sandbox

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// The filter is not what keeps an action in: its namespaces and its lack of capabilities do. It closes the parts of the
// kernel that namespaces do not cover (virtual sockets, keys, other address families) and those whose bugs have let
// unprivileged processes out. Whatever it denies answers with an error that programs know how to live with.

// refused answer EPERM: an action may not do this.
var refused = []uintptr{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_SETNS,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SYSLOG,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP,
	unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES,
}

// absent answer ENOSYS, so that libraries take their other way. clone3 is here because its flags lie in memory, where
// no filter can look; the C library then uses clone.
var absent = []uintptr{
	unix.SYS_CLONE3, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
}

// families are the socket families that are bound to a network namespace or to the file system. Virtual sockets in
// particular reach the host of a virtual machine from any namespace.
var families = []uintptr{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// namespaceFlags are those of clone and unshare that make a namespace.
const namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

// Offsets in struct seccomp_data. Arguments are 64 bits wide; what is compared here lies in their lower half, which is
// the first on all processors that we know (little endian).
const (
	offNumber = 0
	offArch   = 4
	offArg0   = 16
	offArg1   = 24
)

func errnoRet(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

// filterProgram is the filter for this processor.
func filterProgram() []unix.SockFilter {
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	ret := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }
	// jump continues with the next instruction where the test holds, else skips skip instructions.
	jump := func(code uint16, k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | code, K: k, Jf: skip}
	}
	arch := uint32(unix.AUDIT_ARCH_X86_64)
	if runtime.GOARCH == "arm64" {
		arch = unix.AUDIT_ARCH_AARCH64
	}
	// Another architecture's numbers (32-bit programs) mean other calls: none of them is there.
	p := []unix.SockFilter{load(offArch), {Code: unix.BPF_JMP | unix.BPF_K | unix.BPF_JEQ, K: arch, Jt: 1}, ret(errnoRet(unix.ENOSYS)), load(offNumber)}
	if runtime.GOARCH == "amd64" {
		const x32 = 0x40000000 // a second numbering of the same calls
		p = append(p, jump(unix.BPF_JGE, x32, 1), ret(errnoRet(unix.ENOSYS)))
	}
	for _, n := range refused {
		p = append(p, jump(unix.BPF_JEQ, uint32(n), 1), ret(errnoRet(unix.EPERM)))
	}
	for _, n := range absent {
		p = append(p, jump(unix.BPF_JEQ, uint32(n), 1), ret(errnoRet(unix.ENOSYS)))
	}
	for _, n := range []uintptr{unix.SYS_CLONE, unix.SYS_UNSHARE} { // flags are the first argument of both
		p = append(p, jump(unix.BPF_JEQ, uint32(n), 4), load(offArg0), jump(unix.BPF_JSET, namespaceFlags, 1), ret(errnoRet(unix.EPERM)), ret(unix.SECCOMP_RET_ALLOW))
	}
	p = append(p, jump(unix.BPF_JEQ, uint32(unix.SYS_IOCTL), 4), load(offArg1), jump(unix.BPF_JEQ, unix.TIOCSTI, 1), ret(errnoRet(unix.EPERM)), ret(unix.SECCOMP_RET_ALLOW))
	for _, n := range []uintptr{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR} {
		p = append(p, jump(unix.BPF_JEQ, uint32(n), uint8(2+2*len(families))), load(offArg0))
		for _, f := range families {
			p = append(p, jump(unix.BPF_JEQ, uint32(f), 1), ret(unix.SECCOMP_RET_ALLOW))
		}
		p = append(p, ret(errnoRet(unix.EAFNOSUPPORT)))
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}
