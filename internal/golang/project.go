package golang

import (
	"context"
	"fmt"
	"go/version"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/gosum"
)

// goProject is what the files of the go command say of a source: one module, or the modules of a go.work.
type goProject struct {
	work     *gosum.Work // nil: one module
	mods     []*gosum.Mod
	dirs     map[string]string // of the modules whose code lies in the source, by module path: "." or "sub/dir"
	sums     []gosum.Sum
	sumFiles []string      // go.sum files that there are
	vendor   *gosum.Vendor // nil: vendor/ is not used
}

// projectFiles says which files count.
type projectFiles struct {
	work   bool // go.work; false is GOWORK=off
	vendor bool // vendor/modules.txt; with it, no directory that stands in for a module does
}

// readProject reads go.work or go.mod, and the sums.
func readProject(ctx context.Context, ask *engine.Ask, dir engine.Static, use projectFiles) (*goProject, error) {
	p := &goProject{dirs: map[string]string{}}
	if use.work {
		ok, err := ask.Exists(ctx, dir, "go.work")
		if err == nil && ok {
			err = p.readWork(ctx, ask, dir)
		}
		if err != nil {
			return nil, err
		}
	}
	if p.work == nil {
		mod, err := readMod(ctx, ask, dir)
		if err != nil {
			return nil, err
		}
		p.mods, p.dirs[mod.Path] = []*gosum.Mod{mod}, "."
	}
	if use.vendor {
		if err := p.readVendor(ctx, ask, dir); err != nil {
			return nil, err
		}
	}
	return p, p.readRest(ctx, ask, dir)
}

// readRest follows the replace lines, and reads the sums.
func (p *goProject) readRest(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	for _, mod := range p.mods {
		if err := p.replaced(ctx, ask, dir, mod.File, mod.Replace); err != nil {
			return err
		}
		if err := p.readSums(ctx, ask, dir, path.Join(path.Dir(mod.File), "go.sum")); err != nil {
			return err
		}
	}
	if p.work == nil {
		return nil
	}
	if err := p.replaced(ctx, ask, dir, "go.work", p.work.Replace); err != nil {
		return err
	}
	return p.readSums(ctx, ask, dir, "go.work.sum")
}

func (p *goProject) readWork(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	b, err := ask.Read(ctx, dir, "go.work")
	if err != nil {
		return err
	}
	if p.work, err = gosum.ParseWork("go.work", b); err != nil {
		return err
	}
	for _, use := range p.work.Use {
		at := path.Clean(use)
		pos := diag.Position{File: "go.work", Key: "use " + use}
		if outside(at) {
			return diag.Inputf("go-outside", "the module `%s` lies outside of %s", use, dir.Label()).At(pos).
				Hint("let the source begin where go.work and all of its modules lie below, or build without it: env = {\"GOWORK\": \"off\"}")
		}
		file := path.Join(at, "go.mod")
		b, err := ask.Read(ctx, dir, file)
		if err != nil {
			return diag.Inputf("lock-missing", "cannot read `%s`, which go.work uses", file).At(pos).Because(err).
				Hint("run `go work edit -dropuse=%s`, or commit the module", use)
		}
		mod, err := gosum.ParseMod(file, b)
		if err != nil {
			return err
		}
		if version.Compare("go"+mod.Go, "go"+p.work.Go) > 0 {
			return diag.Inputf("go-version", "module `%s` wants Go %s, but go.work is for Go %s", mod.Path, mod.Go, p.work.Go).
				At(diag.Position{File: "go.work", Key: "go"}).Hint("run `go work use`, and commit the result")
		}
		if other, twice := p.dirs[mod.Path]; twice {
			return diag.Inputf("go-work", "the module `%s` stands in go.work twice: in `%s` and in `%s`", mod.Path, other, at).At(pos).
				Hint("run `go work edit -dropuse=%s`", use)
		}
		p.mods = append(p.mods, mod)
		p.dirs[mod.Path] = at
	}
	if len(p.mods) == 0 {
		return diag.Inputf("go-work", "go.work uses no modules").At(diag.Position{File: "go.work", Line: 1}).Hint("run `go work use .`")
	}
	return nil
}

func outside(p string) bool { return path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") }

// replaced finds the modules whose code lies in the source because a replace line says so.
func (p *goProject) replaced(ctx context.Context, ask *engine.Ask, dir engine.Static, file string, list []gosum.Replace) error {
	for _, r := range list {
		if !r.Local() || p.vendor != nil { // its code is in the vendor directory
			continue
		}
		to := path.Join(path.Dir(file), r.New.Path)
		pos := diag.Position{File: file, Line: r.Line, Key: "replace " + r.Old.Path}
		if outside(r.New.Path) && path.IsAbs(r.New.Path) || outside(to) {
			return diag.Inputf("go-outside", "module `%s` is replaced by %s, which lies outside of %s", r.Old.Path, r.New.Path, dir.Label()).At(pos).
				Hint("replace the module in the recipe: golang.build(…, replace = {%q: …})", r.Old.Path)
		}
		if ok, err := ask.Exists(ctx, dir, path.Join(to, "go.mod")); err != nil {
			return err
		} else if !ok {
			return diag.Inputf("go-replace", "module `%s` is replaced by %s, where there is no go.mod", r.Old.Path, r.New.Path).At(pos).
				Hint("a directory that a generator makes is given in the recipe: golang.build(…, replace = {%q: …})", r.Old.Path)
		}
		p.dirs[r.Old.Path] = to
	}
	return nil
}

// readSums adds the lines of a file, if there is one.
func (p *goProject) readSums(ctx context.Context, ask *engine.Ask, dir engine.Static, file string) error {
	if ok, err := ask.Exists(ctx, dir, file); err != nil || !ok {
		return err
	}
	b, err := ask.Read(ctx, dir, file)
	if err != nil {
		return err
	}
	sums, err := gosum.Parse(file, b)
	if err != nil {
		return err
	}
	type thing struct {
		path, version string
		mod           bool
	}
	have := map[thing]gosum.Sum{}
	for _, s := range p.sums {
		have[thing{s.Path, s.Version, s.Mod}] = s
	}
	for _, s := range sums {
		was, twice := have[thing{s.Path, s.Version, s.Mod}]
		if twice && was.Hash != s.Hash {
			return diag.Inputf("lock-value", "%s %s has another hash in another go.sum of the workspace", s.Path, s.Version).
				At(diag.Position{File: file, Line: s.Line, Key: s.Path}).Hint("run `go mod verify` in each module")
		}
		if !twice {
			p.sums = append(p.sums, s)
		}
	}
	p.sumFiles = append(p.sumFiles, file)
	return nil
}

// complete refuses a source that requires modules of which nothing says what they are.
func (p *goProject) complete(dir engine.Static) error {
	if len(p.sumFiles) > 0 {
		return nil
	}
	for _, m := range p.mods {
		for _, r := range m.Require {
			if _, local := p.dirs[r.Path]; !local {
				return diag.Inputf("lock-missing", "cannot read `go.sum` of %s, which requires %s", dir.Label(), r.Path).
					At(diag.Position{File: m.File, Line: r.Line, Key: r.Path}).
					Hint("run `go mod tidy`, and commit the result")
			}
		}
	}
	return nil
}

// requires says whether some module of the source requires another.
func (p *goProject) requires(mod string) bool {
	for _, m := range p.mods {
		for _, r := range m.Require {
			if r.Path == mod {
				return true
			}
		}
	}
	return false
}

// moduleDir gives the directory of the source in which a package lies; ok is false where it comes from elsewhere.
func (p *goProject) moduleDir(importPath string) (dir string, ok bool) {
	best := ""
	consider := func(mod string) bool {
		if importPath != mod && !strings.HasPrefix(importPath, mod+"/") || len(mod) < len(best) {
			return false
		}
		best = mod
		return true
	}
	for _, m := range p.mods {
		for _, r := range m.Require {
			consider(r.Path)
		}
	}
	for _, mod := range slices.Sorted(maps.Keys(p.dirs)) {
		if consider(mod) {
			dir, ok = path.Join(p.dirs[mod], strings.TrimPrefix(importPath, mod)), true
		}
	}
	_, ours := p.dirs[best]
	return dir, ok && ours
}

// wantedGo gives what to ask for: an exact release ("go1.24.6"), or a line ("go1.26.x").
func (p *goProject) wantedGo() (string, error) {
	if p.work != nil {
		return wantedGo(p.work.Lines, "go.work")
	}
	return wantedGo(p.mods[0].Lines, p.mods[0].File)
}

// workText is go.work for a build: its modules below at, other modules replaced by directories.
func (p *goProject) workText(at string, replace map[string]string) (string, error) {
	f := &modfile.WorkFile{Syntax: &modfile.FileSyntax{}}
	if p.work.Go != "" {
		if err := f.AddGoStmt(p.work.Go); err != nil {
			return "", err
		}
	}
	for _, d := range p.work.Godebug {
		if err := f.AddGodebug(d.Key, d.Value); err != nil {
			return "", err
		}
	}
	for _, u := range p.work.Use {
		if err := f.AddUse(path.Join(at, u), ""); err != nil {
			return "", err
		}
	}
	for _, r := range p.work.Replace {
		to := r.New.Path
		if r.Local() {
			to = path.Join(at, to)
		}
		if _, ours := replace[r.Old.Path]; ours {
			continue
		}
		if err := f.AddReplace(r.Old.Path, r.Old.Version, to, r.New.Version); err != nil {
			return "", err
		}
	}
	for _, old := range slices.Sorted(maps.Keys(replace)) {
		if err := f.AddReplace(old, "", replace[old], ""); err != nil {
			return "", err
		}
	}
	return string(modfile.Format(f.Syntax)), nil
}

// workSums is the go.work.sum for a build, with all sums of the workspace.
func (p *goProject) workSums() string {
	var b strings.Builder
	for _, s := range p.sums {
		suffix := ""
		if s.Mod {
			suffix = "/go.mod"
		}
		fmt.Fprintf(&b, "%s %s%s %s\n", s.Path, s.Version, suffix, s.Hash)
	}
	return b.String()
}
