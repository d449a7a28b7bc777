package node

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"deps.dev/util/semver"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
)

// maxDifferences is how many of them an error names.
const maxDifferences = 20

// agree compares the lock with the package.json of the project and of its workspaces, as `npm ci` does before it touches
// anything. What the lock does not answer is an error. Where the manifests want less than the lock, or something for
// another purpose, the result says so in the entries' flags, and what nobody wants any more is not installed.
func agree(ctx context.Context, ask *engine.Ask, dir engine.Static, lock *npm.Lock) (*npm.Lock, error) {
	if ok, err := ask.Exists(ctx, dir, "package.json"); err != nil || !ok {
		return lock, err // nothing to compare with: the lock stands for itself
	}
	out := *lock
	out.Packages = slices.Clone(lock.Packages)
	a := agreement{lock: &out, overridden: map[string]bool{}, members: map[string]bool{}, optional: map[string][]string{}}
	moved := false
	for i, p := range out.Packages {
		if p.Folder() != "" || strings.HasPrefix(p.Path, "..") {
			continue
		}
		name := path.Join(p.Path, "package.json")
		b, err := ask.Read(ctx, dir, name)
		if p.Path != "" && err != nil {
			continue // a workspace that is gone is one that nothing else can need
		}
		if err != nil {
			return nil, err
		}
		m, err := npm.ParseManifest(dir.File(name), b)
		if err != nil {
			return nil, err
		}
		moved = moved || !p.SameNames(m.Package)
		a.specs(p, m)
		q := &out.Packages[i]
		q.Dependencies, q.OptionalDependencies, q.DevDependencies = m.Dependencies, m.OptionalDependencies, m.DevDependencies
		q.PeerDependencies, q.OptionalPeers, q.Wants = m.PeerDependencies, m.OptionalPeers, m.Wants
		if a.members[p.Path] {
			a.member(p, m)
			q.Version = m.Numbered
		}
		if p.Path == "" {
			a.overridden, a.overrides = m.Overridden, m.Overrides
			if err := a.workspaces(ctx, ask, dir, m); err != nil {
				return nil, err
			}
		}
	}
	c := newChooser(&out)
	if moved {
		c.reflag()
	} else {
		c.prune()
	}
	a.edges(c)
	if len(a.found) > 0 {
		return nil, a.problem()
	}
	return &out, nil
}

// agreement collects differences.
type agreement struct {
	lock       *npm.Lock
	overridden map[string]bool
	overrides  map[string]string
	members    map[string]bool // directories that are workspaces now
	// optional are the names of optional packages, by who wants them, that the lock was made for otherwise. The lock may
	// lack others: those that no registry had when it was made.
	optional map[string][]string
	found    []difference
}

type difference struct {
	text string
	line int
	key  string
}

func (a *agreement) add(p npm.Package, format string, args ...any) {
	key := "packages." + p.Path
	if p.Path == "" {
		key = "" // the project itself
	}
	a.found = append(a.found, difference{fmt.Sprintf(format, args...), p.Line, key})
}

func (a *agreement) problem() *diag.Problem {
	first := a.found[0]
	p := diag.Inputf("lock-differs", "the lock is not that of the project: %s", first.text).
		At(diag.Position{File: a.lock.File, Line: first.line, Key: first.key}).
		Hint("run `npm install --package-lock-only` in the project, and commit the lock")
	for i, d := range a.found[1:] {
		if i == maxDifferences {
			return p.With(fmt.Sprintf("and %d more", len(a.found)-1-i))
		}
		p.With(d.text)
	}
	return p
}

// workspaces finds directories that are workspaces now and were none when the lock was made.
func (a *agreement) workspaces(ctx context.Context, ask *engine.Ask, dir engine.Static, m *npm.Manifest) error {
	known := map[string]bool{}
	for _, p := range a.lock.Packages {
		if p.Link {
			known[p.Target] = true
		}
	}
	gone := map[string]bool{}
	var dirs []string
	for _, pattern := range m.Workspaces {
		pattern, not := strings.CutPrefix(pattern, "!")
		pattern = strings.Trim(path.Clean("/"+pattern), "/")
		found, err := ask.Glob(ctx, dir, path.Join(pattern, "package.json"))
		if err != nil {
			return fmt.Errorf("package.json: workspaces: %w", err)
		}
		for _, f := range found {
			d := path.Dir(f)
			if gone[d] = not; !not && !strings.Contains("/"+d+"/", "/node_modules/") {
				dirs = append(dirs, d)
			}
		}
	}
	slices.Sort(dirs)
	for _, d := range slices.Compact(dirs) {
		a.members[d] = !gone[d]
		if !known[d] && !gone[d] {
			a.add(a.lock.Packages[0], "the workspace `%s` is not in it", d)
		}
	}
	return nil
}

// member finds a workspace that has another name now. One without a name is called by its directory.
func (a *agreement) member(locked npm.Package, m *npm.Manifest) {
	if m.Called != "" && m.Called != locked.Name {
		a.add(locked, "the workspace `%s` is locked as `%s`, and called `%s`", locked.Path, locked.Name, m.Called)
	}
}

// specs compares what no version can be compared with: addresses of repositories, files and tarballs.
func (a *agreement) specs(locked npm.Package, m *npm.Manifest) {
	for _, name := range m.OptionalDependencies {
		if was, ok := locked.Wants[name]; !ok || was != m.Wants[name] {
			a.optional[locked.Path] = append(a.optional[locked.Path], name)
		}
	}
	for _, name := range wanted(m.Package, true) {
		want, was := m.Wants[name], locked.Wants[name]
		if was != "" && was != want && (address(want) || address(was)) && clean(want) != clean(was) {
			a.add(locked, "`%s` is locked for %s, but `%s` wants %s", name, was, path.Join(locked.Path, "package.json"), want)
		}
	}
}

// address says that a specification is none that a registry answers.
func address(spec string) bool {
	return strings.ContainsAny(spec, ":/") && !strings.HasPrefix(spec, "npm:")
}

func clean(spec string) string {
	if file, ok := strings.CutPrefix(spec, "file:"); ok {
		return "file:" + path.Clean(file)
	}
	return spec
}

// wanted gives the names that a package cannot do without.
func wanted(p npm.Package, top bool) []string {
	names := slices.Clone(p.Dependencies)
	if top {
		names = append(names, p.DevDependencies...)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(p.OptionalDependencies, n) })
	slices.Sort(names)
	return slices.Compact(names)
}

// edges compares what each package wants with what it finds. Peers are not looked at: many projects keep them in
// disagreement on purpose.
func (a *agreement) edges(c *chooser) {
	shrunk := map[string]bool{}
	for _, p := range a.lock.Packages {
		if p.HasShrinkwrap {
			shrunk[p.Path] = true
		}
		if p.Extraneous || p.InBundle || p.Link || below(shrunk, p.Path) {
			continue
		}
		by := p.Path
		if p.Folder() == "" {
			by = path.Join(p.Path, "package.json")
		}
		for _, name := range slices.Concat(wanted(p, p.Folder() == ""), a.optional[p.Path]) {
			want, by := p.Wants[name], by
			if a.overridden[name] {
				if want = a.overrides[name]; want == "" || p.Path == "" {
					continue
				}
				by = "overrides of package.json"
			}
			j, ok := c.resolve(p.Path, name)
			if !ok {
				if !p.Bundles && !shrunk[p.Path] {
					a.add(p, "`%s` is not in the lock, but `%s` wants %s", name, by, want)
				}
				continue
			}
			to := a.lock.Packages[j]
			if to.Link {
				if t, ok := c.byPath[to.Target]; ok {
					to.Version = a.lock.Packages[t].Version
				}
			}
			if !to.InBundle && !satisfies(to, want) {
				a.add(to, "`%s` is locked as %s, but `%s` wants %s", name, to.Version, by, want)
			}
		}
	}
}

func below(dirs map[string]bool, p string) bool {
	for ; len(dirs) > 0 && p != "." && p != "/"; p = path.Dir(p) {
		if dirs[p] {
			return true
		}
	}
	return false
}

// satisfies says whether a locked package can be what a specification asks a registry for. It is in doubt for the lock.
func satisfies(p npm.Package, spec string) bool {
	if alias, ok := strings.CutPrefix(spec, "npm:"); ok {
		i := strings.LastIndexByte(alias, '@')
		if i <= 0 {
			return p.Link || p.Name == alias
		}
		if !p.Link && p.Name != alias[:i] {
			return false
		}
		spec = alias[i+1:]
	}
	if spec = strings.TrimSpace(spec); spec == "" || spec == "*" || address(spec) {
		return true
	}
	want, err := semver.NPM.ParseConstraint(spec)
	if err != nil {
		return true // a tag
	}
	have, err := semver.NPM.Parse(p.Version)
	return err != nil || want.MatchVersion(have)
}
