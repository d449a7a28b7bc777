// Package gounicorn runs gunicorn, which runs the Python half: starts it, starts it anew when it dies, and knows whether it
// answers.
package gounicorn

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	log "github.com/sirupsen/logrus"
)

// Options are what a GoUnicorn is made of; only Healthy must be given.
type Options struct {
	// Command is what is run; by default gunicorn, with paths relative to the working directory.
	Command []string
	// Healthy asks the Python half whether it answers.
	Healthy func(context.Context) bool
	// OnHealthy is called each time that it starts to answer.
	OnHealthy func(context.Context)
	// Probe is the pause between two questions, Grace the time that it gets to end.
	Probe, Grace time.Duration
	// BackoffMin and BackoffMax limit the pause before it is started anew. Each try doubles the pause; a process that
	// lived longer than BackoffMax resets it.
	BackoffMin, BackoffMax time.Duration
}

// GoUnicorn supervises one gunicorn.
type GoUnicorn struct {
	options Options
	log     *log.Entry
	healthy atomic.Bool

	mu      sync.Mutex
	process *os.Process // nil while none runs
}

// New returns a GoUnicorn that does not run yet.
func New(options Options) *GoUnicorn {
	if options.Command == nil {
		options.Command = []string{"gunicorn", "-c", "./lifecycle/gunicorn.conf.py", "authentik.root.asgi:application"}
	}
	for value, fallback := range map[*time.Duration]time.Duration{
		&options.Probe:      500 * time.Millisecond,
		&options.Grace:      20 * time.Second,
		&options.BackoffMin: time.Second,
		&options.BackoffMax: 30 * time.Second,
	} {
		if *value == 0 {
			*value = fallback
		}
	}
	return &GoUnicorn{options: options, log: log.WithField("logger", "authentik.router.unicorn")}
}

// IsRunning says whether the Python half answers.
func (g *GoUnicorn) IsRunning() bool {
	return g.healthy.Load()
}

// Signal hands a signal to gunicorn, if it runs.
func (g *GoUnicorn) Signal(signal os.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == nil {
		return
	}
	if err := g.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.log.WithError(err).WithField("signal", signal).Warning("Failed to hand on a signal")
	}
}

// Run keeps gunicorn running until the context ends, and returns when it is gone.
func (g *GoUnicorn) Run(ctx context.Context) error {
	pause := g.options.BackoffMin
	for {
		started := time.Now()
		err := g.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(started) > g.options.BackoffMax {
			pause = g.options.BackoffMin
		}
		g.log.WithError(err).WithField("pause", pause).Warning("gunicorn ended, starting it anew")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, g.options.BackoffMax)
	}
}

// runOnce runs gunicorn until it ends by itself or the context does.
func (g *GoUnicorn) runOnce(ctx context.Context) error {
	// The kernel's "end when the parent does" is about the thread that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.Command(g.options.Command[0], g.options.Command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = processAttributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	g.setProcess(cmd.Process)
	g.log.WithField("pid", cmd.Process.Pid).Info("Started gunicorn")

	watch, stopWatching := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { g.waitUntilHealthy(watch) })
	helpers.Go(func() { g.endWith(ctx, watch) })

	err := cmd.Wait()
	g.setProcess(nil)
	killGroup(cmd.Process.Pid) // workers that outlived it would answer in the place of the next ones
	stopWatching()
	helpers.Wait()
	g.healthy.Store(false)
	return err
}

func (g *GoUnicorn) setProcess(process *os.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.process = process
}

func (g *GoUnicorn) waitUntilHealthy(ctx context.Context) {
	for ticker := time.NewTicker(g.options.Probe); ; {
		if g.options.Healthy(ctx) && ctx.Err() == nil {
			ticker.Stop()
			g.healthy.Store(true)
			g.log.Info("The backend answers")
			if g.options.OnHealthy != nil {
				g.options.OnHealthy(ctx)
			}
			return
		}
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
		}
	}
}

// endWith ends gunicorn when the context ends: politely first. It returns at once when gunicorn is gone.
func (g *GoUnicorn) endWith(ctx, gone context.Context) {
	<-gone.Done()
	if ctx.Err() == nil {
		return
	}
	g.healthy.Store(false)
	g.Signal(syscall.SIGTERM)
	deadline := time.Now().Add(g.options.Grace)
	for time.Now().Before(deadline) {
		g.mu.Lock()
		ended := g.process == nil
		g.mu.Unlock()
		if ended {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	g.log.Warning("gunicorn did not end in time, killing it and its workers")
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process != nil {
		killGroup(g.process.Pid)
	}
}

// killGroup kills whatever is left of the process group that processAttributes made.
func killGroup(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}
