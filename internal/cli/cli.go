// Package cli is the command line: flags and settings, one file a command, and wire.go, the only place where the
// packages below are put together. Nothing below reads the environment or writes to the terminal.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/executor/sandbox"
	"hewn.example/hewn/internal/ui"
)

// System is everything that hewn gets from the process it runs in.
type System struct {
	Args    []string // without the program's name
	Environ []string
	Dir     string // working directory
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Now     func() time.Time
	// Terminal says whether stderr is a terminal, and how wide it is.
	Terminal func() (width int, ok bool)
}

// OS is the real process.
func OS() System {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	return System{
		Args: os.Args[1:], Environ: os.Environ(), Dir: dir,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now,
		Terminal: func() (int, bool) {
			w, _, err := term.GetSize(int(os.Stderr.Fd()))
			return w, err == nil && term.IsTerminal(int(os.Stderr.Fd()))
		},
	}
}

// getenv reads a variable of the process; the last setting of a name counts.
func (s System) getenv(name string) string {
	for i := len(s.Environ) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(s.Environ[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

func (s System) home() string {
	if h := s.getenv("HOME"); h != "" {
		return h
	}
	return "/"
}

// Main runs a command line and gives the exit code.
func Main(sys System) int {
	if sandbox.ServerMain(os.Args) {
		return 0
	}
	collectLate()
	ctx, stop := interruptible()
	defer stop()
	c := &command{sys: sys}
	root := c.root()
	root.SetArgs(sys.Args)
	root.SetIn(sys.Stdin)
	root.SetOut(sys.Stdout)
	root.SetErr(sys.Stderr)
	err := root.ExecuteContext(ctx)
	return c.exit(ctx, err)
}

// errInterrupted is the cause of a cancelled run.
var errInterrupted = errors.New("interrupted")

// interruptible cancels its context at the first SIGINT or SIGTERM; at the second the process ends at once, and the
// sandbox with it.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if _, ok := <-ch; !ok {
			return
		}
		cancel(errInterrupted)
		if _, ok := <-ch; ok {
			os.Exit(130)
		}
	}()
	return ctx, func() { signal.Stop(ch); close(ch); cancel(nil) }
}

// exit turns what a command gave into text and an exit code.
func (c *command) exit(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		c.ui().Problem(diag.Failf("interrupted", "interrupted"))
		return 130
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	var p *diag.Problem
	if !errors.As(err, &p) && c.usage {
		err = diag.Inputf("usage", "%s", err.Error()).Hint("`hewn help` lists the commands")
	}
	c.ui().Problem(err)
	return diag.ExitCode(err)
}

// exitCode ends hewn with the code of a command that ran inside (`hewn run`).
type exitCode int

func (e exitCode) Error() string { return "the command failed" }

// command is one invocation.
type command struct {
	sys   System
	flags settings
	usage bool // still before the command itself: an error is wrong usage
	shown *ui.UI
}

// ui is made at the first use, when the flags are known.
func (c *command) ui() *ui.UI {
	if c.shown == nil {
		c.shown = ui.New(c.uiConfig())
	}
	return c.shown
}

func (c *command) uiConfig() ui.Config {
	width, tty := c.sys.Terminal()
	cfg := ui.Config{Stdout: c.sys.Stdout, Stderr: c.sys.Stderr, Mode: ui.Mode(c.flags.progress), Now: c.sys.Now}
	cfg.Width = func() int { w, _ := c.sys.Terminal(); return max(w, width) }
	if cfg.Mode == ui.Auto || cfg.Mode == "" {
		cfg.Mode = ui.Plain
		if tty && c.sys.getenv("CI") == "" && c.sys.getenv("TERM") != "dumb" {
			cfg.Mode = ui.TTY
		}
	}
	cfg.Color = tty && c.sys.getenv("NO_COLOR") == "" && c.sys.getenv("TERM") != "dumb" && cfg.Mode != ui.JSON
	return cfg
}

func (c *command) root() *cobra.Command {
	c.usage = true
	root := &cobra.Command{
		Use:           "hewn",
		Short:         "Build a whole application from source, every language in it",
		SilenceErrors: true,
		SilenceUsage:  true,
		Long: `hewn builds a whole application from source, every language in it, out of sources that you control.

A reference is [RECIPE][:TARGET]. RECIPE is a directory or the name of a bundled recipe (default: .), TARGET is one of
its targets (default: the recipe's own default).`,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			err := c.flags.settle(cmd.Annotations[severalPlatforms] != "")
			c.usage = err != nil
			return err
		},
	}
	c.flags.register(root.PersistentFlags(), c.sys)
	root.AddCommand(c.build(), c.fetch(), c.test(), c.up(), c.run(), c.image(), c.update(), c.targets(), c.log(), c.doctor(), c.start(), c.eject(), c.version())
	return root
}

// storeDir is where the store lies: --store, HEWN_STORE, else hewn below the user's cache directory.
func (c *command) storeDir() string {
	if c.flags.store != "" {
		return c.abs(c.flags.store)
	}
	if d := c.sys.getenv("XDG_CACHE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hewn")
	}
	return filepath.Join(c.sys.home(), ".cache", "hewn")
}

func (c *command) abs(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(c.sys.Dir, p)
}
