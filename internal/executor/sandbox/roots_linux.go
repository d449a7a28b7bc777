package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
)

// driverRoot is what a session calls the root of the action itself; no further root can have this name.
const driverRoot = ""

// inRoots runs an action that has further roots: in a session, which has the action's own root and the others, and in
// which the action's command, the driver, starts processes through the control socket. When the driver has ended, so has
// everything else.
func (x *execution) inRoots(ctx context.Context) (*reply, string, error) {
	s, limit := x.sandbox, x.request.Limits
	// The session must not end before the driver has been asked why: the end of ctx is await's to notice.
	se, err := s.open(context.WithoutCancel(ctx), x.request.Label, limits{Memory: limit.Memory, Processes: limit.Processes})
	if err != nil {
		return nil, "", err
	}
	defer se.Close(0)
	log := &sharedLog{w: x.log}
	if x.request.Log != nil {
		log.w = io.MultiWriter(x.log, quiet{x.request.Log})
	}
	c, err := s.newController(se, x.request, log)
	if err != nil {
		return nil, "", err
	}
	end := func() { // in this order: nothing new is started, everything ends, and then all that was written has been read
		c.stop()
		se.Close(0)
		c.close()
	}
	defer end()
	if err := x.mountDriver(ctx, se, c.dir); err != nil {
		return nil, "", err
	}
	for _, r := range x.request.Action.Roots {
		if err := x.mountFurther(ctx, se, r); err != nil {
			return nil, "", err
		}
	}
	go c.serve()
	d, err := x.startDriver(se, log)
	if err != nil {
		return nil, "", err
	}
	rep, why := d.started, ""
	if rep.Started {
		rep, why, err = x.await(ctx, d.own)
	}
	end()
	d.close() // its last line comes last
	return rep, why, err
}

// mountFurther mounts one further root.
func (x *execution) mountFurther(ctx context.Context, se *clientSession, r action.Root) error {
	layers := x.request.RootLayers[r.Name]
	if len(layers) == 0 {
		layers = []executor.Layer{{Tree: r.Tree, At: "/"}}
	}
	tmpfs := append([]string{"/tmp"}, r.Tmpfs...)
	slices.Sort(tmpfs) // what contains another comes before it
	tmpfs = slices.Compact(tmpfs)
	return se.mountRoot(ctx, executor.Root{Name: r.Name, Layers: layers, ReadOnly: r.ReadOnly, Tmpfs: tmpfs}, &root{})
}

// mountDriver mounts the action's own root, with the next mode where the machine refuses one. control is the host's
// directory with the control socket.
func (x *execution) mountDriver(ctx context.Context, se *clientSession, control string) error {
	a, s := &x.request.Action, x.sandbox
	modes := []Mode{s.firstMode(), ModeTmpfs, ModeCopy}
	if s.conf.Mode != ModeAuto {
		modes = modes[:1]
	}
	var refused string
	for _, mode := range modes {
		var err error
		x.mode = mode
		if x.dir, err = s.newDir(); err != nil {
			return err
		}
		if mode == ModeCopy {
			if err := copyRoot(ctx, x.lowers, x.dir+"/root"); err != nil {
				return fmt.Errorf("copy the root of `%s`: %w", x.request.Label, err)
			}
		}
		rep, files, err := se.ask(&request{Op: opMount, Session: se.id, Name: driverRoot, Root: &root{
			Mode: mode, Lowers: append([]string{s.skeleton}, x.lowers...), Dir: x.dir, Make: directories(a.Env, a.Outputs),
			Binds: []bind{{Host: control, At: action.ControlDir}}, Collect: true,
		}})
		if err != nil {
			return err
		}
		if rep.Err == "" {
			if len(files) > 0 {
				x.upper = files[0]
				closeAll(files[1:])
			}
			if s.conf.Mode == ModeAuto {
				s.mode.Store(mode)
			}
			return nil
		}
		closeAll(files)
		refused = rep.Err
		removeAll(x.dir)
		x.dir = ""
	}
	return diag.Environmentf("sandbox", "cannot put the root of `%s` together", x.request.Label).Because(errors.New(refused))
}

// driver is the command of an action with further roots, while it runs.
type driver struct {
	own     *wire
	started *reply // the server's first: that it runs, or why not
	streams *streams
	output  sync.WaitGroup
	log     *lineLog
}

// startDriver starts the action's command.
func (x *execution) startDriver(se *clientSession, log *sharedLog) (*driver, error) {
	d := &driver{started: &reply{}, streams: &streams{merged: true}, log: &lineLog{to: log}}
	if err := d.streams.open(executor.Process{}); err != nil {
		return nil, err
	}
	defer d.streams.closeTheirs()
	p := x.proc()
	p.Memory = 0 // is the session's
	own, err := x.sandbox.client.call(&request{Op: opStart, Session: se.id, Name: driverRoot, Proc: p}, d.streams.descriptors()...)
	if err != nil {
		d.streams.closeOurs()
		return nil, err
	}
	d.own = own
	d.streams.copy(executor.Process{Stdout: d.log}, &d.output)
	files, err := receive(own, d.started)
	closeAll(files)
	if err != nil {
		d.streams.closeOurs()
		d.output.Wait()
		own.close()
		return nil, x.sandbox.client.gone("`"+x.request.Label+"` was started", err)
	}
	return d, nil
}

// close waits until all has been read that the driver wrote; everything that could write must have ended.
func (d *driver) close() {
	d.output.Wait()
	d.log.flush()
	d.own.close()
}

// maxLine is how long a line may be before it is cut into several.
const maxLine = 64 << 10

// sharedLog is a log into which several processes write whole lines.
type sharedLog struct {
	mu sync.Mutex
	w  io.Writer
}

// lineLog is one process's way into a sharedLog: each line gets the prefix. Without one, nothing is added and nothing
// taken away.
type lineLog struct {
	to     *sharedLog
	prefix string

	mu   sync.Mutex
	line []byte
}

// Write passes whole lines on and keeps the rest.
func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	var out []byte
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		whole := end > 0
		if !whole {
			end = len(p)
		}
		if room := maxLine - len(l.line); end > room {
			end, whole = room, true
		}
		l.line = append(l.line, p[:end]...)
		p = p[end:]
		if whole {
			out = l.emit(out)
		}
	}
	l.send(out)
	return n, nil
}

// emit appends the line that is complete to out.
func (l *lineLog) emit(out []byte) []byte {
	if len(l.line) == 0 {
		return out
	}
	out = append(append(out, l.prefix...), l.line...)
	if l.prefix != "" && !bytes.HasSuffix(out, []byte("\n")) {
		out = append(out, '\n')
	}
	l.line = l.line[:0]
	return out
}

func (l *lineLog) send(out []byte) {
	if len(out) == 0 {
		return
	}
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	l.to.w.Write(out)
}

// flush passes on what has no end of line.
func (l *lineLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.send(l.emit(nil))
}

// tail keeps the last bytes that were written.
type tail struct {
	mu   sync.Mutex
	max  int
	text []byte
}

// Write keeps the end of p.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*t.max {
		t.text = append(t.text[:0], t.text[len(t.text)-t.max:]...)
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text[max(0, len(t.text)-t.max):])
}
