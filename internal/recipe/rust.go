package recipe

import (
	"context"
	"fmt"
	"path"

	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/python"
	"hewn.example/hewn/internal/rust"
)

// rustVendor is rust.vendor(dir, at="/usr/local/cargo"): CARGO_HOME at that place, with every crate of Cargo.lock.
func rustVendor(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	o := rust.VendorOptions{At: rust.DefaultAt}
	var dir treeArg
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "dir", &dir, "at?", &o.At); err != nil {
		return nil, err
	}
	if !path.IsAbs(o.At) || path.Clean(o.At) != o.At {
		return nil, fmt.Errorf("at: %q is not an absolute clean path", o.At)
	}
	if o.Dir, err = staticOf("dir", dir.v); err != nil {
		return nil, err
	}
	s, err := rust.Vendor(p.ctx, p.ask, o)
	if err != nil {
		return nil, dir.v.inSource(err)
	}
	return newTree(s.Step, o.At), nil
}

// rustBuild is rust.build(source, bin, output, root, env={}, flags=[]): a program, with its dependencies compiled apart.
func rustBuild(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	o := rust.BuildOptions{}
	var src treeArg
	var root *rootValue
	var env *starlark.Dict
	var flags *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "source", &src, "bin", &o.Bin, "output", &o.Output, "root", &root,
		"env?", &env, "flags?", &flags); err != nil {
		return nil, err
	}
	if !path.IsAbs(o.Output) {
		return nil, fmt.Errorf("output: %q is not absolute", o.Output)
	}
	if o.Source, err = staticOf("source", src.v); err != nil {
		return nil, err
	}
	o.Root, o.Rustc = root.step, rustcOf(root.versions)
	if o.Rustc == "" {
		return nil, fmt.Errorf("root: it has no package `rustc`")
	}
	if env != nil {
		if o.Env, err = strDict("env", env); err != nil {
			return nil, err
		}
	}
	if o.Flags, err = strs("flags", flags); err != nil {
		return nil, err
	}
	s, err := rust.Build(p.ctx, p.ask, o)
	if err != nil {
		return nil, src.v.inSource(err)
	}
	return newTree(s, "/"), nil
}

// rustInside gives Python what the build of a package with Rust inside needs, in a root with these packages.
func rustInside(versions map[string]string) func(context.Context, *engine.Ask, python.RustInside) (python.RustCrates, error) {
	return func(ctx context.Context, ask *engine.Ask, in python.RustInside) (python.RustCrates, error) {
		c, err := rust.Inside(ctx, ask, rust.InsideOptions{Source: in.Source, Dir: in.Dir, Label: in.Label, Manifests: in.Manifests,
			At: in.At, Root: in.Root, Rustc: rustcOf(versions)})
		return python.RustCrates(c), err
	}
}

// rustcOf is the version of the compiler in a root; empty: it has none.
func rustcOf(versions map[string]string) string { return upstreamVersion(versions["rustc"]) }
