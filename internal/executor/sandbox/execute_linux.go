package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor"
)

// Execute runs one action.
func (s *Sandbox) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	if r.Action.Platform.OS != "linux" {
		return nil, diag.Environmentf("platform", "cannot run `%s`: it is an action for %s", r.Label, r.Action.Platform)
	}
	layers := r.Layers
	if len(layers) == 0 {
		layers = []executor.Layer{{Tree: r.Action.Root, At: "/"}}
	}
	trees, err := wrapLayers(ctx, s.conf.Store, layers)
	if err != nil {
		return nil, err
	}
	lowers, release, err := views(ctx, s.conf, trees)
	if err != nil {
		return nil, err
	}
	x := &execution{sandbox: s, request: &r, lowers: lowers, release: release, log: &logKeeper{dir: s.dir, max: s.conf.MaxLog}}
	defer x.close()
	return x.run(ctx)
}

// execution is one action on hewn's side.
type execution struct {
	sandbox *Sandbox
	request *executor.Request
	lowers  []string
	dir     string
	mode    Mode
	upper   int // descriptor, where the upper directory is not visible from here
	log     *logKeeper
	own     *wire // open until the server has taken everything down
	release func()
	kept    bool
}

// close gives up what the execution holds. What the action wrote is removed behind the caller's back, once the kernel
// has let go of it: removing the directories of an overlay while that is being taken down makes the kernel walk through
// them again and again.
func (x *execution) close() {
	x.log.close()
	if x.upper > 0 {
		unix.Close(x.upper)
	}
	x.sandbox.leaving.Go(func() {
		if x.own != nil {
			io.Copy(io.Discard, x.own.file)
			x.own.close()
		}
		if x.dir != "" && !x.kept {
			removeAll(x.dir)
		}
		x.release()
	})
}

func (x *execution) run(ctx context.Context) (*executor.Outcome, error) {
	attempt := x.attempt
	if len(x.request.Action.Roots) > 0 {
		attempt = x.inRoots
	}
	rep, why, err := attempt(ctx)
	if err != nil {
		return nil, err
	}
	out := &executor.Outcome{
		ExitCode: exitCode(rep.Status), Killed: rep.Killed, Wall: time.Duration(rep.WallNs), PeakRSS: rep.PeakRSS,
	}
	if why != "" {
		out.Killed = why
	}
	switch rep.Stage {
	case "":
	case stageDir, stageExec:
		out.ExitCode = x.notStarted(rep)
	case stageNamespace, stageProc:
		return nil, refusal(rep)
	default:
		return nil, diag.Environmentf("sandbox", "cannot set up the sandbox of `%s`", x.request.Label).Because(errors.New(rep.Err))
	}
	// A result counts, and a failure's log is kept, although the caller has given up meanwhile.
	keepCtx := context.WithoutCancel(ctx)
	if out.Log, err = x.log.store(keepCtx, x.sandbox.conf.Store); err != nil {
		return nil, err
	}
	if out.Killed != "" && out.ExitCode == 0 {
		out.ExitCode = 128 + int(unix.SIGKILL)
	}
	if out.ExitCode == 0 {
		c := &collector{store: x.sandbox.conf.Store, upper: x.upperDir(), lower: x.mode != ModeCopy, ctx: ctx}
		if out.Output, out.Missing, err = c.collect(ctx, x.request.Action.Root, x.request.Action.Outputs); err != nil {
			return nil, err
		}
	}
	if out.ExitCode != 0 || len(out.Missing) > 0 {
		out.Hints = hints(x.log.last(64<<10), out)
		if x.request.KeepFailed {
			if out.Kept, err = x.keep(out.ExitCode); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// upperDir is the host's name of the directory with all that the action wrote.
func (x *execution) upperDir() string {
	switch x.mode {
	case ModeTmpfs:
		return fmt.Sprintf("/proc/self/fd/%d", x.upper)
	case ModeCopy:
		return x.dir + "/root"
	}
	return x.dir + "/upper"
}

// attempt runs the command, with the next mode where the machine refuses one.
func (x *execution) attempt(ctx context.Context) (*reply, string, error) {
	forced := x.sandbox.conf.Mode
	x.mode = x.sandbox.firstMode()
	for {
		rep, why, err := x.once(ctx)
		if err != nil || rep.Stage != stageRoot || forced != ModeAuto || x.mode == ModeCopy {
			if err == nil && rep.Stage != stageRoot && forced == ModeAuto {
				x.sandbox.mode.Store(x.mode)
			}
			return rep, why, err
		}
		switch x.mode {
		case ModeOverlay:
			x.mode = ModeTmpfs
		default:
			x.mode = ModeCopy
		}
		x.own.close()
		removeAll(x.dir)
		x.own, x.dir = nil, ""
	}
}

// once runs the command in a root of the given mode.
func (x *execution) once(ctx context.Context) (*reply, string, error) {
	a, s := &x.request.Action, x.sandbox
	var err error
	if x.dir, err = s.newDir(); err != nil {
		return nil, "", err
	}
	if x.mode == ModeCopy {
		if err := copyRoot(ctx, x.lowers, x.dir+"/root"); err != nil {
			return nil, "", fmt.Errorf("copy the root of `%s`: %w", x.request.Label, err)
		}
	}
	rq := &request{Op: opRun, Root: &root{Mode: x.mode, Lowers: append([]string{s.skeleton}, x.lowers...), Dir: x.dir, Make: directories(a.Env, a.Outputs)}, Proc: x.proc()}
	logR, logW, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer logR.Close()
	own, err := s.client.call(rq, int(logW.Fd()))
	logW.Close()
	if err != nil {
		return nil, "", err
	}
	x.own = own
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		var w io.Writer = x.log
		if x.request.Log != nil {
			w = io.MultiWriter(x.log, quiet{x.request.Log})
		}
		io.Copy(w, logR)
	}()
	rep, why, err := x.await(ctx, own)
	if err != nil {
		logR.Close()
	}
	<-logged
	return rep, why, err
}

// proc is the action's command.
func (x *execution) proc() *proc {
	a := &x.request.Action
	p := &proc{Args: a.Args, Env: a.Env, Dir: a.Dir, Memory: x.request.Limits.Memory, Processes: x.request.Limits.Processes}
	p.UID, p.GID = userOf(a.AsRoot, 0, 0)
	return p
}

// await waits for the end of a command, and asks for it when time is up or the caller gives up.
func (x *execution) await(ctx context.Context, own *wire) (*reply, string, error) {
	type answer struct {
		rep   reply
		files []int
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.files, a.err = receive(own, &a.rep)
		answers <- a
	}()
	var timeout <-chan time.Time
	if x.request.Limits.Time > 0 {
		t := time.NewTimer(x.request.Limits.Time)
		defer t.Stop()
		timeout = t.C
	}
	done, why := ctx.Done(), ""
	for {
		select {
		case a := <-answers:
			if a.err != nil {
				return nil, "", x.sandbox.client.gone("`"+x.request.Label+"` ran", a.err)
			}
			if len(a.files) > 0 {
				x.upper = a.files[0]
				closeAll(a.files[1:])
			}
			return &a.rep, why, nil
		case <-timeout:
			timeout, why = nil, "time"
			own.hangUp()
		case <-done:
			done = nil
			if why == "" {
				why = "cancelled"
			}
			own.hangUp()
		}
	}
}

// notStarted writes into the log why a command could not be started and gives the exit code that shells give then.
func (x *execution) notStarted(rep *reply) int {
	a := &x.request.Action
	errno := syscall.Errno(rep.Errno)
	msg, code := fmt.Sprintf("hewn: cannot run `%s`: %s\n", a.Args[0], errno), 126
	if rep.Stage == stageDir {
		msg = fmt.Sprintf("hewn: cannot enter the working directory `%s`: %s\n", a.Dir, errno)
	} else if errno == unix.ENOENT {
		code = 127
		msg = fmt.Sprintf("hewn: cannot run `%s`: no such program in the root, or its interpreter is missing\n", a.Args[0])
	}
	x.log.Write([]byte(msg))
	if x.request.Log != nil {
		io.WriteString(x.request.Log, msg)
	}
	return code
}

// directories are those that must exist before a command runs: its home and, as the protocol of remote execution has
// it, the parents of its outputs.
func directories(env, outputs []string) []string {
	var dirs []string
	seen := map[string]bool{"/": true, "/tmp": true, "/tmp/home": true}
	add := func(d string) {
		if !seen[d] {
			seen[d] = true
			dirs = append(dirs, d)
		}
	}
	for _, kv := range env {
		if home, ok := strings.CutPrefix(kv, "HOME="); ok && path.IsAbs(home) {
			add(path.Clean(home))
		}
	}
	for _, o := range outputs {
		add(path.Dir(o))
	}
	return dirs
}

// exitCode turns a wait status into a shell's exit code.
func exitCode(status int) int {
	ws := syscall.WaitStatus(status)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// quiet goes on when a writer fails: an action must not end because nobody reads its log.
type quiet struct{ w io.Writer }

func (q quiet) Write(p []byte) (int, error) {
	q.w.Write(p)
	return len(p), nil
}
