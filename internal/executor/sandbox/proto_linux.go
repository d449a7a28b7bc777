package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	Limits  limits `json:"limits,omitzero"`   // open
}

// limits are what all processes of a session may use together; 0 is no limit.
type limits struct {
	Memory    int64 `json:"memory,omitempty"`
	Processes int   `json:"processes,omitempty"`
}

const (
	opRun    = "run"    // run one action; files: socket, log
	opOpen   = "open"   // open a session, which ends with its socket
	opMount  = "mount"  // mount a root in a session; its upper directory comes back if it is to be collected and lies in memory
	opStart  = "start"  // start a process in a mounted root; files: socket, stdin, stdout, stderr, or with a terminal only the first
	opSocket = "socket" // give an unconnected TCP socket of the session's network
)

// root is how to put a root together.
type root struct {
	Mode   Mode     `json:"mode"`
	Lowers []string `json:"lowers"` // views, top first
	Dir    string   `json:"dir"`    // directory of this root on the host: upper, work, or the copy
	Make   []string `json:"make"`   // directories that must exist inside, with their parents
	Binds  []bind   `json:"binds,omitempty"`
	Tmpfs  []string `json:"tmpfs,omitempty"`

	ReadOnly bool `json:"readOnly,omitempty"`
	Collect  bool `json:"collect,omitempty"` // mount: what is written there is looked at afterwards
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
	UID       uint32   `json:"uid"`
	GID       uint32   `json:"gid"`
	TTY       bool     `json:"tty,omitempty"`
	Cols      int      `json:"cols,omitempty"` // of the terminal at first
	Rows      int      `json:"rows,omitempty"`
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

// wire is one end of a Unix stream socket, with files.
type wire struct {
	file *os.File
	raw  syscall.RawConn
}

// newWire makes a wire of a descriptor and takes it over.
func newWire(fd int) (*wire, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "sandbox")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &wire{f, raw}, nil
}

func (w *wire) close() { w.file.Close() }

// hangUp says that no more will be said; the other side reads the end of file.
func (w *wire) hangUp() {
	w.raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
}

// send writes one frame with files. It does not close them.
func send(w *wire, v any, files ...int) error {
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
	n, sendErr := 0, error(nil)
	err = w.raw.Write(func(fd uintptr) bool {
		n, sendErr = unix.SendmsgN(int(fd), frame, oob, nil, unix.MSG_NOSIGNAL)
		return sendErr != unix.EAGAIN && sendErr != unix.EINTR
	})
	if err == nil {
		err = sendErr
	}
	if err == nil && n < len(frame) {
		_, err = w.file.Write(frame[n:])
	}
	return err
}

// receive reads one frame into v and gives the files that came with it, which the caller must close.
func receive(w *wire, v any) ([]int, error) {
	var buf [2048]byte // most frames fit
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, recvErr := 0, 0, error(nil)
	err := w.raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, recvErr = unix.Recvmsg(int(fd), buf[:4], oob, unix.MSG_CMSG_CLOEXEC)
		return recvErr != unix.EAGAIN && recvErr != unix.EINTR
	})
	if err == nil {
		err = recvErr
	}
	if err != nil {
		return nil, err
	}
	files, err := parseFiles(oob[:oobn])
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil && n < 4 {
		_, err = io.ReadFull(w.file, buf[n:4])
	}
	size := binary.BigEndian.Uint32(buf[:4])
	if err == nil && size > maxFrame {
		err = fmt.Errorf("sandbox: a frame of %d bytes is over the limit of %d", size, maxFrame)
	}
	if err == nil {
		body := buf[:]
		if int(size) > len(body) {
			body = make([]byte, size)
		}
		if _, err = io.ReadFull(w.file, body[:size]); err == nil {
			err = json.Unmarshal(body[:size], v)
		}
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// parseFiles takes the descriptors out of ancillary data.
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
func socketPair() (*wire, int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("sandbox: socketpair: %w", err)
	}
	w, err := newWire(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return nil, 0, err
	}
	return w, fds[1], nil
}
