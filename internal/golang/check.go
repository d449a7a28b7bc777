package golang

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/gosum"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// check finds what the go command would refuse to build with these files, and says so before anything is built.
func (b *builder) check() error {
	if at, uses := b.scope.from[runtimeCgo]; uses && b.o.Env["CGO_ENABLED"] != "0" && (b.o.Root.IsZero() || b.o.NoCC) {
		return diag.Inputf("go-cgo", "the program uses cgo, but there is no C compiler").At(at).
			Hint("give the build a root with one: root = debian.root(\"go\", [\"gcc\", \"libc6-dev\", …])").
			Hint("or build without cgo: env = {\"CGO_ENABLED\": \"0\"}")
	}
	have := map[gosum.Sum]bool{}
	for _, s := range b.project.sums {
		have[gosum.Sum{Path: s.Path, Version: s.Version, Mod: s.Mod}] = true
	}
	for _, name := range b.scope.imports {
		first, _, _ := strings.Cut(name, "/")
		if !strings.Contains(first, ".") {
			continue // of the standard library
		}
		if b.vendor {
			if !b.project.vendor.Has(name) {
				return diag.Inputf("go-vendor", "the package `%s` is not vendored", name).At(b.scope.from[name]).
					Hint("run `%s`, and commit the result", b.project.vendorCommand())
			}
			continue
		}
		if err := b.imported(name, have); err != nil {
			return err
		}
	}
	return nil
}

// imported checks one package of another module: something must provide it, and go.sum must have its hashes. Which of
// several modules whose path it begins with has it is not known here, so that one of them suffices.
func (b *builder) imported(name string, have map[gosum.Sum]bool) error {
	at := b.scope.from[name]
	var lacks *diag.Problem
	found := false
	for _, c := range b.project.providers(name) {
		if _, ours := b.o.Replace[c.Path]; ours {
			return nil
		}
		if _, local := b.project.dirs[c.Path]; local {
			return nil
		}
		found = true
		to := b.project.replacedBy(c.file, c.Version)
		zip, mod := have[gosum.Sum{Path: to.Path, Version: to.Version}], have[gosum.Sum{Path: to.Path, Version: to.Version, Mod: true}]
		if zip && mod {
			return nil
		}
		line := to.Version
		if zip {
			line += "/go.mod"
		}
		if lacks == nil || zip {
			lacks = diag.Inputf("lock-stale", "go.sum has no line `%s %s`", to.Path, line).
				At(diag.Position{File: c.file, Line: c.Line, Key: c.Path}).
				With(fmt.Sprintf("%s:%d imports %s", at.File, at.Line, name)).Hint("run `go mod tidy`, and commit the result")
		}
	}
	if !found {
		return diag.Inputf("lock-stale", "no module that go.mod requires has the package `%s`", name).At(at).
			Hint("run `go mod tidy`, and commit the result")
	}
	return lacks
}

// provider is a require line for a module that may have a package.
type provider struct {
	gosum.Require
	file string
}

// providers are the required modules whose path an import begins with, the longest first.
func (p *goProject) providers(name string) (out []provider) {
	for _, m := range p.mods {
		for _, r := range m.Require {
			if name == r.Path || strings.HasPrefix(name, r.Path+"/") {
				out = append(out, provider{r, m.File})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b provider) int { return len(b.Path) - len(a.Path) })
	return out
}

// replacedBy is the module that stands in for one that the go.mod called file requires.
func (p *goProject) replacedBy(file string, m module.Version) module.Version {
	var lists [][]gosum.Replace
	if p.work != nil {
		lists = append(lists, p.work.Replace)
	}
	for _, mod := range p.mods {
		if mod.File == file || p.work != nil {
			lists = append(lists, mod.Replace)
		}
	}
	for _, list := range lists {
		if to, ok := replacement(list, m); ok {
			return to
		}
	}
	return m
}

func replacement(list []gosum.Replace, m module.Version) (module.Version, bool) {
	for _, r := range list {
		if r.Old == m {
			return r.New, true
		}
	}
	for _, r := range list {
		if r.Old == (module.Version{Path: m.Path}) {
			return r.New, true
		}
	}
	return m, false
}

// used are the required modules that may have packages that the program imports.
func (b *builder) used() []string {
	var out []string
	for _, name := range b.scope.imports {
		for _, c := range b.project.providers(name) {
			if _, local := b.project.dirs[c.Path]; !local && b.o.Replace[c.Path].IsZero() {
				out = append(out, c.Path)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// maxMod bounds the go.mod of a module; it is the go command's own limit.
const maxMod = 16 << 20

// consistent says why the go command would want to change go.mod: a module that the program uses requires another in a
// newer version, or is for a newer Go, than go.mod says. The go.mod files of the modules are in the call's second input.
func consistent(ctx context.Context, c engine.NativeCall, text []byte, p modfileParams) error {
	main, err := gosum.ParseMod("go.mod", text)
	if err != nil || version.Compare("go"+main.Go, "go1.17") < 0 { // before, go.mod did not have to list everything
		return err
	}
	listed := map[string]gosum.Require{}
	for _, r := range main.Require {
		listed[r.Path] = r
	}
	for _, name := range p.Used {
		root := listed[name]
		to, _ := replacement(main.Replace, root.Version)
		if to.Version == "" {
			continue // its code is in the source
		}
		m, err := cachedMod(ctx, c, to)
		if err != nil || m == nil {
			return err
		}
		pos := diag.Position{File: "go.mod", Line: root.Line, Key: name}
		stale := diag.Inputf("lock-stale", "go.mod would have to change before anything is built").At(pos).Hint("run `go mod tidy`, and commit the result")
		if m.Go != nil && version.Compare("go"+m.Go.Version, "go"+main.Go) > 0 && version.Compare("go"+m.Go.Version, "go1.21") >= 0 {
			return stale.Because(fmt.Errorf("%s is for Go %s, go.mod is for Go %s", root.Version, m.Go.Version, main.Go))
		}
		for _, require := range m.Require {
			r := require.Mod
			l, ok := listed[r.Path]
			_, ours := p.Replace[r.Path]
			if _, replaced := replacement(main.Replace, r); !ok || ours || replaced || slices.Contains(main.Exclude, r) || semver.Compare(r.Version, l.Version.Version) <= 0 {
				continue
			}
			stale.Pos.Line, stale.Pos.Key = l.Line, r.Path
			return stale.Because(fmt.Errorf("%s requires %s, go.mod has %s", root.Version, r, l.Version.Version))
		}
	}
	return nil
}

// cachedMod reads the go.mod of a module in the module cache; nil: it is not there.
func cachedMod(ctx context.Context, c engine.NativeCall, m module.Version) (*modfile.File, error) {
	dir, v, err := escape(m.Path, m.Version)
	if err != nil {
		return nil, err
	}
	file := path.Join("cache/download", dir, "@v", v+".mod")
	e, err := tree.Lookup(ctx, c.Store, c.Inputs[1], file)
	if errors.Is(err, tree.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := store.ReadBlob(ctx, c.Store, e.Digest, maxMod)
	if err != nil {
		return nil, err
	}
	return modfile.ParseLax(m.String(), b, nil)
}
