//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func exitWith(args []string) {
	code, _ := strconv.Atoi(args[0])
	os.Exit(code)
}

func sleep(args []string) {
	d, err := time.ParseDuration(args[0])
	check(err)
	fmt.Println("sleeping")
	time.Sleep(d)
}

func stdin([]string) {
	b, err := io.ReadAll(os.Stdin)
	check(err)
	fmt.Printf("stdin: %q\n", b)
}

// flood writes so many bytes, to stdout and stderr in turn.
func flood(args []string) {
	n, err := strconv.Atoi(args[0])
	check(err)
	line := bytes.Repeat([]byte("x"), 1023)
	line = append(line, '\n')
	for i := 0; i < n; i += len(line) {
		out := os.Stdout
		if i/len(line)%2 == 1 {
			out = os.Stderr
		}
		out.Write(line)
	}
	fmt.Println("the end")
}

// signalMe ends by a signal.
func signalMe(args []string) {
	n, _ := strconv.Atoi(args[0])
	signal.Reset()
	syscall.Kill(os.Getpid(), syscall.Signal(n))
	time.Sleep(time.Second)
}

// processes must see itself and the first process only, and must not get at that.
func processes([]string) {
	entries, err := os.ReadDir("/proc")
	check(err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		b, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		fail("process %d is visible: %q", pid, b)
	}
	if os.Getppid() != 1 {
		fail("the parent is %d", os.Getppid())
	}
	for _, f := range []string{"environ", "mem", "maps", "root", "cwd", "fd/0"} {
		if _, err := os.ReadFile("/proc/1/" + f); err == nil {
			fail("/proc/1/%s can be read", f)
		}
	}
	// Anybody can read with what a process was started: nothing of the host may stand there.
	b, err := os.ReadFile("/proc/1/cmdline")
	check(err)
	if bytes.ContainsAny(b, "/{") {
		fail("the first process was started with %q", b)
	}
	if err := syscall.PtraceAttach(1); err == nil {
		fail("the first process can be traced")
	}
	syscall.Kill(1, syscall.SIGKILL) // has no effect from inside: we are still here afterwards
	if _, err := os.Stat("/proc/1"); err != nil {
		fail("killed the first process")
	}
	fds, err := os.ReadDir("/proc/self/fd")
	check(err)
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		n, _ := strconv.Atoi(fd.Name())
		if err == nil && n > 2 && !strings.HasPrefix(target, "anon_inode:") && !strings.HasPrefix(target, "/proc/") {
			b, _ := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
			fail("descriptor %d is open: %s\n%s", n, target, b)
		}
	}
}

// daemon leaves a process of its own session behind, which writes to a file for as long as it lives.
func daemon(args []string) {
	cmd := exec.Command("/proc/self/exe", "sleep", "1h", args[0])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(cmd.Start())
	fmt.Println("started")
}

// spawnMany starts as many processes as it is told, or can.
func spawnMany(args []string) {
	n, err := strconv.Atoi(args[0])
	check(err)
	for i := range n {
		cmd := exec.Command("/proc/self/exe", "sleep", "1h")
		if err := cmd.Start(); err != nil {
			fmt.Printf("stopped at %d: %v\n", i, err)
			os.Exit(3)
		}
	}
	fmt.Printf("started all %d\n", n)
	time.Sleep(10 * time.Second)
}

// terminated is told of SIGTERM.
func terminated() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	return c
}

// memory takes memory until something stops it.
func memory(args []string) {
	n, err := strconv.Atoi(args[0])
	check(err)
	var all [][]byte
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Second)
	fail("kept %d MiB", len(all))
}

// identity prints who and where this is.
func identity([]string) {
	host, err := os.Hostname()
	check(err)
	dir, err := os.Getwd()
	check(err)
	fmt.Printf("uid %d gid %d host %s dir %s sid %v\n", os.Getuid(), os.Getgid(), host, dir, os.Getpid() == getsid())
	b, err := os.ReadFile("/proc/self/status")
	check(err)
	for _, line := range strings.Split(string(b), "\n") {
		for _, key := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:", "SigBlk", "SigIgn", "Umask"} {
			if strings.HasPrefix(line, key) {
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
	}
}

func getsid() int {
	sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	return int(sid)
}

// forbidden tries what an action may not do, and fails if any of it can be done.
func forbidden([]string) {
	try := func(what string, err error) {
		if err == nil {
			fail("%s was possible", what)
		}
		fmt.Printf("%s: %v\n", what, err)
	}
	call := func(nr, a, b, c uintptr) error {
		if _, _, e := syscall.RawSyscall(nr, a, b, c); e != 0 {
			return e
		}
		return nil
	}
	try("mount", syscall.Mount("tmpfs", "/tmp", "tmpfs", 0, ""))
	try("unmount", syscall.Unmount("/proc", syscall.MNT_DETACH))
	try("chroot", syscall.Chroot("/tmp"))
	try("user namespace", syscall.Unshare(syscall.CLONE_NEWUSER))
	try("net namespace", syscall.Unshare(syscall.CLONE_NEWNET))
	try("clone with namespace", call(syscall.SYS_CLONE, syscall.CLONE_NEWUSER|uintptr(syscall.SIGCHLD), 0, 0))
	try("device", syscall.Mknod("/tmp/device", syscall.S_IFBLK|0o666, 8<<8))
	try("chown", os.Chown("/tmp", 12345, 12345))
	try("setuid", syscall.Setuid(12345))
	try("host name", syscall.Sethostname([]byte("x")))
	try("keys", call(nrKeyctl, 0, 0, 0))
	try("bpf", call(nrBpf, 0, 0, 0))
	try("perf", call(nrPerf, 0, 0, 0))
	try("userfaultfd", call(nrUserfaultfd, 0, 0, 0))
	try("io_uring", call(nrIoUring, 1, uintptr(unsafe.Pointer(new([120]byte))), 0))
	for _, f := range []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/ns_last_pid"} {
		h, err := os.OpenFile(f, os.O_WRONLY, 0)
		if err == nil {
			h.Close()
		}
		try(f, err)
	}
	_, err := os.ReadFile("/proc/kcore")
	try("/proc/kcore", err)
	try("remount", syscall.Mount("", "/proc", "", syscall.MS_REMOUNT|syscall.MS_BIND, ""))
}

// tty prints the terminal that this runs on, its size, and a line that is typed.
func tty([]string) {
	name, err := os.Readlink("/proc/self/fd/0")
	check(err)
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	check(err)
	size := func() string {
		var ws [4]uint16
		syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&ws)))
		return fmt.Sprintf("%dx%d", ws[1], ws[0])
	}
	winch := make(chan os.Signal, 1)
	signal.Notify(winch, syscall.SIGWINCH)
	fmt.Printf("on %s, %s\n", name, size())
	<-winch
	fmt.Printf("now %s\n", size())
	buf := make([]byte, 100)
	n, err := os.Stdin.Read(buf)
	check(err)
	fmt.Printf("typed %q\n", buf[:n])
}
