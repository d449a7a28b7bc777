package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// built is one line of results of `hewn build`; the field names are those of --json.
type built struct {
	Target  string       `json:"target"`
	Digest  string       `json:"digest"`
	Path    string       `json:"path,omitempty"`
	Steps   engine.Stats `json:"steps"`
	Seconds float64      `json:"seconds"`
}

func (c *command) build() *cobra.Command {
	var out string
	var asJSON, view bool
	cmd := &cobra.Command{
		Use:   "build [REF...]",
		Short: "Build targets to trees and print their digests",
		Long: `Build targets to trees and print one line a target: its name and its digest.

With --out DIR the tree is also written to DIR, with --view to a directory of the store. Both are brought up to date,
not written anew, and are yours: nothing in them is shared with the store. Only what differs from the tree that was
written there before is touched, so a file that you deleted stays away until it changes.`,
		RunE: func(cmd *cobra.Command, refs []string) error {
			if len(refs) == 0 {
				refs = []string{"."}
			}
			if out != "" && len(refs) > 1 {
				return diag.Inputf("usage", "--out takes one reference, not %d", len(refs))
			}
			for _, ref := range refs {
				err := c.with(ref, func(p *place, st *disk.Store) error {
					return c.buildOne(cmd.Context(), p, st, buildOptions{out, view, asJSON})
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "also write the tree to this directory")
	cmd.Flags().BoolVar(&view, "view", false, "also write the tree to a directory of the store, and print its path")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a target")
	return cmd
}

// buildOptions are the flags of `hewn build`.
type buildOptions struct {
	out    string
	view   bool
	asJSON bool
}

func (c *command) buildOne(ctx context.Context, p *place, st *disk.Store, o buildOptions) error {
	start := c.sys.Now()
	res, err := c.buildTarget(ctx, p, st)
	if err != nil {
		return err
	}
	line := built{Target: res.target, Digest: res.tree.String(), Steps: res.stats}
	out := o.out
	if o.view && out == "" {
		out = outDir(st, res.target)
	}
	if out != "" {
		line.Path = c.abs(out)
		if err := st.Checkout(ctx, res.tree, line.Path); err != nil {
			return diag.Failf("out", "cannot write `%s`", line.Path).Because(err)
		}
	}
	line.Seconds = c.sys.Now().Sub(start).Round(time.Millisecond).Seconds()
	if o.asJSON {
		b, err := json.Marshal(line)
		if err != nil {
			return err
		}
		c.ui().Result(string(b))
		return nil
	}
	text := line.Target + " " + line.Digest
	if line.Path != "" {
		text += " " + line.Path
	}
	c.ui().Result(text)
	return nil
}

// outDir is the place in the store where the tree of a target is written for people to look at.
func outDir(st *disk.Store, target string) string {
	return filepath.Join(st.Dir(), "out", strings.ReplaceAll(target, "/", "_"))
}

// outcome is a target that was built.
type outcome struct {
	target string
	tree   tree.Tree
	stats  engine.Stats
}

// buildTarget builds the place's target: from its build record if that holds, else by the engine.
func (c *command) buildTarget(ctx context.Context, p *place, st *disk.Store) (outcome, error) {
	rec, err := c.record(p, st)
	if err != nil {
		return outcome{}, err
	}
	if res, ok := rec.lookup(ctx); ok {
		return res, nil
	}
	return withRepin(ctx, c, p, st, func(s *shop) (outcome, error) {
		target, err := s.target()
		if err != nil {
			return outcome{}, err
		}
		step := engine.Target(target)
		t, err := s.engine.Build(ctx, step)
		c.ui().Finish()
		if err != nil {
			return outcome{}, err
		}
		res := outcome{target, t, s.engine.Stats(step)}
		rec.save(ctx, s, res)
		return res, nil
	})
}

// target is the place's target, which must exist.
func (s *shop) target() (string, error) {
	name := s.p.target
	if s.p.image {
		t, err := s.rec.Image(name)
		if err != nil {
			return "", err
		}
		return t.Name, nil
	}
	if name == "" {
		name = s.rec.Default()
	}
	_, err := s.rec.Target(name)
	return name, err
}

// withRepin opens a shop and runs f in it. Where a pinned package has left its archive and hewn.toml allows it, what is
// gone is pinned anew, the lock written, and f run once more.
func withRepin[T any](ctx context.Context, c *command, p *place, st *disk.Store, f func(*shop) (T, error)) (T, error) {
	for try := 0; ; try++ {
		s, err := c.open(p, st, nil)
		var out T
		if err == nil {
			out, err = f(s)
			s.close()
		}
		var gone *fetch.GoneError
		if err == nil || try > 0 || !errors.As(err, &gone) || gone.Artifact.Ecosystem != source.Debian || p.ws.Debian.Gone != "repin" {
			return out, err
		}
		c.ui().Finish()
		c.ui().Say("hewn: warning: `%s` has left its archive; the roots that hold it are pinned anew, as hewn.toml says (debian.gone)", gone.Artifact.String())
		// What has left takes others with it: every root of that archive is resolved again in one go.
		changes, uerr := c.updateLock(ctx, p, st, updateOptions{mode: pins.Missing, refresh: func(q pins.Question) bool {
			return q.Ecosystem == source.Debian
		}})
		if uerr != nil {
			return out, fmt.Errorf("pinning anew because %w: %w", gone, uerr)
		}
		for _, ch := range changes {
			c.ui().Say("  %s", ch)
		}
	}
}
