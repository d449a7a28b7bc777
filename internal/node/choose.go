package node

import (
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/platform"
)

// chooser decides which entries of a lock are installed on a platform, by npm's rules.
type chooser struct {
	lock   *npm.Lock
	byPath map[string]int
	out    [][]edge // of each package, what it depends on
	in     [][]edge // and what depends on it
	inert  []bool   // an optional package that cannot be on this platform, and what came only with it
}

// edge is a dependency between two packages of the lock; node is the other end.
type edge struct {
	node     int
	optional bool
	dev      bool
}

// choose gives the packages to install, in the lock's order. The project itself and packages outside of node_modules
// are not among them. only, if not empty, names packages beside the lock that are to be had without the others.
func choose(lock *npm.Lock, p platform.Platform, omitDev bool, only []string) ([]npm.Package, error) {
	c := newChooser(lock)
	for i, pkg := range lock.Packages {
		omitted := omitDev && pkg.Dev
		if suits(pkg, p) || pkg.Extraneous || omitted {
			continue
		}
		if !pkg.Optional {
			pos := diag.Position{File: lock.File, Line: pkg.Line, Key: "packages." + pkg.Path}
			return nil, diag.Inputf("npm-platform", "package `%s` is not made for %s", pkg.Name, p).At(pos).
				With("os: "+strings.Join(pkg.OS, " "), "cpu: "+strings.Join(pkg.CPU, " "), "libc: "+strings.Join(pkg.Libc, " ")).
				Hint("npm refuses this lock on this platform as well; make the dependency optional")
		}
		for _, j := range c.optionalSet(i) {
			c.inert[j] = true
		}
	}
	wanted, err := c.reach(only)
	if err != nil {
		return nil, err
	}
	var out []npm.Package
	for i, pkg := range lock.Packages {
		if wanted(i) && pkg.Folder() != "" && !pkg.Extraneous && !c.inert[i] && !(omitDev && pkg.Dev) {
			out = append(out, pkg)
		}
	}
	return out, nil
}

func newChooser(lock *npm.Lock) *chooser {
	c := &chooser{lock: lock, byPath: make(map[string]int, len(lock.Packages)), inert: make([]bool, len(lock.Packages))}
	for i, pkg := range lock.Packages {
		c.byPath[pkg.Path] = i
	}
	c.connect()
	return c
}

// reflag sets the flags of all entries anew, for a project that wants other packages than the lock was made for.
func (c *chooser) reflag() {
	all := c.from(func(edge) bool { return true })
	needed := c.from(func(e edge) bool { return !e.dev })
	certain := c.from(func(e edge) bool { return !e.optional })
	for i := range c.lock.Packages {
		p := &c.lock.Packages[i]
		p.Extraneous = !all[i]
		p.Dev = all[i] && !needed[i]
		p.Optional = all[i] && !certain[i]
	}
}

// prune marks what neither the project nor a workspace reaches, as npm finds it out anew.
func (c *chooser) prune() {
	for i, reached := range c.from(func(edge) bool { return true }) {
		p := &c.lock.Packages[i]
		p.Extraneous = p.Extraneous || !reached && p.Folder() != "" && !p.InBundle
	}
}

// from gives what the project and its workspaces reach along edges.
func (c *chooser) from(along func(edge) bool) []bool {
	seen := make([]bool, len(c.lock.Packages))
	var queue []int
	visit := func(i int) {
		if !seen[i] {
			seen[i] = true
			queue = append(queue, i)
		}
	}
	for i, p := range c.lock.Packages {
		if p.Path == "" || p.Link {
			visit(i)
		}
	}
	for k := 0; k < len(queue); k++ {
		if i, ok := c.byPath[c.lock.Packages[queue[k]].Target]; ok && c.lock.Packages[queue[k]].Link {
			visit(i)
		}
		for _, e := range c.out[queue[k]] {
			if along(e) {
				visit(e.node)
			}
		}
	}
	return seen
}

// reach says of each package whether the named ones need it; without names, all are wanted.
func (c *chooser) reach(only []string) (func(i int) bool, error) {
	if len(only) == 0 {
		return func(int) bool { return true }, nil
	}
	in := map[int]bool{}
	var queue []int
	visit := func(i int) {
		if !in[i] {
			in[i] = true
			queue = append(queue, i)
		}
	}
	for _, name := range only {
		i, ok := c.byPath["node_modules/"+name]
		if !ok {
			return nil, diag.Inputf("npm-only", "the lock has no package `%s` at its top level", name).
				At(diag.Position{File: c.lock.File, Key: "packages.node_modules/" + name})
		}
		visit(i)
	}
	for k := 0; k < len(queue); k++ {
		pkg := c.lock.Packages[queue[k]]
		for _, e := range c.out[queue[k]] {
			visit(e.node)
		}
		if i, ok := c.byPath[pkg.Target]; pkg.Link && ok {
			visit(i)
		}
	}
	return func(i int) bool { return in[i] }, nil
}

// connect finds for each dependency the package that answers it, by the rule by which Node.js looks for modules.
func (c *chooser) connect() {
	n := len(c.lock.Packages)
	c.out, c.in = make([][]edge, n), make([][]edge, n)
	for i, pkg := range c.lock.Packages {
		optional := map[string]bool{}
		for _, name := range slices.Concat(pkg.OptionalPeers, pkg.OptionalDependencies) {
			optional[name] = true
		}
		seen := map[string]bool{}
		all := [][]string{pkg.OptionalDependencies, pkg.Dependencies, pkg.PeerDependencies, pkg.OptionalPeers}
		if pkg.Folder() == "" { // the project and its workspaces
			all = append(all, pkg.DevDependencies)
		}
		for k, kind := range all {
			for _, name := range kind {
				j, ok := c.resolve(pkg.Path, name)
				if !ok || seen[name] {
					continue
				}
				seen[name] = true
				dev := k == len(all)-1 && pkg.Folder() == ""
				c.out[i] = append(c.out[i], edge{j, optional[name], dev})
				c.in[j] = append(c.in[j], edge{i, optional[name], dev})
			}
		}
	}
}

func (c *chooser) resolve(from, name string) (int, bool) {
	for dir := from; ; dir = path.Dir(dir) {
		if dir == "." {
			dir = ""
		}
		if i, ok := c.byPath[path.Join(dir, "node_modules", name)]; ok {
			return i, true
		}
		if dir == "" || dir == ".." || dir == "/" {
			return 0, false
		}
	}
}

// optionalSet is what has to go when the optional package i cannot be installed: i, whatever needs it up to the first
// optional edge, and what is then needed by nobody else.
func (c *chooser) optionalSet(i int) []int {
	set, in := []int{i}, map[int]bool{i: true}
	for k := 0; k < len(set); k++ {
		for _, e := range c.in[set[k]] {
			if !e.optional && !in[e.node] {
				in[e.node] = true
				set = append(set, e.node)
			}
		}
	}
	failed := len(set)
	for k := 0; k < len(set); k++ {
		if k >= failed && c.inert[set[k]] {
			continue
		}
		for _, e := range c.out[set[k]] {
			if !in[e.node] {
				in[e.node] = true
				set = append(set, e.node)
			}
		}
	}
	// Of what was only reached, keep out all that something else still needs.
	for changed := true; changed; {
		changed = false
		for k, node := range set {
			if k < failed || !in[node] {
				continue
			}
			for _, e := range c.in[node] {
				if !in[e.node] && !c.inert[e.node] {
					in[node] = false
					changed = true
					break
				}
			}
		}
	}
	return slices.DeleteFunc(set, func(j int) bool { return !in[j] })
}

// suits says whether a package may be installed on p.
func suits(pkg npm.Package, p platform.Platform) bool {
	return matches(npmOS(p), pkg.OS) && matches(npmCPU(p), pkg.CPU) && matches(p.Libc, pkg.Libc)
}

// matches reads one of npm's lists: none of the excluded values, and one of the others if there are any.
func matches(value string, list []string) bool {
	if len(list) == 0 || len(list) == 1 && list[0] == "any" {
		return true
	}
	excluded, match := 0, false
	for _, s := range list {
		if no, ok := strings.CutPrefix(s, "!"); ok {
			if excluded++; value == no {
				return false
			}
		} else if value != "" && value == s {
			match = true
		}
	}
	return match || excluded == len(list)
}

func npmOS(p platform.Platform) string {
	switch p.OS {
	case "windows":
		return "win32"
	case "solaris", "illumos":
		return "sunos"
	}
	return p.OS
}

func npmCPU(p platform.Platform) string {
	switch p.Arch {
	case "amd64":
		return "x64"
	case "386":
		return "ia32"
	case "ppc64le":
		return "ppc64"
	case "mipsle", "mips64le":
		return "mipsel"
	}
	return p.Arch
}
