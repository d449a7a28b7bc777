package recipe

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
)

// tree is what recipes call a tree: a step and the place where its content is mounted. It is the one kind of value that
// targets, sources and runs give and take.
type treeValue struct {
	step engine.Step
	at   string // absolute, clean
	from string // for messages: the source, and the directory of it; empty where it is no part of a source
	// origin tells where a whole source comes from; nil for every other tree. It is a question of the plan that made the
	// value, asked when an attribute is read, so that only plans that look are run again for another commit.
	origin func() (engine.SourceInfo, error)
}

var (
	_ starlark.HasAttrs = (*treeValue)(nil)
	_ starlark.Value    = (*target)(nil)
)

func newTree(s engine.Step, at string) *treeValue {
	return &treeValue{step: s, at: path.Clean("/" + at)}
}

func (v *treeValue) String() string        { return fmt.Sprintf("<tree %s at %s>", v.step.Label(), v.at) }
func (v *treeValue) Type() string          { return "tree" }
func (v *treeValue) Freeze()               {} // immutable
func (v *treeValue) Truth() starlark.Bool  { return true }
func (v *treeValue) Hash() (uint32, error) { return starlark.String(v.step.ID().Hex() + v.at).Hash() }

// as is another tree that shows the same source.
func (v *treeValue) as(s engine.Step, at string) *treeValue {
	out := newTree(s, at)
	out.from = v.from
	return out
}

// file names a file of the tree for messages: by its source and its place there, else by what made the tree.
func (v *treeValue) file(name string) string {
	from := v.from
	if from == "" {
		from = v.step.Label()
	}
	return path.Join(from, path.Clean("/"+name))
}

// inSource gives an error about a file of the tree the place of that file in its source.
func (v *treeValue) inSource(err error) error {
	var p *diag.Problem
	if !errors.As(err, &p) || p.Pos.File == "" || path.IsAbs(p.Pos.File) || v.from == "" || strings.HasPrefix(p.Pos.File, v.from+"/") {
		return err
	}
	if sourceFiles[path.Base(p.Pos.File)] || path.Ext(p.Pos.File) == ".txt" { // requirements.txt includes others
		p.Pos.File = v.file(p.Pos.File)
	}
	return err
}

// sourceFiles are those that ecosystems read of a source, and name relative to it.
var sourceFiles = map[string]bool{"package.json": true, "package-lock.json": true, "uv.lock": true, "pyproject.toml": true, "go.mod": true, "go.sum": true,
	"go.work": true, "go.work.sum": true, "modules.txt": true, "poetry.lock": true, "pylock.toml": true, "requirements.txt": true,
	"pnpm-lock.yaml": true, "pnpm-workspace.yaml": true, "yarn.lock": true, ".python-version": true}

// layer is the value as a layer of a root.
func (v *treeValue) layer() engine.Layer { return engine.Layer{Step: v.step, At: v.at} }

// rooted is the value's step with its content at its place.
func (v *treeValue) rooted() engine.Step {
	if v.at == "/" {
		return v.step
	}
	return engine.Place(v.step, v.at)
}

// static gives the step for a question, or an error that says why it cannot be asked about.
func (v *treeValue) static() (engine.Static, error) {
	if s, ok := v.step.Static(); ok {
		return s, nil
	}
	return engine.Static{}, fmt.Errorf("%s is made by an action or a target: a recipe can only look into sources and what native steps make of them", v.step.Label())
}

type treeMethod func(th *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

var treeMethods = map[string]treeMethod{
	"at":      treeAt,
	"dir":     treeDir,
	"select":  treeSelect,
	"without": treeWithout,
	"exists":  treeExists,
	"read":    treeRead,
	"glob":    treeGlob,
	"json":    treeParse,
	"toml":    treeParse,
	"yaml":    treeParse,
}

func (v *treeValue) Attr(name string) (starlark.Value, error) {
	m, ok := treeMethods[name]
	if !ok {
		return v.originAttr(name)
	}
	return starlark.NewBuiltin(name, func(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		th.SetLocal(methodKey, b.Name())
		return m(th, v, args, kwargs)
	}), nil
}

// originAttr gives what only a whole source has: where it comes from.
func (v *treeValue) originAttr(name string) (starlark.Value, error) {
	if v.origin == nil || !slices.Contains(originAttrs, name) {
		return nil, nil
	}
	o, err := v.origin()
	if err != nil {
		return nil, err
	}
	switch name {
	case "rev":
		return starlark.String(o.Rev), nil
	case "revision":
		return starlark.String(o.Revision), nil
	case "time":
		return starlark.MakeInt64(o.Time), nil
	}
	return starlark.String(o.URL), nil
}

var originAttrs = []string{"rev", "revision", "time", "url"}

func (v *treeValue) AttrNames() []string {
	out := make([]string, 0, len(treeMethods))
	for n := range treeMethods {
		out = append(out, n)
	}
	if v.origin != nil {
		out = append(out, originAttrs...)
	}
	sort.Strings(out)
	return out
}

// treeAt is t.at(path): the same content, mounted elsewhere.
func treeAt(_ *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var p string
	if err := starlark.UnpackArgs("at", args, kwargs, "path", &p); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(p, "/") {
		return nil, fmt.Errorf("at: path %q is not absolute", p)
	}
	return v.as(v.step, p), nil
}

// treeDir is t.dir(path): the directory below, mounted where it lies.
func treeDir(_ *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var p string
	if err := starlark.UnpackArgs("dir", args, kwargs, "path", &p); err != nil {
		return nil, err
	}
	out := v.as(engine.Sub(v.step, p), path.Join(v.at, p))
	if v.from != "" {
		out.from = path.Join(v.from, path.Clean("/"+p))
	}
	return out, nil
}

// treeSelect is t.select(paths...): only those, each at its place. A path that ends in "?" may be missing.
func treeSelect(_ *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	paths, err := stringArgs("select", args, kwargs)
	if err != nil {
		return nil, err
	}
	return v.as(engine.Select(v.step, paths...), v.at), nil
}

// treeWithout is t.without(patterns...): everything else.
func treeWithout(_ *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	patterns, err := stringArgs("without", args, kwargs)
	if err != nil {
		return nil, err
	}
	return v.as(engine.Remove(v.step, patterns...), v.at), nil
}

// question prepares a question about v: the context, the Ask and the Static step.
func question(th *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (p *planState, s engine.Static, arg string, err error) {
	name, _ := th.Local(methodKey).(string)
	if err = starlark.UnpackArgs(name, args, kwargs, "path", &arg); err != nil {
		return
	}
	if p, err = plan(th, name); err != nil {
		return
	}
	s, err = v.static()
	return
}

func treeExists(th *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, s, arg, err := question(th, v, args, kwargs)
	if err != nil {
		return nil, err
	}
	ok, err := p.ask.Exists(p.ctx, s, arg)
	return starlark.Bool(ok), err
}

func treeRead(th *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, s, arg, err := question(th, v, args, kwargs)
	if err != nil {
		return nil, err
	}
	b, err := p.ask.Read(p.ctx, s, arg)
	return starlark.String(b), err
}

func treeGlob(th *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, s, arg, err := question(th, v, args, kwargs)
	if err != nil {
		return nil, err
	}
	names, err := p.ask.Glob(p.ctx, s, arg)
	return stringList(names), err
}

// treeParse is t.json(path), t.toml(path) and t.yaml(path): the file as dicts, lists, strings, numbers.
func treeParse(th *starlark.Thread, v *treeValue, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	format, _ := th.Local(methodKey).(string)
	p, s, arg, err := question(th, v, args, kwargs)
	if err != nil {
		return nil, err
	}
	b, err := p.ask.Read(p.ctx, s, arg)
	if err != nil {
		return nil, err
	}
	return parseData(format, v.file(arg), b)
}

// target is the `t` that a target's function gets.
type target struct{ name string }

func (t *target) String() string        { return "<target " + t.name + ">" }
func (t *target) Type() string          { return "target" }
func (t *target) Freeze()               {}
func (t *target) Truth() starlark.Bool  { return true }
func (t *target) Hash() (uint32, error) { return starlark.String(t.name).Hash() }

func (t *target) AttrNames() []string {
	return []string{"arch", "name", "os", "source", "target", "var"}
}

func (t *target) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(t.name), nil
	case "source":
		return starlark.NewBuiltin("source", targetSource), nil
	case "target":
		return starlark.NewBuiltin("target", targetTarget), nil
	case "var":
		return starlark.NewBuiltin("var", targetVar), nil
	case "arch", "os":
		return starlark.NewBuiltin(name, targetPlatform), nil
	}
	return nil, nil
}

func targetSource(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var optional bool
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "optional?", &optional); err != nil {
		return nil, err
	}
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	decl, ok := p.r.Sources[name]
	if !ok {
		return nil, p.r.UnknownSource(name)
	}
	if optional && !p.r.configured[name] && decl.Git == "" && decl.Path == "" {
		return starlark.None, nil
	}
	out := newTree(engine.Source(name).Step, "/")
	out.from = name
	out.origin = func() (engine.SourceInfo, error) { return p.ask.SourceInfo(p.ctx, name) }
	return out, nil
}

func targetTarget(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	if _, err := p.r.Target(name); err != nil {
		return nil, err
	}
	return newTree(engine.Target(name), "/"), nil
}

func targetVar(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name, def string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "default?", &def); err != nil {
		return nil, err
	}
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	if v, ok := p.r.vars[name]; ok {
		def = v
	}
	return starlark.String(def), nil
}

func targetPlatform(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	if b.Name() == "os" {
		return starlark.String(p.ask.Platform().OS), nil
	}
	return starlark.String(p.ask.Platform().Arch), nil
}

// planState is what a running target function works with; it hangs on the thread.
type planState struct {
	ctx context.Context
	ask *engine.Ask
	r   *Recipe

	target string // whose function it is
}

const (
	planKey   = "hewn.plan"
	methodKey = "hewn.method"
)

// plan gives the state of the running plan; outside of one it is an error that says what to do.
func plan(th *starlark.Thread, what string) (*planState, error) {
	p, _ := th.Local(planKey).(*planState)
	if p == nil {
		return nil, fmt.Errorf("%s can only be called while a target is planned: put it inside a target's function", what)
	}
	return p, nil
}

func stringArgs(name string, args starlark.Tuple, kwargs []starlark.Tuple) ([]string, error) {
	if len(kwargs) > 0 {
		return nil, fmt.Errorf("%s: takes no keyword arguments", name)
	}
	out := make([]string, 0, len(args))
	for _, a := range args {
		s, ok := starlark.AsString(a)
		if !ok {
			return nil, fmt.Errorf("%s: got %s, want strings", name, a.Type())
		}
		out = append(out, s)
	}
	return out, nil
}

func stringList(ss []string) *starlark.List {
	out := make([]starlark.Value, len(ss))
	for i, s := range ss {
		out[i] = starlark.String(s)
	}
	return starlark.NewList(out)
}
