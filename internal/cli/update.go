package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hewn.example/hewn/internal/debian"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/disk"
)

func (c *command) update() *cobra.Command {
	var missing bool
	cmd := &cobra.Command{
		Use:   "update [REF] [SET...]",
		Short: "Move pins: resolve what sources.lock pins, and print what moved",
		Long: `Resolve what the locks of the source leave open (Debian packages, build requirements, toolchains, git sources) and
write it into sources.lock. It is the only command that resolves.

With --missing only what lacks is added. With names of sets (the part behind the ecosystem in sources.lock, for example
root/assembled), only those are resolved anew.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref := "."
			if len(args) > 0 {
				ref, args = args[0], args[1:]
			}
			o := updateOptions{mode: pins.All, files: true}
			if missing {
				o.mode = pins.Missing
			}
			if len(args) > 0 {
				o.mode, o.refresh = pins.Missing, named(args)
			}
			return c.with(ref, func(p *place, st *disk.Store) error {
				changes, err := c.updateLock(cmd.Context(), p, st, o)
				if err != nil {
					return err
				}
				for _, ch := range changes {
					c.ui().Result(ch.String())
				}
				if len(changes) == 0 {
					c.ui().Say("nothing moved")
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&missing, "missing", false, "only add what is not pinned yet")
	return cmd
}

// named chooses the questions whose set is among names, alone or with its ecosystem in front.
func named(names []string) func(pins.Question) bool {
	return func(q pins.Question) bool {
		for _, n := range names {
			if n == q.Set || n == string(q.Ecosystem) || n == string(q.Ecosystem)+" "+q.Set || strings.HasPrefix(q.Set, n+"/") {
				return true
			}
		}
		return false
	}
}

type updateOptions struct {
	mode    pins.Mode
	refresh func(pins.Question) bool
	files   bool // bring the lists of files up to date, from which failing builds get hints, and look at the roots
}

// updateLock evaluates the plans of all targets with Pins that resolve, and writes the new lock if anything moved.
func (c *command) updateLock(ctx context.Context, p *place, st *disk.Store, o updateOptions) ([]pins.Change, error) {
	if c.flags.offline {
		return nil, diag.Inputf("usage", "`hewn update` needs the network, which --offline forbids")
	}
	old, err := p.lock()
	if err != nil {
		return nil, err
	}
	temp, remove, err := st.TempDir(ctx, "update")
	if err != nil {
		return nil, err
	}
	defer remove()
	var up *pins.Updater
	s, err := c.open(p, st, func(s *shop) (pins.Pins, error) {
		resolvers, err := s.resolvers(temp)
		up = pins.NewUpdater(old, resolvers, o.mode, o.refresh)
		return up, err
	})
	if err != nil {
		return nil, err
	}
	defer s.close()
	err = s.askEverything(ctx)
	c.ui().Finish()
	if err != nil {
		return nil, err
	}
	// A question that nobody asked any more goes; one of another platform stays.
	now := up.Result(true, c.flags.plat)
	if o.files && now.Uses(source.Debian, c.flags.plat) {
		s.updateFiles(ctx)
		c.sayApart(now)
	}
	changes := now.Diff(old)
	text := now.Format()
	if string(text) == string(old.Format()) {
		return changes, nil
	}
	return changes, writeWhole(p.lockFile(), text)
}

// updateFiles brings the lists of files up to date. They serve hints alone, so that a failure is no more than a warning.
func (s *shop) updateFiles(ctx context.Context) {
	if err := s.debian.UpdateFiles(ctx, s.debianDir(), debian.Arch(s.c.flags.plat)); err != nil {
		s.c.ui().Say("hewn: warning: a build that misses a header will not be told which package has it: %v", err)
	}
}

// sayApart says that roots have different versions of a package: what is compiled in one may not run in another.
func (c *command) sayApart(l *pins.Lock) {
	apart := l.Apart(source.Debian, c.flags.plat, debian.SameSuite)
	if len(apart) == 0 {
		return
	}
	a := apart[0]
	c.ui().Say("hewn: note: roots have different versions of `%s` (%s in %s, %s in %s) and of %d more; `hewn update REF debian` resolves all roots anew, and `suites` below [debian] in hewn.toml can name one suite for all",
		a.Name, a.Versions[0], a.Sets[0], a.Versions[1], a.Sets[1], len(apart)-1)
}

// askEverything plans every target, and what their plans refer to, so that every question is asked. A source that is used
// but that no plan looks into is asked about as well: a build will want its pin.
func (s *shop) askEverything(ctx context.Context) error {
	var errs []error
	var steps []engine.Step
	for _, t := range s.rec.Targets() {
		step, err := s.engine.Plan(ctx, t.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("target `%s`: %w", t.Name, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		steps = append(steps, step)
	}
	for _, step := range s.engine.Graph(steps...) {
		name, ok := strings.CutPrefix(step.Label, "source ")
		if step.Kind != event.KindSource || !ok || ctx.Err() != nil {
			continue
		}
		if err := s.sources.pin(ctx, name); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// writeWhole replaces a file so that it is never seen half written.
func writeWhole(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return diag.Environmentf("unwritable", "cannot write `%s`", name).Because(err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return diag.Environmentf("unwritable", "cannot write `%s`", name).Because(err)
	}
	return nil
}

func (c *command) fetch() *cobra.Command {
	return &cobra.Command{
		Use:   "fetch [REF]",
		Short: "Bring in everything that a build will need, so that `build --offline` works",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(arg(args), func(p *place, st *disk.Store) error {
				_, err := withRepin(cmd.Context(), c, p, st, func(s *shop) (struct{}, error) {
					steps, err := s.everything()
					if err == nil {
						err = s.engine.Prefetch(cmd.Context(), steps...)
					}
					c.ui().Finish()
					return struct{}{}, err
				})
				return err
			})
		},
	}
}

// everything is the place's target, or all targets and checks where none is named.
func (s *shop) everything() ([]engine.Step, error) {
	if s.p.target != "" {
		name, err := s.target()
		return []engine.Step{engine.Target(name)}, err
	}
	var steps []engine.Step
	for _, t := range s.rec.Targets() {
		steps = append(steps, engine.Target(t.Name))
	}
	return steps, nil
}

// arg is the one optional reference of a command.
func arg(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}
