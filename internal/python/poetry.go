package python

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/poetry"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/tree"
)

// readPoetry selects from a poetry.lock, if it was made for the pyproject.toml beside it.
func (v *venv) readPoetry(ctx context.Context, data []byte, r Request) ([]Selected, error) {
	lock, err := poetry.Read(poetryLock, data)
	if err != nil {
		return nil, err
	}
	manifest, err := v.ask.Read(ctx, v.Source, "pyproject.toml")
	if errors.Is(err, tree.ErrNotExist) {
		return nil, diag.Inputf("no-manifest", "the source has a %s but no pyproject.toml", poetryLock)
	}
	if err != nil {
		return nil, err
	}
	if err := checkContentHash(lock, manifest); err != nil {
		return nil, err
	}
	if err := checkGroups(manifest, r.Groups); err != nil {
		return nil, err
	}
	return SelectPoetry(lock, r)
}

// checkContentHash refuses a lock that was made for another pyproject.toml. The lock holds no more than a hash of it, so
// that what differs cannot be told.
func checkContentHash(l *poetry.Lock, manifest []byte) error {
	now, err := poetry.ContentHash("pyproject.toml", manifest, true)
	if err != nil || now == l.ContentHash {
		return err
	}
	if by, err := pep440.Parse(l.Poetry); err == nil && pep440.Compare(by, groupsHashed) < 0 {
		if old, err := poetry.ContentHash("pyproject.toml", manifest, false); err != nil || old == l.ContentHash {
			return err
		}
	}
	return diag.Inputf("lock-stale", "the lock does not fit pyproject.toml: its dependencies, extras, groups or sources have changed").
		At(l.At["content-hash"]).
		With("the lock was made for "+l.ContentHash, "pyproject.toml has "+now).Hint("lock again: `poetry lock`")
}

// groupsHashed is the version of Poetry whose hash covers [dependency-groups].
var groupsHashed, _ = pep440.Parse("2.3.0") // a constant

// checkGroups refuses a group that pyproject.toml does not define. The lock knows only groups that have packages.
func checkGroups(manifest []byte, wanted []string) error {
	doc, err := tomldoc.Parse("pyproject.toml", manifest)
	if err != nil {
		return err
	}
	c := doc.Cursor(&err)
	have := []string{poetry.Main}
	if g, ok := c.Sub("dependency-groups"); ok {
		have = append(have, g.Table().Keys()...)
	}
	if tool, ok := c.Sub("tool"); ok {
		if p, ok := tool.Sub("poetry"); ok {
			if g, ok := p.Sub("group"); ok {
				have = append(have, g.Table().Keys()...)
			}
			if p.Has("dev-dependencies") {
				have = append(have, "dev")
			}
		}
	}
	if err != nil {
		return err
	}
	have = normalised(have)
	for _, g := range wanted {
		if !slices.Contains(have, pep508.Normalise(g)) {
			return diag.Inputf("bad-request", "the project has no dependency group `%s`", g).At(diag.Position{File: "pyproject.toml"}).
				Hint("it has: %s", strings.Join(have, ", "))
		}
	}
	return nil
}

// SelectPoetry gives what an environment needs of a poetry.lock, sorted by name: the packages of the project's own
// dependencies and of the groups that are asked for, if the marker of such a group holds.
func SelectPoetry(l *poetry.Lock, r Request) ([]Selected, error) {
	env, err := pep508.CPython(r.Python, r.Platform)
	if err != nil {
		return nil, err
	}
	if err := checkRanges(l, r.Python); err != nil {
		return nil, err
	}
	for _, x := range r.Extras {
		if !slices.Contains(normalised(l.Extras), pep508.Normalise(x)) {
			return nil, diag.Inputf("bad-request", "the lock has no extra `%s`", x).At(diag.Position{File: l.File}).
				Hint("it has: %s", cmp.Or(strings.Join(l.Extras, ", "), "none"))
		}
	}
	env = env.With(normalised(r.Extras)...)
	groups := append(normalised(r.Groups), poetry.Main)
	var wanted []*uv.Package
	for i := range l.Packages {
		p := &l.Packages[i]
		needed, err := inGroups(p, groups, env)
		if err != nil {
			return nil, err
		}
		if needed {
			wanted = append(wanted, &p.Package)
		}
	}
	return chooseAll(wanted, r)
}

func inGroups(p *poetry.Package, groups []string, env pep508.Environment) (bool, error) {
	for _, g := range p.Groups {
		if !slices.Contains(groups, pep508.Normalise(g)) {
			continue
		}
		m, err := pep508.ParseMarker(p.Marker(g))
		if err != nil {
			return false, diag.Inputf("bad-file", "marker of `%s`: %v", p.Name, err).At(p.Pos)
		}
		if m.Holds(env) {
			return true, nil
		}
	}
	return false, nil
}

func checkRanges(l *poetry.Lock, full string) error {
	v, err := pep440.Parse(full)
	if err != nil {
		return err
	}
	at := l.At["python-versions"]
	for _, text := range poetry.Ranges(l.PythonVersions) {
		spec, err := pep440.ParseSpecifiers(text)
		if err != nil {
			return diag.Inputf("bad-file", "%v", err).At(at)
		}
		if spec.Match(v) {
			return nil
		}
	}
	return diag.Inputf("python-version", "the lock is for Python %s, but the root has Python %s", l.PythonVersions, full).At(at).Hint(otherPython)
}

// archive is what direct_url.json says of an archive: Poetry tells its hash, uv does not.
func (v *venv) archive(sel Selected) *archiveInfo {
	f := cmp.Or(sel.Wheel, sel.Sdist)
	if v.lockFile != poetryLock || f == nil {
		return &archiveInfo{}
	}
	return &archiveInfo{Hashes: map[string]string{string(f.Integrity.Algorithm()): f.Integrity.Hex()}}
}
