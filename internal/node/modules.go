// Package node brings in what JavaScript builds need: node_modules from package-lock.json, and Node.js with npm.
//
// node_modules is put together from one tree a package at the places that the lock names. No npm runs for it, and install
// scripts only where the recipe allows them. Differences from `npm ci --ignore-scripts`:
//
//   - there is no node_modules/.package-lock.json, npm's cache of what it did;
//   - optional packages are left out by os, cpu and libc only, not by `engines`;
//   - a command that lies in a workspace is linked but not made executable, since sources are never changed;
//   - where a tarball has files at the place of another package of the lock, the other package is there alone.
package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// Natives lists the native steps of this package.
func Natives() []engine.NativeDef {
	return []engine.NativeDef{unpackDef, packDef, modulesDef, toolchainDef, pnpmDef, localDef, patchDef, pnpmToolDef}
}

// ModulesOptions says which node_modules to make.
type ModulesOptions struct {
	Dir      engine.Static          // the project: package-lock.json at its root
	Project  engine.Static          // where package.json names the package manager if Dir's does not: the repository's root; may be zero
	Replace  map[string]engine.Step // by the name under which a package is imported: another tree in the place of all its copies
	OmitDev  bool                   // leave out what only devDependencies need
	Only     []string               // just these packages and what they need, for a tool without the rest; empty: all
	Scripts  Scripts                // install scripts to run
	Platform platform.Platform      // zero: the platform of the build
}

// Modules is the step whose tree holds `node_modules` and, where workspaces have packages of their own,
// `<workspace>/node_modules`, at their places relative to the project.
func Modules(ctx context.Context, ask *engine.Ask, o ModulesOptions) (engine.Step, error) {
	if o.Platform == (platform.Platform{}) {
		o.Platform = ask.Platform()
	}
	if is, err := isPnpm(ctx, ask, o.Dir); err != nil {
		return engine.Step{}, err
	} else if is {
		return pnpmModules(ctx, ask, o)
	}
	if is, err := isYarn(ctx, ask, o.Dir); err != nil {
		return engine.Step{}, err
	} else if is {
		return yarnModules(ctx, ask, o)
	}
	lock, err := ReadLock(ctx, ask, o.Dir)
	if err != nil {
		return engine.Step{}, err
	}
	if lock, err = agree(ctx, ask, o.Dir, lock); err != nil {
		return engine.Step{}, err
	}
	pkgs, err := choose(lock, o.Platform, o.OmitDev, o.Only)
	if err != nil {
		return engine.Step{}, err
	}
	if err := knownReplacements(lock, pkgs, o.Replace); err != nil {
		return engine.Step{}, err
	}
	m := &assembler{lock: lock, opts: o, ask: ask, pkgs: pkgs, inputOf: map[string]int{}}
	m.claimBins()
	for i := range pkgs {
		if err := m.place(ctx, pkgs[i]); err != nil {
			return engine.Step{}, err
		}
	}
	if err := m.linkBins(ctx); err != nil {
		return engine.Step{}, err
	}
	m.shadow()
	return m.runScripts(ctx, engine.Native("node_modules", modulesDef, m.params, m.inputs...))
}

// ReadLock reads the project's package-lock.json, or npm-shrinkwrap.json, which npm prefers where it exists.
func ReadLock(ctx context.Context, ask *engine.Ask, dir engine.Static) (*npm.Lock, error) {
	name := "npm-shrinkwrap.json"
	if ok, err := ask.Exists(ctx, dir, name); err != nil {
		return nil, err
	} else if !ok {
		name = "package-lock.json"
	}
	b, err := ask.Read(ctx, dir, name)
	if errors.Is(err, tree.ErrNotExist) {
		return nil, noLock(ctx, ask, dir)
	}
	if err != nil {
		return nil, diag.Inputf("lock-missing", "cannot read `%s` of %s", name, dir.Label()).Because(err)
	}
	return npm.Parse(dir.File(name), b)
}

// noLock says what a project without a lock that can be read is to do, and names the lock that it has instead.
func noLock(ctx context.Context, ask *engine.Ask, dir engine.Static) error {
	p := diag.Inputf("lock-missing", "%s has no package-lock.json, npm-shrinkwrap.json, pnpm-lock.yaml or yarn.lock", dir.Label())
	hint := "run `npm install --package-lock-only` in the project, and commit the lock"
	for _, name := range []string{"bun.lock", "bun.lockb"} {
		ok, err := ask.Exists(ctx, dir, name)
		if err != nil {
			return err
		}
		if ok {
			p.With("its `" + name + "` cannot be read here")
			break
		}
	}
	return p.Hint("%s", hint)
}

func knownReplacements(lock *npm.Lock, pkgs []npm.Package, replace map[string]engine.Step) error {
	for _, name := range slices.Sorted(maps.Keys(replace)) {
		if !slices.ContainsFunc(pkgs, func(p npm.Package) bool { return p.Folder() == name }) {
			return diag.Inputf("npm-replace", "package `%s` cannot be replaced: the lock does not install it", name).
				At(diag.Position{File: lock.File, Key: "packages.node_modules/" + name}).
				Hint("name a package as it is imported, for example `@scope/name`")
		}
	}
	return nil
}

// assembler collects the parameters and inputs of the step that puts node_modules together.
type assembler struct {
	lock    *npm.Lock
	opts    ModulesOptions
	ask     *engine.Ask
	pkgs    []npm.Package
	params  modulesParams
	inputs  []engine.Step
	inputOf map[string]int // path of a package -> its index in inputs
	bins    []claim        // what is linked in each `.bin`, if the file is there
	binsOf  map[string][]npm.Bin
}

// claim is a command that a package has for itself.
type claim struct {
	pkg npm.Package
	bin npm.Bin
	at  string
}

func (m *assembler) add(p string, s engine.Step) {
	m.inputOf[p] = len(m.inputs)
	m.params.Packages = append(m.params.Packages, placed{Path: p})
	m.inputs = append(m.inputs, s)
}

func (m *assembler) place(ctx context.Context, p npm.Package) error {
	if s, ok := m.opts.Replace[p.Folder()]; ok {
		m.add(p.Path, s)
		return nil
	}
	switch {
	case p.Link:
		target := relative(path.Dir(p.Path), p.Target)
		m.params.Links = append(m.params.Links, link{Path: p.Path, Target: target})
		return nil
	case p.InBundle:
		return nil
	}
	s, err := m.tarball(ctx, p)
	if err != nil {
		return err
	}
	m.add(p.Path, s)
	return nil
}

// tarball is the step that unpacks a package, wherever its archive comes from.
func (m *assembler) tarball(ctx context.Context, p npm.Package) (engine.Step, error) {
	params := unpackParams{Bins: m.binFiles(p), Manifest: p.Resolved == "", Bundles: p.Bundles}
	if p.Bundles {
		params.Bundled = m.bundled(p)
	}
	label := p.Name + " " + p.Version
	if ref, ok := gitRef(p.Resolved); ok {
		return engine.NativeStatic(label, packDef, params, engine.Git(ref)).Step, nil
	}
	if file, ok := strings.CutPrefix(p.Resolved, "file:"); ok {
		if err := inSource(ctx, m.ask, m.opts.Dir, file); err != nil {
			return engine.Step{}, m.problem(p, "%v", err)
		}
		s, ok := engine.Select(m.opts.Dir.Step, path.Clean(file)).Static()
		if !ok {
			return engine.Step{}, m.problem(p, "`file:` needs a source")
		}
		params.File, params.Integrity = path.Clean(file), p.Integrity.String()
		if p.Integrity.IsZero() {
			params.Integrity = "" // a file of the source is pinned with the source
		}
		return engine.NativeStatic(label, unpackDef, params, s).Step, nil
	}
	a, err := m.artifact(ctx, p)
	if err != nil {
		return engine.Step{}, err
	}
	return engine.NativeStatic(label, unpackDef, params, engine.FetchLocked(a, m.position(p))).Step, nil
}

// inSource says why a file that a lock names cannot be taken from the project.
func inSource(ctx context.Context, ask *engine.Ask, dir engine.Static, file string) error {
	file = path.Clean(file)
	if path.IsAbs(file) || file == ".." || strings.HasPrefix(file, "../") {
		return fmt.Errorf("`%s` lies outside of the project", file)
	}
	if ok, err := ask.Exists(ctx, dir, file); err != nil || ok {
		return err
	}
	return fmt.Errorf("`%s` is not there", dir.File(file))
}

func (m *assembler) artifact(ctx context.Context, p npm.Package) (source.Artifact, error) {
	switch {
	case strings.HasPrefix(p.Resolved, "git"):
		return source.Artifact{}, m.problem(p, "%s names no commit of a git repository", p.Resolved).
			Hint("replace it in the recipe: node.modules(…, replace = {%q: …})", p.Folder())
	case p.Version == "":
		return source.Artifact{}, m.problem(p, "the entry has no version")
	case strings.ContainsAny(p.Version, "/\\\x00"):
		return source.Artifact{}, m.problem(p, "%q is no version", p.Version)
	}
	a := source.Artifact{
		Ecosystem: source.NPM, Name: p.Name, Version: p.Version,
		File: tarballName(p.Name, p.Version, p.Resolved), URL: p.Resolved, Integrity: p.Integrity,
	}
	if strong(a.Integrity) {
		return a, nil
	}
	as, err := m.ask.Artifacts(ctx, unlocked(a))
	if err != nil {
		return a, err
	}
	if len(as) != 1 {
		return a, m.problem(p, "sources.lock has %d archives for it, want one", len(as))
	}
	return as[0], nil
}

func (m *assembler) problem(p npm.Package, format string, args ...any) *diag.Problem {
	return diag.Inputf("npm-package", "package `%s`: "+format, append([]any{p.Name}, args...)...).
		At(m.position(p))
}

// position is that of a package in the lock.
func (m *assembler) position(p npm.Package) diag.Position {
	key := "packages." + p.Path
	if p.Path == "" {
		key = p.Name // of a yarn.lock, which has no places
	}
	return diag.Position{File: m.lock.File, Line: p.Line, Key: key}
}

// within gives the chosen packages below p that come in its tarball.
func (m *assembler) within(p npm.Package) []npm.Package {
	below := p.Path + "/node_modules/"
	i, _ := slices.BinarySearchFunc(m.pkgs, below, func(q npm.Package, s string) int { return strings.Compare(q.Path, s) })
	var out []npm.Package
	for ; i < len(m.pkgs) && strings.HasPrefix(m.pkgs[i].Path, below); i++ {
		if m.pkgs[i].InBundle {
			out = append(out, m.pkgs[i])
		}
	}
	return out
}

func (m *assembler) bundled(p npm.Package) []string {
	var out []string
	for _, q := range m.within(p) {
		out = append(out, strings.TrimPrefix(q.Path, p.Path+"/"))
	}
	return out
}

// binFiles gives the linked commands within the package's tarball, those of bundled packages included.
func (m *assembler) binFiles(p npm.Package) []string {
	var out []string
	for _, b := range m.binsOf[p.Path] {
		out = append(out, b.File)
	}
	for _, q := range m.within(p) {
		for _, b := range m.binsOf[q.Path] {
			out = append(out, strings.TrimPrefix(q.Path, p.Path+"/")+"/"+b.File)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// claimBins decides which package has which command, in npm's order: packages before links, then by path; the first to
// claim a name has it, even where its file turns out to be missing.
func (m *assembler) claimBins() {
	order := slices.Clone(m.pkgs)
	slices.SortStableFunc(order, func(a, b npm.Package) int {
		if a.Link != b.Link {
			if a.Link {
				return 1
			}
			return -1
		}
		return compareLocale(a.Path, b.Path)
	})
	claimed := map[string]bool{}
	m.binsOf = map[string][]npm.Bin{}
	targets := map[string][]npm.Bin{}
	for _, q := range m.lock.Packages {
		targets[q.Path] = q.Bin
	}
	for _, p := range order {
		bins := p.Bin
		if p.Link {
			bins = targets[p.Target]
		}
		for _, b := range bins {
			at := strings.TrimSuffix(p.Path, p.Folder()) + ".bin/" + b.Name
			if !claimed[at] {
				claimed[at] = true
				m.bins = append(m.bins, claim{p, b, at})
				m.binsOf[p.Path] = append(m.binsOf[p.Path], b)
			}
		}
	}
}

// linkBins makes the links in each `.bin`.
func (m *assembler) linkBins(ctx context.Context) error {
	for _, c := range m.bins {
		bl := binLink{Path: c.at, Target: "../" + c.pkg.Folder() + "/" + c.bin.File, Package: -1}
		var err error
		if bl.Package, bl.File, err = m.whereBin(ctx, c.pkg, c.bin); err != nil {
			return err
		}
		if bl.File != "" {
			m.params.Bins = append(m.params.Bins, bl)
		}
	}
	slices.SortFunc(m.params.Bins, func(a, b binLink) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// whereBin says in which input the command's file lies, and at which path; an empty path means nowhere.
func (m *assembler) whereBin(ctx context.Context, p npm.Package, b npm.Bin) (input int, file string, err error) {
	if i, ok := m.inputOf[p.Path]; ok {
		return i, b.File, nil
	}
	if p.Link {
		if strings.HasPrefix(p.Target, "../") {
			return -1, b.File, nil
		}
		ok, err := m.ask.Exists(ctx, m.opts.Dir, path.Join(p.Target, b.File))
		if err != nil || !ok {
			return -1, "", err
		}
		return -1, b.File, nil
	}
	for dir := p.Path; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if i, ok := m.inputOf[dir]; ok {
			return i, strings.TrimPrefix(p.Path, dir+"/") + "/" + b.File, nil
		}
	}
	return -1, "", nil
}

// shadow notes for each package which packages of the lock lie within it, so that what the tarball itself has at those
// places gives way.
func (m *assembler) shadow() {
	for _, p := range m.params.Packages {
		for dir := path.Dir(p.Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if i, ok := m.inputOf[dir]; ok {
				m.params.Packages[i].Within = append(m.params.Packages[i].Within, strings.TrimPrefix(p.Path, dir+"/"))
				break
			}
		}
	}
}

// gitRef reads the address of a commit: `git+https://host/path#commit`, also with `git+ssh:` and plain `git:`.
func gitRef(resolved string) (source.GitRef, bool) {
	repo, commit, ok := strings.Cut(strings.TrimPrefix(resolved, "git+"), "#")
	commit, options, _ := strings.Cut(commit, "::") // `::path:/sub` and `::semver:…`
	subdir := ""
	for o := range strings.SplitSeq(options, "::") {
		if dir, ok := strings.CutPrefix(o, "path:"); ok {
			subdir = strings.Trim(path.Clean("/"+dir), "/")
		}
	}
	raw, err := hex.DecodeString(commit)
	if !ok || err != nil || len(raw) != 20 && len(raw) != 32 || !strings.HasPrefix(resolved, "git+") && !strings.HasPrefix(resolved, "git:") {
		return source.GitRef{}, false
	}
	return source.GitRef{Repo: repo, Rev: commit, Commit: commit, Subdir: subdir}, true
}

// tarballName is the name of the archive: the last element of the lock's URL, else what registries call it.
func tarballName(name, version, resolved string) string {
	if u, err := url.Parse(resolved); err == nil && u.Host != "" {
		if f := path.Base(u.Path); strings.HasSuffix(f, ".tgz") || strings.HasSuffix(f, ".tar.gz") {
			return f
		}
	}
	return fmt.Sprintf("%s-%s.tgz", path.Base(name), version)
}

// relative is the path of to as seen from the directory from; both are relative to the project.
func relative(from, to string) string {
	f, t := strings.Split(path.Clean(from), "/"), strings.Split(path.Clean(to), "/")
	if f[0] == "." {
		f = nil
	}
	for len(f) > 0 && len(t) > 1 && f[0] == t[0] && f[0] != ".." {
		f, t = f[1:], t[1:]
	}
	return strings.Repeat("../", len(f)) + strings.Join(t, "/")
}

// collation is the order of characters in the collation that npm sorts by, as far as package names need it.
const collation = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789"

// compareLocale orders paths as npm does, by the English collation: punctuation, digits, letters without regard to
// case; only where that decides nothing, lower case first.
func compareLocale(a, b string) int {
	weight := func(r rune) int {
		if i := strings.IndexRune(collation, r); i >= 0 {
			return i
		}
		return len(collation) + int(r)
	}
	if c := slices.CompareFunc([]rune(strings.ToLower(a)), []rune(strings.ToLower(b)), func(x, y rune) int {
		return weight(x) - weight(y)
	}); c != 0 {
		return c
	}
	return -strings.Compare(a, b) // in ASCII upper case comes first, here lower case does
}
