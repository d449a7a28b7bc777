//go:build e2e && linux

package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// person is somebody who runs hewn somewhere.
type person struct {
	hewn string
	dir  string
	env  []string
	wrap func(*exec.Cmd) // makes circumstances; nil for the plain ones
}

// environ is this process's environment without what would choose a store or settings, without the names in drop, and
// with more.
func environ(drop []string, more ...string) []string {
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "HEWN_") && name != "HEWN_DEBIAN_MIRROR" || slices.Contains(drop, name) {
			continue
		}
		out = append(out, kv)
	}
	return append(out, more...)
}

// invocation is a hewn that was started.
type invocation struct {
	t      *testing.T
	text   string // the command line
	cmd    *exec.Cmd
	began  time.Time
	watch  *watch
	stdout *lines
	stderr *lines
	ended  chan struct{}
	err    error
}

// outcome is what an invocation left.
type outcome struct {
	code    int
	stdout  string
	stderr  string
	wall    time.Duration
	peak    int64         // of hewn itself, bytes
	cpu     time.Duration // of hewn itself
	started []step        // with --progress=json
}

// step is one that was not in any cache.
type step struct{ Label, Kind string }

// start starts hewn in a session of its own, so that whatever it leaves behind can be told.
func (p person) start(t *testing.T, args ...string) *invocation {
	t.Helper()
	i := &invocation{t: t, text: "hewn " + strings.Join(args, " "), stdout: newLines(), stderr: newLines(), ended: make(chan struct{})}
	i.cmd = exec.Command(p.hewn, args...)
	i.cmd.Dir, i.cmd.Env = p.dir, p.env
	i.cmd.Stdout, i.cmd.Stderr = i.stdout, i.stderr
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if p.wrap != nil {
		p.wrap(i.cmd)
	}
	i.began = time.Now()
	started := make(chan error)
	go func() {
		// The death signal comes when the thread that forked ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := i.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		i.err = i.cmd.Wait()
		i.stdout.close()
		i.stderr.close()
		close(i.ended)
	}()
	must(t, <-started)
	i.watch = watchProcess(i.cmd.Process.Pid)
	t.Cleanup(func() {
		select {
		case <-i.ended:
		default:
			_ = i.cmd.Process.Kill()
			<-i.ended
		}
	})
	return i
}

// wait waits for the end, and checks that no process is left.
func (i *invocation) wait(limit time.Duration) outcome {
	i.t.Helper()
	select {
	case <-i.ended:
	case <-time.After(limit):
		_ = i.cmd.Process.Kill()
		<-i.ended
		i.t.Fatalf("`%s` was not done after %s\n%s", i.text, limit, i.stderr.tail(30))
	}
	o := outcome{code: i.cmd.ProcessState.ExitCode(), stdout: i.stdout.String(), stderr: i.stderr.String(), wall: time.Since(i.began)}
	o.peak, o.cpu = i.watch.stop()
	if left := i.watch.left(5 * time.Second); len(left) > 0 {
		i.t.Errorf("`%s` left processes behind: %s", i.text, strings.Join(left, ", "))
	}
	o.started = startedSteps(o.stderr)
	return o
}

// must runs hewn, which must succeed.
func (p person) must(t *testing.T, args ...string) outcome {
	t.Helper()
	i := p.start(t, args...)
	o := i.wait(20 * time.Minute)
	if o.code != 0 {
		t.Fatalf("`%s` ended with code %d\nstdout: %s\nstderr: %s", i.text, o.code, o.stdout, i.stderr.tail(60))
	}
	return o
}

// String tells the figures of a run.
func (o outcome) String() string {
	return fmt.Sprintf("%.3f s wall, hewn itself: %.0f MB peak, %.2f s of processor time", o.wall.Seconds(), float64(o.peak)/1e6, o.cpu.Seconds())
}

func startedSteps(stderr string) []step {
	var out []step
	s := bufio.NewScanner(strings.NewReader(stderr))
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var e struct {
			Event string `json:"event"`
			Data  step   `json:"data"`
		}
		if json.Unmarshal(s.Bytes(), &e) == nil && e.Event == "StepStarted" {
			out = append(out, e.Data)
		}
	}
	return out
}

// slowest tells of the n actions that took longest, from --progress=json.
func slowest(stderr string, n int) string {
	type done struct {
		Label, Kind string
		Seconds     float64
	}
	var all []done
	for l := range strings.Lines(stderr) {
		var e struct {
			Event string `json:"event"`
			Data  done   `json:"data"`
		}
		if json.Unmarshal([]byte(l), &e) == nil && e.Event == "StepDone" && e.Data.Kind == "action" {
			all = append(all, e.Data)
		}
	}
	slices.SortStableFunc(all, func(a, b done) int { return cmp.Compare(b.Seconds, a.Seconds) })
	var out []string
	for _, d := range all[:min(n, len(all))] {
		out = append(out, fmt.Sprintf("%s %.1f s", d.Label, d.Seconds))
	}
	return strings.Join(out, ", ")
}

// of gives the labels of the steps of a kind.
func of(steps []step, kind string) []string {
	var out []string
	for _, s := range steps {
		if s.Kind == kind {
			out = append(out, s.Label)
		}
	}
	return out
}

// built is a line of `hewn build --json`.
type built struct {
	Target string
	Digest string
	Steps  struct{ Total, Run, Cached int }
}

// build builds references, and tells what they gave and which steps ran.
func (p person) build(t *testing.T, args ...string) ([]built, outcome) {
	t.Helper()
	o := p.must(t, append([]string{"build", "--json", "--progress=json"}, args...)...)
	var out []built
	for l := range strings.Lines(o.stdout) {
		var b built
		if err := json.Unmarshal([]byte(l), &b); err != nil || b.Target == "" || b.Digest == "" {
			t.Fatalf("`hewn build --json` prints %q: %v", l, err)
		}
		out = append(out, b)
	}
	return out, o
}

// lines is an output that can be waited on line by line.
type lines struct {
	mu    sync.Mutex
	more  *sync.Cond
	b     bytes.Buffer
	ended bool
}

func newLines() *lines {
	l := &lines{}
	l.more = sync.NewCond(&l.mu)
	return l
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.more.Broadcast()
	return l.b.Write(p)
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.more.Broadcast()
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) tail(n int) string {
	all := strings.Split(strings.TrimRight(l.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// find waits for a whole line that f wants.
func (l *lines) find(f func(string) bool) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for seen := 0; ; {
		rest := l.b.String()[seen:]
		line, _, whole := strings.Cut(rest, "\n")
		switch {
		case whole && f(line):
			return line, nil
		case whole:
			seen += len(line) + 1
		case l.ended:
			return "", io.EOF
		default:
			l.more.Wait()
		}
	}
}
