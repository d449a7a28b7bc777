package executortest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/tree"
)

// TestSessions runs the whole suite for sessions. The fixture's Executor makes the failed root that one is entered.
func TestSessions(t *testing.T, open func(t *testing.T) (*Fixture, executor.Sessions)) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *Fixture, executor.Sessions)
	}{
		{"Processes", testSessionProcesses},
		{"Users", testSessionUsers},
		{"Forward", testForward},
		{"Roots", testSessionRoots},
		{"Binds", testBinds},
		{"ReadOnly", testReadOnly},
		{"Signals", testSignals},
		{"Terminal", testTerminal},
		{"StartFails", testStartFails},
		{"Close", testClose},
		{"ContextEnds", testContextEnds},
		{"KeptRoot", testKeptRoot},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, s := open(t)
			c.test(t, f, s)
		})
	}
}

// console collects what a process writes and lets a test wait for a line.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
	wake chan struct{}
}

func newConsole() *console { return &console{wake: make(chan struct{}, 1)} }

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(p)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

func (c *console) wait(t *testing.T, want string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for !strings.Contains(c.String(), want) {
		select {
		case <-c.wake:
		case <-timeout:
			t.Fatalf("no %q in %q", want, c)
		}
	}
}

func env() []string {
	var list []string
	for k, v := range action.BaseEnv() {
		list = append(list, k+"="+v)
	}
	return list
}

func openSession(t *testing.T, s executor.Sessions) executor.Session {
	t.Helper()
	se, err := s.Open(t.Context(), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { se.Close(0) })
	return se
}

func mount(t *testing.T, se executor.Session, r executor.Root) {
	t.Helper()
	if err := se.Mount(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, se executor.Session, root string, args ...string) (executor.Running, *console) {
	t.Helper()
	out := newConsole()
	r, err := se.Start(t.Context(), executor.Process{Root: root, Args: append([]string{"/bin/helper"}, args...), Env: env(), Stdout: out, Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	return r, out
}

func finish(t *testing.T, se executor.Session, root string, args ...string) string {
	t.Helper()
	r, out := start(t, se, root, args...)
	if code, err := r.Wait(); err != nil || code != 0 {
		t.Fatalf("%v: exit code %d, %v; %s", args, code, err, out)
	}
	return out.String()
}

func testSessionProcesses(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	if got := finish(t, se, "a", "echo", "hello"); got != "hello\n" {
		t.Errorf("%q", got)
	}
	finish(t, se, "a", "forbidden")
	finish(t, se, "a", "processes")
	// What one process writes, the next in the same root sees.
	finish(t, se, "a", "script", "write:/tmp/x:1", "write:/dev/shm/y:2")
	if got := finish(t, se, "a", "script", "read:/tmp/x", "read:/dev/shm/y"); got != "/tmp/x: 1\n/dev/shm/y: 2\n" {
		t.Errorf("%q", got)
	}
	var out bytes.Buffer
	r, err := se.Start(t.Context(), executor.Process{Root: "a", Args: []string{"helper", "stdin"}, Env: append(env(), "PATH=/bin"), Stdin: strings.NewReader("typed"), Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	if code, err := r.Wait(); code != 0 || err != nil || out.String() != "stdin: \"typed\"\n" {
		t.Errorf("exit code %d, %v, %q", code, err, out.String())
	}
}

func testSessionUsers(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	for _, c := range []struct {
		p    executor.Process
		want string
	}{{executor.Process{}, "uid 1000 gid 1000 host hewn"}, {executor.Process{AsRoot: true}, "uid 0 gid 0 host hewn"}, {executor.Process{UID: 999}, "uid 999 gid 0 host hewn"},
		{executor.Process{UID: 65534, GID: 7}, "uid 65534 gid 7 host hewn"}, {executor.Process{AsRoot: true, GID: 8}, "uid 0 gid 8 host hewn"}} {
		out, p, want := newConsole(), c.p, c.want
		p.Root, p.Args, p.Env, p.Stdout = "a", []string{"/bin/helper", "identity"}, env(), out
		r, err := se.Start(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if code, err := r.Wait(); code != 0 || err != nil || !strings.HasPrefix(out.String(), want) {
			t.Errorf("exit code %d, %v, %q", code, err, out)
		}
	}
}

func testForward(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	_, out := start(t, se, "a", "serve", "127.0.0.1:9000")
	out.wait(t, "ready")
	_, out6 := start(t, se, "a", "serve", "[::1]:9001")
	out6.wait(t, "ready")
	for _, addr := range []string{"127.0.0.1:9000", "[::1]:9001"} {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := se.Forward(t.Context(), l, addr); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "hello %d\n", i)
			line, err := bufio.NewReader(c).ReadString('\n')
			if want := fmt.Sprintf("HELLO %d\n", i); line != want || err != nil {
				t.Errorf("%q, %v", line, err)
			}
			c.Close()
		}
	}
	// Nobody listens there: the connection ends.
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := se.Forward(t.Context(), l, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from nobody", n)
	}
	// The host does not see the session's ports.
	if c, err := net.Dial("tcp", "127.0.0.1:9000"); err == nil {
		c.Close()
		t.Error("the session's port is open on the host")
	}
}

func testSessionRoots(t *testing.T, f *Fixture, s executor.Sessions) {
	shared := t.TempDir()
	se := openSession(t, s)
	for _, name := range []string{"a", "b"} {
		mount(t, se, executor.Root{Name: name, Layers: []executor.Layer{{Tree: f.Root(t, map[string]string{"name": name}), At: "/"}},
			Binds: []executor.Bind{{Host: shared, At: "/run/shared", Writable: true}}, Tmpfs: []string{"/var/cache"}})
	}
	if got := finish(t, se, "b", "script", "read:/name", "mode:/var/cache", "write:/var/cache/x:"); got != "/name: b\n/var/cache: dtrwxrwxrwx 1000:1000\n" {
		t.Errorf("%q", got)
	}
	finish(t, se, "a", "script", "absent:/var/cache/x")
	// One network, and Unix sockets in a shared directory.
	_, out := start(t, se, "a", "serve", "127.0.0.1:5432")
	out.wait(t, "ready")
	_, unixOut := start(t, se, "a", "serve", "unix:/run/shared/s")
	unixOut.wait(t, "ready")
	for _, addr := range []string{"127.0.0.1:5432", "unix:/run/shared/s"} {
		if got := finish(t, se, "b", "fetch", addr, "over there"); got != "OVER THERE\n" {
			t.Errorf("%s: %q", addr, got)
		}
	}
}

func testBinds(t *testing.T, f *Fixture, s executor.Sessions) {
	host := t.TempDir()
	for _, d := range []string{"state", "config"} {
		if err := os.Mkdir(filepath.Join(host, d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(host, d, "file"), []byte("of the host"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, map[string]string{"etc/app/hidden": "x"}), At: "/"}}, Binds: []executor.Bind{
		{Host: filepath.Join(host, "state"), At: "/var/lib/state", Writable: true}, {Host: filepath.Join(host, "config"), At: "/etc/app"}}})
	got := finish(t, se, "a", "script", "mode:/var/lib/state", "read:/var/lib/state/file", "write:/var/lib/state/new:1", "mode:/var/lib/state/new", "absent:/etc/app/hidden", "read:/etc/app/file")
	want := "/var/lib/state: drwx------ 1000:1000\n/var/lib/state/file: of the host\n/var/lib/state/new: -rw-r--r-- 1000:1000\n/etc/app/file: of the host\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if b, err := os.ReadFile(filepath.Join(host, "state/new")); string(b) != "1" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	r, out := start(t, se, "a", "script", "write:/etc/app/file:changed")
	if code, _ := r.Wait(); code == 0 || !strings.Contains(out.String(), "read-only") {
		t.Errorf("exit code %d, %q", code, out)
	}
	if err := se.Mount(t.Context(), executor.Root{Name: "bad", Layers: []executor.Layer{{Tree: tree.Empty, At: "/"}}, Binds: []executor.Bind{{Host: filepath.Join(host, "none"), At: "/x"}}}); err == nil {
		t.Error("bound what is not there")
	}
}

// A read-only root refuses to be written to, but for what is mounted in it.
func testReadOnly(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, map[string]string{"etc/file": "x"}), At: "/"}}, ReadOnly: true,
		Tmpfs: []string{"/var/cache"}, Binds: []executor.Bind{{Host: t.TempDir(), At: "/var/state", Writable: true}}})
	finish(t, se, "a", "refuses", "/etc/file", "/new", "/var")
	if got := finish(t, se, "a", "script", "write:/var/cache/x:1", "write:/var/state/x:2", "read:/var/cache/x", "read:/var/state/x"); got != "/var/cache/x: 1\n/var/state/x: 2\n" {
		t.Errorf("%q", got)
	}
	// The same layers, writable, in the same session.
	mount(t, se, executor.Root{Name: "b", Layers: []executor.Layer{{Tree: f.Root(t, map[string]string{"etc/file": "x"}), At: "/"}}})
	finish(t, se, "b", "script", "write:/etc/file:y")
}

func testSignals(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	for _, sig := range []int{15, 9, 2} {
		r, out := start(t, se, "a", "sleep", "1h")
		out.wait(t, "sleeping")
		if err := r.Signal(sig); err != nil {
			t.Fatal(err)
		}
		want := 128 + sig
		if sig == 2 || sig == 15 {
			want = 2 // the helper is a Go program, which dies of these by itself
		}
		if code, err := r.Wait(); err != nil || code != want && code != 128+sig {
			t.Errorf("signal %d: exit code %d, %v", sig, code, err)
		}
		r.Signal(sig) // lost, without an error
	}
}

// fakeTTY is a terminal of the caller's.
type fakeTTY struct {
	*console
	input   chan []byte
	size    [2]int
	resized chan struct{}
}

func (f *fakeTTY) Read(p []byte) (int, error)      { return copy(p, <-f.input), nil }
func (f *fakeTTY) Size() (cols, rows int, _ error) { return f.size[0], f.size[1], nil }
func (f *fakeTTY) Resized() <-chan struct{}        { return f.resized }

func testTerminal(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	tty := &fakeTTY{console: newConsole(), input: make(chan []byte, 1), size: [2]int{100, 30}, resized: make(chan struct{})}
	r, err := se.Start(t.Context(), executor.Process{Root: "a", Args: []string{"/bin/helper", "tty"}, Env: env(), TTY: tty})
	if err != nil {
		t.Fatal(err)
	}
	tty.wait(t, "on /dev/pts/0")
	tty.size = [2]int{120, 40}
	tty.resized <- struct{}{}
	tty.wait(t, "now 120x40")
	tty.input <- []byte("hello\n")
	tty.wait(t, `typed "hello\n"`)
	if code, err := r.Wait(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v; %s", code, err, tty)
	}
	// Ctrl-C goes through the terminal to the process. (What reads a terminal for one process cannot be stopped before the
	// terminal says something, so this is another.)
	tty = &fakeTTY{console: newConsole(), input: make(chan []byte, 1), size: [2]int{80, 25}}
	r, err = se.Start(t.Context(), executor.Process{Root: "a", Args: []string{"/bin/helper", "sleep", "1h"}, Env: env(), TTY: tty})
	if err != nil {
		t.Fatal(err)
	}
	tty.wait(t, "sleeping")
	tty.input <- []byte{3}
	if code, err := r.Wait(); code == 0 || err != nil {
		t.Errorf("after Ctrl-C: exit code %d, %v", code, err)
	}
}

func testStartFails(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	for _, p := range []executor.Process{
		{Root: "none", Args: []string{"/bin/helper"}},
		{Root: "a", Args: []string{"/bin/none"}},
		{Root: "a", Args: []string{"/bin/helper"}, Dir: "/none"},
		{Root: "a"},
	} {
		if _, err := se.Start(t.Context(), p); err == nil {
			t.Errorf("%+v could be started", p)
		}
	}
	if err := se.Mount(t.Context(), executor.Root{Name: "a", Layers: []executor.Layer{{Tree: tree.Empty, At: "/"}}}); err == nil {
		t.Error("mounted the same name twice")
	}
}

func testClose(t *testing.T, f *Fixture, s executor.Sessions) {
	se := openSession(t, s)
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	mark := fmt.Sprintf("session-%d-%d", os.Getpid(), time.Now().UnixNano())
	r, out := start(t, se, "a", "sleep", "1h", mark)
	out.wait(t, "sleeping")
	_, out = start(t, se, "a", "serve", "127.0.0.1:9000", mark)
	out.wait(t, "ready")
	begin := time.Now()
	if err := se.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("processes that obey SIGTERM took %s", took)
	}
	if _, err := r.Wait(); err != nil {
		t.Error(err)
	}
	if pid := Find(t, mark); pid != "" && f.Local {
		t.Errorf("process %s is still there", pid)
	}
	if _, err := se.Start(t.Context(), executor.Process{Root: "a", Args: []string{"/bin/helper", "true"}}); err == nil {
		t.Error("a closed session starts processes")
	}
}

func testContextEnds(t *testing.T, f *Fixture, s executor.Sessions) {
	ctx, cancel := context.WithCancel(t.Context())
	se, err := s.Open(ctx, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	mount(t, se, executor.Root{Name: "a", Layers: []executor.Layer{{Tree: f.Root(t, nil), At: "/"}}})
	r, out := start(t, se, "a", "sleep", "1h")
	out.wait(t, "sleeping")
	cancel()
	r.Wait()
	if err := se.Close(0); err != nil {
		t.Error(err)
	}
}

func testKeptRoot(t *testing.T, f *Fixture, s executor.Sessions) {
	out, _ := f.Do(t, Run{Root: map[string]string{"in/a": "a", "in/b": "b", "in/d/c": "c"}, Keep: true,
		Args: []string{"script", "write:/in/a:changed", "rm:/in/b", "rm:/in/d", "mkdir:/in/d", "write:/in/d/new:n", "write:/made:m", "read:/no/such/file"}})
	if out.ExitCode == 0 || out.Kept == "" {
		t.Fatalf("%+v", out)
	}
	for range 2 { // a kept root can be entered again
		se := openSession(t, s)
		mount(t, se, executor.Root{Name: "failed", Kept: out.Kept})
		got := finish(t, se, "failed", "script", "read:/in/a", "absent:/in/b", "absent:/in/d/c", "list:/in/d", "read:/made")
		if want := "/in/a: changed\n/in/d/new\n/made: m\n"; got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if err := se.Close(0); err != nil {
			t.Fatal(err)
		}
	}
}
