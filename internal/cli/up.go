package cli

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/service"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

func (c *command) up() *cobra.Command {
	var state string
	var once bool
	cmd := &cobra.Command{
		Use:   "up [RECIPE]",
		Short: "Build an application, start it with its services, and print its address",
		Long: `Build everything that the application needs, start its services in a sandbox of their own, wait until all are ready,
and print the address and the first credentials. Ctrl-C stops all of it. Data survive in a state directory; give another
name or path with --state to start afresh beside it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(arg(args), func(p *place, st *disk.Store) error {
				return c.startApp(cmd.Context(), p, st, state, once)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "name or path of the state directory (default: one for each workspace)")
	cmd.Flags().BoolVar(&once, "check", false, "stop again as soon as everything is ready")
	return cmd
}

// stateDir is where the state of an application lies: a path as it is, a name below $XDG_STATE_HOME/hewn.
func (c *command) stateDir(state, app, workspace string) string {
	if filepath.IsAbs(state) || filepath.Base(state) != state && state != "" {
		return c.abs(state)
	}
	base := c.sys.getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) {
		base = filepath.Join(c.sys.home(), ".local", "state")
	}
	if state == "" {
		state = app + "-" + digest.Of([]byte(workspace)).Hex()[:12]
	}
	return filepath.Join(base, "hewn", state)
}

func (c *command) startApp(ctx context.Context, p *place, st *disk.Store, state string, once bool) error {
	rec, err := p.load()
	if err != nil {
		return err
	}
	app, err := rec.App(p.target)
	if err != nil {
		return err
	}
	_, err = withRepin(ctx, c, p, st, func(s *shop) (struct{}, error) {
		return struct{}{}, s.up(ctx, app, c.stateDir(state, app.Name, p.ws.Dir), once)
	})
	return err
}

func (s *shop) up(ctx context.Context, app *spec.App, dir string, once bool) error {
	trees, err := s.buildAll(ctx, app.Targets())
	if err != nil {
		return err
	}
	state, err := service.OpenState(dir, app.Secrets)
	if err != nil {
		return err
	}
	defer state.Close()
	s.c.ui().Say("starting `%s`; its data are in %s", app.Name, dir)
	running, err := service.Start(ctx, service.Config{Sessions: s.sandbox, Trees: trees, State: state, Events: s.c.ui().Event}, app)
	if err != nil {
		return err
	}
	s.c.ui().Say("")
	s.c.ui().Result(running.URL())
	s.c.ui().Say("%s", running.Welcome())
	if !once {
		s.c.ui().Say("Ctrl-C stops it.")
		err = running.Wait(ctx)
		s.c.ui().Say("stopping")
	}
	if cerr := running.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *shop) buildAll(ctx context.Context, targets []string) (map[string]tree.Tree, error) {
	steps := make([]engine.Step, len(targets))
	for i, t := range targets {
		if _, err := s.rec.Target(t); err != nil {
			return nil, err
		}
		steps[i] = engine.Target(t)
	}
	built, err := s.engine.BuildAll(ctx, steps...)
	s.c.ui().Finish()
	if err != nil {
		return nil, err
	}
	out := map[string]tree.Tree{}
	for i, t := range targets {
		out[t] = built[i]
	}
	return out, nil
}

func (c *command) run() *cobra.Command {
	return &cobra.Command{
		Use:   "run REF -- COMMAND [ARG...]",
		Short: "Run a command inside a target, for example `hewn run authentik -- ak shell`",
		Long: `Build a target and run a command in it, with a private copy of the tree and no network. Where the recipe declares an
application on that target, its environment is set as well. hewn ends with the command's exit code.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return diag.Inputf("usage", "`hewn run` needs a reference and a command").Hint("for example: hewn run authentik -- ak shell")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(args[0], func(p *place, st *disk.Store) error { return c.runInside(cmd.Context(), p, st, args[1:]) })
		},
	}
}

func (c *command) runInside(ctx context.Context, p *place, st *disk.Store, args []string) error {
	res, err := c.buildTarget(ctx, p, st)
	if err != nil {
		return err
	}
	s, err := c.open(p, st, nil)
	if err != nil {
		return err
	}
	defer s.close()
	env := spec.Environment{Target: res.target, Dir: "/"}
	if app, err := s.rec.App(""); err == nil && app.Run.Target == res.target {
		env = app.Run
	}
	proc := executor.Process{Args: args, Stdin: c.sys.Stdin, Stdout: c.sys.Stdout, Stderr: c.sys.Stderr}
	if tty := c.terminal(); tty != nil {
		defer tty.restore()
		proc.TTY = tty
		env.Env = withTerm(env.Env, c.sys.getenv("TERM"))
	}
	code, err := service.Shell(ctx, service.Config{Sessions: s.sandbox, Trees: map[string]tree.Tree{res.target: res.tree},
		State: service.NoState(), Events: c.ui().Event}, env, proc)
	if err == nil && code != 0 {
		return exitCode(code)
	}
	return err
}

func withTerm(env map[string]string, value string) map[string]string {
	out := map[string]string{"TERM": value}
	for k, v := range env {
		out[k] = v
	}
	return out
}

// tty is the terminal that hewn was started on, in raw mode.
type tty struct {
	in, out *os.File
	old     *term.State
	resized chan struct{}
	stop    func()
}

// terminal gives the terminal if both stdin and stdout are one.
func (c *command) terminal() *tty {
	in, ok1 := c.sys.Stdin.(*os.File)
	out, ok2 := c.sys.Stdout.(*os.File)
	if !ok1 || !ok2 || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil
	}
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil
	}
	t := &tty{in: in, out: out, old: old, resized: make(chan struct{}, 1)}
	t.stop = notifyResize(t.resized)
	return t
}

func (t *tty) Read(p []byte) (int, error)        { return t.in.Read(p) }
func (t *tty) Write(p []byte) (int, error)       { return t.out.Write(p) }
func (t *tty) Size() (cols, rows int, err error) { return term.GetSize(int(t.out.Fd())) }
func (t *tty) Resized() <-chan struct{}          { return t.resized }

func (t *tty) restore() {
	t.stop()
	_ = term.Restore(int(t.in.Fd()), t.old)
}
