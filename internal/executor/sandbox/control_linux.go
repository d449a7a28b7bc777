package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
)

// The control protocol, by which a driver starts processes in the further roots of its action: a Unix stream socket, one
// connection a process, lines of JSON. docs/adr/0012-further-roots.md has it in full; whatever changes in it is a new
// action.RootsContract. Whoever speaks here is a command of a build: what it says is bounded, and can start something
// only where the action itself may.

const (
	maxControlLine  = 1 << 20  // of what a driver says
	maxControlCalls = 256      // connections at the same time
	maxAnswer       = 64 << 10 // of a process's output that a driver gets
)

// controlRequest asks for a process.
type controlRequest struct {
	Root string            `json:"root"`
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"` // complete
	Dir  string            `json:"dir"` // "/" if empty
	UID  *int64            `json:"uid"` // 1000 if not there
	GID  *int64            `json:"gid"`
}

// controlSignal is what may be said about a process that runs.
type controlSignal struct {
	Signal *int `json:"signal"`
}

// The answers, one a line.
type (
	controlStarted struct {
		Started bool `json:"started"`
	}
	controlError struct {
		Error string `json:"error"`
	}
	controlExit struct {
		Exit   int    `json:"exit"`
		Output string `json:"output"`
	}
)

// controller serves the control socket of one action.
type controller struct {
	dir       string // of the host, with the socket in it
	session   *clientSession
	roots     []string
	processes int // limit of each process tree
	log       *sharedLog
	listener  *net.UnixListener
	calls     sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	open    map[*net.UnixConn]bool
}

// newController makes the socket; nobody is answered before serve.
func (s *Sandbox) newController(se *clientSession, r *executor.Request, log *sharedLog) (*controller, error) {
	dir, err := os.MkdirTemp(s.dir, "control-")
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	c := &controller{dir: dir, session: se, processes: r.Limits.Processes, log: log, open: map[*net.UnixConn]bool{}}
	for _, root := range r.Action.Roots {
		c.roots = append(c.roots, root.Name)
	}
	if c.listener, err = listenIn(dir, path.Base(action.ControlSocket)); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("sandbox: make the control socket: %w", err)
	}
	return c, nil
}

// listenIn makes a Unix socket in a directory whose own name may be longer than the address of a socket.
func listenIn(dir, name string) (*net.UnixListener, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the descriptor in its name is another's by then
	return l, os.Chmod(filepath.Join(dir, name), 0o666)
}

// serve answers until stop.
func (c *controller) serve() {
	for {
		conn, err := c.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // the peer has gone, or there are too many files open, which passes
			continue
		}
		switch room := c.admit(conn); {
		case room > 0:
			go func() {
				defer c.calls.Done()
				c.handle(conn)
				c.leave(conn)
			}()
		case room == 0:
			answer(conn, controlError{fmt.Sprintf("there are %d connections already", maxControlCalls)})
			fallthrough
		default:
			conn.Close()
		}
	}
}

// admit counts a connection. It gives how many could be, 0 for one too many, less if none is taken any more.
func (c *controller) admit(conn *net.UnixConn) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return -1
	}
	room := maxControlCalls - len(c.open)
	if room > 0 {
		c.open[conn] = true
		c.calls.Add(1)
	}
	return room
}

func (c *controller) leave(conn *net.UnixConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
	conn.Close()
}

// stop ends all connections; what was started through them goes on.
func (c *controller) stop() {
	c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for conn := range c.open {
		conn.Close()
	}
}

// close waits until all has been read that processes wrote; their session must have been closed.
func (c *controller) close() {
	c.calls.Wait()
	os.RemoveAll(c.dir)
}

// answer writes one line. That nobody reads it is the driver's affair.
func answer(w io.Writer, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) == nil {
		w.Write(b.Bytes())
	}
}

// handle serves one connection: a request, and signals for the process until it has ended.
func (c *controller) handle(conn *net.UnixConn) {
	r := bufio.NewReader(conn)
	line, err := readLine(r)
	if err != nil {
		answer(conn, controlError{err.Error()})
		return
	}
	p, err := c.parse(line)
	if err != nil {
		answer(conn, controlError{err.Error()})
		return
	}
	end := &tail{max: maxAnswer}
	lines := &lineLog{to: c.log, prefix: p.Root + ": "}
	p.Stdout = io.MultiWriter(lines, end)
	running, err := c.session.start(*p, &streams{merged: true}, c.processes)
	if err != nil {
		answer(conn, controlError{startText(p, err)})
		return
	}
	answer(conn, controlStarted{true})
	go signals(conn, r, running)
	code, err := running.Wait()
	lines.flush()
	if err != nil {
		answer(conn, controlError{err.Error()})
		return
	}
	answer(conn, controlExit{code, strings.ToValidUTF8(end.String(), "\uFFFD")})
}

// startText is why a process could not be started, for whoever reads the driver's log.
func startText(p *executor.Process, err error) string {
	text := fmt.Sprintf("root `%s`: %v", p.Root, err)
	var prob *diag.Problem
	if errors.As(err, &prob) {
		for _, h := range prob.Hints {
			text += "; " + h
		}
	}
	return text
}

// signals sends the signals that are asked for. When nothing more can be said, the process goes on.
func signals(conn *net.UnixConn, r *bufio.Reader, running executor.Running) {
	for {
		line, err := readLine(r)
		if err != nil {
			return
		}
		var s controlSignal
		if err := decode(line, &s); err != nil || s.Signal == nil || *s.Signal < 1 || *s.Signal > 64 {
			answer(conn, controlError{fmt.Sprintf("what may be said of a process that runs is {\"signal\":N}, with N from 1 to 64, not %s", shown(line))})
			continue
		}
		running.Signal(*s.Signal)
	}
}

// readLine reads a line of at most maxControlLine bytes. The last need not have an end. Some more is read and forgotten, so
// that whoever writes too much gets as far as reading why that was wrong.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for size := 0; ; {
		part, err := r.ReadSlice('\n')
		if size += len(part); size <= maxControlLine {
			line = append(line, part...)
		}
		switch {
		case size > maxControlLine && (err == nil || size > 16*maxControlLine || !errors.Is(err, bufio.ErrBufferFull)):
			return nil, fmt.Errorf("the line is longer than %d bytes", maxControlLine)
		case err == nil || errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, errors.New("there is no request")
		default:
			return nil, err
		}
	}
}

// decode reads one JSON value that knows all of its keys, and nothing after it.
func decode(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something stands after the value")
	}
	return nil
}

// shown is as much of a line as an error needs.
func shown(line []byte) string {
	if line = bytes.TrimSpace(line); len(line) > 100 {
		return fmt.Sprintf("%q…", line[:100])
	}
	return fmt.Sprintf("%q", line)
}

// parse reads a request and says what is wrong with it.
func (c *controller) parse(line []byte) (*executor.Process, error) {
	var rq controlRequest
	if err := decode(line, &rq); err != nil {
		return nil, fmt.Errorf("the request %s cannot be read: %v", shown(line), err)
	}
	known := "the roots are: " + strings.Join(c.roots, ", ")
	switch {
	case rq.Root == "":
		return nil, fmt.Errorf("the request names no root; %s", known)
	case !slices.Contains(c.roots, rq.Root):
		return nil, fmt.Errorf("there is no root %q; %s", rq.Root, known)
	case len(rq.Args) == 0 || rq.Args[0] == "":
		return nil, errors.New("the request has no command in args")
	case rq.Dir != "" && !path.IsAbs(rq.Dir):
		return nil, fmt.Errorf("dir %q is not absolute", rq.Dir)
	}
	p := &executor.Process{Root: rq.Root, Args: rq.Args, Dir: rq.Dir}
	for k, v := range rq.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("the variable %q in env cannot be set to %q", k, v)
		}
		p.Env = append(p.Env, k+"="+v)
	}
	slices.Sort(p.Env)
	for _, id := range []struct {
		name  string
		given *int64
		to    *uint32
	}{{"uid", rq.UID, &p.UID}, {"gid", rq.GID, &p.GID}} {
		n := int64(UserID)
		if id.given != nil {
			n = *id.given
		}
		if n < 0 || n >= math.MaxUint32 { // the last one means "none"
			return nil, fmt.Errorf("%s %d is no user or group: they go from 0 to %d", id.name, n, uint32(math.MaxUint32-1))
		}
		*id.to = uint32(n)
	}
	p.AsRoot = p.UID == 0
	return p, nil
}
