package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/diag"
)

// client is hewn's side of the server. It starts the server when it is first needed: a build with nothing to do never
// pays for it.
type client struct {
	dir   string   // this process's directory below Config.TempDir
	roots []string // directories to show to the server

	mu      sync.Mutex
	conn    *wire
	process *os.Process
	ended   chan struct{}
	failed  error
	closed  bool
}

// call sends a request and gives the socket on which the answer comes.
func (c *client) call(rq *request, files ...int) (*wire, error) {
	own, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(theirs)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err = c.start(); err == nil {
		if err = send(c.conn, rq, append([]int{theirs}, files...)...); err != nil {
			err = c.gone("a request was sent", err)
		}
	}
	if err != nil {
		own.close()
		return nil, err
	}
	return own, nil
}

// start starts the server unless it runs. The caller holds mu.
func (c *client) start() error {
	if c.conn != nil || c.failed != nil {
		return c.failed
	}
	if c.closed {
		return context.Canceled
	}
	c.failed = c.launch()
	return c.failed
}

func (c *client) launch() error {
	scratch := filepath.Join(c.dir, "base")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	conf := serverConfig{Scratch: scratch, Roots: append([]string{c.dir}, c.roots...)}
	conn, theirs, err := socketPair()
	if err != nil {
		return err
	}
	control := os.NewFile(uintptr(theirs), "control")
	defer control.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{serverName}, Env: []string{}, Dir: "/",
		ExtraFiles: []*os.File{control},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
			Pdeathsig:   syscall.SIGKILL, // the closed socket would do; this also works while the server is stopped
			Setsid:      true,            // a terminal's Ctrl-C is for hewn, which ends what must end
		},
	}
	// What a crash of the server says would otherwise be lost; it says nothing else.
	if words, err := os.OpenFile(c.words(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err == nil {
		defer words.Close()
		cmd.Stderr = words
	}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends the death signal when the thread that forked ends, so it must live as long as the server.
		// Afterwards it goes back to the runtime: to end it would signal what others have forked from it before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		conn.close()
		return noNamespaces(err)
	}
	var hello reply
	err = send(conn, conf)
	if err == nil {
		_, err = receive(conn, &hello)
	}
	if err != nil {
		err = fmt.Errorf("the sandbox's server ended at once: %w", err)
		conn.close()
		<-ended
		return diag.Environmentf("sandbox", "cannot start the sandbox").Because(err)
	}
	if hello.Err != "" {
		conn.close()
		<-ended
		return refusal(&hello)
	}
	c.conn, c.process, c.ended = conn, cmd.Process, ended
	return nil
}

// words is the file of the server's stderr.
func (c *client) words() string { return filepath.Join(c.dir, "server.log") }

// gone is the problem of a server that ended although nobody asked it to, while something was going on.
func (c *client) gone(what string, err error) error {
	p := diag.Environmentf("sandbox", "the sandbox's server ended while %s", what).Because(err)
	f, openErr := os.Open(c.words())
	if openErr != nil {
		return p
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, _ := f.Read(b)
	if text := strings.TrimSpace(string(b[:n])); text != "" {
		p.With(strings.Split(text, "\n")...)
	}
	return p
}

// stop ends the server and everything that it runs, and waits until all of it is gone.
func (c *client) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return
	}
	c.conn.close()
	c.process.Kill()
	<-c.ended
	c.conn = nil
}
