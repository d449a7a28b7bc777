// Package executor says what runs actions and what keeps a sandbox up for services; the packages below do it:
// sandbox in Linux namespaces of this machine, remote on a cluster. One conformance suite, executor/executortest,
// runs against all of them.
package executor

import (
	"context"
	"io"
	"net"
	"time"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// Layer is one tree and the place where it is mounted in a root.
type Layer struct {
	Tree tree.Tree
	At   string // absolute clean path; "/" for the whole root
}

// Limits bounds an action; a zero field means no limit of that sort. Limits are never part of a key.
type Limits struct {
	Time      time.Duration
	Memory    int64 // bytes, over all processes of the action
	Processes int
}

// Request is an action and what helps to run it.
type Request struct {
	Action action.Action
	// Layers is a hint for mounting: merged, they equal Action.Root. An executor may ignore it; where it is empty the
	// root is mounted alone.
	Layers []Layer
	// RootLayers is the same hint for the further roots of the action, by name.
	RootLayers map[string][]Layer
	Limits     Limits
	Label      string    // for messages
	Log        io.Writer // stdout and stderr as they come; may be nil
	// KeepFailed asks that the root of a failing action stays on disk; Outcome.Kept names it.
	KeepFailed bool
}

// Outcome is what an action left behind.
type Outcome struct {
	ExitCode int           // of the command; 128+n if signal n ended it
	Output   tree.Tree     // the declared outputs at their paths; zero unless ExitCode is 0
	Missing  []string      // declared outputs that do not exist although ExitCode is 0; Output is zero then
	Log      digest.Digest // all of stdout and stderr, interleaved
	Kept     string        // where the root of a failed action was kept, for `hewn shell`
	Killed   string        // why hewn ended it: "time", "memory", "cancelled"; empty otherwise
	Wall     time.Duration
	PeakRSS  int64    // bytes, as far as it could be measured
	Hints    []string // what the executor can say of a failure, for people: a chown that cannot work here
}

// Executor runs actions. It looks at no cache. A command that fails is an Outcome, not an error; an error means that
// the executor itself could not do its work. Execute may be called from many goroutines.
type Executor interface {
	Execute(ctx context.Context, r Request) (*Outcome, error)
}

// Sessions opens sandboxes that stay up, for `up`, `run` and `shell`.
type Sessions interface {
	// Open makes a session: one private network with a loopback of its own. It ends with ctx, with Close, or with
	// hewn's own death, however that comes about.
	Open(ctx context.Context, name string) (Session, error)
}

// Session is one private network in which processes run, each in one of the session's roots.
type Session interface {
	// Mount puts a root together, copy-on-write, and returns the name by which Start finds it.
	Mount(ctx context.Context, r Root) error
	// Start starts a process in a mounted root.
	Start(ctx context.Context, p Process) (Running, error)
	// Forward serves l, a listener of the host, by connecting each connection to addr ("127.0.0.1:9000") inside.
	Forward(ctx context.Context, l net.Listener, addr string) error
	// Close ends every process (SIGTERM, then SIGKILL after grace) and takes everything down.
	Close(grace time.Duration) error
}

// Root describes a root of a session.
type Root struct {
	Name   string
	Layers []Layer
	Binds  []Bind   // directories of the host
	Tmpfs  []string // absolute paths that get an empty tmpfs of their own (world-writable, sticky)
	// ReadOnly refuses writing to the root itself, for every user. Writable Binds and Tmpfs can be written to; where they
	// are mounted need not exist in Layers.
	ReadOnly bool
	// Kept, if set, is what Outcome.Kept named: the root as a failed action left it, in place of Layers.
	Kept string
}

// Bind shows a directory of the host inside a root.
type Bind struct {
	Host     string
	At       string
	Writable bool
}

// Process is a command to start in a session.
type Process struct {
	Root   string // the Name of a mounted Root
	Args   []string
	Env    []string // complete, `K=V`
	Dir    string
	AsRoot bool      // uid 0; UID is ignored
	UID    uint32    // with 0, and without AsRoot, user and group are 1000
	GID    uint32    // of AsRoot or of UID; 0 is the group 0
	Stdin  io.Reader // may be nil
	Stdout io.Writer
	Stderr io.Writer
	// TTY, if not nil, is a terminal that becomes the process's controlling terminal through a pty of its own;
	// Stdin, Stdout and Stderr are ignored then.
	TTY TTY
}

// TTY is a terminal of the caller to which a process is attached.
type TTY interface {
	io.ReadWriter
	// Size gives columns and rows; Resized is sent to whenever they change. It may be nil.
	Size() (cols, rows int, err error)
	Resized() <-chan struct{}
}

// Running is a started process.
type Running interface {
	// Wait gives the exit code, 128+n for signal n.
	Wait() (int, error)
	// Signal sends a signal by number to the process.
	Signal(sig int) error
}
