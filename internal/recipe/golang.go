package recipe

import (
	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/golang"
)

// golangModules is golang.modules(dir, work=True): the module cache of what go.sum names, as GOMODCACHE.
func golangModules(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var dir treeArg
	work := true
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "dir", &dir, "work?", &work); err != nil {
		return nil, err
	}
	o := golang.ModulesOptions{NoWork: !work}
	if o.Dir, err = staticOf("dir", dir.v); err != nil {
		return nil, err
	}
	s, err := golang.Modules(p.ctx, p.ask, o)
	if err != nil {
		return nil, dir.v.inSource(err)
	}
	return newTree(s.Step, "/go/pkg/mod"), nil
}
