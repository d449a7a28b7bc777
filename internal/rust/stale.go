package rust

import (
	"context"
	"fmt"
	"path"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/cargo"
)

// difference is one thing in which a lock and the manifests do not agree.
type difference struct {
	at      diag.Position
	text    string
	surplus bool // the lock has something that nothing needs
}

// goodLock reads the lock of a workspace, which has to fit its manifests.
func (w *workspace) goodLock(ctx context.Context) (*cargo.Lock, error) {
	if err := w.sound(ctx); err != nil {
		return nil, err
	}
	lock, err := w.lock(ctx)
	if err != nil {
		return nil, err
	}
	return lock, w.fits(lock)
}

// fits compares a lock with the manifests that it should be for: members, their versions, and what they depend on. These
// are what people edit; cargo with --locked refuses such a lock as well, but without a word on what differs.
func (w *workspace) fits(lock *cargo.Lock) error {
	diffs := w.differences(lock)
	if len(diffs) == 0 {
		return nil
	}
	var lines []string
	for _, d := range diffs {
		lines = append(lines, d.at.String()+": "+d.text)
	}
	return diag.Inputf("lock-stale", "%s does not fit the manifests: %s", lockName, diffs[0].text).At(diffs[0].at).With(lines[1:]...).
		Hint("lock again: `cargo update --workspace` moves nothing else")
}

func (w *workspace) differences(lock *cargo.Lock) (diffs []difference) {
	reached := make([]bool, len(lock.Packages))
	patched := w.patched()
	for _, p := range w.packages {
		at, found := w.locked(p, lock)
		switch {
		case at >= 0:
			if p.own {
				reach(lock, at, reached)
			}
			diffs = append(diffs, w.edges(p, lock, at, patched)...)
		case !p.own: // nothing that is on may need it
		case found != nil:
			diffs = append(diffs, difference{p.at("package", "version"), fmt.Sprintf("`%s` has version %s, and %s in the lock", p.name(), w.version(p), found.Version), false})
		default:
			diffs = append(diffs, difference{p.at("package", "name"), fmt.Sprintf("the lock has no package `%s`", p.name()), false})
		}
	}
	if len(diffs) > 0 {
		return diffs
	}
	for i, p := range lock.Packages {
		if !reached[i] && p.Source.Remote() { // cargo overlooks the others
			diffs = append(diffs, difference{p.Pos, fmt.Sprintf("the lock has `%s`, which nothing needs", p), true})
		}
	}
	return diffs
}

// locked finds a package of the source in the lock; found is one of its name, if its version is another.
func (w *workspace) locked(p *localPackage, lock *cargo.Lock) (at int, found *cargo.Package) {
	version, _, known := parseVersion(w.version(p))
	for i := range lock.Packages {
		q := &lock.Packages[i]
		if q.Source.Kind != cargo.Path || q.Name != p.name() {
			continue
		}
		if v, _, ok := parseVersion(q.Version); !known || ok && v == version {
			return i, q
		}
		found = q
	}
	return -1, found
}

// reach marks what a package needs.
func reach(lock *cargo.Lock, i int, reached []bool) {
	queue := []int{i}
	for len(queue) > 0 {
		i, queue = queue[0], queue[1:]
		if i < 0 || reached[i] {
			continue
		}
		reached[i] = true
		queue = append(append(queue, lock.Packages[i].Dependencies...), lock.Packages[i].Replacement)
	}
}

// patched is the names of the packages that [patch] or [replace] may put others in the place of.
func (w *workspace) patched() map[string]bool {
	names := map[string]bool{}
	tables := []table{sub(w.root.top, "replace")}
	for _, k := range sortedKeys(sub(w.root.top, "patch")) {
		tables = append(tables, sub(sub(w.root.top, "patch"), k))
	}
	for _, t := range tables {
		for _, k := range sortedKeys(t) {
			n := need{name: k}
			n.fill(t[k], w.dir)
			names[n.name] = true
		}
	}
	return names
}

// edges compares the dependencies of a package of the source.
func (w *workspace) edges(p *localPackage, lock *cargo.Lock, at int, patched map[string]bool) (diffs []difference) {
	deps := lock.Packages[at].Dependencies
	used, said := make([]bool, len(deps)), map[string]bool{}
	for _, n := range w.needs(p) {
		hit, others := false, []string{}
		for i, d := range deps {
			q := &lock.Packages[d]
			switch {
			case q.Name != n.name:
			case n.fits(q, patched[n.name]):
				hit, used[i] = true, true
			default:
				others = append(others, describe(q))
			}
		}
		itself := n.path != "" && path.Clean(n.path) == path.Dir(p.file)
		if hit || itself || !p.own && (n.dev || n.optional) {
			continue
		}
		text := fmt.Sprintf("`%s` needs %s, ", p.name(), n)
		if len(others) > 0 {
			text += "but the lock has " + others[0] + " for it"
		} else {
			text += "which the lock does not have for it"
		}
		diffs, said[n.name] = append(diffs, difference{n.pos, text, false}), true
	}
	for i, d := range deps {
		if q := &lock.Packages[d]; !used[i] && !said[q.Name] {
			diffs = append(diffs, difference{lock.Packages[at].Pos, fmt.Sprintf("the lock has %s for `%s`, which does not need it", describe(q), p.name()), true})
		}
	}
	return diffs
}

func describe(p *cargo.Package) string {
	if p.Source.Kind == cargo.Git {
		return "`" + p.String() + "` from " + p.Source.String()
	}
	return "`" + p.String() + "`"
}

// String is a dependency for messages.
func (n need) String() string {
	switch {
	case n.git != "":
		return fmt.Sprintf("`%s` from %s", n.name, n.git)
	case n.path != "":
		return fmt.Sprintf("`%s` from `%s`", n.name, n.path)
	case n.req == "":
		return "`" + n.name + "`"
	}
	return fmt.Sprintf("`%s` %s", n.name, n.req)
}

// fits says whether a locked package is what n asks for. A patched one may come from anywhere.
func (n need) fits(p *cargo.Package, patched bool) bool {
	if n.req != "" {
		r, ok := parseRequirement(n.req)
		v, _, known := parseVersion(p.Version)
		if ok && known && !r.matches(v) {
			return false
		}
	}
	if patched {
		return true
	}
	switch {
	case n.git != "":
		// Of the address the last part only: its host may be an identity in the lock.
		return p.Source.Kind == cargo.Git && repoName(p.Source.URL) == repoName(n.git) && n.ref == p.Source.Ref && n.refTo == p.Source.RefTo
	case n.path != "":
		return p.Source.Kind == cargo.Path
	case n.registry:
		return p.Source.Kind == cargo.Registry || p.Source.Kind == cargo.Sparse
	}
	return p.Source.Default() || p.Replacement >= 0
}

func repoName(url string) string {
	return strings.ToLower(strings.TrimSuffix(path.Base(strings.TrimRight(url, "/")), ".git"))
}
