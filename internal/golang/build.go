package golang

import (
	"context"
	_ "embed" // the build cache's server is compiled in the sandbox
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

//go:embed helper/main.go.txt
var helperSource string

// Where things lie in the root of a build. All of it is fixed, so that no path differs between two builds.
const (
	modCache    = "/go/pkg/mod"
	depsDir     = "/build/deps"    // a module of its own that imports what the application imports
	modDir      = "/build/mod"     // go.mod and go.sum with replacements, for -modfile
	replaceDir  = "/build/replace" // modules that stand in for others
	helperDir   = "/build/helper"
	cacheDir    = "/build/cache" // compiled dependencies
	newCacheDir = "/tmp/build-cache"
	outDir      = "/build/out"
)

// BuildOptions says what to build.
type BuildOptions struct {
	Source    engine.Static          // the project: go.mod and go.sum at its root
	At        string                 // where it is compiled; default /go/src/app
	Package   string                 // "./cmd/server"
	Output    string                 // where the program goes in the result: "/bin/authentik"
	Root      engine.Step            // a root in which cgo finds its compiler; zero: none is needed (CGO_ENABLED=0)
	NoCC      bool                   // Root is known to have no C compiler
	Toolchain engine.Static          // zero: that of Toolchain
	Env       map[string]string      // "CGO_ENABLED", "GOFIPS140", …
	Flags     []string               // further flags of `go build`, for example -ldflags=…
	Replace   map[string]engine.Step // by module path: a tree with a go.mod at its root in the place of the module
	Include   []string               // further files and directories of Source that the build reads; embedded ones are found
	Platform  platform.Platform      // zero: the platform of the build
}

// Build is the step whose tree holds the program at o.Output.
//
// What the program imports from elsewhere is compiled in a step of its own, which depends on go.mod, go.sum, toolchain,
// environment and the list of imports, but on no file of the application. Of Source only the files that belong to the
// program are in the action's root. Upstream's go.mod stays as it is: replacements go into a copy, for -modfile.
func Build(ctx context.Context, ask *engine.Ask, o BuildOptions) (engine.Step, error) {
	p, err := readProject(ctx, ask, o.Source, projectFiles{work: o.Env["GOWORK"] != "off", vendor: len(o.Replace) == 0 && !otherThanVendor(o.Env["GOFLAGS"])})
	if err != nil {
		return engine.Step{}, err
	}
	if _, chosen := o.Env["CGO_ENABLED"]; !chosen && o.Root.IsZero() {
		env := map[string]string{"CGO_ENABLED": "0"}
		maps.Copy(env, o.Env)
		o.Env = env
	}
	if o.At == "" {
		o.At = "/go/src/app"
	}
	if o.Platform == (platform.Platform{}) {
		o.Platform = ask.Platform()
	}
	for _, r := range slices.Sorted(maps.Keys(o.Replace)) {
		if !p.requires(r) {
			return engine.Step{}, diag.Inputf("go-replace", "module `%s` cannot be replaced: go.mod does not require it", r).
				At(diag.Position{File: "go.mod"})
		}
	}
	if o.Toolchain.IsZero() {
		if o.Toolchain, err = p.toolchain(ctx, ask); err != nil {
			return engine.Step{}, err
		}
	}
	b := &builder{o: o, project: p, vendor: p.vendor != nil}
	if !b.vendor {
		if b.modules, err = p.modules(ModulesOptions{Dir: o.Source, Without: slices.Collect(maps.Keys(o.Replace))}); err != nil {
			return engine.Step{}, err
		}
	}
	if b.scope, err = scan(ctx, ask, o, p, o.Platform); err != nil {
		return engine.Step{}, err
	}
	if err := b.check(); err != nil {
		return engine.Step{}, err
	}
	want, err := p.wantedGo()
	b.split = err == nil && speaksCacheProg(want) && len(b.scope.imports) > 0 && len(p.dirs) == 1 && p.work == nil && !b.vendor
	if p.work != nil && !b.vendor {
		if b.workFile, err = p.workText(o.At, b.replacements()); err != nil {
			return engine.Step{}, err
		}
	}
	return b.steps(), nil
}

// otherThanVendor says whether GOFLAGS choose where modules come from, and not the vendor directory.
func otherThanVendor(flags string) bool {
	_, mode, chosen := strings.Cut(flags, "-mod=")
	return chosen && !strings.HasPrefix(mode, "vendor")
}

// speaksCacheProg says whether a Go release ("go1.24.6", "go1.26.x") takes its build cache from a program.
func speaksCacheProg(release string) bool {
	return version.Compare(strings.TrimSuffix(release, ".x"), "go1.24rc1") >= 0
}

type builder struct {
	o        BuildOptions
	project  *goProject
	modules  engine.Static // zero where vendor is used
	scope    closure
	vendor   bool   // modules come from the source's own vendor directory
	workFile string // go.work for the build; empty: one module
	// split says that the dependencies are compiled in a step of their own. They are not where several modules lie in the
	// source, which change with the application, where they are vendored, nor with toolchains before Go 1.24.
	split bool
}

// base are the layers that both the dependencies and the application are compiled with.
func (b *builder) base() []engine.Layer {
	l := []engine.Layer{{Step: b.o.Toolchain.Step, At: "/"}}
	if !b.vendor {
		l = append(l, engine.Layer{Step: b.modules.Step, At: modCache})
	}
	if !b.o.Root.IsZero() {
		l = append([]engine.Layer{{Step: b.o.Root, At: "/"}}, l...)
	}
	for _, p := range slices.Sorted(maps.Keys(b.o.Replace)) {
		l = append(l, engine.Layer{Step: b.o.Replace[p], At: replaceDir + "/" + p})
	}
	return l
}

// env is complete: no configuration of a user reaches the go command.
func (b *builder) env() map[string]string {
	env := map[string]string{
		"GOROOT": "/usr/local/go", "GOPATH": "/go", "GOMODCACHE": modCache, "GOCACHE": "/tmp/go-build",
		"GOTOOLCHAIN": "local", "GOPROXY": "off", "GOSUMDB": "off", "GOVCS": "*:off", "GOTELEMETRY": "off",
		"GOENV": "off", "GOWORK": "off", "GOFLAGS": "-mod=readonly", "GO111MODULE": "on",
		"GOOS": b.o.Platform.OS, "GOARCH": b.o.Platform.Arch,
	}
	if b.vendor {
		env["GOFLAGS"] = "-mod=vendor"
	}
	if b.vendor && b.project.work != nil {
		env["GOWORK"] = b.o.At + "/go.work" // the vendor directory is looked for beside it
	}
	if b.workFile != "" {
		env["GOWORK"] = modDir + "/go.work"
	}
	base := env["GOFLAGS"]
	maps.Copy(env, b.o.Env)
	if f := b.o.Env["GOFLAGS"]; f != "" && !strings.Contains(f, "-mod=") {
		env["GOFLAGS"] = base + " " + f
	}
	return env
}

func (b *builder) steps() engine.Step {
	mods, flags := b.modFiles()
	name := path.Base(b.o.Output)
	app := b.base()
	if !mods.IsZero() {
		app = append(app, engine.Layer{Step: mods, At: modDir})
	}
	app = append(app,
		engine.Layer{Step: engine.Select(b.o.Source.Step, b.paths()...), At: b.o.At},
	)
	env := b.env()
	if b.split {
		helper := b.helper()
		app = append(app, engine.Layer{Step: helper, At: helperDir}, engine.Layer{Step: b.deps(mods, helper), At: cacheDir})
		env["GOCACHEPROG"] = cacheProg(cacheDir, newCacheDir)
	}
	run := engine.Run("go build "+b.o.Package, engine.Command{
		Args:     slices.Concat([]string{"go", "build"}, b.flags(), flags, []string{"-o", outDir + "/" + name, b.o.Package}),
		Env:      env,
		Dir:      b.o.At,
		Layers:   app,
		Outputs:  []string{outDir},
		Platform: b.o.Platform,
	})
	return engine.Place(engine.Sub(run, outDir), path.Dir(b.o.Output))
}

func (b *builder) replacements() map[string]string {
	out := map[string]string{}
	for p := range b.o.Replace {
		out[p] = replaceDir + "/" + p
	}
	return out
}

// modFiles are the files at modDir that stand in for those of the source, and the flags that say so.
func (b *builder) modFiles() (engine.Step, []string) {
	switch {
	case b.vendor:
		return engine.Step{}, nil
	case b.workFile != "":
		return texts("go.work", map[string]string{"go.work": b.workFile, "go.work.sum": b.project.workSums()}), nil
	}
	locks := engine.Select(b.o.Source.Step, "go.mod", "go.sum?")
	mods := engine.Native("go.mod with replacements", modfileDef, modfileParams{Replace: b.replacements(), Used: b.used()}, locks, b.modules.Step)
	return mods, []string{"-modfile=" + modDir + "/go.mod"}
}

func (b *builder) flags() []string {
	return append([]string{"-trimpath", "-buildvcs=false"}, b.o.Flags...)
}

// paths are the files of the project that the build sees.
func (b *builder) paths() []string {
	list := slices.Concat(b.project.sumFiles, b.scope.files)
	for _, dir := range b.project.dirs {
		list = append(list, path.Join(dir, "go.mod"))
	}
	if b.vendor {
		list = append(list, "vendor")
		if b.project.work != nil {
			list = append(list, "go.work")
		}
	}
	list = append(list, b.o.Include...)
	slices.Sort(list)
	list = slices.Compact(list)
	// A directory brings what is below it.
	return slices.DeleteFunc(list, func(p string) bool {
		for dir := path.Dir(p); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if _, ok := slices.BinarySearch(list, dir); ok {
				return true
			}
		}
		return false
	})
}

func cacheProg(read, write string) string { return helperDir + "/gocache " + read + " " + write }

// deps compiles all that the application imports from elsewhere and gives the build cache with it.
func (b *builder) deps(mods, helper engine.Step) engine.Step {
	env := b.env()
	env["GOCACHEPROG"] = cacheProg(cacheDir, cacheDir)
	var src strings.Builder
	src.WriteString("// Package deps imports what the application imports.\npackage deps\n\nimport (\n")
	for _, p := range b.scope.imports {
		fmt.Fprintf(&src, "\t_ %q\n", p)
	}
	src.WriteString(")\n")
	run := engine.Run("go build dependencies of "+b.o.Package, engine.Command{
		Args: slices.Concat([]string{"go", "build"}, b.flags(), []string{"."}),
		Env:  env,
		Dir:  depsDir,
		Layers: append(b.base(),
			engine.Layer{Step: mods, At: depsDir},
			engine.Layer{Step: helper, At: helperDir},
			engine.Layer{Step: texts("imports of "+b.o.Package, map[string]string{"deps.go": src.String()}), At: depsDir},
		),
		Outputs:  []string{cacheDir},
		Platform: b.o.Platform,
	})
	return engine.Sub(run, cacheDir)
}

// helper compiles the server of the build cache, with the toolchain alone.
func (b *builder) helper() engine.Step {
	src := map[string]string{"main.go": helperSource, "go.mod": "module gocache\n\ngo 1.21\n"}
	run := engine.Run("go build cache server", engine.Command{
		Args: []string{"go", "build", "-trimpath", "-buildvcs=false", "-o", outDir + "/gocache", "."},
		Env: map[string]string{
			"GOROOT": "/usr/local/go", "GOPATH": "/go", "GOMODCACHE": modCache, "GOCACHE": "/tmp/go-build", "GOTOOLCHAIN": "local",
			"GOPROXY": "off", "GOSUMDB": "off", "GOTELEMETRY": "off", "GOENV": "off", "GOWORK": "off", "CGO_ENABLED": "0",
		},
		Dir: "/build/src",
		Layers: []engine.Layer{
			{Step: b.o.Toolchain.Step, At: "/"},
			{Step: texts("source of the build cache server", src), At: "/build/src"},
		},
		Outputs:  []string{outDir},
		Platform: b.o.Platform,
	})
	return engine.Sub(run, outDir)
}

// textsDef makes a tree of small files out of its parameters.
var textsDef = engine.NativeDef{Name: "go-texts", Version: 1, Run: func(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var files map[string]string
	if err := json.Unmarshal(c.Params, &files); err != nil {
		return tree.Tree{}, err
	}
	return putFiles(ctx, c.Store, files)
}}

func texts(label string, files map[string]string) engine.Step {
	return engine.Native(label, textsDef, files)
}

func putFiles(ctx context.Context, s store.Store, files map[string]string) (tree.Tree, error) {
	b := tree.NewBuilder()
	for _, p := range slices.Sorted(maps.Keys(files)) {
		d, err := s.Put(ctx, []byte(files[p]))
		if err != nil {
			return tree.Tree{}, err
		}
		if err := b.File(p, d, false); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, s)
}

// modfileDef writes go.mod with replacements, and go.sum beside it. Where the go command would want to change go.mod
// before it builds anything, it says why.
var modfileDef = engine.NativeDef{Name: "go-modfile", Version: 2, Run: writeModfile}

type modfileParams struct {
	Replace map[string]string `json:"replace"`        // module path -> directory
	Used    []string          `json:"used,omitempty"` // modules that the program imports from, sorted
}

// maxLock bounds go.mod and go.sum; the largest go.sum known has 3 MB.
const maxLock = 64 << 20

func writeModfile(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p modfileParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	if len(c.Inputs) != 2 {
		return tree.Tree{}, fmt.Errorf("go-modfile: want two inputs, got %d", len(c.Inputs))
	}
	files := map[string]string{}
	for _, name := range []string{"go.mod", "go.sum"} {
		e, err := tree.Lookup(ctx, c.Store, c.Inputs[0], name)
		if name == "go.sum" && errors.Is(err, tree.ErrNotExist) {
			continue // nothing is required
		}
		if err != nil {
			return tree.Tree{}, err
		}
		text, err := store.ReadBlob(ctx, c.Store, e.Digest, maxLock)
		if err != nil {
			return tree.Tree{}, err
		}
		files[name] = string(text)
	}
	if err := consistent(ctx, c, []byte(files["go.mod"]), p); err != nil {
		return tree.Tree{}, err
	}
	if len(p.Replace) > 0 {
		f, err := modfile.Parse("go.mod", []byte(files["go.mod"]), nil)
		if err != nil {
			return tree.Tree{}, err
		}
		for _, old := range slices.Sorted(maps.Keys(p.Replace)) {
			if err := f.AddReplace(old, "", p.Replace[old], ""); err != nil {
				return tree.Tree{}, err
			}
		}
		text, err := f.Format()
		if err != nil {
			return tree.Tree{}, err
		}
		files["go.mod"] = string(text)
	}
	return putFiles(ctx, c.Store, files)
}
