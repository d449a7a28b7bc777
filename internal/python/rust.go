package python

import (
	"context"
	"path"
	"slices"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/python/pep508"
)

// RustInside is a package whose build calls cargo.
type RustInside struct {
	Source    engine.Static
	Dir       string   // of the package in Source
	Label     string   // what Source is, in messages: "cryptography 46.0.6"
	Manifests []string // the Cargo.toml files that its settings name, in Source; none: they are to be found
	At        string   // where Source is mounted for the build
	Root      engine.Step
}

// RustCrates is what such a build needs beside its source.
type RustCrates struct {
	Layers []engine.Layer
	Env    map[string]string
	Source engine.Step // in the place of the source: with locks for cargo; zero: as it is
}

// The build requirements that tell of Rust inside.
const (
	maturin        = "maturin"
	setuptoolsRust = "setuptools-rust"
)

// rustSettings are those of the tools that build Rust for Python.
type rustSettings struct {
	manifests []string // that they name
	locked    bool     // maturin tells cargo by itself to keep to the lock
}

func readRustSettings(tool tomldoc.Cursor) (r rustSettings) {
	if c, ok := tool.Sub(maturin); ok {
		if m := c.Text("manifest-path"); m != "" {
			r.manifests = append(r.manifests, m)
		}
		r.locked = c.Bool("locked") || c.Bool("frozen")
	}
	if c, ok := tool.Sub(setuptoolsRust); ok {
		add := func(c tomldoc.Cursor) {
			m := c.Text("path")
			if m == "" {
				m = "Cargo.toml"
			}
			r.manifests = append(r.manifests, m)
		}
		c.Each("ext-modules", add)
		c.Each("bins", add)
	}
	return r
}

// rust brings in the crates of a package whose build requirements tell of Rust inside.
func (v *venv) rust(ctx context.Context, sel Selected, src sourceOf) (RustCrates, error) {
	tool := ""
	for _, line := range slices.Concat(src.project.build.requires, v.BuildRequires[sel.Name]) {
		r, err := pep508.Parse(line)
		if err == nil && (r.Name == maturin || r.Name == setuptoolsRust) && r.Marker.Holds(v.env) {
			tool = r.Name
		}
	}
	if tool == "" {
		return RustCrates{Source: src.tree.Step}, nil
	}
	if v.Rust == nil {
		return RustCrates{}, diag.Inputf("no-rust", "`%s` is built with %s, which is not supported here", label(sel), tool).At(sel.Pos)
	}
	in := RustInside{Source: src.tree, Dir: src.dir, Label: label(sel), At: src.at, Root: v.BuildRoot}
	for _, m := range src.project.rust.manifests {
		in.Manifests = append(in.Manifests, path.Join(src.dir, m))
	}
	crates, err := v.Rust(ctx, v.ask, in)
	if crates.Source.IsZero() {
		crates.Source = src.tree.Step
	}
	if err == nil && tool == maturin && crates.Env != nil && !src.project.rust.locked {
		crates.Env["MATURIN_PEP517_ARGS"] = "--locked"
	}
	return crates, err
}
