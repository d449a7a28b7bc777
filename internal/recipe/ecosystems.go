package recipe

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/debian"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/golang"
	"hewn.example/hewn/internal/node"
	"hewn.example/hewn/internal/python"
)

// ecosystemModules is what recipes see of the ecosystems: thin adapters from Starlark's arguments to plans.
var ecosystemModules = map[string]map[string]builtin{
	"debian":  {"root": debianRoot, "elf_check": debianElfCheck},
	"maven":   {"jar": mavenJar},
	"openapi": {"generate": openapiGenerate},
	"python":  {"minor": pythonMinor, "compiled": pythonCompiled, "venv": pythonVenv, "import_check": pythonImportCheck},
	"node":    {"modules": nodeModules, "toolchain": nodeToolchain},
	"golang":  {"build": golangBuild, "modules": golangModules, "toolchain": golangToolchain},
	"rust":    {"build": rustBuild, "vendor": rustVendor},
	"oci":     {"image": ociImage, "unpack": ociUnpack},
}

// rootValue is a Debian root: a tree, and the versions of the packages in it.
type rootValue struct {
	treeValue
	versions map[string]string
}

// staticOf gives the Static step of an argument.
func staticOf(what string, v *treeValue) (engine.Static, error) {
	s, err := v.static()
	if err != nil {
		return s, fmt.Errorf("%s: %w", what, err)
	}
	return s, nil
}

// asTree accepts trees and roots.
func asTree(v starlark.Value) (*treeValue, bool) {
	switch v := v.(type) {
	case *treeValue:
		return v, true
	case *rootValue:
		return &v.treeValue, true
	}
	return nil, false
}

// treeArg makes UnpackArgs accept a tree or a root. Where an argument may be None its name ends in "??".
type treeArg struct {
	v        *treeValue
	versions map[string]string // of the packages in a Debian root
}

// Unpack implements starlark.Unpacker.
func (a *treeArg) Unpack(v starlark.Value) error {
	t, ok := asTree(v)
	if !ok {
		return fmt.Errorf("got %s, want a tree", v.Type())
	}
	a.v = t
	if r, ok := v.(*rootValue); ok {
		a.versions = r.versions
	}
	return nil
}

// debianRoot is debian.root(name, packages, exclude=[], essential=False, suite="", users=["name:uid:home"], docs=False).
func debianRoot(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var o debian.RootOptions
	var packages, exclude, users *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &o.Name, "packages", &packages, "exclude?", &exclude,
		"essential?", &o.Essential, "suite?", &o.Suite, "users?", &users, "docs?", &o.Docs); err != nil {
		return nil, err
	}
	if o.Packages, err = strs("packages", packages); err != nil {
		return nil, err
	}
	if o.Exclude, err = strs("exclude", exclude); err != nil {
		return nil, err
	}
	names, err := strs("users", users)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		f := strings.Split(n, ":")
		id := 0
		if len(f) == 3 {
			id, err = strconv.Atoi(f[1])
		}
		if len(f) != 3 || err != nil {
			return nil, fmt.Errorf("users: %q is not name:uid:home", n)
		}
		o.Users = append(o.Users, debian.User{Name: f[0], UID: id, GID: id, Home: f[2], Shell: "/bin/bash"})
	}
	info, err := debian.Root(p.ctx, p.ask, o)
	if err != nil {
		return nil, err
	}
	return &rootValue{*newTree(info.Root, "/"), info.Versions}, nil
}

// Attr adds version(package) to what every tree has.
func (v *rootValue) Attr(name string) (starlark.Value, error) {
	if name != "version" {
		return v.treeValue.Attr(name)
	}
	return starlark.NewBuiltin("version", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var pkg string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "package", &pkg); err != nil {
			return nil, err
		}
		ver, ok := v.versions[pkg]
		if !ok {
			return nil, fmt.Errorf("version: the root has no package `%s`", pkg)
		}
		return starlark.String(ver), nil
	}), nil
}

func (v *rootValue) AttrNames() []string { return append(v.treeValue.AttrNames(), "version") }

// upstreamVersion takes epoch and revision off a Debian version: "1:3.14.8-1" -> "3.14.8".
func upstreamVersion(v string) string {
	if _, after, ok := strings.Cut(v, ":"); ok {
		v = after
	}
	if i := strings.LastIndexByte(v, '-'); i > 0 {
		v = v[:i]
	}
	return v
}

// pythonMinor is python.minor(source): "3.14".
func pythonMinor(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var src treeArg
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "source", &src); err != nil {
		return nil, err
	}
	s, err := staticOf("source", src.v)
	if err != nil {
		return nil, err
	}
	minor, err := python.Version(p.ctx, p.ask, s)
	return starlark.String(minor), src.v.inSource(err)
}

// pythonCompiled is python.compiled(source, no_binary=[]): the names of the packages that are built from source.
func pythonCompiled(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var src treeArg
	var noBinary *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "source", &src, "no_binary?", &noBinary); err != nil {
		return nil, err
	}
	var o python.VenvOptions
	if o.Source, err = staticOf("source", src.v); err != nil {
		return nil, err
	}
	if o.NoBinary, err = strs("no_binary", noBinary); err != nil {
		return nil, err
	}
	names, err := python.Compiled(p.ctx, p.ask, o)
	return stringList(names), src.v.inSource(err)
}

// pythonVenv is python.venv(source, at, members_at, interpreter, build_root=None, extras=[], groups=[], no_binary=[],
// build_requires={}, env={}, bytecode=True, only=[], overlaps=[]). env sets variables for the build of a package, by the
// package's name; only leaves all packages out but those and what they need; overlaps is where packages may differ.
func pythonVenv(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	o := python.VenvOptions{Bytecode: true}
	var src, build treeArg
	var interpreter *rootValue
	var extras, groups, noBinary, only, overlaps *starlark.List
	var requires, env *starlark.Dict
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "source", &src, "at", &o.At, "members_at", &o.MembersAt,
		"interpreter", &interpreter, "build_root??", &build, "extras?", &extras, "groups?", &groups,
		"no_binary?", &noBinary, "build_requires?", &requires, "env?", &env, "bytecode?", &o.Bytecode, "only?", &only,
		"overlaps?", &overlaps); err != nil {
		return nil, err
	}
	if o.Source, err = staticOf("source", src.v); err != nil {
		return nil, err
	}
	minor, err := python.Version(p.ctx, p.ask, o.Source)
	if err != nil {
		return nil, err
	}
	ver, ok := interpreter.versions["python"+minor]
	if !ok {
		return nil, fmt.Errorf("interpreter: the root has no package `python%s`, which the source asks for", minor)
	}
	o.Python, o.Interpreter = upstreamVersion(ver), interpreter.step
	if build.v != nil {
		o.BuildRoot = build.v.step
	}
	o.Rust = rustInside(build.versions)
	for into, l := range map[*[]string]*starlark.List{&o.Extras: extras, &o.Groups: groups, &o.NoBinary: noBinary, &o.Only: only, &o.Overlaps: overlaps} {
		if *into, err = strs(b.Name(), l); err != nil {
			return nil, err
		}
	}
	if requires != nil {
		if o.BuildRequires, err = listDict("build_requires", requires); err != nil {
			return nil, err
		}
	}
	if env != nil {
		if o.Env, err = dictDict("env", env); err != nil {
			return nil, err
		}
	}
	s, err := python.Venv(p.ctx, p.ask, o)
	if err != nil {
		return nil, src.v.inSource(err)
	}
	return newTree(s, "/"), nil
}

// dictDict reads a dict from names to dicts of strings.
func dictDict(what string, d *starlark.Dict) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, item := range d.Items() {
		k, ok1 := starlark.AsString(item[0])
		inner, ok2 := item[1].(*starlark.Dict)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: entry %s is not a dict for a string", what, item[0])
		}
		v, err := strDict(what, inner)
		if err != nil {
			return nil, err
		}
		out[k] = v
	}
	return out, nil
}

func listDict(what string, d *starlark.Dict) (map[string][]string, error) {
	out := map[string][]string{}
	for _, item := range d.Items() {
		k, ok1 := starlark.AsString(item[0])
		l, ok2 := item[1].(*starlark.List)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: entry %s is not a list for a string", what, item[0])
		}
		v, err := strs(what, l)
		if err != nil {
			return nil, err
		}
		out[k] = v
	}
	return out, nil
}

// pythonImportCheck is python.import_check(layers, venv, skip=[], env={}, cwd="/").
func pythonImportCheck(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	o := python.ImportCheckOptions{Ask: p.ask}
	var layers, skip *starlark.List
	var env *starlark.Dict
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "layers", &layers, "venv", &o.Venv, "skip?", &skip,
		"env?", &env, "cwd?", &o.WorkDir); err != nil {
		return nil, err
	}
	values, err := treeList("layers", layers)
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		o.Layers = append(o.Layers, v.layer())
	}
	if o.Skip, err = strs("skip", skip); err != nil {
		return nil, err
	}
	if env != nil {
		if o.Env, err = strDict("env", env); err != nil {
			return nil, err
		}
	}
	return newTree(python.ImportCheck(o), "/"), nil
}

// nodeModules is node.modules(dir, replace={}, omit_dev=False, only=[], allow_scripts=[], build_root=None,
// toolchain=None, project=None): node_modules at their places below dir. only leaves all packages out but those and what they need.
// The install scripts of the packages in allow_scripts are run on build_root and toolchain. project names the package
// manager where dir does not.
func nodeModules(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	o := node.ModulesOptions{}
	var dir, root, toolchain, project treeArg
	var replace *starlark.Dict
	var only, allow *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "dir", &dir, "replace?", &replace, "omit_dev?", &o.OmitDev, "only?", &only,
		"allow_scripts?", &allow, "build_root??", &root, "toolchain??", &toolchain,
		"project??", &project); err != nil {
		return nil, err
	}
	if o.Only, err = strs("only", only); err != nil {
		return nil, err
	}
	if o.Scripts.Allow, err = strs("allow_scripts", allow); err != nil {
		return nil, err
	}
	o.Scripts.At = dir.v.at
	for _, l := range []treeArg{root, toolchain} {
		if l.v != nil {
			o.Scripts.Layers = append(o.Scripts.Layers, l.v.layer())
		}
	}
	if o.Dir, err = staticOf("dir", dir.v); err != nil {
		return nil, err
	}
	if project.v != nil {
		if o.Project, err = staticOf("project", project.v); err != nil {
			return nil, err
		}
	}
	if o.Replace, err = stepDict("replace", replace); err != nil {
		return nil, err
	}
	s, err := node.Modules(p.ctx, p.ask, o)
	if err != nil {
		return nil, dir.v.inSource(err)
	}
	return newTree(s, dir.v.at), nil
}

// stepDict reads a dict from names to trees.
func stepDict(what string, d *starlark.Dict) (map[string]engine.Step, error) {
	if d == nil {
		return nil, nil
	}
	out := map[string]engine.Step{}
	for _, item := range d.Items() {
		k, ok1 := starlark.AsString(item[0])
		v, ok2 := asTree(item[1])
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: entry %s is not a tree for a string", what, item[0])
		}
		out[k] = v.step
	}
	return out, nil
}

// nodeToolchain is node.toolchain(dirs...): Node.js and npm below /usr/local, as the first of dirs asks for.
func nodeToolchain(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var dirs []engine.Static
	for i, a := range args {
		v, ok := asTree(a)
		if !ok {
			return nil, fmt.Errorf("%s: argument %d is %s, want a tree", b.Name(), i+1, a.Type())
		}
		s, err := staticOf(b.Name(), v)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, s)
	}
	s, err := node.Toolchain(p.ctx, p.ask, dirs...)
	if err != nil {
		return nil, err
	}
	return newTree(s.Step, "/"), nil
}

// golangToolchain is golang.toolchain(dir): the Go that go.mod asks for, at /usr/local/go.
func golangToolchain(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var dir treeArg
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "dir", &dir); err != nil {
		return nil, err
	}
	s, err := staticOf("dir", dir.v)
	if err != nil {
		return nil, err
	}
	if s, err = golang.Toolchain(p.ctx, p.ask, s); err != nil {
		return nil, err
	}
	return newTree(s.Step, "/"), nil
}

// golangBuild is golang.build(source, package, output, root=None, replace={}, env={}, flags=[], include=[]).
func golangBuild(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	o := golang.BuildOptions{}
	var src, root treeArg
	var replace, env *starlark.Dict
	var flags, include *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "source", &src, "package", &o.Package, "output", &o.Output,
		"root??", &root, "replace?", &replace, "env?", &env, "flags?", &flags, "include?", &include); err != nil {
		return nil, err
	}
	if !path.IsAbs(o.Output) {
		return nil, fmt.Errorf("output: %q is not absolute", o.Output)
	}
	if o.Source, err = staticOf("source", src.v); err != nil {
		return nil, err
	}
	if root.v != nil {
		o.Root, o.NoCC = root.v.step, root.versions != nil && root.versions["gcc"] == "" && root.versions["clang"] == ""
	}
	if o.Replace, err = stepDict("replace", replace); err != nil {
		return nil, err
	}
	if env != nil {
		if o.Env, err = strDict("env", env); err != nil {
			return nil, err
		}
	}
	if o.Flags, err = strs("flags", flags); err != nil {
		return nil, err
	}
	if o.Include, err = strs("include", include); err != nil {
		return nil, err
	}
	slices.Sort(o.Include)
	s, err := golang.Build(p.ctx, p.ask, o)
	if err != nil {
		return nil, src.v.inSource(err)
	}
	return newTree(s, "/"), nil
}
