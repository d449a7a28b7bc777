package rust

import (
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/cargo"
)

// A stage is packages of the source that are compiled in one step: each depends on earlier stages and on crates only.
type stage []*localPackage

// stages puts what a program needs of the source in order; its own package is the last. There is none if it is not clear
// which package that is: then all are compiled in one step.
func (w *workspace) stages(bin string, roots map[string][]string, lock *cargo.Lock) (all []stage) {
	own := w.owner(bin, roots)
	if own == nil {
		return nil
	}
	at := map[string]*localPackage{}
	for _, p := range w.packages {
		if i, _ := w.locked(p, lock); i >= 0 {
			at[path.Dir(p.file)] = p
		}
	}
	levels := map[*localPackage]int{}
	var level func(p *localPackage) int
	level = func(p *localPackage) int {
		if n, seen := levels[p]; seen {
			return n
		}
		levels[p] = 0 // cargo refuses a circle
		n := 0
		for _, d := range w.needs(p) {
			if to := at[d.path]; d.path != "" && to != nil && to != p && !d.dev {
				n = max(n, level(to)+1)
			}
		}
		levels[p] = n
		return n
	}
	all = make([]stage, level(own)+1)
	for _, p := range w.packages {
		if n, needed := levels[p]; needed && n < len(all) {
			all[n] = append(all[n], p)
		}
	}
	if last := all[len(all)-1]; len(last) != 1 || last[0] != own {
		return nil
	}
	return all
}

// owner is the one member that has a program of that name.
func (w *workspace) owner(bin string, roots map[string][]string) (own *localPackage) {
	for _, p := range w.packages {
		dir := path.Dir(p.file)
		has := slices.Contains(roots[dir], path.Join(dir, "src/bin", bin+".rs")) || slices.Contains(roots[dir], path.Join(dir, "src/bin", bin, "main.rs")) ||
			p.name() == bin && slices.Contains(roots[dir], path.Join(dir, "src/main.rs"))
		list, _ := p.top["bin"].([]any)
		for _, b := range list {
			t, _ := b.(table)
			has = has || t["name"] == bin
		}
		if !p.own || !has {
			continue
		}
		if own != nil {
			return nil
		}
		own = p
	}
	return own
}

// hidden is the files and directories of a package that others are compiled without: its directory, or what cargo looks
// for in it where other packages lie in it as well. manifests are all there are in the source.
func (p *localPackage) hidden(roots map[string][]string, manifests []string) (places []string) {
	dir := path.Dir(p.file)
	alone := func(at string) bool {
		return at != "." && !strings.ContainsAny(at, `*?[\`) && !slices.ContainsFunc(manifests, func(m string) bool {
			return m != p.file && strings.HasPrefix(m, at+"/")
		})
	}
	if alone(dir) {
		return []string{dir}
	}
	for _, name := range []string{"src", "tests", "examples", "benches", "build.rs"} {
		places = append(places, path.Join(dir, name))
	}
	for _, f := range roots[dir] { // `cmd` of cmd/app.rs
		if rel := strings.TrimPrefix(f, dir+"/"); dir == "." || rel != f {
			first, _, _ := strings.Cut(rel, "/")
			places = append(places, path.Join(dir, first))
		}
	}
	slices.Sort(places)
	return slices.DeleteFunc(slices.Compact(places), func(at string) bool { return !alone(at) })
}

// without is a project in which packages are there by their manifests and empty programs only.
func (p *project) without(packages []*localPackage) engine.Step {
	if len(packages) == 0 {
		return p.src.Step
	}
	var places, keep []string
	empty := map[string]string{}
	for _, l := range packages {
		places = append(places, l.hidden(p.roots, p.manifests)...)
		keep = append(keep, l.file)
		for _, f := range p.roots[path.Dir(l.file)] {
			empty[f] = emptyProgram
		}
	}
	return engine.Overlay("source of the others", engine.Part{Step: engine.Remove(p.src.Step, places...), At: "/"},
		engine.Part{Step: engine.Select(p.src.Step, keep...), At: "/"}, engine.Part{Step: stubs("empty programs", empty), At: "/"})
}

// appear makes the files that a stage sees and those before it did not new to cargo. All others are of one time, and so
// is what was made of them; but a build script of an earlier package may have looked for these.
func (p *project) appear(s stage) string {
	var places []string
	for _, l := range s {
		places = append(places, l.hidden(p.roots, p.manifests)...)
		places = append(places, p.roots[path.Dir(l.file)]...)
	}
	if len(places) == 0 {
		return ""
	}
	return "appear() {\n  touch -c -h -- \"$@\"\n  for f in \"$@\"; do\n" +
		"    if test -d \"$f\" && ! test -L \"$f\"; then appear \"$f\"/* \"$f\"/.[!.]*; fi\n  done\n}\n" +
		"appear " + words(places) + "\n"
}
