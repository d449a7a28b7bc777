package node

import (
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
)

// yarnAt is a package that is installed somewhere.
type yarnAt struct {
	*yarnPlace
	dest string // where yarn puts it, perhaps through the link of a workspace
	real string // the same without that link
}

// step makes node_modules of the places that the hoister found.
func (y *yarnPlan) step(places map[string]*yarnPlace) (engine.Step, error) {
	for _, n := range y.nodes {
		if n.incompatible && !n.optional {
			return engine.Step{}, diag.Inputf("npm-platform", "package `%s` is not made for %s", n.name, y.opts.Platform).
				At(diag.Position{File: y.lock.File, Line: n.locked.Line, Key: n.pattern}).
				With("os: "+strings.Join(n.os, " "), "cpu: "+strings.Join(n.cpu, " ")).
				Hint("yarn refuses it on this platform as well; make the dependency optional")
		}
	}
	flat := y.flatten(places)
	replaced := map[string]bool{}
	for _, at := range flat {
		n := at.node
		p := n.locked
		p.Path, p.Link, p.Target = at.real, n.link != "", n.link
		if s, ok := y.opts.Replace[n.name]; ok {
			replaced[n.name] = true
			y.add(p.Path, s)
		} else if n.link != "" {
			y.params.Links = append(y.params.Links, link{Path: at.real, Target: relative(path.Dir(at.real), n.link)})
		} else {
			y.add(p.Path, n.files.Step)
		}
		y.pkgs = append(y.pkgs, p)
	}
	for name := range y.opts.Replace {
		if !replaced[name] {
			return engine.Step{}, diag.Inputf("npm-replace", "package `%s` cannot be replaced: the lock does not install it", name).
				At(diag.Position{File: y.lock.File})
		}
	}
	beside := y.yarnBins(flat)
	y.shadow()
	return y.yarnScripts(engine.Native("node_modules", modulesDef, y.params, y.inputs...), flat, beside)
}

// flatten gives what is installed, by place.
func (y *yarnPlan) flatten(places map[string]*yarnPlace) []yarnAt {
	var out []yarnAt
	for key, p := range places {
		names := strings.Split(key, "#")
		dest := "node_modules/" + strings.Join(names, "/node_modules/")
		if names[0] == yarnAll {
			if len(names) <= 2 {
				continue // the workspaces themselves, where they could not go to the top
			}
			dest = y.workspaces[names[1]].link + "/node_modules/" + strings.Join(names[2:], "/node_modules/")
		}
		if p.required && !y.brought(places, names) {
			out = append(out, yarnAt{p, dest, dest})
		}
	}
	slices.SortFunc(out, func(a, b yarnAt) int { return compareLocale(a.dest, b.dest) })
	through := map[string]string{}
	for i, at := range out {
		if y.workspaces[at.node.name] == at.node {
			through[at.dest] = at.node.link
		}
		for dir := path.Dir(at.dest); dir != "."; dir = path.Dir(dir) {
			if target, ok := through[dir]; ok {
				out[i].real = target + strings.TrimPrefix(at.dest, dir)
				break
			}
		}
	}
	return out
}

// brought says that the package above, in whose node_modules one lies, has it in its own archive. With yarn both are laid
// over each other.
func (y *yarnPlan) brought(places map[string]*yarnPlace, names []string) bool {
	last := len(names) - 1
	above := places[strings.Join(names[:last], "#")]
	return above != nil && slices.Contains(above.node.bundled, names[last])
}

// yarnBins makes the links in each `.bin`: at every package those of what it needs, at the top those of all packages, of
// the project's own last, since the last one to claim a name has it. It gives the links by the place of the package that
// each leads to.
func (y *yarnPlan) yarnBins(flat []yarnAt) map[string][]string {
	links := map[string]binLink{}
	to := map[string]string{}
	link := func(dir string, at yarnAt) {
		for _, b := range at.node.bins {
			bl := binLink{Path: path.Join(dir, ".bin", b.Name), Package: -1, File: b.File}
			place := at.real
			if i, ok := y.inputOf[at.real]; ok {
				bl.Package = i
			} else {
				place = at.node.link
			}
			bl.Target = relative(path.Dir(bl.Path), place+"/"+b.File)
			links[bl.Path], to[bl.Path] = bl, at.real
		}
	}
	of := map[*yarnNode][]yarnAt{}
	for _, at := range flat {
		of[at.node] = append(of[at.node], at)
	}
	for _, at := range flat {
		for _, d := range at.node.deps {
			if near, ok := nearest(at, of[d]); ok {
				dir := at.real
				if at.node.link != "" {
					dir = at.node.link
				}
				link(dir+"/node_modules", near)
			}
		}
	}
	var names []string
	first := map[string]yarnAt{}
	for _, at := range flat {
		if _, ok := first[at.node.name]; !ok {
			names = append(names, at.node.name)
		} else if !at.direct {
			continue
		}
		first[at.node.name] = at
	}
	for _, direct := range []bool{false, true} {
		for _, name := range names {
			if first[name].direct == direct {
				link("node_modules", first[name])
			}
		}
	}
	beside := map[string][]string{}
	for at, l := range links {
		y.params.Bins = append(y.params.Bins, l)
		beside[to[at]] = append(beside[to[at]], at)
	}
	slices.SortFunc(y.params.Bins, func(a, b binLink) int { return strings.Compare(a.Path, b.Path) })
	return beside
}

// nearest is that of several places of a package which is found first from another package.
func nearest(from yarnAt, list []yarnAt) (best yarnAt, ok bool) {
	steps := -1
	for _, start := range []string{from.dest, from.real} {
		for dir, n := start, 0; ; dir, n = path.Dir(dir), n+1 {
			if i := slices.IndexFunc(list, func(at yarnAt) bool {
				want := path.Join(dir, "node_modules", at.node.name)
				return at.dest == want || at.real == want
			}); i >= 0 {
				if steps < 0 || n < steps {
					best, steps = list[i], n
				}
				break
			}
			if dir == "." || dir == "/" {
				break
			}
		}
	}
	return best, steps >= 0
}

// yarnScripts runs the install scripts that the recipe allows.
func (y *yarnPlan) yarnScripts(modules engine.Step, flat []yarnAt, beside map[string][]string) (engine.Step, error) {
	of := map[*yarnNode][]yarnAt{}
	for _, at := range flat {
		of[at.node] = append(of[at.node], at)
	}
	var known []string
	for _, n := range y.nodes {
		known = append(known, n.name, n.name+"@"+n.version)
	}
	var list []Installed
	for _, at := range flat {
		in := Installed{Name: at.node.name, Version: at.node.version, Path: at.real}
		if _, replaced := y.opts.Replace[at.node.name]; !replaced && at.node.link == "" {
			in.Files, in.Has, in.Beside = at.node.files, at.node.scripts, beside[at.real]
			in.Env = npmEntryEnv(npm.Package{Resolved: at.node.locked.Resolved, Integrity: at.node.locked.Integrity})
			for _, d := range at.node.deps {
				if near, ok := nearest(at, of[d]); ok {
					in.Needs = append(in.Needs, near.real)
				}
			}
		}
		list = append(list, in)
	}
	return RunScripts(y.ctx, y.ask, modules, list, known, y.lock.File, y.opts.Scripts)
}
