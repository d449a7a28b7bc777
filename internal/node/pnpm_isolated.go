package node

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"hewn.example/hewn/internal/lock/pnpm"
)

// layout is where pnpm puts packages, links and commands. Paths are relative to the lock.
type layout struct {
	places []place
	links  []link
	bins   []binDir
	dirs   []string // directories that exist even if they are empty
}

// place is a folder that has the files of a package.
type place struct {
	path     string
	snapshot string
}

// binDir is a `.bin` with the packages whose commands are in it.
type binDir struct {
	path string
	from []binFrom
}

type binFrom struct {
	path     string // of the package: a place, or a link to one
	snapshot string // empty: local
	local    string // a directory of the source
	direct   bool   // commands of such packages are preferred
	bundled  bool   // what lies in node_modules of this package, not the package itself
}

// isolated is pnpm's own layout: each snapshot in a folder of its own, with links for its dependencies beside it.
type isolated struct {
	*pnpmPlan
	layout
	dirs map[string]string // snapshot -> folder
}

func (p *pnpmPlan) isolated() layout {
	l := &isolated{pnpmPlan: p, dirs: map[string]string{}}
	const hidden = "node_modules/.pnpm/node_modules/"
	for _, s := range p.wanted {
		l.dirs[s.Key] = "node_modules/.pnpm/" + pnpm.DirName(s.Key, p.maxLength) + "/node_modules/" + p.pkg(s.Key).Name
	}
	for _, s := range p.wanted {
		l.slot(s)
	}
	root := map[string]string{}
	for i := range p.importers {
		l.importer(&p.importers[i], root)
	}
	if len(p.wanted) > 0 && (p.hoistPattern != nil || p.publicPattern != nil) {
		l.hoist(hidden, root)
	}
	return l.layout
}

func (l *isolated) slot(s *pnpm.Snapshot) {
	dir, name := l.dirs[s.Key], l.pkg(s.Key).Name
	modules := strings.TrimSuffix(dir, "/"+name)
	l.places = append(l.places, place{dir, s.Key})
	b := binDir{path: dir + "/node_modules/.bin"}
	if l.major >= 12 {
		b.from = append(b.from, binFrom{path: dir, snapshot: s.Key})
	}
	for _, d := range l.children(s) {
		at := modules + "/" + d.Name
		if d.Name == name {
			at = dir + "/node_modules/" + d.Name
		}
		if d.Link != "" {
			l.link(at, path.Clean(d.Link))
			continue
		}
		l.link(at, l.dirs[d.Snapshot])
		b.from = append(b.from, binFrom{path: l.dirs[d.Snapshot], snapshot: d.Snapshot})
	}
	if l.bundles(s.Key) {
		b.from = append(b.from, binFrom{path: dir, snapshot: s.Key, bundled: true})
	}
	l.bins = append(l.bins, b)
}

func (l *isolated) link(at, target string) {
	l.links = append(l.links, link{Path: at, Target: relative(path.Dir(at), target)})
}

// importer links the direct dependencies of a project. root are those of the first one, by name.
func (l *isolated) importer(im *pnpm.Importer, root map[string]string) {
	b := binDir{path: path.Join(im.Path, "node_modules/.bin")}
	for _, d := range l.direct(im) {
		target, f := l.dirs[d.Snapshot], binFrom{snapshot: d.Snapshot, direct: true}
		if d.Link != "" {
			target = path.Join(im.Path, d.Link)
			f.local = target
		}
		f.path = target
		if im.Path == "." {
			root[d.Name] = target
		} else if l.dedupe && root[d.Name] == target {
			continue
		}
		l.link(path.Join(im.Path, "node_modules", d.Name), target)
		b.from = append(b.from, f)
	}
	l.bins = append(l.bins, b)
}

// hoistNode is a package with the depth at which the walk from the projects first meets it.
type hoistNode struct {
	id       string
	depth    int
	children []hoistChild
}

type hoistChild struct{ name, snapshot, local string }

// hoist links what is nobody's direct dependency where sloppy packages find it: into the hidden node_modules, or, by
// publicHoistPattern, into that of the project.
func (l *isolated) hoist(hidden string, root map[string]string) {
	public, private := matcher(l.publicPattern), matcher(l.hoistPattern)
	taken := map[string]bool{}
	for name, target := range root {
		switch {
		case l.major == 10:
			taken[name] = true
		case strings.HasPrefix(target, "node_modules/.pnpm/"):
			taken[strings.ToLower(name)] = true
		}
	}
	linked := map[string]bool{}
	inHidden := binDir{path: hidden + ".bin"}
	publicly := false
	for _, n := range l.walk() {
		for _, c := range n.children {
			isPublic := public(c.name)
			low := strings.ToLower(c.name)
			if !isPublic && !private(c.name) || taken[low] {
				continue
			}
			to, at := l.dirs[c.snapshot], hidden+c.name
			if isPublic {
				at, publicly = "node_modules/"+c.name, true
			}
			if c.local != "" {
				to = c.local
			} else {
				taken[low] = true
			}
			if _, isRoot := root[c.name]; linked[at] || isPublic && isRoot {
				continue
			}
			linked[at] = true
			l.link(at, to)
			f := binFrom{path: to, snapshot: c.snapshot, local: c.local}
			switch {
			case isPublic:
				l.rootBin(f)
			case c.local == "":
				inHidden.from = append(inHidden.from, f)
			}
		}
	}
	l.bins = append(l.bins, inHidden)
	if publicly && l.major >= 12 {
		l.layout.dirs = append(l.layout.dirs, strings.TrimSuffix(hidden, "/"))
	}
}

func (l *isolated) rootBin(f binFrom) {
	for i := range l.bins {
		if l.bins[i].path == "node_modules/.bin" {
			l.bins[i].from = append(l.bins[i].from, f)
			return
		}
	}
	l.bins = append(l.bins, binDir{path: "node_modules/.bin", from: []binFrom{f}})
}

// walk lists what packages depend on, nearest to the projects first; the first element is the projects themselves.
func (l *isolated) walk() []hoistNode {
	top := hoistNode{depth: -1}
	var start []string
	seen := map[string]bool{}
	var direct []hoistChild
	for i := range l.importers {
		for _, d := range l.direct(&l.importers[i]) {
			if d.Link == "" {
				start = append(start, d.Snapshot)
				if !seen[d.Name] {
					seen[d.Name] = true
					direct = append(direct, hoistChild{name: d.Name, snapshot: d.Snapshot})
				}
			}
		}
	}
	if l.hoistWorkspace {
		for _, w := range l.workspaces {
			if !seen[w.name] {
				top.children = append(top.children, hoistChild{name: w.name, local: w.path})
			}
		}
	}
	top.children = append(top.children, direct...)
	nodes := []hoistNode{top}
	visited := map[string]bool{}
	step := func(keys []string) (out []string) {
		for _, k := range keys {
			if !visited[k] {
				visited[k] = true
				out = append(out, k)
			}
		}
		return out
	}
	var down func(depth int, keys []string)
	down = func(depth int, keys []string) {
		var next [][]string
		for _, k := range keys {
			n := hoistNode{id: l.dirs[k], depth: depth}
			s, _ := l.lock.Snapshot(k)
			var below []string
			for _, d := range l.children(s) {
				if d.Link == "" {
					n.children = append(n.children, hoistChild{name: d.Name, snapshot: d.Snapshot})
					below = append(below, d.Snapshot)
				}
			}
			nodes = append(nodes, n)
			next = append(next, step(below))
		}
		for _, keys := range next {
			down(depth+1, keys)
		}
	}
	down(0, step(start))
	slices.SortStableFunc(nodes, func(a, b hoistNode) int {
		if a.depth != b.depth {
			return a.depth - b.depth
		}
		return strings.Compare(a.id, b.id)
	})
	return nodes
}

// matcher reads a list of patterns, in which `*` stands for anything and `!` excludes.
func matcher(patterns []string) func(string) bool {
	type one struct {
		ignore bool
		re     *regexp.Regexp
	}
	var all []one
	includes := false
	for _, p := range patterns {
		rest, ignore := strings.CutPrefix(p, "!")
		includes = includes || !ignore
		all = append(all, one{ignore, regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(rest), `\*`, ".*") + "$")})
	}
	return func(name string) bool {
		match := len(all) > 0 && !includes
		for _, o := range all {
			if o.re.MatchString(name) {
				match = !o.ignore
				if o.ignore && !includes {
					return false
				}
			}
		}
		return match
	}
}
