package python

import (
	"context"
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/python/wheel"
	"hewn.example/hewn/internal/source"
)

// VenvOptions says which environment is wanted and in which roots it is made.
type VenvOptions struct {
	Source    engine.Static // has pyproject.toml, the lock and the workspace's members
	At        string        // where the environment will lie: "/ak-root/.venv"
	MembersAt string        // where the workspace will lie at run time: "/ak-root"; editable members point below it

	Python      string      // full version of the interpreter: "3.14.8"
	Interpreter engine.Step // a root that has that interpreter
	BuildRoot   engine.Step // a root that also has compilers and libraries, for sdists; zero: none must be built
	// InterpreterPath is the interpreter in both roots; empty: /usr/bin/python<minor>.
	InterpreterPath string
	Libc            string // version of the C library in the root; empty: wheel.DefaultLibc

	Extras        []string                     // of the root project
	Groups        []string                     // dependency groups; `dev` is not among them unless it stands here
	Only          []string                     // nothing but these packages and what they need; empty: all
	NoBinary      []string                     // built from sdist, besides those that tool.uv.no-binary-package names
	BuildRequires map[string][]string          // build requirements that a package's pyproject.toml forgets, by package
	Env           map[string]map[string]string // variables for the build of a package, by package
	Overlaps      []string                     // patterns below site-packages: where packages differ, the last by name stands
	Bytecode      bool                         // compile every module of every package

	// Rust gives what the build of a package with Rust inside needs; nil: none can be built.
	Rust func(context.Context, *engine.Ask, RustInside) (RustCrates, error)
	// Origin finds the git repository of a locked URL where the recipe knows it by another name; nil: the URL itself.
	Origin func(url string) string
}

// Venv plans the environment that a uv.lock describes, or another lock where there is none. The step's tree has it at its absolute path.
func Venv(ctx context.Context, ask *engine.Ask, o VenvOptions) (engine.Step, error) {
	v, err := newVenv(ctx, ask, o)
	if err != nil {
		return engine.Step{}, err
	}
	parts := []engine.Part{{Step: v.skeleton(o.At, v.root.name).Step, At: o.At}}
	selected := v.buildsFirst()
	if len(o.Overlaps) > 0 {
		selected = v.selected // sorted by name, so that nothing else decides
	}
	for _, sel := range selected {
		tree, err := v.install(ctx, sel)
		if err != nil {
			return engine.Step{}, err
		}
		if o.Bytecode {
			// Put together by package: where one has changed, nothing of the others is looked at again.
			tree = engine.Merge(label(sel)+" with bytecode", engine.Part{Step: tree}, engine.Part{Step: v.bytecode(sel, tree)})
		}
		parts = append(parts, engine.Part{Step: tree, At: o.At})
	}
	overlaps := make([]string, len(o.Overlaps))
	for i, p := range o.Overlaps {
		overlaps[i] = path.Join(o.At, wheel.Site(v.minor), p)
	}
	return engine.MergeOver("virtual environment "+o.At, overlaps, parts...), nil
}

// venv is a plan while it is made.
type venv struct {
	VenvOptions
	ask      *engine.Ask
	env      pep508.Environment
	minor    string
	root     project
	selected []Selected
	lockFile string // that they are from
}

func newVenv(ctx context.Context, ask *engine.Ask, o VenvOptions) (*venv, error) {
	v := &venv{VenvOptions: o, ask: ask}
	var err error
	v.BuildRequires, v.Env = byName(o.BuildRequires), byName(o.Env)
	if v.minor, err = minor(o.Python); err != nil {
		return nil, err
	}
	if v.InterpreterPath == "" {
		v.InterpreterPath = "/usr/bin/python" + v.minor
	}
	if v.env, err = pep508.CPython(o.Python, ask.Platform()); err != nil {
		return nil, err
	}
	if v.root, err = readProject(ctx, ask, o.Source, "", ""); err != nil {
		return nil, err
	}
	v.selected, err = v.readLock(ctx, Request{
		Python: o.Python, Platform: ask.Platform(), Libc: o.Libc, Extras: o.Extras, Groups: o.Groups,
		NoBinary: v.noBinary(), NoBinaryAll: v.root.tool.noBinary,
		NoBuild: v.root.tool.noBuildOf, NoBuildAll: v.root.tool.noBuild, Only: o.Only,
	})
	if err == nil && len(o.Only) > 0 && v.lockFile != uvLock {
		err = diag.Inputf("bad-request", "`only` needs to know what depends on what, which %s does not say", v.lockFile).
			At(diag.Position{File: v.lockFile}).Hint("lock with uv")
	}
	return v, err
}

// buildsFirst puts what is compiled at the front: steps are begun in this order, and a compiler takes longer than all
// the rest together.
func (v *venv) buildsFirst() []Selected {
	rank := func(s Selected) int {
		switch {
		case s.Wheel != nil:
			return 2
		case s.Source.Local(): // pure Python, nearly always
			return 1
		}
		return 0
	}
	out := slices.Clone(v.selected)
	slices.SortStableFunc(out, func(a, b Selected) int { return rank(a) - rank(b) })
	return out
}

// byName lets a recipe spell package names as it likes.
func byName[T any](m map[string]T) map[string]T {
	out := make(map[string]T, len(m))
	for k, val := range m {
		out[pep508.Normalise(k)] = val
	}
	return out
}

func (v *venv) noBinary() []string {
	out := slices.Clone(v.root.tool.noBinaryOf)
	for _, n := range v.NoBinary {
		out = append(out, pep508.Normalise(n))
	}
	return out
}

func (v *venv) skeleton(at, prompt string) engine.Static {
	return engine.NativeStatic("virtual environment skeleton "+at, venvSkeleton, skeletonParams{
		Interpreter: v.InterpreterPath, Python: v.Python, Prompt: prompt,
	})
}

// label is what people call a package.
func label(sel Selected) string { return strings.TrimSpace(sel.Name + " " + sel.Version) }

// install is the tree of an installed package, relative to the environment's prefix.
func (v *venv) install(ctx context.Context, sel Selected) (engine.Step, error) {
	direct, err := v.direct(sel)
	if err != nil {
		return engine.Step{}, err
	}
	in := wheel.Install{Prefix: v.At, Python: v.minor, Name: sel.Name, Direct: direct}
	if sel.Wheel == nil {
		built, err := v.build(ctx, sel)
		if err != nil {
			return engine.Step{}, err
		}
		return engine.Native(label(sel), wheelInstall, in, built), nil
	}
	if sel.Wheel.Local() {
		in.SHA256 = sel.Wheel.Integrity.Hex()
	}
	file, err := v.file(sel, sel.Wheel)
	if err != nil {
		return engine.Step{}, err
	}
	return engine.NativeStatic(label(sel), wheelInstall, in, file).Step, nil
}

// file is the tree with a locked artifact.
func (v *venv) file(sel Selected, f *uv.File) (engine.Static, error) {
	if f.Local() {
		p, err := inside(f.URL, sel)
		if err != nil {
			return engine.Static{}, err
		}
		if a := f.Integrity.Algorithm(); !f.Integrity.IsZero() && a != source.SHA256 {
			return engine.Static{}, diag.Inputf("bad-file", "the hash of a file in the source must be sha256, not %s", a).At(f.Pos)
		}
		s, _ := engine.Select(v.Source.Step, p).Static() // of a Static step
		return s, nil
	}
	eco := source.PyPI
	if sel.Source.Kind == uv.URL {
		eco = source.URL
	}
	at := f.Pos
	at.File = v.Source.File(at.File)
	return engine.FetchLocked(source.Artifact{
		Ecosystem: eco, Name: sel.Name, Version: sel.Version, File: f.Name, URL: f.URL, Integrity: f.Integrity, Size: f.Size,
	}, at), nil
}

// inside refuses paths of a lock that lead out of the source.
func inside(p string, sel Selected) (string, error) {
	clean := path.Clean(p)
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", diag.Inputf("bad-file", "`%s` comes from `%s`, which lies outside the source", sel.Name, p).At(sel.Pos)
	}
	return clean, nil
}

//go:embed scripts/compile.py
var compileScript string

// bytecode is the compiled form of a package's modules, relative to the environment's prefix. It is an action because
// bytecode belongs to one interpreter and names its source's final path.
func (v *venv) bytecode(sel Selected, installed engine.Step) engine.Step {
	const out = "/build/bytecode"
	run := engine.Run("bytecode of "+label(sel), engine.Command{
		Args:     []string{v.InterpreterPath, "-s", "-S", "-P", scriptsAt + "/compile.py", v.At, path.Join(v.At, wheel.Site(v.minor)), out},
		Env:      map[string]string{"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
		Dir:      "/",
		Layers:   []engine.Layer{{Step: v.Interpreter, At: "/"}, {Step: installed, At: v.At}, scriptLayer("compile.py", compileScript)},
		Outputs:  []string{out},
		Platform: v.ask.Platform(),
	})
	return engine.Sub(run, out)
}

//go:embed scripts/imports.py
var importScript string

// ImportCheckOptions says what ImportCheck looks at.
type ImportCheckOptions struct {
	Layers  []engine.Layer // a root with interpreter, environment, members and the libraries that modules load
	Venv    string         // where the environment lies in it
	Ask     *engine.Ask    // for the platform
	Skip    []string       // packages or top-level modules that need what a build lacks (a screen, a settings module)
	Env     map[string]string
	WorkDir string // empty: /
	Report  string // where the list of modules is written; empty: /check/imports.txt
}

// ImportCheck is an action that imports every top-level module of every package of an environment, each in a process of
// its own. Its result holds the list of what was imported; it fails with the names of those that cannot be.
func ImportCheck(o ImportCheckOptions) engine.Step {
	out := o.Report
	if out == "" {
		out = "/check/imports.txt"
	}
	dir := o.WorkDir
	if dir == "" {
		dir = "/"
	}
	env := map[string]string{"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
	for k, val := range o.Env {
		env[k] = val
	}
	skip := slices.Clone(o.Skip)
	slices.Sort(skip)
	return engine.Run("imports of "+o.Venv, engine.Command{
		Args:     append([]string{o.Venv + "/bin/python", "-P", scriptsAt + "/imports.py", out}, skip...),
		Env:      env,
		Dir:      dir,
		Layers:   append(slices.Clone(o.Layers), scriptLayer("imports.py", importScript)),
		Outputs:  []string{out},
		Platform: o.Ask.Platform(),
	})
}

// errNoRoot says that something must be built although the recipe gives no root to build in.
func errNoRoot(sel Selected) error {
	return diag.Inputf("no-build-root", "`%s` must be built from source, but the recipe gives no root with compilers", label(sel)).
		At(sel.Pos).Hint("%s", fmt.Sprintf("give `build_root`, or lock a version of `%s` that has a wheel for this platform", sel.Name))
}
