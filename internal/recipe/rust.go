package recipe

import (
	"fmt"
	"path"

	"go.starlark.net/starlark"

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
