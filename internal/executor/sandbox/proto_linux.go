package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The protocol between hewn and the server: a Unix stream socket carries frames of a four-byte length and JSON; open
// files travel with a frame's first byte. hewn sends one request a frame on the main socket, with a socket of the
// request's own as the first file; everything further about that request goes over its own socket, whose closing by
// hewn means "stop". When the main socket closes, the server ends, and all that it runs with it.

// maxFrame bounds a frame. Linux limits arguments and environment together to a quarter of the stack limit, 2 MiB.
const maxFrame = 16 << 20

// maxFiles bounds the files of one frame: the request's own socket, stdin, stdout and stderr.
const maxFiles = 8

// request asks the server for one thing; the fields that matter depend on Op.
type request struct {
	Op      string `json:"op"`                // opRun and the others
	Session int    `json:"session,omitempty"` // of all session operations
	Root    *root  `json:"root,omitempty"`    // run, mount
	Name    string `json:"name,omitempty"`    // mount, start: the root's name
	Proc    *proc  `json:"proc,omitempty"`    // run, start
}

const (
	opRun    = "run"    // run one action; files: socket, log
	opOpen   = "open"   // open a session
	opMount  = "mount"  // mount a root in a session
	opStart  = "start"  // start a process in a mounted root; files: socket, stdin, stdout, stderr
	opSocket = "socket" // give an unconnected TCP socket of the session's network
	opClose  = "close"  // end a session
	opProbe  = "probe"  // say what works
)

// root is how to put a root together.
type root struct {
	Mode   Mode     `json:"mode"`
	Lowers []string `json:"lowers"` // views, top first
	Dir    string   `json:"dir"`    // directory of this root on the host: upper, work, or the copy
	Make   []string `json:"make"`   // directories that must exist inside, with their parents
	Binds  []bind   `json:"binds,omitempty"`
	Tmpfs  []string `json:"tmpfs,omitempty"`
}

type bind struct {
	Host     string `json:"host"`
	At       string `json:"at"`
	Writable bool   `json:"writable,omitempty"`
}

// proc is a command to run.
type proc struct {
	Args      []string `json:"args"`
	Env       []string `json:"env"`
	Dir       string   `json:"dir"`
	AsRoot    bool     `json:"asRoot,omitempty"`
	TTY       bool     `json:"tty,omitempty"`
	Memory    int64    `json:"memory,omitempty"`
	Processes int      `json:"processes,omitempty"`
}

// control is what hewn may say about a request that runs.
type control struct {
	Signal int `json:"signal,omitempty"`
}

// reply is what the server says. A run or a start gives one reply when it ends; a start gives one before, when the
// command has been forked.
type reply struct {
	Stage   string `json:"stage,omitempty"` // where it failed: stageRoot and the others
	Err     string `json:"err,omitempty"`
	Errno   int    `json:"errno,omitempty"`
	Status  int    `json:"status,omitempty"` // as wait4 gives it
	WallNs  int64  `json:"wallNs,omitempty"`
	PeakRSS int64  `json:"peakRSS,omitempty"`
	Killed  string `json:"killed,omitempty"` // "memory" or "processes"
	Session int    `json:"session,omitempty"`
	Started bool   `json:"started,omitempty"`
}

const (
	stageNamespace = "namespace" // the kernel refused a namespace
	stageRoot      = "root"      // the root could not be put together
	stageProc      = "proc"      // /proc could not be mounted
	stageChild     = "child"     // something else before the command
	stageDir       = "dir"       // the working directory is not there
	stageExec      = "exec"      // the command could not be executed
)

func (r *reply) fail(stage string, err error) *reply {
	r.Stage, r.Err = stage, err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
	}
	return r
}

// send writes one frame with files. It does not close them.
func send(c *net.UnixConn, v any, files ...int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("sandbox: a request of %d bytes is over the limit of %d", len(body), maxFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	frame = append(frame, body...)
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	n, _, err := c.WriteMsgUnix(frame, oob, nil)
	if err == nil && n < len(frame) {
		_, err = c.Write(frame[n:])
	}
	return err
}

// receive reads one frame into v and gives the files that came with it, which the caller must close.
func receive(c *net.UnixConn, v any) ([]int, error) {
	var head [4]byte
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := c.ReadMsgUnix(head[:], oob)
	if err != nil {
		return nil, err
	}
	files, err := parseFiles(oob[:oobn])
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil && n < len(head) {
		_, err = io.ReadFull(c, head[n:])
	}
	size := binary.BigEndian.Uint32(head[:])
	if err == nil && size > maxFrame {
		err = fmt.Errorf("sandbox: a frame of %d bytes is over the limit of %d", size, maxFrame)
	}
	if err == nil {
		body := make([]byte, size)
		if _, err = io.ReadFull(c, body); err == nil {
			err = json.Unmarshal(body, v)
		}
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// parseFiles takes the descriptors out of ancillary data; net has set close-on-exec on them.
func parseFiles(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []int
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, fds...)
	}
	return files, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// socketPair gives both ends of a Unix stream socket: one to keep, one (a descriptor) to hand over.
func socketPair() (*net.UnixConn, int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("sandbox: socketpair: %w", err)
	}
	c, err := unixConn(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return nil, 0, err
	}
	return c, fds[1], nil
}

// unixConn makes a connection of a descriptor and takes it over.
func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "sandbox")
	defer f.Close() // FileConn works on a duplicate
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("sandbox: socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("sandbox: not a Unix socket")
	}
	return u, nil
}
