package rust

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/cargo"
	"hewn.example/hewn/internal/tree"
)

// InsideOptions says what is built by a tool of another ecosystem that calls cargo.
type InsideOptions struct {
	Source    engine.Static
	Dir       string   // of the package in Source
	Label     string   // what Source is, in messages: "cryptography 46.0.6"
	Manifests []string // the Cargo.toml files that are built, in Source; none: the highest that are found
	At        string   // where Source is mounted for the build
	Root      engine.Step
	Rustc     string // the version of rustc in Root; empty: there is none
}

// Crates is what such a build needs beside its source; zero where there is no Rust inside.
type Crates struct {
	Layers []engine.Layer
	Env    map[string]string
	Source engine.Step // in the place of the source: with the locks that it should have had; zero: as it is
}

// Inside plans the crates of a package with Rust inside: those of the Cargo.lock that its source has.
func Inside(ctx context.Context, ask *engine.Ask, o InsideOptions) (Crates, error) {
	dirs, err := o.workspaces(ctx, ask)
	if err != nil || len(dirs) == 0 {
		return Crates{}, err
	}
	if o.Rustc == "" {
		return Crates{}, diag.Inputf("no-cargo", "`%s` has Rust inside, but the root that it is built in has no rustc", o.Label).
			At(diag.Position{File: path.Join(o.Label, dirs[0], manifestName)}).
			Hint("add the Debian packages `cargo` and `rustc` to the recipe's build_root")
	}
	all := &cargo.Lock{}
	var unlocked []*workspace
	for _, dir := range dirs {
		w, err := readWorkspace(ctx, ask, o.Source, o.Label, dir)
		if err != nil {
			return Crates{}, err
		}
		lock, good, err := o.crates(ctx, w)
		if err != nil {
			return Crates{}, err
		}
		if !good {
			unlocked = append(unlocked, w)
		}
		all.Packages = append(all.Packages, lock.Packages...)
	}
	crates, err := vendor(all, DefaultAt)
	if err != nil {
		return Crates{}, err
	}
	out := Crates{Layers: []engine.Layer{{Step: crates.Step, At: DefaultAt}}, Env: environment()}
	for _, w := range unlocked {
		if out.Source.IsZero() {
			out.Source = o.Source.Step
		}
		out.Source = w.relocked(o, out.Source, crates.Step)
	}
	return out, nil
}

// crates gives the packages of a workspace: those of its lock if that is good, else those that are pinned.
func (o InsideOptions) crates(ctx context.Context, w *workspace) (lock *cargo.Lock, good bool, err error) {
	var want lowest
	want.packages(w)
	if err := want.check(o.Rustc); err != nil {
		return nil, false, err
	}
	has, err := w.ask.Exists(ctx, w.src, path.Join(w.dir, lockName))
	if err != nil {
		return nil, false, err
	}
	if has {
		if lock, err = w.lock(ctx); err != nil {
			return nil, false, err
		}
		diffs := w.differences(lock)
		if !slices.ContainsFunc(diffs, func(d difference) bool { return !d.surplus }) {
			return lock, len(diffs) == 0, nil // it has all that is needed
		}
	}
	lock, err = w.resolved(ctx, o.Rustc, lock)
	return lock, false, err
}

// environment is what cargo is told in every build.
func environment() map[string]string {
	return map[string]string{"CARGO_HOME": DefaultAt, "CARGO_NET_OFFLINE": "true", "CARGO_INCREMENTAL": "0", "CARGO_TERM_COLOR": "never"}
}

// lock reads the Cargo.lock of a workspace.
func (w *workspace) lock(ctx context.Context) (*cargo.Lock, error) {
	file := path.Join(w.dir, lockName)
	b, err := w.ask.Read(ctx, w.src, file)
	if err != nil {
		return nil, diag.Inputf("lock-missing", "cannot read `%s` of %s", file, w.src.Label()).Because(err).
			Hint("make one with `cargo generate-lockfile`, and commit it")
	}
	return cargo.Read(named(w.src, w.label, file), b)
}

// workspaces finds the directories of the workspaces that are built.
func (o InsideOptions) workspaces(ctx context.Context, ask *engine.Ask) (dirs []string, err error) {
	files := o.Manifests
	if len(files) == 0 {
		if files, err = o.highest(ctx, ask); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		dir, err := rootOf(ctx, ask, o.Source, o.Label, f)
		if errors.Is(err, tree.ErrNotExist) {
			return nil, diag.Inputf("bad-file", "`%s` names the manifest `%s`, which is not there", o.Label, f).Because(err)
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// highest is the manifest of the package itself, or those that lie highest in it: with a lock beside them, if any have.
func (o InsideOptions) highest(ctx context.Context, ask *engine.Ask) ([]string, error) {
	top := path.Join(o.Dir, manifestName)
	if ok, err := ask.Exists(ctx, o.Source, top); err != nil || ok {
		return []string{top}, err
	}
	all, err := ask.Glob(ctx, o.Source, path.Join(o.Dir, "**", manifestName))
	if err != nil {
		return nil, err
	}
	var locked []string
	for _, f := range all {
		if ok, err := ask.Exists(ctx, o.Source, path.Join(path.Dir(f), lockName)); err != nil {
			return nil, err
		} else if ok {
			locked = append(locked, f)
		}
	}
	if len(locked) > 0 {
		all = locked
	}
	var out []string
	for _, f := range all {
		depth := strings.Count(f, "/")
		if len(out) > 0 && depth < strings.Count(out[0], "/") {
			out = nil
		}
		if len(out) == 0 || depth == strings.Count(out[0], "/") {
			out = append(out, f)
		}
	}
	return out, nil
}
