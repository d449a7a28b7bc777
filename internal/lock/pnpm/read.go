package pnpm

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/source"
)

// Parse reads a pnpm-lock.yaml. file is the name for errors, which are *diag.Problem with file, line and key.
func Parse(file string, b []byte) (*Lock, error) {
	r := &reader{file: file}
	if len(b) > maxSize {
		return nil, r.problem("lock-size", 0, "", "the lock has more than %d MB", maxSize>>20)
	}
	b = bytes.ReplaceAll(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), []byte("\r\n"), []byte("\n"))
	text, skipped, err := r.lockDocument(b)
	if err != nil {
		return nil, err
	}
	l := newLock(file, skipped > 0)
	if top, ok := quick(text, skipped); ok {
		err = r.plain(l, top)
	} else {
		err = r.unusual(l, text, skipped)
	}
	if err != nil {
		return nil, err
	}
	return l, r.check(l)
}

func newLock(file string, env bool) *Lock {
	return &Lock{
		File: file, EnvDocument: env, importers: map[string]int{}, packages: map[string]int{}, snapshots: map[string]int{},
		Settings: Settings{AutoInstallPeers: true},
	}
}

// plain reads a lock that is written as pnpm writes it. The version comes first: what follows is read by its rules.
func (r *reader) plain(l *Lock, top []pair) error {
	i := slices.IndexFunc(top, func(p pair) bool { return p.key == "lockfileVersion" })
	if i < 0 {
		return r.noVersion()
	}
	if err := r.version(l, top[i]); err != nil {
		return err
	}
	if p, twice := repeated(top); twice {
		return r.problem("lock-value", p.line, p.key, "the key stands twice")
	}
	for _, p := range top {
		if err := r.section(l, p); err != nil {
			return err
		}
	}
	return nil
}

// unusual reads a lock with the YAML library, piece by piece.
func (r *reader) unusual(l *Lock, text []byte, skipped int) error {
	chunks, err := r.chunks(text, skipped)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(chunks, func(c chunk) bool { return c.section == "lockfileVersion" })
	if i < 0 {
		return r.noVersion()
	}
	p, err := r.parse(chunks[i])
	if err != nil {
		return err
	}
	if err := r.version(l, p); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, c := range chunks {
		p, err := r.parse(c)
		if err != nil {
			return err
		}
		if seen[c.section] && !c.more {
			return r.problem("lock-value", p.line, c.section, "the key stands twice")
		}
		seen[c.section] = true
		r.within = c.within
		if err := r.section(l, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) noVersion() error {
	return r.problem("lock-version", 0, "lockfileVersion", "the lock has no `lockfileVersion`")
}

func (r *reader) version(l *Lock, p pair) error {
	v, err := r.text(p, "")
	if err != nil {
		return err
	}
	if l.Version = v; v != "9.0" {
		problem := r.problem("lock-version", p.line, "lockfileVersion", "lockfileVersion %s is not known here; 9.0 is", v)
		major, _, _ := strings.Cut(v, ".")
		if n, err := strconv.Atoi(major); err == nil && n < 9 {
			return problem.Hint("run `pnpm install --lockfile-only` with pnpm 9 or later once, and commit the result")
		}
		return problem
	}
	return nil
}

func (r *reader) section(l *Lock, p pair) (err error) {
	switch p.key {
	case "settings":
		return r.settings(l, p)
	case "catalogs":
		return r.catalogs(l, p)
	case "overrides":
		l.Overrides, err = r.strings(p)
	case "packageExtensionsChecksum":
		l.PackageExtensionsChecksum, err = r.text(p, "")
	case "pnpmfileChecksum":
		l.PnpmfileChecksum, err = r.text(p, "")
	case "ignoredOptionalDependencies":
		l.IgnoredOptional, err = r.texts(p, "")
	case "patchedDependencies":
		return r.patches(l, p)
	case "importers":
		return r.each(p, func(q pair, at string) error { return r.importer(l, q, at) })
	case "packages":
		return r.each(p, func(q pair, at string) error { return r.pkg(l, q, at) })
	case "snapshots":
		return r.each(p, func(q pair, at string) error { return r.snapshot(l, q, at) })
	}
	return err
}

func (r *reader) each(p pair, f func(q pair, at string) error) error {
	all, err := r.pairs(p.value, p.key)
	if err != nil {
		return err
	}
	for _, q := range all {
		if err := f(q, p.key+"."+q.key); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) strings(p pair) ([]Pair, error) {
	var out []Pair
	err := r.each(p, func(q pair, _ string) error {
		s, err := r.text(q, p.key)
		out = append(out, Pair{q.key, s})
		return err
	})
	return out, err
}

func (r *reader) settings(l *Lock, p pair) error {
	return r.each(p, func(q pair, at string) (err error) {
		switch q.key {
		case "autoInstallPeers":
			l.Settings.AutoInstallPeers, err = r.flag(q, p.key)
		case "excludeLinksFromLockfile":
			l.Settings.ExcludeLinksFromLockfile, err = r.flag(q, p.key)
		case "injectWorkspacePackages":
			l.Settings.InjectWorkspacePackages, err = r.flag(q, p.key)
		case "peersSuffixMaxLength":
			s, err := r.text(q, p.key)
			if err != nil {
				return err
			}
			if l.Settings.PeersSuffixMaxLength, err = strconv.Atoi(s); err != nil {
				return r.problem("lock-value", q.line, at, "%q is not a number", s)
			}
		}
		return err
	})
}

func (r *reader) catalogs(l *Lock, p pair) error {
	return r.each(p, func(q pair, at string) error {
		c := Catalog{Name: q.key}
		entries, err := r.pairs(q.value, at)
		if err != nil {
			return err
		}
		for _, e := range entries {
			entry := CatalogEntry{Name: e.key}
			entry.Specifier, entry.Version, err = r.specified(e, at)
			if err != nil {
				return err
			}
			c.Entries = append(c.Entries, entry)
		}
		l.Catalogs = append(l.Catalogs, c)
		return nil
	})
}

// specified reads {specifier, version}.
func (r *reader) specified(p pair, at string) (specifier, version string, err error) {
	at = join(at, p.key)
	all, err := r.pairs(p.value, at)
	if err != nil {
		return "", "", err
	}
	for _, q := range all {
		switch q.key {
		case "specifier":
			specifier, err = r.text(q, at)
		case "version":
			version, err = r.text(q, at)
		}
		if err != nil {
			return "", "", err
		}
	}
	if version == "" {
		return "", "", r.problem("lock-value", p.line, at, "there is no version")
	}
	return specifier, version, nil
}

func (r *reader) patches(l *Lock, p pair) error {
	return r.each(p, func(q pair, at string) error {
		patch := Patch{Key: q.key, Line: int(q.line)}
		if q.value.isText() {
			patch.Hash = q.value.text
			l.Patches = append(l.Patches, patch)
			return nil
		}
		fields, err := r.pairs(q.value, at)
		if err != nil {
			return err
		}
		for _, f := range fields {
			switch f.key {
			case "path":
				patch.Path, err = r.text(f, at)
				if err == nil && !cleanPath(path.Clean(patch.Path)) {
					err = r.problem("lock-path", f.line, at+".path", "%q lies outside the project", patch.Path)
				}
			case "hash":
				patch.Hash, err = r.text(f, at)
			}
			if err != nil {
				return err
			}
		}
		l.Patches = append(l.Patches, patch)
		return nil
	})
}

func (r *reader) importer(l *Lock, p pair, at string) error {
	if !cleanPath(p.key) {
		return r.problem("lock-path", p.line, at, "%q is not a clean path below the lock", p.key)
	}
	im := Importer{Path: p.key, Line: int(p.line)}
	known, again := l.importers[p.key]
	if again && r.within {
		im = l.Importers[known]
	}
	fields, err := r.pairs(p.value, at)
	if err != nil {
		return err
	}
	for _, f := range fields {
		switch f.key {
		case "dependencies":
			err = r.more(&im.Dependencies, f, at)
		case "optionalDependencies":
			err = r.more(&im.OptionalDependencies, f, at)
		case "devDependencies":
			err = r.more(&im.DevDependencies, f, at)
		case "dependenciesMeta":
			err = r.meta(&im, f, at)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case again && r.within:
		r.within = false // of what follows in this chunk nothing was begun earlier
		l.Importers[known] = im
		return nil
	case again:
		return r.problem("lock-value", p.line, at, "the key stands twice")
	}
	l.importers[im.Path] = len(l.Importers)
	l.Importers = append(l.Importers, im)
	return nil
}

// more adds to a list of an importer, which may lie in several chunks.
func (r *reader) more(list *[]Dependency, f pair, at string) error {
	all, err := r.edges(f, at, true)
	*list = append(*list, all...)
	return err
}

func (r *reader) meta(im *Importer, f pair, at string) error {
	all, err := r.pairs(f.value, join(at, f.key))
	if err != nil {
		return err
	}
	for _, q := range all {
		fields, err := r.pairs(q.value, at)
		if err != nil {
			return err
		}
		for _, g := range fields {
			if g.key != "injected" {
				continue
			}
			on, err := r.flag(g, at)
			if err != nil {
				return err
			}
			if on {
				im.Injected = append(im.Injected, q.key)
			}
		}
	}
	return nil
}

// edges reads dependencies: of an importer with specifier and version, of a snapshot the version alone.
func (r *reader) edges(p pair, at string, importer bool) ([]Dependency, error) {
	at = join(at, p.key)
	all, err := r.pairs(p.value, at)
	if err != nil {
		return nil, err
	}
	out := make([]Dependency, 0, len(all))
	for _, q := range all {
		d := Dependency{Name: q.key, Line: int(q.line)}
		var version string
		if importer {
			d.Specifier, version, err = r.specified(q, at)
		} else {
			version, err = r.text(q, at)
		}
		if err != nil {
			return nil, err
		}
		if !validName(d.Name) {
			return nil, r.problem("lock-path", q.line, join(at, q.key), "%q is not the name of a package", d.Name)
		}
		if link, ok := strings.CutPrefix(version, "link:"); ok {
			if link == "" || path.IsAbs(link) || strings.ContainsAny(link, "\x00\\") {
				return nil, r.problem("lock-path", q.line, join(at, q.key), "a link needs a relative path, this is %q", link)
			}
			d.Link = path.Clean(link)
		} else {
			d.Snapshot = target(d.Name, version)
		}
		out = append(out, d)
	}
	return out, nil
}

func (r *reader) pkg(l *Lock, p pair, at string) error {
	name, rest, err := splitName(p.key)
	if err != nil {
		return r.problem("lock-path", p.line, at, "%v", err)
	}
	pkg := Package{Key: p.key, Name: name, Version: rest, Line: int(p.line)}
	fields, err := r.pairs(p.value, at)
	if err != nil {
		return err
	}
	resolved := false
	for _, f := range fields {
		if f.key == "resolution" {
			resolved = true
			err = r.resolution(&pkg.Resolution, f, at)
		} else {
			err = r.field(&pkg, f, at)
		}
		if err != nil {
			return err
		}
	}
	if !resolved {
		return r.problem("lock-value", p.line, at, "the package has no resolution")
	}
	slices.Sort(pkg.PeerDependencies)
	pkg.PeerDependencies = slices.Compact(pkg.PeerDependencies)
	if _, ok := l.packages[pkg.Key]; ok {
		return r.problem("lock-value", p.line, at, "the key stands twice")
	}
	l.packages[pkg.Key] = len(l.Packages)
	l.Packages = append(l.Packages, pkg)
	return nil
}

func (r *reader) field(pkg *Package, f pair, at string) (err error) {
	switch f.key {
	case "name":
		if pkg.Name, err = r.text(f, at); err == nil && !validName(pkg.Name) {
			err = r.problem("lock-path", f.line, join(at, f.key), "%q is not the name of a package", pkg.Name)
		}
	case "version":
		pkg.Version, err = r.text(f, at)
	case "os":
		pkg.OS, err = r.texts(f, at)
	case "cpu":
		pkg.CPU, err = r.texts(f, at)
	case "libc":
		pkg.Libc, err = r.texts(f, at)
	case "hasBin":
		pkg.HasBin, err = r.flag(f, at)
	case "deprecated":
		if f.value.isText() {
			pkg.Deprecated = f.value.text
		}
	case "bundledDependencies":
		if s := f.value.text; s == "true" || s == "false" {
			pkg.BundledAll = s == "true"
			return nil
		}
		pkg.Bundled, err = r.texts(f, at)
	case "engines":
		var all []pair
		all, err = r.pairs(f.value, at)
		for _, e := range all {
			if e.key == "node" && err == nil {
				pkg.NodeRange, err = r.text(e, at)
			}
		}
	case "peerDependencies":
		var all []pair
		all, err = r.pairs(f.value, at)
		for _, e := range all {
			pkg.PeerDependencies = append(pkg.PeerDependencies, e.key)
		}
	case "peerDependenciesMeta":
		var all []pair
		all, err = r.pairs(f.value, at)
		for _, e := range all {
			pkg.OptionalPeers = append(pkg.OptionalPeers, e.key)
		}
	}
	return err
}

func (r *reader) resolution(res *Resolution, p pair, at string) error {
	at = join(at, p.key)
	fields, err := r.pairs(p.value, at)
	if err != nil {
		return err
	}
	kind := ""
	for _, f := range fields {
		var s string
		if f.key == "gitHosted" {
			res.GitHosted, err = r.flag(f, at)
		} else {
			s, err = r.text(f, at)
		}
		switch {
		case err != nil:
		case f.key == "type":
			kind = s
		case f.key == "integrity":
			if res.Integrity, err = source.ParseIntegrity(s); err != nil {
				err = r.problem("lock-integrity", f.line, at+".integrity", "%v", err)
			}
		case f.key == "tarball":
			res.Tarball = s
		case f.key == "directory":
			res.Directory = s
		case f.key == "repo":
			res.Repo = s
		case f.key == "commit":
			res.Commit = s
		case f.key == "path":
			res.Path = s
		}
		if err != nil {
			return err
		}
	}
	if kind != "" && kind != "directory" && kind != "git" && kind != "tarball" {
		return r.problem("lock-value", p.line, at+".type", "a resolution of type `%s` is not known here", kind)
	}
	if res.Directory != "" && !cleanPath(path.Clean(res.Directory)) {
		return r.problem("lock-path", p.line, at+".directory", "%q lies outside the project", res.Directory)
	}
	if file, ok := strings.CutPrefix(res.Tarball, "file:"); ok && !cleanPath(path.Clean(file)) {
		return r.problem("lock-path", p.line, at+".tarball", "%q lies outside the project", res.Tarball)
	}
	if res.Integrity.IsZero() && res.Tarball == "" && res.Directory == "" && (res.Repo == "" || res.Commit == "") {
		return r.problem("lock-value", p.line, at, "the resolution says neither a hash nor a place")
	}
	return nil
}

func (r *reader) snapshot(l *Lock, p pair, at string) error {
	s := Snapshot{Key: p.key, Line: int(p.line)}
	var groups []string
	s.Package, groups = SplitKey(p.key)
	for _, g := range groups {
		if h, ok := strings.CutPrefix(g, "patch_hash="); ok {
			s.PatchHash = h
		}
	}
	fields, err := r.pairs(p.value, at)
	if err != nil {
		return err
	}
	for _, f := range fields {
		switch f.key {
		case "dependencies":
			s.Dependencies, err = r.edges(f, at, false)
		case "optionalDependencies":
			s.OptionalDependencies, err = r.edges(f, at, false)
		case "transitivePeerDependencies":
			s.TransitivePeers, err = r.texts(f, at)
		case "optional":
			s.Optional, err = r.flag(f, at)
		}
		if err != nil {
			return err
		}
	}
	if _, ok := l.snapshots[s.Key]; ok {
		return r.problem("lock-value", p.line, at, "the key stands twice")
	}
	l.snapshots[s.Key] = len(l.Snapshots)
	l.Snapshots = append(l.Snapshots, s)
	return nil
}

// check sees to it that every edge ends somewhere.
func (r *reader) check(l *Lock) error {
	if len(l.Importers) == 0 {
		return r.problem("lock-value", 0, "importers", "the lock has no `importers`")
	}
	edges := func(at string, lists ...[]Dependency) error {
		for _, list := range lists {
			names := make(map[string]bool, len(list))
			for _, d := range list {
				if names[d.Name] {
					return r.problem("lock-value", int32(d.Line), join(at, d.Name), "the key stands twice")
				}
				names[d.Name] = true
				if _, ok := l.snapshots[d.Snapshot]; !ok && d.Link == "" {
					return r.problem("lock-broken", int32(d.Line), at, "`%s` needs `%s`, which is not among the snapshots", d.Name, d.Snapshot).
						Hint("run `pnpm install --lockfile-only` and commit the result")
				}
			}
		}
		return nil
	}
	for _, im := range l.Importers {
		if err := edges("importers."+im.Path, im.Dependencies, im.OptionalDependencies, im.DevDependencies); err != nil {
			return err
		}
	}
	for _, s := range l.Snapshots {
		if _, ok := l.packages[s.Package]; !ok {
			return r.problem("lock-broken", int32(s.Line), "snapshots."+s.Key, "`%s` is not among the packages", s.Package)
		}
		if err := edges("snapshots."+s.Key, s.Dependencies, s.OptionalDependencies); err != nil {
			return err
		}
	}
	return nil
}
