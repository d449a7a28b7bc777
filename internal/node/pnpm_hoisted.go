package node

import (
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/lock/pnpm"
)

// hoistTree builds the tree of dependencies from which hoist starts.
type hoistTree struct {
	*pnpmPlan
	made  map[string]*hoistEntry // by name and snapshot
	first map[string]string      // package -> the first of its snapshots: others are laid out as if they were it
}

// hoisted is the layout without links between packages: each lies in a node_modules as high as it can.
func (p *pnpmPlan) hoisted() layout {
	t := &hoistTree{pnpmPlan: p, made: map[string]*hoistEntry{}, first: map[string]string{}}
	root := newHoistEntry(".", ".", "", nil)
	root.workspace = true
	if im := p.importer("."); im != nil {
		t.add(root, p.hoistedEdges(im))
	}
	for i := range p.importers {
		im := &p.importers[i]
		if im.Path == "." {
			continue
		}
		n := newHoistEntry("%"+im.Path, "%"+im.Path, "workspace:"+im.Path, nil) // no package has such a name
		n.workspace = true
		root.deps.set(n)
		root.original.set(n)
		t.add(n, p.hoistedEdges(im))
	}
	p.limit(root)
	hoist(root)

	l := &hoistedLayout{pnpmPlan: p, inModules: map[string]map[string]binFrom{}}
	for _, d := range root.deps.all() {
		if path, ok := strings.CutPrefix(d.refs[0], "workspace:"); ok {
			l.below(path, d, map[*hoistEntry]bool{root: true, d: true})
		}
	}
	l.below(".", root, map[*hoistEntry]bool{root: true})
	l.local()
	l.commands()
	return l.layout
}

// limit marks what is not hoisted out of: by `hoistingLimits`, projects, and what they depend on themselves.
func (p *pnpmPlan) limit(root *hoistEntry) {
	if p.limits == "" || p.limits == "none" {
		return
	}
	for _, d := range root.deps.all() {
		d.border = true
		if d.workspace && p.limits == "dependencies" {
			for _, below := range d.deps.all() {
				below.border = true
			}
		}
	}
}

func (p *pnpmPlan) hoistedEdges(im *pnpm.Importer) []pnpm.Dependency {
	if p.omitDev {
		return slices.Concat(im.Dependencies, im.OptionalDependencies)
	}
	return slices.Concat(im.Dependencies, im.DevDependencies, im.OptionalDependencies)
}

func (t *hoistTree) add(parent *hoistEntry, edges []pnpm.Dependency) {
	for _, d := range edges {
		key := d.Name + ":" + d.Snapshot + d.Link
		if d.Link != "" {
			key = d.Name + ":link:" + d.Link
		}
		n, known := t.made[key]
		if !known {
			n = t.entry(d)
			t.made[key] = n
		}
		parent.deps.set(n)
		parent.original.set(n)
		if known {
			shared(n)
		} else if s, ok := t.lock.Snapshot(d.Snapshot); ok {
			t.add(n, slices.Concat(s.Dependencies, s.OptionalDependencies))
		}
	}
}

func (t *hoistTree) entry(d pnpm.Dependency) *hoistEntry {
	if d.Link != "" {
		return newHoistEntry(d.Name, d.Name, "link:"+d.Link, nil)
	}
	s, _ := t.lock.Snapshot(d.Snapshot)
	pkg := t.pkg(d.Snapshot)
	id := pkg.Name + "@" + pkg.Version
	if t.first[id] == "" {
		t.first[id] = d.Snapshot
	}
	var peers []string
	if !t.lock.Settings.AutoInstallPeers {
		peers = slices.Concat(pkg.PeerDependencies, s.TransitivePeers)
	}
	return newHoistEntry(d.Name, pkg.Name, t.first[id], peers)
}

// shared marks what is reached on more than one way: it is copied before it is changed.
func shared(n *hoistEntry) {
	if !n.own {
		return
	}
	n.own = false
	for _, d := range n.deps.all() {
		if !n.hasPeer(d.name) {
			shared(d)
		}
	}
}

type hoistedLayout struct {
	*pnpmPlan
	layout
	inModules map[string]map[string]binFrom // node_modules -> name -> what lies there
}

// below places the packages in node_modules of dir. above is the way to it.
func (l *hoistedLayout) below(dir string, n *hoistEntry, above map[*hoistEntry]bool) {
	for _, d := range n.deps.all() {
		key := d.refs[0]
		s, ok := l.lock.Snapshot(key)
		if !ok || n.hasPeer(d.name) || above[d] || !l.anyChosen(s.Package) {
			continue
		}
		at := path.Join(dir, "node_modules", d.name)
		l.places = append(l.places, place{at, key})
		l.has(dir, d.name, binFrom{path: at, snapshot: key})
		above[d] = true
		l.below(at, d, above)
		delete(above, d)
	}
}

func (l *hoistedLayout) anyChosen(pkg string) bool {
	if l.packages == nil {
		l.packages = map[string]bool{}
		for _, s := range l.wanted {
			l.packages[s.Package] = true
		}
	}
	return l.packages[pkg]
}

func (l *hoistedLayout) has(dir, name string, f binFrom) {
	modules := path.Join(dir, "node_modules")
	if l.inModules[modules] == nil {
		l.inModules[modules] = map[string]binFrom{}
	}
	l.inModules[modules][name] = f
}

// local links directories of the source: what projects ask for, and since pnpm 11 all projects that have a name.
func (l *hoistedLayout) local() {
	root := map[string]string{}
	link1 := func(dir, name, target string) {
		at := path.Join(dir, "node_modules", name)
		l.links = append(l.links, link{Path: at, Target: relative(path.Dir(at), target)})
		l.has(dir, name, binFrom{path: at, local: target})
	}
	if im := l.importer("."); im != nil {
		for _, d := range l.hoistedEdges(im) {
			if d.Link != "" {
				root[d.Name] = path.Clean(d.Link)
				link1(".", d.Name, root[d.Name])
			}
		}
	}
	if l.major > 10 && l.hoistWorkspace {
		for _, w := range l.workspaces {
			if _, taken := l.inModules["node_modules"][w.name]; !taken {
				link1(".", w.name, w.path)
				if l.major == 11 {
					root[w.name] = w.path
				}
			}
		}
	}
	for i := range l.importers {
		im := &l.importers[i]
		if im.Path == "." {
			continue
		}
		for _, d := range l.hoistedEdges(im) {
			target := path.Join(im.Path, d.Link)
			if d.Link != "" && !(l.dedupe && root[d.Name] == target) {
				link1(im.Path, d.Name, target)
			}
		}
	}
}

// commands fills the `.bin` of each node_modules from all that lies in it.
func (l *hoistedLayout) commands() {
	direct := map[string]map[string]bool{}
	for i := range l.importers {
		names := map[string]bool{}
		for _, d := range l.hoistedEdges(&l.importers[i]) {
			names[d.Name] = true
		}
		direct[path.Join(l.importers[i].Path, "node_modules")] = names
	}
	for _, modules := range slices.Sorted(maps.Keys(l.inModules)) {
		b := binDir{path: modules + "/.bin"}
		for _, name := range slices.Sorted(maps.Keys(l.inModules[modules])) {
			f := l.inModules[modules][name]
			f.direct = direct[modules][name]
			b.from = append(b.from, f)
		}
		l.bins = append(l.bins, b)
	}
	for _, pl := range l.places {
		if l.bundles(pl.snapshot) {
			at := pl.path + "/node_modules/.bin"
			l.bins = append(l.bins, binDir{path: at, from: []binFrom{{path: pl.path, snapshot: pl.snapshot, bundled: true}}})
		}
	}
}
