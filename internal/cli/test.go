package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/recipe"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

func (c *command) test() *cobra.Command {
	return &cobra.Command{
		Use:   "test [REF]",
		Short: "Run the checks of a target, or all of a recipe",
		Long: `Run the checks of a target (RECIPE:TARGET), one check by its name, or all checks of a recipe. A check that passed is
not run again until something that it looks at changes.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(arg(args), func(p *place, st *disk.Store) error {
				_, err := withRepin(cmd.Context(), c, p, st, func(s *shop) (struct{}, error) {
					return struct{}{}, s.runChecks(cmd.Context())
				})
				return err
			})
		},
	}
}

func (s *shop) runChecks(ctx context.Context) error {
	if s.p.target != "" {
		if _, err := s.rec.Target(s.p.target); err != nil {
			return err
		}
	}
	checks := s.rec.Checks(s.p.target)
	if len(checks) == 0 {
		what := "this recipe has no checks"
		if s.p.target != "" {
			what = "there are no checks of `" + s.p.target + "`"
		}
		return diag.Inputf("no-checks", "%s", what).Hint("declare one with `check(...)` in the recipe; `hewn targets` lists those that exist")
	}
	var failed []error
	for _, ch := range checks {
		start := s.c.sys.Now()
		t, err := s.engine.Build(ctx, engine.Target(ch.Name))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.c.ui().Finish()
		err = s.tell(ctx, ch, t, err, s.c.sys.Now().Sub(start))
		if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return errors.Join(append(failed, diag.Failf("checks-failed", "%d of %d checks failed", len(failed), len(checks)))...)
}

// reportName is the file in which a check says in words what it found; it is in the log as well. One that begins with
// skipMark says why there was nothing to check.
const (
	reportName = "report.txt"
	skipMark   = "skipped: "
)

// findings reads what a check has left: its report, and whether there is more to look at than one file, screenshots for
// example.
func (s *shop) findings(ctx context.Context, t tree.Tree) (report string, more bool, err error) {
	files := 0
	err = tree.Walk(ctx, s.store, t, func(p string, e tree.Entry) error {
		if e.Kind != tree.KindFile {
			return nil
		}
		files++
		if path.Base(p) != reportName {
			return nil
		}
		r, err := s.store.Open(ctx, e.Digest)
		if err != nil {
			return err
		}
		defer r.Close()
		b, err := io.ReadAll(io.LimitReader(r, 1<<20))
		report = string(b)
		return err
	})
	return report, files > 1, err
}

// tell prints the verdict on a check, and where what it has left can be looked at.
func (s *shop) tell(ctx context.Context, ch *recipe.Target, t tree.Tree, err error, took time.Duration) error {
	if err != nil {
		s.c.ui().Result(s.verdict("FAILED", ch, fmt.Sprintf("%.1f s", took.Seconds())))
		return err
	}
	report, more, err := s.findings(ctx, t)
	if err != nil {
		return err
	}
	if why, skipped := strings.CutPrefix(report, skipMark); skipped {
		line, _, _ := strings.Cut(why, "\n")
		s.c.ui().Result(s.verdict("skip", ch, line))
		return nil
	}
	how := fmt.Sprintf("%.1f s", took.Seconds())
	if s.engine.Stats(engine.Target(ch.Name)).Run == 0 {
		how = "cached"
	}
	s.c.ui().Result(s.verdict("ok", ch, how))
	if !more {
		return nil
	}
	dir := outDir(s.store, ch.Name)
	if err := s.store.Checkout(ctx, t, dir); err != nil {
		return diag.Failf("out", "cannot write `%s`", dir).Because(err)
	}
	s.c.ui().Result("       see " + dir)
	return nil
}

func (s *shop) verdict(word string, ch *recipe.Target, how string) string {
	return fmt.Sprintf("%-6s %s of %s: %s (%s)", word, ch.Name, ch.Of, ch.Doc, how)
}

func (c *command) targets() *cobra.Command {
	return &cobra.Command{
		Use:   "targets [REF]",
		Short: "List the targets and checks of a recipe",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := c.refer(arg(args))
			if err != nil {
				return err
			}
			rec, err := p.load()
			if err != nil {
				return err
			}
			width := 0
			for _, t := range rec.Targets() {
				width = max(width, len(t.Name))
			}
			for _, t := range rec.Targets() {
				doc := t.Doc
				switch {
				case t.Check:
					doc = "check of " + t.Of + ": " + doc
				case t.Image:
					doc = "image: " + doc
				case t.Name == rec.Default():
					doc += " (default)"
				}
				c.ui().Result(fmt.Sprintf("%-*s  %s", width, t.Name, doc))
			}
			return nil
		},
	}
}

func (c *command) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c.ui().Result("hewn " + programVersion())
			return nil
		},
	}
}

func (c *command) log() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "log REF[:STEP]",
		Short: "Print the log of a target's last run, or of one of its steps",
		Long: `Print what the actions of a target wrote when they last ran: RECIPE:TARGET for the target's last action (a failed one
if there is one), RECIPE:TARGET:STEP for the actions whose label contains STEP, --all for every action.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.printLog(cmd.Context(), args[0], all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "print the logs of all actions of the target")
	return cmd
}

func (c *command) printLog(ctx context.Context, ref string, all bool) error {
	ref, step := splitStep(ref)
	p, err := c.refer(ref)
	if err != nil {
		return err
	}
	rec, err := p.load()
	if err != nil {
		return err
	}
	name := p.target
	if name == "" {
		name = rec.Default()
	}
	if _, err := rec.Target(name); err != nil {
		return err
	}
	st, err := c.openStore()
	if err != nil {
		return err
	}
	defer st.Close()
	steps := chooseLogs(engine.LoadLast(st, p.ws.Dir, name), step, all)
	if len(steps) == 0 {
		return diag.Inputf("no-log", "there is no log for `%s`", ref).
			Hint("a log is there once an action of the target has run here; `--all` shows every action of it")
	}
	for _, l := range steps {
		if all || len(steps) > 1 {
			c.ui().Say("==> %s", l.Label)
		}
		if err := c.copyLog(ctx, st, l); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) copyLog(ctx context.Context, st *disk.Store, l engine.LastStep) error {
	r, err := st.Open(ctx, l.Log)
	if err != nil {
		return diag.Failf("log-gone", "the log of `%s` is no longer in the store", l.Label).Because(err)
	}
	defer r.Close()
	_, err = io.Copy(c.sys.Stdout, r)
	return err
}
