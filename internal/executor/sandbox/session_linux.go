package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
)

// Open makes a session.
func (s *Sandbox) Open(ctx context.Context, name string) (executor.Session, error) {
	se, err := s.open(ctx, name, limits{})
	if err != nil {
		return nil, err
	}
	return se, nil
}

// open makes a session whose processes together keep within l.
func (s *Sandbox) open(ctx context.Context, name string, l limits) (*clientSession, error) {
	own, err := s.client.call(&request{Op: opOpen, Limits: l})
	if err != nil {
		return nil, err
	}
	var r reply
	if _, err := receive(own, &r); err != nil {
		own.close()
		return nil, s.client.gone("`"+name+"` was opened", err)
	}
	if r.Err != "" {
		own.close()
		return nil, refusal(&r)
	}
	se := &clientSession{sandbox: s, name: name, id: r.Session, own: own, running: map[*running]bool{}, done: make(chan struct{})}
	se.unhook = context.AfterFunc(ctx, func() { se.Close(0) })
	return se, nil
}

// clientSession is hewn's side of a session.
type clientSession struct {
	sandbox *Sandbox
	name    string
	id      int
	own     *wire // open as long as the session
	unhook  func() bool
	done    chan struct{} // closed when the session ends

	mu       sync.Mutex
	closed   bool
	running  map[*running]bool
	dirs     []string
	releases []func()
}

var errClosed = errors.New("the session is closed")

// Mount puts a root together.
func (se *clientSession) Mount(ctx context.Context, r executor.Root) error {
	return se.mountRoot(ctx, r, &root{Make: []string{"/tmp/home"}})
}

// mountRoot puts a root together from r; rt says what r cannot.
func (se *clientSession) mountRoot(ctx context.Context, r executor.Root, rt *root) error {
	s := se.sandbox
	rt.Tmpfs, rt.ReadOnly = r.Tmpfs, r.ReadOnly
	for _, b := range r.Binds {
		host, err := filepath.Abs(b.Host)
		if err != nil {
			return err
		}
		if !path.IsAbs(b.At) {
			return fmt.Errorf("sandbox: `%s` is not an absolute path to bind `%s` at", b.At, b.Host)
		}
		rt.Binds = append(rt.Binds, bind{Host: host, At: path.Clean(b.At), Writable: b.Writable})
	}
	layers, dir, modes := r.Layers, "", []Mode{s.firstMode(), ModeTmpfs, ModeCopy}
	if r.Kept != "" {
		k, err := OpenKept(r.Kept)
		if err != nil {
			return err
		}
		layers, dir, modes = k.Layers, r.Kept, []Mode{k.Mode}
	}
	trees, err := wrapLayers(ctx, s.conf.Store, layers)
	if err != nil {
		return err
	}
	lowers, release, err := views(ctx, s.conf, trees)
	if err != nil {
		return err
	}
	if r.Kept != "" {
		if modes[0], err = prepareKept(ctx, r.Kept, modes[0], lowers); err != nil {
			release()
			return err
		}
	} else if s.conf.Mode != ModeAuto {
		modes = []Mode{s.conf.Mode}
	}
	var rep *reply
	for _, mode := range modes {
		rt.Mode, rt.Dir = mode, dir
		rt.Lowers = append([]string{s.skeleton}, lowers...)
		if rep, err = se.mount(ctx, r.Name, rt, lowers); err != nil || rep.Err == "" {
			break
		}
	}
	if err == nil && rep.Err != "" {
		err = diag.Environmentf("sandbox", "cannot put the root `%s` of `%s` together", r.Name, se.name).Because(errors.New(rep.Err))
	}
	if err != nil {
		release()
		return err
	}
	se.mu.Lock()
	se.releases = append(se.releases, release)
	if r.Kept != "" {
		se.dirs = append(se.dirs, filepath.Join(r.Kept, "work")) // what was written stays
	}
	se.mu.Unlock()
	return nil
}

// mount tries one mode. A root without a directory of its own gets one.
func (se *clientSession) mount(ctx context.Context, name string, rt *root, lowers []string) (*reply, error) {
	if rt.Dir == "" {
		dir, err := se.sandbox.newDir()
		if err != nil {
			return nil, err
		}
		se.mu.Lock()
		se.dirs = append(se.dirs, dir)
		se.mu.Unlock()
		rt.Dir = dir
		if rt.Mode == ModeCopy {
			if err := copyRoot(ctx, lowers, dir+"/root"); err != nil {
				return nil, err
			}
		}
	}
	rep, _, err := se.ask(&request{Op: opMount, Session: se.id, Name: name, Root: rt})
	return rep, err
}

// ask sends a request of the session and waits for its one answer.
func (se *clientSession) ask(rq *request) (*reply, []int, error) {
	own, err := se.sandbox.client.call(rq)
	if err != nil {
		return nil, nil, err
	}
	defer own.close()
	var r reply
	files, err := receive(own, &r)
	if err != nil {
		return nil, nil, se.sandbox.client.gone("`"+se.name+"` ran", err)
	}
	return &r, files, nil
}

// Start starts a process.
func (se *clientSession) Start(ctx context.Context, p executor.Process) (executor.Running, error) {
	return se.start(p, &streams{}, 0)
}

// start starts a process with streams that are not open yet; processes is its own limit of them, 0 for none.
func (se *clientSession) start(p executor.Process, streams *streams, processes int) (executor.Running, error) {
	dir := p.Dir
	if dir == "" {
		dir = "/"
	}
	rq := &request{Op: opStart, Session: se.id, Name: p.Root, Proc: &proc{Args: p.Args, Env: p.Env, Dir: dir, TTY: p.TTY != nil, Processes: processes}}
	rq.Proc.UID, rq.Proc.GID = userOf(p.AsRoot, p.UID, p.GID)
	if p.TTY != nil {
		rq.Proc.Cols, rq.Proc.Rows, _ = p.TTY.Size()
	}
	r := &running{session: se, ended: make(chan struct{})}
	defer streams.closeTheirs()
	if p.TTY == nil {
		if err := streams.open(p); err != nil {
			return nil, err
		}
	}
	own, err := se.sandbox.client.call(rq, streams.descriptors()...)
	if err != nil {
		streams.closeOurs()
		return nil, err
	}
	r.own = own
	var first reply
	files, err := receive(own, &first)
	if err == nil && !first.Started {
		err = startProblem(p, dir, &first)
	}
	if err != nil {
		closeAll(files)
		own.close()
		streams.closeOurs()
		return nil, err
	}
	se.mu.Lock()
	if se.closed {
		se.mu.Unlock()
		closeAll(files)
		own.close()
		streams.closeOurs()
		return nil, errClosed
	}
	se.running[r] = true
	se.mu.Unlock()
	if p.TTY != nil && len(files) == 1 {
		r.attach(files[0], p.TTY)
	} else {
		closeAll(files)
		streams.copy(p, &r.output)
	}
	go r.follow()
	return r, nil
}

// startProblem says why a process could not be started.
func startProblem(p executor.Process, dir string, r *reply) error {
	name := ""
	if len(p.Args) > 0 {
		name = p.Args[0]
	}
	prob := diag.Failf("start", "cannot start `%s`", name).Because(errors.New(r.Err))
	switch r.Stage {
	case stageDir:
		prob.Hint("its working directory `%s` must exist in the root", dir)
	case stageExec:
		prob.Hint("the root has no such program in the PATH of its environment, or the program's interpreter is missing")
	}
	return prob
}

// Close ends the session.
func (se *clientSession) Close(grace time.Duration) error {
	se.mu.Lock()
	if se.closed {
		se.mu.Unlock()
		<-se.done
		return nil
	}
	se.closed = true
	var all []*running
	for r := range se.running {
		all = append(all, r)
	}
	se.mu.Unlock()
	defer close(se.done)
	se.unhook()
	if grace > 0 && len(all) > 0 {
		for _, r := range all {
			r.Signal(int(unix.SIGTERM))
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		for _, r := range all {
			select {
			case <-r.ended:
				continue
			case <-timer.C:
			}
			break
		}
	}
	se.own.hangUp() // the server kills what is left, takes everything down and closes its side
	io.Copy(io.Discard, se.own.file)
	se.own.close()
	for _, r := range all {
		<-r.ended
	}
	for _, release := range se.releases {
		release()
	}
	var err error
	for _, dir := range se.dirs {
		err = errors.Join(err, removeAll(dir))
	}
	return err
}

// running is a process of a session.
type running struct {
	session *clientSession
	own     *wire
	output  sync.WaitGroup // what copies stdout and stderr
	code    int
	err     error
	ended   chan struct{}
}

func (r *running) follow() {
	var last reply
	_, err := receive(r.own, &last)
	r.output.Wait()
	r.own.close()
	r.session.mu.Lock()
	delete(r.session.running, r)
	r.session.mu.Unlock()
	switch {
	case err != nil && errors.Is(err, os.ErrClosed):
		r.err = errClosed
	case err != nil:
		r.err = r.session.sandbox.client.gone("`"+r.session.name+"` ran", err)
	default:
		r.code = exitCode(last.Status)
	}
	close(r.ended)
}

// Wait waits for the end of the process and of its output.
func (r *running) Wait() (int, error) {
	<-r.ended
	return r.code, r.err
}

// Signal sends a signal; one to a process that has ended is lost.
func (r *running) Signal(sig int) error {
	select {
	case <-r.ended:
		return nil
	default:
		return send(r.own, &control{Signal: sig})
	}
}
