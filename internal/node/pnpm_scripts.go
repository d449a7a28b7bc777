package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/pnpm"
	"hewn.example/hewn/internal/tree"
)

// runScripts runs the install scripts that both the project (onlyBuiltDependencies, allowBuilds) and the recipe allow.
// The lock does not say which packages have any: those that the project allows are looked at.
func (a *pnpmAssembler) runScripts(ctx context.Context, modules engine.Step, l layout) (engine.Step, error) {
	if err := a.agreeScripts(); err != nil {
		return engine.Step{}, err
	}
	var known []string
	for i := range a.lock.Packages {
		p := &a.lock.Packages[i]
		known = append(known, p.Name, p.Name+"@"+p.Version)
	}
	list, err := a.installedPackages(ctx, l)
	if err != nil {
		return engine.Step{}, err
	}
	return RunScripts(ctx, a.ask, modules, list, known, a.lock.File, a.opts.Scripts)
}

// agreeScripts refuses a recipe that allows what pnpm would not run.
func (a *pnpmAssembler) agreeScripts() error {
	for _, s := range a.wanted {
		pkg := a.pkg(s.Key)
		if allowedBuild(a.opts.Scripts.Allow, pkg) && !a.builds(pkg) {
			return diag.Inputf("npm-scripts", "`allow_scripts` names `%s`, whose install scripts pnpm does not run in this project", pkg.Name).
				At(diag.Position{File: a.settings.File, Key: a.buildsKey()}).
				Hint("let the project allow it too, with `pnpm approve-builds`; scripts are run where both do")
		}
	}
	return nil
}

func (p *pnpmPlan) buildsKey() string {
	if p.major == 10 {
		return "onlyBuiltDependencies"
	}
	return "allowBuilds"
}

// builds says whether pnpm would run the scripts of a package.
func (p *pnpmPlan) builds(pkg *pnpm.Package) bool {
	return (p.settings.AllBuilds || allowedBuild(p.settings.OnlyBuilt, pkg)) && !allowedBuild(p.settings.IgnoredBuilt, pkg)
}

// allowedBuild looks for a package in a list of names and `name@1.0.0 || 2.0.0`.
func allowedBuild(list []string, pkg *pnpm.Package) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		versions, ok := strings.CutPrefix(s, pkg.Name+"@")
		if !ok {
			return s == pkg.Name
		}
		return slices.ContainsFunc(strings.Split(versions, "||"), func(v string) bool { return strings.TrimSpace(v) == pkg.Version })
	})
}

// installedPackages tells of the packages of a layout what install scripts want to know.
func (a *pnpmAssembler) installedPackages(ctx context.Context, l layout) ([]Installed, error) {
	if len(a.opts.Scripts.Allow) == 0 && len(a.settings.OnlyBuilt) == 0 {
		return nil, nil
	}
	at := map[string]string{} // place -> snapshot
	first := map[string]string{}
	for _, pl := range l.places {
		at[pl.path] = pl.snapshot
		if first[pl.snapshot] == "" {
			first[pl.snapshot] = pl.path
		}
	}
	var out []Installed
	for _, pl := range l.places {
		pkg := a.pkg(pl.snapshot)
		in := Installed{Name: pkg.Name, Version: pkg.Version, Path: pl.path, Env: map[string]string{"npm_config_user_agent": fmt.Sprintf("pnpm/%d npm/? node/? linux x64", a.major)}}
		if s, ok := a.inputs[a.inputOf[pl.snapshot]].Static(); ok && a.opts.Replace[pkg.Name].IsZero() && pkg.Resolution.Directory == "" {
			in.Files = s
		}
		modules := strings.TrimSuffix(pl.path, "/"+pkg.Name)
		s, _ := a.lock.Snapshot(pl.snapshot)
		for _, d := range a.children(s) {
			switch {
			case d.Link != "":
			case a.linker == "isolated":
				in.Needs = append(in.Needs, first[d.Snapshot])
				in.Beside = append(in.Beside, modules+"/"+d.Name)
			default:
				in.Needs = append(in.Needs, above(pl.path, d.Name, at))
			}
		}
		if a.linker != "isolated" {
			in.Beside = append(in.Beside, path.Join(pl.path[:strings.LastIndex(pl.path, "node_modules/")], "node_modules/.bin"))
		}
		in.Needs = slices.DeleteFunc(in.Needs, func(p string) bool { return p == "" })
		var err error
		if in.Has, err = a.hasScripts(ctx, pkg, in.Files); err != nil {
			return nil, err
		}
		out = append(out, in)
	}
	return out, nil
}

// above finds the place at which a package that lies at dir finds another.
func above(dir, name string, places map[string]string) string {
	for {
		if at := path.Join(dir, "node_modules", name); places[at] != "" {
			return at
		}
		i := strings.LastIndex(dir, "node_modules/")
		if i < 0 {
			return ""
		}
		dir = strings.TrimSuffix(dir[:i], "/")
	}
}

func (a *pnpmAssembler) hasScripts(ctx context.Context, pkg *pnpm.Package, files engine.Static) (bool, error) {
	if files.IsZero() || a.settings.AllBuilds || !a.builds(pkg) {
		return false, nil // where pnpm runs everything, nobody has chosen; to look at all packages would cost too much
	}
	b, err := a.ask.Read(ctx, files, "package.json")
	if errors.Is(err, tree.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var m struct {
		Scripts map[string]any `json:"scripts"`
	}
	if json.Unmarshal(b, &m) != nil {
		return false, nil
	}
	for _, event := range []string{"preinstall", "install", "postinstall"} {
		if text, _ := m.Scripts[event].(string); text != "" {
			return true, nil
		}
	}
	return a.ask.Exists(ctx, files, "binding.gyp")
}
