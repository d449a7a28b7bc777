package python

import (
	"fmt"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/python/wheel"
)

// Request says which part of a lock an environment needs.
type Request struct {
	Python   string // full version: "3.14.8"
	Platform platform.Platform
	Libc     string   // version of the C library in the root; empty: wheel.DefaultLibc
	Extras   []string // of the root project
	Groups   []string // dependency groups of the root project; none by default, not even `dev`
	NoBinary []string // packages that must be built from their sdist
	// NoBinaryAll says that every package must be built from its sdist.
	NoBinaryAll bool
	NoBuild     []string // packages that must not be built
	// NoBuildAll says that no package may be built, but for editable ones.
	NoBuildAll bool
	Only       []string // nothing but these packages and what they need; empty: all
}

// Selected is one package to install, and the file to install it from.
type Selected struct {
	*uv.Package
	Extras []string // the extras of it that are needed, sorted
	Wheel  *uv.File // to install as it is; nil: build from Sdist, git or a directory
}

// Select gives what an environment for the root project needs, sorted by name: the closure of its dependencies under the
// markers of the target, without the project itself. Where the lock has no root project, every member of the workspace
// is wanted.
func Select(l *uv.Lock, r Request) ([]Selected, error) {
	env, err := pep508.CPython(r.Python, r.Platform)
	if err != nil {
		return nil, err
	}
	if err := checkPython("the lock", l.RequiresPython, l.At["requires-python"], r.Python); err != nil {
		return nil, err
	}
	if err := checkEnvironments(l.SupportedMarkers, l.At["supported-markers"], env, r); err != nil {
		return nil, err
	}
	s := &selection{lock: l, env: env, byName: map[string][]*uv.Package{}, need: map[*uv.Package]map[string]bool{}}
	for i := range l.Packages {
		p := &l.Packages[i]
		s.byName[p.Name] = append(s.byName[p.Name], p)
	}
	root := l.Root()
	if err := s.start(root, r); err != nil {
		return nil, err
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	if err := s.narrow(r.Only); err != nil {
		return nil, err
	}
	var wanted []*uv.Package
	for i := range l.Packages { // in the lock's order, so that of several errors always the same one is told
		p := &l.Packages[i]
		if _, needed := s.need[p]; needed && p != root && p.Source.Kind != uv.Virtual {
			wanted = append(wanted, p)
		}
	}
	out, err := chooseAll(wanted, r)
	if err != nil {
		return nil, err
	}
	for i := range out {
		for x := range s.need[out[i].Package] {
			if x != "" {
				out[i].Extras = append(out[i].Extras, x)
			}
		}
		slices.Sort(out[i].Extras)
	}
	return out, nil
}

// narrow keeps of the packages that are needed those that are named, and what they need.
func (s *selection) narrow(only []string) error {
	if len(only) == 0 {
		return nil
	}
	all := s.need
	s.need = map[*uv.Package]map[string]bool{}
	for _, name := range only {
		found := false
		for _, p := range s.byName[pep508.Normalise(name)] {
			for extra := range all[p] {
				found = true
				s.add(p, extra)
			}
		}
		if !found {
			return diag.Inputf("bad-request", "`only` names `%s`, which the environment does not need", name).At(diag.Position{File: s.lock.File})
		}
	}
	return s.run()
}

// otherPython is what to do where a lock and a root do not agree on Python.
const otherPython = "give the recipe's root a Python that fits (`python.minor` says what the source asks for), or lock again for this one"

func checkPython(what, requires string, at diag.Position, full string) error {
	spec, err := pep440.ParseSpecifiers(requires)
	if err != nil {
		return diag.Inputf("bad-file", "%v", err).At(at)
	}
	v, err := pep440.Parse(full)
	if err != nil {
		return err
	}
	if !spec.Match(v) {
		return diag.Inputf("python-version", "%s is for Python %s, but the root has Python %s", what, requires, full).At(at).Hint(otherPython)
	}
	return nil
}

// selection is a walk over the lock.
type selection struct {
	lock   *uv.Lock
	env    pep508.Environment
	on     []string // what is on for uv's markers of conflicting extras and groups
	byName map[string][]*uv.Package
	need   map[*uv.Package]map[string]bool // package -> its extras, "" being the package itself
	queue  []visit
}

// visit is a package, or an extra of it, whose dependencies are to be looked at.
type visit struct {
	pkg   *uv.Package
	extra string
}

// start puts what the user asked for on the queue.
func (s *selection) start(root *uv.Package, r Request) error {
	if root == nil {
		if len(r.Extras)+len(r.Groups) > 0 {
			return diag.Inputf("bad-request", "the lock has no root project that extras or groups could belong to").At(diag.Position{File: s.lock.File})
		}
		for i := range s.lock.Packages {
			if p := &s.lock.Packages[i]; p.Source.Local() && slices.Contains(s.lock.Members, p.Name) {
				s.add(p, "")
			}
		}
		return nil
	}
	for _, x := range r.Extras {
		x = pep508.Normalise(x)
		if _, ok := root.Optional[x]; !ok {
			return diag.Inputf("bad-request", "`%s` has no extra `%s`", root.Name, x).At(root.Pos).Hint("it has: %s", names(root.Optional))
		}
		s.on = append(s.on, fmt.Sprintf("extra-%d-%s-%s", len(root.Name), root.Name, x))
		s.add(root, x)
	}
	var groups []string
	for _, g := range r.Groups {
		g = pep508.Normalise(g)
		if _, ok := root.Groups[g]; !ok {
			return diag.Inputf("bad-request", "`%s` has no dependency group `%s`", root.Name, g).At(root.Pos).Hint("it has: %s", names(root.Groups))
		}
		s.on = append(s.on, fmt.Sprintf("group-%d-%s-%s", len(root.Name), root.Name, g))
		groups = append(groups, g)
	}
	if err := s.checkConflicts(root, r); err != nil {
		return err
	}
	s.add(root, "")
	for _, g := range groups {
		if err := s.follow(root.Groups[g], ""); err != nil {
			return err
		}
	}
	return nil
}

func names(m map[string][]uv.Dependency) string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func (s *selection) checkConflicts(root *uv.Package, r Request) error {
	extras, groups := normalised(r.Extras), normalised(r.Groups)
	for _, set := range s.lock.Conflicts {
		var chosen []string
		for _, c := range set {
			if c.Package != root.Name {
				continue
			}
			if c.Extra != "" && slices.Contains(extras, c.Extra) {
				chosen = append(chosen, "extra `"+c.Extra+"`")
			}
			if c.Group != "" && slices.Contains(groups, c.Group) {
				chosen = append(chosen, "group `"+c.Group+"`")
			}
		}
		if len(chosen) > 1 {
			return diag.Inputf("bad-request", "%s exclude one another", strings.Join(chosen, " and ")).At(diag.Position{File: s.lock.File, Key: "conflicts"})
		}
	}
	return nil
}

func (s *selection) add(p *uv.Package, extra string) {
	m := s.need[p]
	if m == nil {
		m = map[string]bool{}
		s.need[p] = m
	}
	if !m[extra] {
		m[extra] = true
		s.queue = append(s.queue, visit{p, extra})
	}
}

func (s *selection) run() error {
	for len(s.queue) > 0 {
		v := s.queue[0]
		s.queue = s.queue[1:]
		deps := v.pkg.Dependencies
		if v.extra != "" {
			deps = v.pkg.Optional[v.extra]
		}
		if err := s.follow(deps, v.extra); err != nil {
			return err
		}
	}
	return nil
}

// follow adds the dependencies whose markers hold.
func (s *selection) follow(deps []uv.Dependency, extra string) error {
	for _, d := range deps {
		m, err := pep508.ParseMarker(d.Marker)
		if err != nil {
			return diag.Inputf("bad-file", "marker of `%s`: %v", d.Name, err).At(d.Pos)
		}
		on := s.on
		if extra != "" {
			on = append(slices.Clone(on), extra)
		}
		if !m.Holds(s.env.With(on...)) {
			continue
		}
		p, err := s.resolve(d)
		if err != nil {
			return err
		}
		s.add(p, "")
		for _, x := range d.Extras {
			s.add(p, pep508.Normalise(x))
		}
	}
	return nil
}

// resolve finds the locked package that a dependency means.
func (s *selection) resolve(d uv.Dependency) (*uv.Package, error) {
	var found []*uv.Package
	for _, p := range s.byName[d.Name] {
		if (d.Version == "" || d.Version == p.Version) && (d.Source == uv.Source{} || sameSource(d.Source, p.Source)) {
			found = append(found, p)
		}
	}
	if len(found) > 1 {
		var fork []*uv.Package
		for _, p := range found {
			ok, err := s.inFork(p)
			if err != nil {
				return nil, err
			}
			if ok {
				fork = append(fork, p)
			}
		}
		found = fork
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, diag.Inputf("bad-file", "the lock needs `%s` %s but has no such package for this platform", d.Name, d.Version).At(d.Pos)
	}
	return nil, diag.Inputf("bad-file", "the lock has %d packages that `%s` could mean", len(found), d.Name).At(d.Pos)
}

// sameSource compares without the commit, which a dependency on a git source may leave out.
func sameSource(a, b uv.Source) bool {
	if a.Commit == "" || b.Commit == "" {
		a.Commit, b.Commit = "", ""
	}
	return a == b
}

func (s *selection) inFork(p *uv.Package) (bool, error) {
	if len(p.ResolutionMarkers) == 0 {
		return true, nil
	}
	for _, text := range p.ResolutionMarkers {
		m, err := pep508.ParseMarker(text)
		if err != nil {
			return false, diag.Inputf("bad-file", "resolution marker of `%s`: %v", p.Name, err).At(p.Pos)
		}
		if m.Holds(s.env.With(s.on...)) {
			return true, nil
		}
	}
	return false, nil
}

// checkOne refuses two versions of one package in one environment.
func checkOne(list []Selected) error {
	for i := 1; i < len(list); i++ {
		if a, b := list[i-1], list[i]; a.Name == b.Name {
			return diag.Inputf("bad-file", "two versions of `%s` are wanted at once, %s and %s", a.Name, a.Version, b.Version).At(b.Pos)
		}
	}
	return nil
}

// choose picks the wheel to install, or nil where the package is to be built.
func choose(p *uv.Package, ranks wheel.Ranks, r Request) (*uv.File, error) {
	noBuild := p.Source.Kind != uv.Editable && (r.NoBuildAll || slices.Contains(r.NoBuild, p.Name))
	switch p.Source.Kind {
	case uv.Git, uv.Directory, uv.Editable:
		if noBuild {
			return nil, errNoBuild(p)
		}
		return nil, nil
	}
	source := r.NoBinaryAll || slices.Contains(r.NoBinary, p.Name)
	if !source {
		files := make([]string, len(p.Wheels))
		for i := range p.Wheels {
			files[i] = p.Wheels[i].Name
		}
		if i := ranks.Best(files); i >= 0 {
			return &p.Wheels[i], nil
		}
	}
	switch {
	case p.Sdist != nil && noBuild:
		return nil, errNoBuild(p)
	case p.Sdist != nil:
		return nil, nil
	}
	if source {
		return nil, diag.Inputf("no-artifact", "`%s` %s is to be built from source, but the lock has no sdist of it", p.Name, p.Version).At(p.Pos)
	}
	return nil, errNoWheel(p, r)
}

// errNoWheel names some of the wheels that there are.
func errNoWheel(p *uv.Package, r Request) error {
	problem := diag.Inputf("no-artifact", "`%s` %s has no wheel for Python %s on %s and no sdist", p.Name, p.Version, r.Python, r.Platform).At(p.Pos)
	for i, f := range p.Wheels {
		if i == 4 && len(p.Wheels) > 5 {
			problem.With(fmt.Sprintf("and %d more", len(p.Wheels)-i))
			break
		}
		problem.With("it has " + f.Name)
	}
	return problem.Hint("lock a version that has one, or give the dependency a marker for the platforms that it is for")
}

func errNoBuild(p *uv.Package) error {
	return diag.Inputf("no-build", "`%s` %s would have to be built, but is marked as `no-build`", p.Name, p.Version).At(p.Pos).
		Hint("lock a version that has a wheel for this platform, or take it out of `tool.uv.no-build` or `no-build-package`")
}
