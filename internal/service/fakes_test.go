package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/tree"
)

// fakeSessions is a sandbox whose processes are goroutines. It writes down what it is asked to do, in order.
type fakeSessions struct {
	// act is what a process does; it gives its exit code.
	act func(p executor.Process, signals <-chan int) int
	// http answers whatever is forwarded.
	http http.Handler

	mu     sync.Mutex
	log    []string
	dead   chan struct{} // closed with the session
	mounts map[string]executor.Root
	procs  map[string]executor.Process // the last of each root
}

func (f *fakeSessions) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *fakeSessions) notes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

func (f *fakeSessions) Open(context.Context, string) (executor.Session, error) {
	f.dead = make(chan struct{})
	f.mounts, f.procs = map[string]executor.Root{}, map[string]executor.Process{}
	return f, nil
}

func (f *fakeSessions) Mount(_ context.Context, r executor.Root) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mounts[r.Name] = r
	return nil
}

type fakeProc struct {
	f       *fakeSessions
	name    string
	signals chan int
	ended   chan struct{}
	code    int
}

func (f *fakeSessions) Start(_ context.Context, p executor.Process) (executor.Running, error) {
	name := strings.Join(p.Args, " ")
	f.note("start %s", name)
	r := &fakeProc{f: f, name: name, signals: make(chan int, 4), ended: make(chan struct{})}
	f.mu.Lock()
	f.procs[p.Root] = p
	f.mu.Unlock()
	go func() {
		r.code = f.act(p, r.signals)
		close(r.ended)
	}()
	return r, nil
}

func (r *fakeProc) Wait() (int, error) {
	select {
	case <-r.ended:
		return r.code, nil
	case <-r.f.dead:
		return 128 + int(syscall.SIGKILL), nil
	}
}

func (r *fakeProc) Signal(sig int) error {
	r.f.note("signal %d to %s", sig, r.name)
	r.signals <- sig
	return nil
}

func (f *fakeSessions) Forward(_ context.Context, l net.Listener, addr string) error {
	f.note("forward %s", addr)
	go func() { _ = http.Serve(l, f.http) }()
	return nil
}

// Close is the end of every process, as in the sandbox.
func (f *fakeSessions) Close(time.Duration) error {
	f.note("close")
	close(f.dead)
	return nil
}

// obedient ends at the first signal; "exit N" ends at once; "say TEXT" writes and ends; "stubborn" ignores one signal.
func obedient(p executor.Process, signals <-chan int) int {
	switch p.Args[0] {
	case "exit":
		var code int
		_, _ = fmt.Sscan(p.Args[1], &code)
		return code
	case "say":
		_, _ = io.WriteString(p.Stdout, strings.Join(p.Args[1:], " "))
		return 0
	case "fail":
		for i := range 40 {
			_, _ = fmt.Fprintf(p.Stdout, "line %d\r\n", i+1)
		}
		return 3
	case "stubborn":
		<-signals
		<-signals // only the session's end stops it
	}
	return 128 + <-signals
}

// spoken collects the lines of services.
type spoken struct {
	mu    sync.Mutex
	lines []string
}

func (s *spoken) sink(e event.Event) {
	if l, ok := e.(event.ServiceLine); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, l.Service+": "+l.Text)
	}
}

func (s *spoken) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// config is for an application whose services run in the target "root".
func config(t *testing.T, f *fakeSessions, secrets ...string) (Config, *spoken) {
	t.Helper()
	st, err := OpenState(t.TempDir(), secrets)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	if f.act == nil {
		f.act = obedient
	}
	s := &spoken{}
	return Config{Sessions: f, Trees: map[string]tree.Tree{"root": tree.Empty}, State: st, Events: s.sink,
		Listen: func(int) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }}, s
}
