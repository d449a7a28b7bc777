package node

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"deps.dev/util/semver"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/pnpm"
	"hewn.example/hewn/internal/tree"
)

// agree compares the lock with the settings and manifests that it was made from, as `pnpm install --frozen-lockfile` does
// before it touches anything. The first setting that differs is an error; of manifests the first project that does.
func (p *pnpmPlan) agree(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	overrides, err := p.overrides()
	if err != nil {
		return err
	}
	if err := p.agreeSettings(overrides); err != nil {
		return err
	}
	if err := p.agreeFiles(ctx, ask, dir); err != nil {
		return err
	}
	for i := range p.importers {
		if err := p.agreeProject(&p.importers[i], overrides); err != nil {
			return err
		}
	}
	return p.agreeWorkspace(ctx, ask, dir)
}

func (p *pnpmPlan) mismatch(key, format string, args ...any) *diag.Problem {
	return diag.Inputf("lock-differs", "the lock is not that of the project: "+format, args...).
		At(diag.Position{File: p.lock.File, Key: key}).
		Hint("run `pnpm install --lockfile-only` in the project, and commit the lock")
}

// overrides are the project's, with what `catalog:` and `$name` stand for.
func (p *pnpmPlan) overrides() ([]pnpm.Pair, error) {
	out := slices.Clone(p.settings.Overrides)
	for i, o := range out {
		if name, ok := strings.CutPrefix(o.Value, "catalog:"); ok {
			selector := parseOverride(o.Key)
			if out[i].Value, ok = p.inCatalog(name, selector.name); !ok {
				return nil, diag.Inputf("pnpm-setting", "`%s` of `overrides` is not in the catalog", o.Key).At(diag.Position{File: p.settings.File, Key: "overrides." + o.Key})
			}
		}
		if name, ok := strings.CutPrefix(o.Value, "$"); ok {
			m := p.manifests["."]
			if m == nil {
				m = &pnpmManifest{}
			}
			for _, deps := range []map[string]string{m.DevDependencies, m.Dependencies, m.OptionalDependencies} {
				if v, ok := deps[name]; ok {
					out[i].Value = v
				}
			}
			if out[i].Value == o.Value {
				return nil, diag.Inputf("pnpm-setting", "`%s` of `overrides` refers to `%s`, which is no dependency of the project", o.Key, name).
					At(diag.Position{File: p.settings.File, Key: "overrides." + o.Key})
			}
		}
	}
	return out, nil
}

func (p *pnpmPlan) inCatalog(catalog, name string) (string, bool) {
	if catalog = strings.TrimSpace(catalog); catalog == "" {
		catalog = "default"
	}
	for _, c := range p.settings.Catalogs {
		for _, e := range c.Entries {
			if c.Name == catalog && e.Name == name {
				return e.Specifier, true
			}
		}
	}
	return "", false
}

func (p *pnpmPlan) agreeSettings(overrides []pnpm.Pair) error {
	for _, c := range p.lock.Catalogs {
		for _, e := range c.Entries {
			if want, _ := p.inCatalog(c.Name, e.Name); want != e.Specifier {
				return p.mismatch("catalogs."+c.Name+"."+e.Name, "`%s` of catalog `%s` was %s, and is %s", e.Name, c.Name, e.Specifier, orNothing(want))
			}
		}
	}
	if key, was, is, ok := firstDifference(p.lock.Overrides, overrides); ok {
		return p.mismatch("overrides."+key, "the override of `%s` was %s, and is %s", key, was, is)
	}
	if sum := pnpm.ExtensionsChecksum(p.settings.PackageExtensions); sum != p.lock.PackageExtensionsChecksum {
		return p.mismatch("packageExtensionsChecksum", "`packageExtensions` are others: the hash was %s, and is %s", orNothing(p.lock.PackageExtensionsChecksum), orNothing(sum))
	}
	was, is := slices.Sorted(slices.Values(p.lock.IgnoredOptional)), slices.Sorted(slices.Values(p.settings.IgnoredOptional))
	if !slices.Equal(was, is) {
		return p.mismatch("ignoredOptionalDependencies", "`ignoredOptionalDependencies` were %s, and are %s", orNothing(strings.Join(was, ", ")), orNothing(strings.Join(is, ", ")))
	}
	set, lock := p.settings, p.lock.Settings
	for _, f := range []struct {
		name    string
		was, is bool
	}{
		{"autoInstallPeers", lock.AutoInstallPeers, isOn(set.AutoInstallPeers, true)},
		{"excludeLinksFromLockfile", lock.ExcludeLinksFromLockfile, isOn(set.ExcludeLinksFromLockfile, false)},
		{"injectWorkspacePackages", lock.InjectWorkspacePackages, isOn(set.InjectWorkspacePackages, false)},
	} {
		if f.was != f.is {
			return p.mismatch("settings."+f.name, "`%s` was %t, and is %t", f.name, f.was, f.is)
		}
	}
	const usual = 1000
	if was, is := max(lock.PeersSuffixMaxLength, 0), set.PeersSuffixMaxLength; orLength(was, usual) != orLength(is, usual) {
		return p.mismatch("settings.peersSuffixMaxLength", "`peersSuffixMaxLength` was %d, and is %d", orLength(was, usual), orLength(is, usual))
	}
	return nil
}

func orLength(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// firstDifference finds a key of two tables under which they differ.
func firstDifference(was, is []pnpm.Pair) (key, a, b string, ok bool) {
	x, y := map[string]string{}, map[string]string{}
	for _, p := range was {
		x[p.Key] = p.Value
	}
	for _, p := range is {
		y[p.Key] = p.Value
	}
	for _, p := range slices.Concat(was, is) {
		if x[p.Key] != y[p.Key] {
			return p.Key, orNothing(x[p.Key]), orNothing(y[p.Key]), true
		}
	}
	return "", "", "", false
}

// agreeFiles compares the hashes of patches and of the file with hooks.
func (p *pnpmPlan) agreeFiles(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	locked := map[string]pnpm.Patch{}
	for _, l := range p.lock.Patches {
		locked[l.Key] = l
	}
	for _, s := range p.settings.Patches {
		at := diag.Position{File: p.settings.File, Key: "patchedDependencies." + s.Key}
		l, ok := locked[s.Key]
		if !ok {
			return p.mismatch("patchedDependencies", "`%s` is patched, which the lock does not know", s.Key)
		}
		delete(locked, s.Key)
		if file := path.Clean(s.Value); path.IsAbs(file) || file == ".." || strings.HasPrefix(file, "../") {
			return diag.Inputf("pnpm-patch", "the patch `%s` lies outside the project", s.Value).At(at)
		}
		sum, err := normalizedHash(ctx, ask, dir, path.Clean(s.Value))
		if err != nil {
			return diag.Inputf("pnpm-patch", "the patch `%s` cannot be read", s.Value).At(at).Because(err)
		}
		if got := hex.EncodeToString(sum); got != l.Hash {
			return p.mismatch("patchedDependencies."+s.Key, "the patch `%s` had the hash %s, and has %s", s.Value, l.Hash, got)
		}
		p.patches = append(p.patches, pnpm.Patch{Key: s.Key, Path: path.Clean(s.Value), Hash: l.Hash})
	}
	for _, key := range slices.Sorted(maps.Keys(locked)) {
		return p.mismatch("patchedDependencies."+key, "`%s` was patched, and is not", key)
	}
	if want := p.lock.PnpmfileChecksum; want != "" {
		for _, name := range []string{".pnpmfile.mjs", ".pnpmfile.cjs"} {
			sum, err := normalizedHash(ctx, ask, dir, name)
			if errors.Is(err, tree.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if got := "sha256-" + base64.StdEncoding.EncodeToString(sum); got != want {
				return p.mismatch("pnpmfileChecksum", "`%s` had the hash %s, and has %s", name, want, got)
			}
			return nil
		}
		return p.mismatch("pnpmfileChecksum", "there was a `.pnpmfile.cjs`, and is none")
	}
	return nil
}

// normalizedHash is the SHA-256 of a text file, whose lines end alike wherever it was checked out.
func normalizedHash(ctx context.Context, ask *engine.Ask, dir engine.Static, file string) ([]byte, error) {
	b, err := ask.Read(ctx, dir, file)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(strings.ReplaceAll(string(b), "\r\n", "\n")))
	return sum[:], nil
}

// agreeProject compares what a project's package.json asks for with what the lock was made for.
func (p *pnpmPlan) agreeProject(im *pnpm.Importer, overrides []pnpm.Pair) error {
	m := p.overridden(p.manifests[im.Path], overrides)
	file := path.Join(im.Path, "package.json")
	differ := func(key, format string, args ...any) error {
		return p.mismatch("importers."+im.Path+"."+key, format+" in `%s`", append(args, file)...)
	}
	dev, prod := maps.Clone(m.DevDependencies), maps.Clone(m.Dependencies)
	if p.lock.Settings.AutoInstallPeers {
		if prod == nil {
			prod = map[string]string{}
		}
		for name, want := range m.PeerDependencies {
			if m.DevDependencies[name] == "" && m.Dependencies[name] == "" && m.OptionalDependencies[name] == "" {
				prod[name] = want
			}
		}
	}
	for name := range m.OptionalDependencies {
		delete(dev, name)
		delete(prod, name)
	}
	for name := range prod {
		delete(dev, name)
	}
	injected := map[string]bool{}
	for name, meta := range m.DependenciesMeta {
		injected[name] = meta.Injected
	}
	for _, name := range im.Injected {
		if !injected[name] {
			return differ("dependenciesMeta", "`%s` was injected, and is not", name)
		}
		delete(injected, name)
	}
	for _, name := range slices.Sorted(maps.Keys(injected)) {
		if injected[name] {
			return differ("dependenciesMeta", "`%s` is injected, and was not", name)
		}
	}
	for _, f := range []struct {
		name string
		was  []pnpm.Dependency
		is   map[string]string
	}{
		{"optionalDependencies", im.OptionalDependencies, m.OptionalDependencies},
		{"dependencies", im.Dependencies, prod}, {"devDependencies", im.DevDependencies, dev},
	} {
		is := maps.Clone(f.is)
		for _, d := range f.was {
			want, ok := is[d.Name]
			if delete(is, d.Name); !ok {
				return differ(f.name+"."+d.Name, "`%s` was %s, and is not", d.Name, d.Specifier)
			}
			if want != d.Specifier {
				return differ(f.name+"."+d.Name, "`%s` was %s, and is %s", d.Name, d.Specifier, want)
			}
			if version, ok := p.broken(d, want); ok {
				return differ(f.name+"."+d.Name, "`%s` is locked as %s, which does not satisfy %s", d.Name, version, want)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(is)) {
			if f.name == "optionalDependencies" && p.major > 10 {
				break // it may be one that could not be resolved
			}
			return differ(f.name, "`%s` is %s, and was not", name, is[name])
		}
	}
	return nil
}

// broken says that a lock was edited by hand so that a range is not satisfied.
func (p *pnpmPlan) broken(d pnpm.Dependency, want string) (string, bool) {
	if d.Link != "" {
		return "", false
	}
	s, ok := p.lock.Snapshot(d.Snapshot)
	if !ok {
		return "", false
	}
	pkg, _ := p.lock.Package(s.Package)
	if !strings.HasPrefix(s.Package, d.Name+"@") {
		return "", false // an alias
	}
	version, err := semver.NPM.Parse(strings.TrimPrefix(s.Package, d.Name+"@"))
	if err != nil {
		return "", false
	}
	set, err := semver.NPM.ParseConstraint(want)
	return pkg.Version, err == nil && !set.MatchVersion(version)
}

// agreeWorkspace finds projects that the lock does not have.
func (p *pnpmPlan) agreeWorkspace(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	var dirs []string
	not := map[string]bool{}
	for _, pattern := range p.settings.Projects {
		pattern, negated := strings.CutPrefix(pattern, "!")
		found, err := ask.Glob(ctx, dir, path.Join(strings.Trim(path.Clean("/"+pattern), "/"), "package.json"))
		if err != nil {
			return fmt.Errorf("%s: packages: %w", p.settings.File, err)
		}
		for _, f := range found {
			if d := path.Dir(f); negated {
				not[d] = true
			} else if !strings.Contains("/"+d+"/", "/node_modules/") && !strings.Contains("/"+d+"/", "/bower_components/") {
				dirs = append(dirs, d)
			}
		}
	}
	slices.Sort(dirs)
	for _, d := range slices.Compact(dirs) {
		if p.manifests[d] == nil && !not[d] {
			return p.mismatch("importers", "the project `%s` is not in it", d)
		}
	}
	return nil
}

// override is a key of `overrides`: `name`, `name@range`, or one of these behind `parent>`.
type override struct{ parent, parentRange, name, within string }

func parseOverride(key string) override {
	cut := func(s string) (name, within string) {
		if i := strings.LastIndexByte(s, '@'); i > 0 {
			return s[:i], s[i+1:]
		}
		return s, ""
	}
	var o override
	for i := 1; i < len(key); i++ {
		if key[i] == '>' && !strings.ContainsRune(" |@", rune(key[i-1])) {
			o.parent, o.parentRange = cut(key[:i])
			key = key[i+1:]
			break
		}
	}
	o.name, o.within = cut(key)
	return o
}

// overridden is a manifest as overrides make it.
func (p *pnpmPlan) overridden(m *pnpmManifest, overrides []pnpm.Pair) *pnpmManifest {
	out := *m
	apply := func(deps map[string]string) map[string]string {
		deps = maps.Clone(deps)
		for name, want := range deps {
			best, specific := "", -1
			for _, pair := range overrides {
				o := parseOverride(pair.Key)
				if o.name != name || !intersects(o.within, want) || o.parent != "" && (o.parent != m.Name || o.parentRange != "" && !inRange(m.Version, o.parentRange)) {
					continue
				}
				rank := 0
				if o.within != "" {
					rank = 1
				}
				if o.parent != "" {
					rank += 2
				}
				if rank > specific {
					best, specific = pair.Value, rank
				}
			}
			switch {
			case specific < 0:
			case best == "-":
				delete(deps, name)
			default:
				deps[name] = best
			}
		}
		return deps
	}
	out.Dependencies, out.DevDependencies = apply(m.Dependencies), apply(m.DevDependencies)
	out.OptionalDependencies, out.PeerDependencies = apply(m.OptionalDependencies), apply(m.PeerDependencies)
	ignored := matcher(p.settings.IgnoredOptional)
	maps.DeleteFunc(out.OptionalDependencies, func(name, _ string) bool { return ignored(name) })
	return &out
}

// intersects says whether some version is in both ranges; a and b that are no ranges have to be equal.
func intersects(a, b string) bool {
	if a == "" || a == b {
		return true
	}
	x, errX := semver.NPM.ParseConstraint(a)
	y, errY := semver.NPM.ParseConstraint(b)
	if errX != nil || errY != nil {
		return false
	}
	set := x.Set()
	return set.Intersect(y.Set()) == nil && !set.Empty()
}

func inRange(version, within string) bool {
	v, err := semver.NPM.Parse(version)
	set, errSet := semver.NPM.ParseConstraint(within)
	return err == nil && errSet == nil && set.MatchVersion(v)
}
