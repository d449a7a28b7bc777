package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/spec"
)

func service(name string, command string, after ...string) spec.Service {
	return spec.Service{Name: name, Command: strings.Fields(command), Environment: spec.Environment{Target: "root", Dir: "/"}, After: after}
}

// TestOrder: a service starts when those before it are ready or done, and ends before them.
func TestOrder(t *testing.T) {
	var probes atomic.Int32
	f := &fakeSessions{act: func(p executor.Process, signals <-chan int) int {
		if p.Args[0] == "probe" {
			if probes.Add(1) < 3 {
				return 1
			}
			return 0
		}
		return obedient(p, signals)
	}}
	cfg, _ := config(t, f)
	db := service("db", "database")
	db.Ready.Command = []string{"probe"}
	db.Signal = "INT"
	migrate := service("migrate", "say migrated", "db")
	migrate.Once = true
	app := &spec.App{Name: "a", Services: []spec.Service{service("worker", "worker", "server"), service("server", "server", "migrate"), migrate, db}}
	r, err := Start(t.Context(), cfg, app)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	want := []string{"start database", "start probe", "start probe", "start probe", "start say migrated", "start server", "start worker",
		"signal 15 to worker", "signal 15 to server", "signal 2 to database", "close"}
	if d := cmp.Diff(want, f.notes()); d != "" {
		t.Error(d)
	}
}

// TestAddress: ports are shown on the host, and probes by HTTP go through a way of their own.
func TestAddress(t *testing.T) {
	var asked atomic.Int32
	f := &fakeSessions{http: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/ready":
			_, _ = io.WriteString(w, "hello")
		case asked.Add(1) == 1:
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		case asked.Load() == 2:
			http.Redirect(w, r, "/login", http.StatusFound)
		}
	})}
	cfg, _ := config(t, f, "admin")
	s := service("server", "server --key {secret:admin}")
	s.Ready.HTTP = "http://127.0.0.1:9000/ready"
	s.Env = map[string]string{"KEY": "<{secret:admin}>", "TZ": "Mars", "OTHER": "{secret:none}{nothing}"}
	s.State, s.Tmpfs, s.AsRoot = map[string]string{"/data": "data"}, []string{"/run/x"}, true
	app := &spec.App{Name: "a", Services: []spec.Service{s}, Ports: []spec.Port{{Name: "http", Inside: 9000, Host: 9000}, {Name: "metrics", Inside: 9300}},
		URL: "/if/", Welcome: "at {url} with {secret:admin}"}
	r, err := Start(t.Context(), cfg, app)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !regexp.MustCompile(`^http://127\.0\.0\.1:\d+/if/$`).MatchString(r.URL()) {
		t.Errorf("the address is %s", r.URL())
	}
	secret := cfg.State.secrets["admin"]
	if got := r.Welcome(); len(secret) != 48 || got != "at "+r.URL()+" with "+secret {
		t.Errorf("says %q", got)
	}
	resp, err := http.Get(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
	if d := cmp.Diff([]string{"start server --key " + secret, "forward 127.0.0.1:9000", "forward 127.0.0.1:9000", "forward 127.0.0.1:9300"}, f.notes()); d != "" {
		t.Error(d)
	}
	root := f.mounts["server"]
	if len(root.Binds) != 1 || root.Binds[0] != (executor.Bind{Host: filepath.Join(cfg.State.Path(), "data"), At: "/data", Writable: true}) ||
		!slices.Equal(root.Tmpfs, []string{"/dev/shm", "/run/x", "/tmp"}) {
		t.Errorf("the root is %+v", root)
	}
	p := f.procs["server"]
	for _, kv := range []string{"KEY=<" + secret + ">", "TZ=Mars", "OTHER={nothing}", "HOME=/tmp/home"} {
		if !slices.Contains(p.Env, kv) {
			t.Errorf("%s is not in %q", kv, p.Env)
		}
	}
	if slices.ContainsFunc(p.Env, func(kv string) bool { return strings.HasPrefix(kv, "SOURCE_DATE_EPOCH=") }) || !slices.IsSorted(p.Env) || !p.AsRoot {
		t.Errorf("the process is %+v", p)
	}
}

// TestFailures: whatever fails, all is taken down, and the error names the service and what it said last.
func TestFailures(t *testing.T) {
	once := service("once", "fail")
	once.Once = true
	slow := service("slow", "run")
	slow.Ready = spec.Ready{Command: []string{"exit", "1"}, Timeout: 60 * time.Millisecond}
	early := service("early", "exit 0")
	early.Ready.Command = []string{"exit", "1"}
	elsewhere := service("elsewhere", "run")
	elsewhere.Target = "other"
	for _, c := range []struct {
		service spec.Service
		want    string
		tail    int
	}{
		{once, "service `once`: it failed: `fail` ended with code 3", 30},
		{service("dies", "fail"), "service `dies`: it failed: `fail` ended with code 3", 30},
		{slow, "service `slow`: it failed: it was not ready after 60ms", 0},
		{early, "service `early`: it ended by itself", 0},
		{elsewhere, "service `elsewhere`: target `other` was not built", 0},
	} {
		t.Run(c.service.Name, func(t *testing.T) {
			f := &fakeSessions{}
			cfg, _ := config(t, f)
			c.service.After = []string{"other"}
			last := service("last", "last", c.service.Name)
			last.Ready.Command = []string{"exit", "0"}
			r, err := Start(t.Context(), cfg, &spec.App{Name: "a", Services: []spec.Service{service("other", "run"), c.service, last}})
			if err == nil { // it counts as started as soon as it runs
				err = r.Wait(t.Context())
				_ = r.Close()
			}
			if err == nil || err.Error() != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			var p *diag.Problem
			if c.tail > 0 && (!errors.As(err, &p) || len(p.Detail) != c.tail || p.Detail[0] != "line 11" || p.Detail[29] != "line 40") {
				t.Errorf("the last lines are %q", p.Detail)
			}
			if !slices.Contains(f.notes(), "close") {
				t.Errorf("it did %q", f.notes())
			}
		})
	}
}

// TestRestart: a service that may be restarted is, and the application stays up.
func TestRestart(t *testing.T) {
	var starts atomic.Int32
	again := make(chan struct{})
	f := &fakeSessions{act: func(p executor.Process, signals <-chan int) int {
		if starts.Add(1) == 2 {
			close(again)
			return obedient(p, signals)
		}
		return 1
	}}
	cfg, said := config(t, f)
	s := service("worker", "worker")
	s.Restart = true
	r, err := Start(t.Context(), cfg, &spec.App{Name: "a", Services: []spec.Service{s}})
	if err != nil {
		t.Fatal(err)
	}
	<-again
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if lines := said.all(); len(lines) != 1 || !strings.Contains(lines[0], "`worker` ended with code 1), starting again") {
		t.Errorf("it says %q", lines)
	}
}

// TestInterrupt: an interrupt while services start takes them down as well.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	f := &fakeSessions{act: func(p executor.Process, signals <-chan int) int {
		if p.Args[0] == "probe" {
			cancel(stopped)
			return 1
		}
		return obedient(p, signals)
	}}
	cfg, _ := config(t, f)
	s := service("db", "run")
	s.Ready.Command = []string{"probe"}
	if _, err := Start(ctx, cfg, &spec.App{Name: "a", Services: []spec.Service{s}}); !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
	notes := f.notes()
	if !slices.Contains(notes, "signal 15 to run") || !slices.Contains(notes, "close") {
		t.Errorf("it did %q", notes)
	}
}

// TestGrace: who does not end in time is told of, and the rest is ended.
func TestGrace(t *testing.T) {
	f := &fakeSessions{}
	cfg, said := config(t, f)
	s := service("slow", "stubborn")
	s.Grace = time.Millisecond
	r, err := Start(t.Context(), cfg, &spec.App{Name: "a", Services: []spec.Service{s}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"slow: did not end within 1ms and is killed"}, said.all()); d != "" {
		t.Error(d)
	}
}

func TestShell(t *testing.T) {
	f := &fakeSessions{act: func(p executor.Process, _ <-chan int) int {
		b, _ := io.ReadAll(p.Stdin)
		_, _ = fmt.Fprintf(p.Stdout, "%s in %s of %s", b, p.Dir, p.Root)
		return 7
	}}
	cfg, _ := config(t, f)
	cfg.State = NoState()
	var out strings.Builder
	e := spec.Environment{Target: "root", Dir: "/web", Env: map[string]string{"A": "b"}, Tmpfs: []string{"/data"}}
	code, err := Shell(t.Context(), cfg, e, executor.Process{Args: []string{"cat"}, Stdin: strings.NewReader("text"), Stdout: &out})
	if err != nil || code != 7 || out.String() != "text in /web of run" {
		t.Errorf("got %d, %v, %q", code, err, out.String())
	}
	e.State = map[string]string{"/state": "data"}
	if _, err := Shell(t.Context(), cfg, e, executor.Process{Args: []string{"cat"}}); err == nil || !strings.Contains(err.Error(), "nothing keeps the state `data`") {
		t.Errorf("got %v", err)
	}
}

func TestState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a/b")
	s, err := OpenState(dir, []string{"one", "two"})
	if err != nil {
		t.Fatal(err)
	}
	one, two := s.secrets["one"], s.secrets["two"]
	if len(one) != 48 || one == two {
		t.Errorf("the secrets are %q and %q", one, two)
	}
	for name, mode := range map[string]os.FileMode{".": 0o700, secretsFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has %v, %v", name, info.Mode(), err)
		}
	}

	// One at a time.
	_, err = OpenState(dir, nil)
	var p *diag.Problem
	if !errors.As(err, &p) || p.Code != "state-in-use" || p.Kind != diag.Failed || len(p.Hints) != 1 {
		t.Errorf("got %v", err)
	}
	s.Close()

	// Secrets stay, and one that is new is added.
	s, err = OpenState(dir, []string{"two", "three"})
	if err != nil {
		t.Fatal(err)
	}
	if s.secrets["one"] != one || s.secrets["two"] != two || len(s.secrets["three"]) != 48 {
		t.Errorf("the secrets are %q", s.secrets)
	}
	s.Close()

	// What cannot be read is not made anew: the data hang on it.
	if err := os.WriteFile(filepath.Join(dir, secretsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = OpenState(dir, []string{"one"}); !errors.As(err, &p) || p.Code != "state-broken" || p.Pos.File != filepath.Join(dir, secretsFile) {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(dir, secretsFile)); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenState(dir, nil); err != nil {
		t.Errorf("the failure kept the lock: %v", err)
	} else {
		s.Close()
	}

	// No place for it.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(filepath.Join(file, "x"), nil); diag.ExitCode(err) != 3 {
		t.Errorf("got %v", err)
	}
}

// TestLines: output comes a line at a time, however it is written, and is bounded.
func TestLines(t *testing.T) {
	s := &spoken{}
	l := &lines{service: "s", events: event.Sink(s.sink)}
	for _, text := range []string{"one\ntw", "o\r\n", "\n", "rest"} {
		if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	l.flush()
	l.flush()
	if d := cmp.Diff([]string{"s: one", "s: two", "s: ", "s: rest"}, s.all()); d != "" {
		t.Error(d)
	}
	whole := strings.Repeat("x", 3*maxLine+10)
	l = &lines{service: "s", events: event.Sink(func(event.Event) {})}
	if _, err := l.Write([]byte(whole)); err != nil {
		t.Error(err)
	}
	l.flush()
	if got := strings.Join(l.tail(), ""); got != whole {
		t.Errorf("%d of %d bytes of a long line were told", len(got), len(whole))
	}
}

func TestLoopback(t *testing.T) {
	first, err := Loopback(0)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	var port int
	if _, err := fmt.Sscanf(first.Addr().String(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	second, err := Loopback(port)
	if err != nil {
		t.Fatalf("a port that is taken: %v", err)
	}
	defer second.Close()
	if second.Addr().String() == first.Addr().String() {
		t.Error("both have one address")
	}
}
