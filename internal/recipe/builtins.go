package recipe

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/tree"
)

type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// predeclared is what every file of a recipe sees. docs/RECIPES.md describes each name.
func (l *loader) predeclared() starlark.StringDict {
	d := starlark.StringDict{
		"target":  starlark.NewBuiltin("target", l.declTarget),
		"check":   starlark.NewBuiltin("check", l.declCheck),
		"app":     starlark.NewBuiltin("app", l.declApp),
		"image":   starlark.NewBuiltin("image", l.declImage),
		"service": starlark.NewBuiltin("service", declService),
		"file":    starlark.NewBuiltin("file", l.recipeFile),
		"run":     starlark.NewBuiltin("run", runCommand),
		"root":    starlark.NewBuiltin("root", furtherRoot),
		"merge":   starlark.NewBuiltin("merge", mergeTrees),
		"overlay": starlark.NewBuiltin("overlay", mergeTrees),
		"write":   starlark.NewBuiltin("write", writeFiles),
		"link":    starlark.NewBuiltin("link", writeLinks),
		"dirs":    starlark.NewBuiltin("dirs", writeDirs),
		"struct":  starlark.NewBuiltin("struct", starlarkstruct.Make),
		"json":    json.Module,
	}
	for name, members := range ecosystemModules {
		m := &starlarkstruct.Module{Name: name, Members: starlark.StringDict{}}
		for n, f := range members {
			m.Members[n] = starlark.NewBuiltin(name+"."+n, f)
		}
		d[name] = m
	}
	return d
}

func (l *loader) declare(t *Target) error {
	if t.Name == "" || strings.ContainsAny(t.Name, " \t\n") {
		return fmt.Errorf("%q is not a name for a target", t.Name)
	}
	if l.r.byName[t.Name] != nil {
		return fmt.Errorf("the target `%s` is declared twice", t.Name)
	}
	l.r.byName[t.Name] = t
	l.r.targets = append(l.r.targets, t)
	return nil
}

// declTarget is target(name, function, doc="", default=False).
func (l *loader) declTarget(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	t := &Target{pos: caller(th)}
	var def bool
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &t.Name, "function", &t.fn, "doc?", &t.Doc, "default?", &def); err != nil {
		return nil, err
	}
	if def {
		l.r.def = t.Name
	}
	return starlark.None, l.declare(t)
}

// declCheck is check(name, function, of, doc="").
func (l *loader) declCheck(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	t := &Target{Check: true, pos: caller(th)}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &t.Name, "function", &t.fn, "of", &t.Of, "doc?", &t.Doc); err != nil {
		return nil, err
	}
	return starlark.None, l.declare(t)
}

// recipeFile is file(name): the text of a file that lies beside the recipe (a check's driver).
func (l *loader) recipeFile(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	text, ok := l.files[path.Clean(name)]
	if !ok {
		return nil, fmt.Errorf("the recipe has no file `%s`", name)
	}
	return starlark.String(text), nil
}

// furtherRootValue is what root(...) gives: a root beside an action's own.
type furtherRootValue struct {
	*starlarkstruct.Struct
	root engine.Root
}

func (v *furtherRootValue) Type() string { return "root" }

// furtherRoot is root(layers, read_only=False, tmpfs=[]).
func furtherRoot(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	v := &furtherRootValue{Struct: starlarkstruct.FromStringDict(starlark.String("root"), nil)}
	var layers, tmpfs *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "layers", &layers, "read_only?", &v.root.ReadOnly, "tmpfs?", &tmpfs); err != nil {
		return nil, err
	}
	var err error
	if v.root.Layers, err = layerList("layers", layers); err != nil {
		return nil, err
	}
	v.root.Tmpfs, err = strs("tmpfs", tmpfs)
	return v, err
}

// layerList reads a list of trees as the layers of a root.
func layerList(what string, l *starlark.List) ([]engine.Layer, error) {
	values, err := treeList(what, l)
	if err != nil {
		return nil, err
	}
	out := make([]engine.Layer, 0, len(values))
	for _, v := range values {
		out = append(out, v.layer())
	}
	return out, nil
}

// furtherRoots reads {"image": root(...)}.
func furtherRoots(d *starlark.Dict) ([]engine.Root, error) {
	if d == nil {
		return nil, nil
	}
	var out []engine.Root
	for _, item := range d.Items() {
		name, ok1 := starlark.AsString(item[0])
		v, ok2 := item[1].(*furtherRootValue)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("roots: entry %s is not what root(...) gives, for a name", item[0])
		}
		r := v.root
		r.Name = name
		out = append(out, r)
	}
	return out, nil
}

// runCommand is run(cmd, layers, outputs, cwd="/", env={}, label="", as_root=False, roots={}).
func runCommand(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var cmd, layers, outputs *starlark.List
	env := new(starlark.Dict)
	var roots *starlark.Dict
	cwd, label, asRoot := "/", "", false
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "cmd", &cmd, "layers", &layers, "outputs", &outputs,
		"cwd?", &cwd, "env?", &env, "label?", &label, "as_root?", &asRoot, "roots?", &roots); err != nil {
		return nil, err
	}
	c := engine.Command{Dir: cwd, AsRoot: asRoot, Platform: p.ask.Platform()}
	if c.Args, err = strs("cmd", cmd); err != nil {
		return nil, err
	}
	if c.Outputs, err = strs("outputs", outputs); err != nil {
		return nil, err
	}
	if c.Env, err = strDict("env", env); err != nil {
		return nil, err
	}
	if err := checkCommand(c); err != nil {
		return nil, err
	}
	if c.Layers, err = layerList("layers", layers); err != nil {
		return nil, err
	}
	if c.Roots, err = furtherRoots(roots); err != nil {
		return nil, err
	}
	if label == "" {
		label = strings.Join(c.Args, " ")
	}
	return newTree(engine.Run(label, c), "/"), nil
}

// checkCommand finds at the call what would only show when the action is made.
func checkCommand(c engine.Command) error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return errors.New("run: cmd is empty")
	}
	if !path.IsAbs(c.Dir) {
		return fmt.Errorf("run: cwd: %q is not absolute", c.Dir)
	}
	for _, o := range c.Outputs {
		if !path.IsAbs(o) {
			return fmt.Errorf("run: outputs: %q is not absolute", o)
		}
	}
	return nil
}

// mergeTrees is merge(trees...) and overlay(trees...), each tree at its own place.
func mergeTrees(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 {
		return nil, fmt.Errorf("%s: takes no keyword arguments", b.Name())
	}
	parts := make([]engine.Part, 0, len(args))
	for i, a := range args {
		v, ok := asTree(a)
		if !ok {
			return nil, fmt.Errorf("%s: argument %d is %s, want a tree", b.Name(), i+1, a.Type())
		}
		parts = append(parts, engine.Part{Step: v.step, At: v.at})
	}
	if b.Name() == "overlay" {
		return newTree(engine.Overlay("overlay", parts...), "/"), nil
	}
	return newTree(engine.Merge("merge", parts...), "/"), nil
}

// writeParams are the entries that a recipe spells out itself.
type writeParams struct {
	Files map[string]string `json:"files,omitempty"`
	Exec  []string          `json:"exec,omitempty"`
	Links map[string]string `json:"links,omitempty"`
	Dirs  []string          `json:"dirs,omitempty"`
}

var writeStep = engine.NativeDef{Name: "write", Version: 1, Run: func(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p writeParams
	if err := stdjson.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	exec := map[string]bool{}
	for _, e := range p.Exec {
		exec[e] = true
	}
	b := tree.NewBuilder()
	for _, name := range sortedKeys(p.Files) {
		d, err := c.Store.Put(ctx, []byte(p.Files[name]))
		if err != nil {
			return tree.Tree{}, err
		}
		if err := b.File(name, d, exec[name]); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, name := range sortedKeys(p.Links) {
		if err := b.Link(name, p.Links[name]); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, name := range p.Dirs {
		if err := b.Dir(name); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}}

// Natives lists the native steps of this package.
func Natives() []engine.NativeDef { return []engine.NativeDef{writeStep} }

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// writeFiles is write({path: text}, executable=[paths]).
func writeFiles(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	files, exec := new(starlark.Dict), new(starlark.List)
	err := starlark.UnpackArgs(b.Name(), args, kwargs, "files", &files, "executable?", &exec)
	var p writeParams
	if err == nil {
		p.Files, err = strDict("files", files)
	}
	if err == nil {
		p.Exec, err = strs("executable", exec)
	}
	if err != nil {
		return nil, err
	}
	return newTree(engine.Native("written files", writeStep, p), "/"), nil
}

// writeLinks is link({path: target}).
func writeLinks(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	links := new(starlark.Dict)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "links", &links); err != nil {
		return nil, err
	}
	m, err := strDict("links", links)
	if err != nil {
		return nil, err
	}
	return newTree(engine.Native("links", writeStep, writeParams{Links: m}), "/"), nil
}

// writeDirs is dirs(paths...): empty directories.
func writeDirs(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	paths, err := stringArgs(b.Name(), args, kwargs)
	if err != nil {
		return nil, err
	}
	return newTree(engine.Native("directories", writeStep, writeParams{Dirs: paths}), "/"), nil
}

func strs(what string, l *starlark.List) ([]string, error) {
	if l == nil {
		return nil, nil
	}
	out := make([]string, 0, l.Len())
	for i := range l.Len() {
		s, ok := starlark.AsString(l.Index(i))
		if !ok {
			return nil, fmt.Errorf("%s: element %d is %s, want a string", what, i+1, l.Index(i).Type())
		}
		out = append(out, s)
	}
	return out, nil
}

func strDict(what string, d *starlark.Dict) (map[string]string, error) {
	out := map[string]string{}
	for _, item := range d.Items() {
		k, ok1 := starlark.AsString(item[0])
		v, ok2 := starlark.AsString(item[1])
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: entry %s is not a string for a string", what, item[0])
		}
		out[k] = v
	}
	return out, nil
}

// treeList flattens lists of trees, so that a recipe can write [deps] + [web] or nest them; None is left out.
func treeList(what string, l *starlark.List) ([]*treeValue, error) {
	if l == nil {
		return nil, nil
	}
	var out []*treeValue
	for i := range l.Len() {
		if v, ok := asTree(l.Index(i)); ok {
			out = append(out, v)
			continue
		}
		switch v := l.Index(i).(type) {
		case *starlark.List:
			inner, err := treeList(what, v)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		case starlark.NoneType:
		default:
			return nil, fmt.Errorf("%s: element %d is %s, want a tree", what, i+1, v.Type())
		}
	}
	return out, nil
}
