// Package recipe evaluates recipes: Starlark that declares targets, checks and applications.
//
// The top level of a recipe only declares. A target's function runs, as a plan of the engine, when that target is asked
// for; it looks at sources through traced questions and gives back steps. Starlark is visible in this package only, and
// nothing here does I/O but by asking the engine.
package recipe

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/workspace"
)

// MainFile is where a recipe starts; SourcesFile lists its sources.
const (
	MainFile    = "recipe.star"
	SourcesFile = "sources.toml"
)

// maxFile bounds each file of a recipe, maxSteps the work of one evaluation: a recipe describes, it does not compute.
const (
	maxFile  = 4 << 20
	maxSteps = 50_000_000
)

// Recipe is an evaluated recipe. It is immutable and may be used from many goroutines.
type Recipe struct {
	Name    string
	Digest  digest.Digest // of all its files: part of the identity of every target
	Sources map[string]pins.SourceDecl

	targets []*Target
	byName  map[string]*Target
	apps    map[string]*appDecl
	vars    map[string]string
	def     string

	images     ImageSettings
	defImage   string
	configured map[string]bool
}

// Target is a declared target or check.
type Target struct {
	Name  string
	Doc   string
	Check bool   // it passes or fails; its tree is a report
	Image bool   // its tree is an OCI image layout
	Of    string // the target that a check looks at
	fn    starlark.Callable
	pos   diag.Position // of the declaration
}

// Options is what a recipe is evaluated with.
type Options struct {
	Name string            // for messages: the bundled name or the directory
	Vars map[string]string // [vars] of hewn.toml
	// Configured names the sources for which hewn.toml says where they are.
	Configured map[string]bool
	Images     ImageSettings
}

// Load evaluates the recipe in fsys.
func Load(fsys fs.FS, o Options) (*Recipe, error) {
	r := &Recipe{Name: o.Name, byName: map[string]*Target{}, apps: map[string]*appDecl{}, vars: o.Vars,
		images: o.Images, configured: o.Configured}
	files, err := readAll(fsys, o.Name)
	if err != nil {
		return nil, err
	}
	if err := r.loadSources(files); err != nil {
		return nil, err
	}
	r.Digest = digestFiles(files)
	l := &loader{r: r, files: files, cache: map[string]*module{}}
	if _, err := l.load(MainFile); err != nil {
		return nil, problem(o.Name, err)
	}
	return r, r.check()
}

// readAll gives the recipe's .star files and sources.toml by name.
func readAll(fsys fs.FS, name string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && p != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(p, ".star") && !strings.HasSuffix(p, ".py") && !strings.HasSuffix(p, ".sh") && !strings.HasSuffix(p, ".mjs") && p != SourcesFile {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Size() > maxFile {
			return fmt.Errorf("%s has %d bytes; at most %d are read", p, info.Size(), maxFile)
		}
		files[p], err = fs.ReadFile(fsys, p)
		return err
	})
	if err == nil && files[MainFile] == nil {
		err = fmt.Errorf("it has no file `%s`", MainFile)
	}
	if err != nil {
		return nil, diag.Inputf("recipe-missing", "cannot read the recipe `%s`", name).Because(err).
			Hint("name a directory with a `%s`, or a bundled recipe; `hewn init` starts one", MainFile)
	}
	return files, nil
}

// Digest is the digest of the files of the recipe in fsys: what Recipe.Digest will be, without evaluating anything.
func Digest(fsys fs.FS, name string) (digest.Digest, error) {
	files, err := readAll(fsys, name)
	return digestFiles(files), err
}

func digestFiles(files map[string][]byte) digest.Digest {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	w := digest.NewWriter()
	for _, n := range names {
		_, _ = fmt.Fprintf(w, "%q %d\n", n, len(files[n]))
		_, _ = w.Write(files[n])
	}
	return w.Digest()
}

func (r *Recipe) loadSources(files map[string][]byte) error {
	r.Sources = map[string]pins.SourceDecl{}
	raw, ok := files[SourcesFile]
	if !ok {
		return nil
	}
	file := path.Join(r.Name, SourcesFile)
	if err := workspace.DecodeTOML(file, raw, &r.Sources); err != nil {
		return err
	}
	err := pins.CheckSources(file, r.Sources)
	var p *diag.Problem
	if errors.As(err, &p) {
		p.Pos = workspace.Locate(file, raw, p.Pos.Key)
	}
	return err
}

func (r *Recipe) check() error {
	if len(r.targets) == 0 {
		return diag.Inputf("recipe-empty", "the recipe `%s` declares no target", r.Name).
			Hint("call `target(name, function)` at the top level of `%s`", MainFile)
	}
	for _, t := range r.targets {
		if t.Check && r.byName[t.Of] == nil {
			return r.unknown("check `"+t.Name+"` is of", t.Of).At(t.pos)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.apps)) {
		if err := r.checkApp(r.apps[name]); err != nil {
			return err
		}
	}
	return nil
}

// checkApp says which target of an application does not exist.
func (r *Recipe) checkApp(d *appDecl) error {
	for _, s := range d.app.Services {
		if r.byName[s.Target] == nil {
			return r.unknown("the service `"+s.Name+"` runs in", s.Target).At(d.pos)
		}
	}
	if t := d.app.Run.Target; t != "" && r.byName[t] == nil {
		return r.unknown("the application `"+d.app.Name+"` runs commands in", t).At(d.pos)
	}
	return nil
}

// Targets lists the targets and checks in the order of declaration.
func (r *Recipe) Targets() []*Target { return r.targets }

// Default is the target that a reference without a target means.
func (r *Recipe) Default() string {
	if r.def != "" {
		return r.def
	}
	return r.targets[0].Name
}

// Target gives a target by name, or a Problem that names the nearest.
func (r *Recipe) Target(name string) (*Target, error) {
	if t := r.byName[name]; t != nil {
		return t, nil
	}
	return nil, r.unknown("cannot find", name)
}

// Checks gives the checks of a target, or all where of is empty, in the order of declaration.
func (r *Recipe) Checks(of string) []*Target {
	var out []*Target
	for _, t := range r.targets {
		if t.Check && (of == "" || t.Of == of || t.Name == of) {
			out = append(out, t)
		}
	}
	return out
}

func (r *Recipe) unknown(what, name string) *diag.Problem {
	names := make([]string, 0, len(r.targets))
	for _, t := range r.targets {
		names = append(names, t.Name)
	}
	p := diag.Inputf("unknown-target", "%s the target `%s`", what, name)
	if near := nearest(name, names); near != "" {
		return p.Hint("did you mean `%s`?", near)
	}
	return p.Hint("the recipe `%s` has: %s", r.Name, strings.Join(names, ", "))
}

// App gives the application that `hewn up` starts: the one of that name, or the only one.
func (r *Recipe) App(name string) (*spec.App, error) {
	if a := r.apps[name]; a != nil {
		return a.app, nil
	}
	if name == "" && len(r.apps) == 1 {
		for _, a := range r.apps {
			return a.app, nil
		}
	}
	if len(r.apps) == 0 {
		return nil, diag.Inputf("app-missing", "the recipe `%s` declares no application", r.Name).
			Hint("declare one with `app(...)` in `%s`", MainFile)
	}
	names := slices.Sorted(maps.Keys(r.apps))
	if name == "" {
		return nil, diag.Inputf("app-missing", "the recipe `%s` has more than one application", r.Name).
			Hint("name one of them: %s", strings.Join(names, ", "))
	}
	p := diag.Inputf("app-missing", "the recipe `%s` has no application `%s`", r.Name, name)
	if near := nearest(name, names); near != "" {
		return nil, p.Hint("did you mean `%s`?", near)
	}
	return nil, p.Hint("it has: %s", strings.Join(names, ", "))
}

// loader evaluates files of one recipe, each once.
type loader struct {
	r     *Recipe
	files map[string][]byte
	cache map[string]*module
}

type module struct {
	globals starlark.StringDict
	err     error
	busy    bool
}

func (l *loader) load(name string) (starlark.StringDict, error) {
	name = strings.TrimPrefix(name, "//")
	m := l.cache[name]
	if m != nil {
		if m.busy {
			return nil, fmt.Errorf("`%s` loads itself, directly or through others", name)
		}
		return m.globals, m.err
	}
	src, ok := l.files[name]
	if !ok {
		return nil, fmt.Errorf("the recipe has no file `%s`", name)
	}
	m = &module{busy: true}
	l.cache[name] = m
	thread := &starlark.Thread{Name: name, Load: func(_ *starlark.Thread, n string) (starlark.StringDict, error) { return l.load(n) }}
	thread.SetMaxExecutionSteps(maxSteps)
	opts := &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: false}
	m.globals, m.err = starlark.ExecFileOptions(opts, thread, path.Join(l.r.Name, name), src, l.predeclared())
	m.globals.Freeze()
	m.busy = false
	return m.globals, m.err
}

// problem turns an error of Starlark into a Problem with its position and call stack. An error in a file that another one
// loads is told at its own place; the loads that led there stand at the end of the stack.
func problem(name string, err error) error {
	var stack []string
	var pos diag.Position
	for {
		var ee *starlark.EvalError
		if !errors.As(err, &ee) {
			break
		}
		var calls []string
		for _, f := range slices.Backward(ee.CallStack) {
			if f.Pos.Filename() != "<builtin>" {
				calls = append(calls, fmt.Sprintf("%s: in %s", f.Pos, f.Name))
				if len(calls) == 1 {
					pos = position(f.Pos)
				}
			}
		}
		stack = append(calls, stack...)
		if ee.Unwrap() == nil {
			err = errors.New(ee.Msg)
			break
		}
		err = ee.Unwrap()
	}
	var p *diag.Problem
	var se syntax.Error
	var re resolve.ErrorList
	switch {
	case errors.As(err, &p):
		q := *p
		q.Detail = append(slices.Clone(p.Detail), stack...)
		if q.Pos.File == "" {
			key := q.Pos.Key
			q.Pos = pos
			q.Pos.Key = key
		}
		return &q
	case errors.As(err, &re) && len(re) > 0:
		return diag.Inputf("recipe-error", "the recipe has an error").Because(errors.New(re[0].Msg)).At(position(re[0].Pos)).With(stack...)
	case errors.As(err, &se):
		return diag.Inputf("recipe-error", "the recipe has an error").Because(errors.New(se.Msg)).At(position(se.Pos)).With(stack...)
	case pos != diag.Position{}:
		return diag.Inputf("recipe-error", "the recipe failed").Because(err).At(pos).With(stack...)
	}
	return diag.Inputf("recipe-error", "the recipe `%s` has an error", name).Because(err)
}

func position(p syntax.Position) diag.Position {
	return diag.Position{File: p.Filename(), Line: int(p.Line), Col: int(p.Col)}
}

// caller is the place in the recipe that calls the running builtin.
func caller(th *starlark.Thread) diag.Position {
	if th.CallStackDepth() < 2 {
		return diag.Position{}
	}
	return position(th.CallFrame(1).Pos)
}

// nearest gives the name that is most like want, if one is near enough to be a slip.
func nearest(want string, names []string) string {
	best, bestDist := "", 1+len(want)/3
	for _, n := range names {
		if d := distance(want, n); d <= bestDist && (d < bestDist || best == "") {
			best, bestDist = n, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := prev
			if a[i-1] != b[j-1] {
				cost = 1 + min(prev, row[j], row[j-1])
			}
			prev, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
