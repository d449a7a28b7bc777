// Package service keeps an application up: its services in one session of the sandbox, started in order, watched, and
// taken down together. Nothing stays behind, whichever way hewn ends; only the state directory survives.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

// Defaults where a recipe says nothing.
const (
	defaultGrace   = 10 * time.Second
	defaultTimeout = 60 * time.Second
)

// Config is what an application is started with.
type Config struct {
	Sessions executor.Sessions
	Trees    map[string]tree.Tree // of the application's targets
	State    *State
	Events   event.Sink
	// Listen gives a listener on the host's loopback, at the preferred port if that is free. nil means Loopback.
	Listen func(preferred int) (net.Listener, error)
}

// Loopback listens on 127.0.0.1 at the preferred port, or at any where that is taken.
func Loopback(preferred int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", preferred))
	if err != nil && preferred != 0 {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

// Running is an application that is up.
type Running struct {
	app     *spec.App
	cfg     Config
	session executor.Session
	urls    map[string]string // by the name of the port

	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	failed chan error // the first failure of a service that ended by itself

	mu    sync.Mutex
	procs map[string]*proc // by service
}

// proc is a service's process.
type proc struct {
	running executor.Running
	ended   chan struct{}
}

// Start starts all services and waits until each is ready. Where one fails, everything is taken down again.
func Start(ctx context.Context, cfg Config, app *spec.App) (*Running, error) {
	if cfg.Listen == nil {
		cfg.Listen = Loopback
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r := &Running{app: app, cfg: cfg, cancel: cancel, urls: map[string]string{}, failed: make(chan error, 1), procs: map[string]*proc{}}
	var err error
	// The session must outlive an interrupt, so that services can be asked to end; Close ends it, or hewn's own death.
	if r.session, err = cfg.Sessions.Open(context.WithoutCancel(ctx), app.Name); err != nil {
		cancel(err)
		return nil, err
	}
	if err := r.start(ctx); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Running) start(ctx context.Context) error {
	for i := range r.app.Services {
		s := &r.app.Services[i]
		if err := r.mount(ctx, s.Name, s.Environment); err != nil {
			return fmt.Errorf("service `%s`: %w", s.Name, err)
		}
	}
	ready := map[string]chan struct{}{}
	for _, s := range r.app.Services {
		ready[s.Name] = make(chan struct{})
	}
	for i := range r.app.Services {
		s := &r.app.Services[i]
		r.wg.Go(func() {
			for _, name := range s.After {
				select {
				case <-ready[name]:
				case <-ctx.Done():
					return
				}
			}
			if err := r.serve(ctx, s, func() { close(ready[s.Name]) }); err != nil && ctx.Err() == nil {
				select {
				case r.failed <- fmt.Errorf("service `%s`: %w", s.Name, err):
				default:
				}
			}
		})
	}
	for _, s := range r.app.Services {
		select {
		case <-ready[s.Name]:
		case err := <-r.failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return r.expose(ctx)
}

func (r *Running) mount(ctx context.Context, name string, e spec.Environment) error {
	t, ok := r.cfg.Trees[e.Target]
	if !ok {
		return fmt.Errorf("target `%s` was not built", e.Target)
	}
	root := executor.Root{Name: name, Layers: []executor.Layer{{Tree: t, At: "/"}}, Tmpfs: append([]string{"/dev/shm", "/tmp"}, e.Tmpfs...)}
	slices.Sort(root.Tmpfs)
	root.Tmpfs = slices.Compact(root.Tmpfs)
	for _, at := range sorted(e.State) {
		host, err := r.cfg.State.Dir(e.State[at])
		if err != nil {
			return err
		}
		root.Binds = append(root.Binds, executor.Bind{Host: host, At: at, Writable: true})
	}
	return r.session.Mount(ctx, root)
}

func sorted(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// process puts a command together.
func (r *Running) process(name string, e spec.Environment, command []string, out io.Writer) executor.Process {
	return executor.Process{Root: name, Args: r.cfg.State.fillAll(command), Env: Environ(e, r.cfg.State),
		Dir: e.Dir, AsRoot: e.AsRoot, Stdout: out, Stderr: out}
}

// Environ is the complete environment of a command: that of every action, with e's own on top.
func Environ(e spec.Environment, st *State) []string {
	env := action.BaseEnv()
	delete(env, "SOURCE_DATE_EPOCH") // a running application lives in the present
	for k, v := range e.Env {
		env[k] = st.fill(v)
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}

// serve runs a service until ctx ends; ready is called once.
func (r *Running) serve(ctx context.Context, s *spec.Service, ready func()) error {
	var once sync.Once
	for {
		began := time.Now()
		err := r.runOnce(ctx, s, func() { once.Do(ready) })
		if s.Once {
			if err == nil {
				once.Do(ready)
			}
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if !s.Restart {
			if err == nil {
				err = errors.New("it ended by itself")
			}
			return err
		}
		r.cfg.Events.Emit(event.ServiceLine{Service: s.Name, Text: fmt.Sprintf("ended (%v), starting again", err)})
		// A service that fails at once is given time; one that ran well starts again at once.
		if pause := time.Second - time.Since(began); pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// runOnce starts the process and waits for its end.
func (r *Running) runOnce(ctx context.Context, s *spec.Service, ready func()) error {
	out := &lines{service: s.Name, events: r.cfg.Events}
	defer out.flush()
	p, err := r.session.Start(ctx, r.process(s.Name, s.Environment, s.Command, out))
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	var code int
	r.wg.Go(func() { code, err = p.Wait(); close(ended) })
	r.mu.Lock()
	r.procs[s.Name] = &proc{p, ended}
	r.mu.Unlock()
	if !s.Once {
		if rerr := r.awaitReady(ctx, s, ended); rerr != nil {
			select {
			case <-ended:
			default:
				return withTail(rerr, out)
			}
		} else {
			ready()
		}
	}
	select {
	case <-ended:
	case <-ctx.Done():
		return nil // Close ends the process
	}
	if err == nil && code != 0 {
		err = withTail(fmt.Errorf("`%s` ended with code %d", strings.Join(s.Command, " "), code), out)
	}
	return err
}

func withTail(err error, out *lines) error {
	return diag.Failf("service-failed", "it failed").Because(err).With(out.tail()...)
}

// awaitReady asks again and again until the service says that it is ready.
func (r *Running) awaitReady(ctx context.Context, s *spec.Service, ended <-chan struct{}) error {
	if s.Ready.HTTP == "" && len(s.Ready.Command) == 0 {
		return nil
	}
	timeout := s.Ready.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it was not ready after %s", timeout))
	defer cancel()
	probe := r.commandProbe(s)
	if s.Ready.HTTP != "" {
		p, stop, err := r.httpProbe(ctx, s.Ready.HTTP)
		if err != nil {
			return err
		}
		defer stop()
		probe = p
	}
	for pause := 50 * time.Millisecond; ; pause = min(pause*2, time.Second) {
		if probe(ctx) {
			return nil
		}
		select {
		case <-ended:
			return errors.New("it ended before it was ready")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (r *Running) commandProbe(s *spec.Service) func(context.Context) bool {
	return func(ctx context.Context) bool {
		p, err := r.session.Start(ctx, r.process(s.Name, s.Environment, s.Ready.Command, io.Discard))
		if err != nil {
			return false
		}
		code, err := p.Wait()
		return err == nil && code == 0
	}
}

// expose shows the application's ports on the host.
func (r *Running) expose(ctx context.Context) error {
	for _, p := range r.app.Ports {
		l, err := r.cfg.Listen(p.Host)
		if err != nil {
			return fmt.Errorf("port `%s`: %w", p.Name, err)
		}
		if err := r.session.Forward(ctx, l, fmt.Sprintf("127.0.0.1:%d", p.Inside)); err != nil {
			l.Close()
			return fmt.Errorf("port `%s`: %w", p.Name, err)
		}
		r.urls[p.Name] = "http://" + l.Addr().String()
	}
	return nil
}

// URL is the address of the application's first page on this machine.
func (r *Running) URL() string {
	if len(r.app.Ports) == 0 {
		return ""
	}
	return r.urls[r.app.Ports[0].Name] + r.app.URL
}

// Welcome is the recipe's text for a person who has just started the application.
func (r *Running) Welcome() string {
	return strings.ReplaceAll(r.cfg.State.fill(r.app.Welcome), "{url}", r.URL())
}

// Wait waits until ctx ends, which is no error, or until a service fails.
func (r *Running) Wait(ctx context.Context) error {
	select {
	case err := <-r.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Close asks every service to end, those first that others do not wait for, and takes the session down.
func (r *Running) Close() error {
	r.cancel(errors.New("taken down"))
	for _, s := range r.stopOrder() {
		r.stop(s)
	}
	err := r.session.Close(time.Second)
	r.wg.Wait()
	return err
}

// stopOrder is the reverse of an order in which the services can start.
func (r *Running) stopOrder() []*spec.Service {
	var order []*spec.Service
	placed := map[string]bool{}
	var place func(s *spec.Service)
	place = func(s *spec.Service) {
		if placed[s.Name] {
			return
		}
		placed[s.Name] = true
		for i := range r.app.Services {
			if slices.Contains(s.After, r.app.Services[i].Name) {
				place(&r.app.Services[i])
			}
		}
		order = append(order, s)
	}
	for i := range r.app.Services {
		place(&r.app.Services[i])
	}
	slices.Reverse(order)
	return order
}

// stop asks a service to end and waits for as long as it may take.
func (r *Running) stop(s *spec.Service) {
	r.mu.Lock()
	p := r.procs[s.Name]
	r.mu.Unlock()
	if p == nil {
		return
	}
	select {
	case <-p.ended:
		return
	default:
	}
	signals := map[string]syscall.Signal{"": syscall.SIGTERM, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT}
	_ = p.running.Signal(int(signals[s.Signal])) // a process that has just ended cannot be signalled
	grace := s.Grace
	if grace <= 0 {
		grace = defaultGrace
	}
	select {
	case <-p.ended:
	case <-time.After(grace):
		r.cfg.Events.Emit(event.ServiceLine{Service: s.Name, Text: fmt.Sprintf("did not end within %s and is killed", grace)})
	}
}

// Shell starts a command in an environment of its own, attached to the caller's terminal or streams, and gives its
// exit code.
func Shell(ctx context.Context, cfg Config, e spec.Environment, p executor.Process) (int, error) {
	s, err := cfg.Sessions.Open(ctx, "run")
	if err != nil {
		return 0, err
	}
	defer s.Close(defaultGrace)
	r := &Running{cfg: cfg, session: s}
	if err := r.mount(ctx, "run", e); err != nil {
		return 0, err
	}
	p.Root, p.Env, p.Dir, p.AsRoot = "run", Environ(e, cfg.State), e.Dir, e.AsRoot
	running, err := s.Start(ctx, p)
	if err != nil {
		return 0, err
	}
	return running.Wait()
}

// stateFile joins below the state directory.
func stateFile(dir, name string) string { return filepath.Join(dir, name) }
