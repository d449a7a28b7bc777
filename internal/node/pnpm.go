package node

import (
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/lock/pnpm"
	"hewn.example/hewn/internal/platform"
)

const pnpmLock = "pnpm-lock.yaml"

// pnpmPlan is what decides how node_modules of a pnpm workspace looks.
type pnpmPlan struct {
	lock      *pnpm.Lock
	major     int
	platform  platform.Platform
	omitDev   bool
	importers []pnpm.Importer
	wanted    []*pnpm.Snapshot // what is installed, in the order of the lock
	chosen    map[string]bool  // the same by key
	packages  map[string]bool  // keys of their packages, made when asked for

	manifests map[string]*pnpmManifest // of the projects, by path
	settings  *pnpm.Workspace
	patches   []pnpm.Patch
	allowed   map[string][]string // os, cpu and libc for which optional packages are installed

	linker         string
	hoistPattern   []string // nil: nothing is hoisted into the hidden node_modules
	publicPattern  []string
	maxLength      int
	dedupe         bool
	hoistWorkspace bool
	symlinkBins    bool
	limits         string          // hoistingLimits
	workspaces     []workspaceName // projects that have a name, without that at the lock
}

type workspaceName struct{ name, path string }

// isPnpm says whether a project has a lock of pnpm and none of npm.
func isPnpm(ctx context.Context, ask *engine.Ask, dir engine.Static) (bool, error) {
	for _, name := range []string{"npm-shrinkwrap.json", "package-lock.json"} {
		if ok, err := ask.Exists(ctx, dir, name); ok || err != nil {
			return false, err
		}
	}
	return ask.Exists(ctx, dir, pnpmLock)
}

// pnpmModules is Modules for a project with a pnpm-lock.yaml.
func pnpmModules(ctx context.Context, ask *engine.Ask, o ModulesOptions) (engine.Step, error) {
	p, err := planPnpm(ctx, ask, o)
	if err != nil {
		return engine.Step{}, err
	}
	var l layout
	switch p.linker {
	case "isolated":
		l = p.isolated()
	case "hoisted":
		l = p.hoisted()
	default:
		return engine.Step{}, diag.Inputf("pnpm-linker", "nodeLinker `%s` cannot be laid out; isolated and hoisted can", p.linker).
			At(diag.Position{File: p.settings.File, Key: "nodeLinker"})
	}
	a := &pnpmAssembler{pnpmPlan: p, ask: ask, opts: o, inputOf: map[string]int{}}
	return a.step(ctx, l)
}

func planPnpm(ctx context.Context, ask *engine.Ask, o ModulesOptions) (*pnpmPlan, error) {
	b, err := ask.Read(ctx, o.Dir, pnpmLock)
	if err != nil {
		return nil, err
	}
	lock, err := pnpm.Parse(o.Dir.File(pnpmLock), b)
	if err != nil {
		return nil, err
	}
	p := &pnpmPlan{lock: lock, platform: o.Platform, omitDev: o.OmitDev, importers: lock.Importers, chosen: map[string]bool{}}
	if lock.Settings.ExcludeLinksFromLockfile {
		return nil, diag.Inputf("pnpm-setting", "a lock without its links cannot be laid out").
			At(diag.Position{File: lock.File, Key: "settings.excludeLinksFromLockfile"})
	}
	if p.major, err = pnpmMajor(ctx, ask, o.Dir, o.Project); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *engine.Ask, engine.Static) error{p.readSettings, p.readManifests, p.agree} {
		if err := read(ctx, ask, o.Dir); err != nil {
			return nil, err
		}
	}
	if err := p.narrow(o.Only); err != nil {
		return nil, err
	}
	p.choose()
	return p, nil
}

// narrow leaves the projects only those of their dependencies that the recipe names.
func (p *pnpmPlan) narrow(only []string) error {
	if len(only) == 0 {
		return nil
	}
	found := map[string]bool{}
	keep := func(list []pnpm.Dependency) []pnpm.Dependency {
		return slices.DeleteFunc(slices.Clone(list), func(d pnpm.Dependency) bool {
			in := slices.Contains(only, d.Name)
			found[d.Name] = found[d.Name] || in
			return !in
		})
	}
	p.importers = slices.Clone(p.importers)
	for i := range p.importers {
		im := &p.importers[i]
		im.Dependencies, im.OptionalDependencies = keep(im.Dependencies), keep(im.OptionalDependencies)
		im.DevDependencies = keep(im.DevDependencies)
	}
	p.workspaces = slices.DeleteFunc(p.workspaces, func(w workspaceName) bool { return !slices.Contains(only, w.name) })
	for _, name := range only {
		if !found[name] {
			return diag.Inputf("npm-only", "`only` names `%s`, which no project of the lock depends on", name).
				At(diag.Position{File: p.lock.File, Key: "importers"})
		}
	}
	return nil
}

// importer finds a project by its path.
func (p *pnpmPlan) importer(at string) *pnpm.Importer {
	for i := range p.importers {
		if p.importers[i].Path == at {
			return &p.importers[i]
		}
	}
	return nil
}

// packageManager is what a package.json says of the program that installs its packages, `name@version`; empty if nothing.
func packageManager(ctx context.Context, ask *engine.Ask, dir engine.Static) (string, error) {
	b, err := ask.Read(ctx, dir, "package.json")
	if err != nil {
		return "", err
	}
	var m struct {
		PackageManager string `json:"packageManager"`
		DevEngines     struct {
			PackageManager struct{ Name, Version string } `json:"packageManager"`
		} `json:"devEngines"`
	}
	if err := json.Unmarshal(bytesWithoutMark(b), &m); err != nil {
		return "", badManifest(dir.File("package.json"), b, err)
	}
	if m.PackageManager == "" && m.DevEngines.PackageManager.Name != "" {
		return m.DevEngines.PackageManager.Name + "@" + strings.TrimLeft(m.DevEngines.PackageManager.Version, "^~>=v "), nil
	}
	return m.PackageManager, nil
}

// pnpmMajor reads which pnpm the project names: its layouts differ from one major version to the next. The first
// directory that names one decides.
func pnpmMajor(ctx context.Context, ask *engine.Ask, dirs ...engine.Static) (int, error) {
	text, pos := "", diag.Position{File: dirs[0].File("package.json"), Key: "packageManager"}
	for _, dir := range dirs {
		if dir.IsZero() || text != "" {
			continue
		}
		var err error
		if text, err = packageManager(ctx, ask, dir); err != nil {
			return 0, err
		}
		if text != "" {
			pos.File = dir.File("package.json")
		}
	}
	if text == "" {
		return 0, diag.Inputf("pnpm-version", "the project does not say which pnpm it is made for").At(pos).
			Hint(`write "packageManager": "pnpm@<version>" in package.json; layouts differ between major versions`).
			Hint("if another package.json further up says so, give its directory as `project` to node.modules")
	}
	version, ok := strings.CutPrefix(text, "pnpm@")
	head, _, _ := strings.Cut(version, ".")
	major, err := strconv.Atoi(head)
	if !ok || err != nil || major < 10 || major > 12 {
		return 0, diag.Inputf("pnpm-version", "the layouts of `%s` are not known here; those of pnpm 10, 11 and 12 are", text).At(pos)
	}
	return major, nil
}

// choose walks from the projects to what is installed: optional packages that are not for the platform are left out,
// with what only they need.
func (p *pnpmPlan) choose() {
	var queue []string
	visit := func(list []pnpm.Dependency) {
		for _, d := range list {
			if s, ok := p.lock.Snapshot(d.Snapshot); ok && !p.chosen[d.Snapshot] && !(s.Optional && !p.suits(s)) {
				p.chosen[d.Snapshot] = true
				queue = append(queue, d.Snapshot)
			}
		}
	}
	for i := range p.importers {
		visit(p.edges(&p.importers[i]))
	}
	for k := 0; k < len(queue); k++ {
		s, _ := p.lock.Snapshot(queue[k])
		visit(s.Dependencies)
		visit(s.OptionalDependencies)
	}
	for i := range p.lock.Snapshots {
		if s := &p.lock.Snapshots[i]; p.chosen[s.Key] {
			p.wanted = append(p.wanted, s)
		}
	}
}

func (p *pnpmPlan) suits(s *pnpm.Snapshot) bool {
	pkg, _ := p.lock.Package(s.Package)
	suits := func(what string, list []string) bool {
		if len(list) == 0 {
			return true
		}
		return slices.ContainsFunc(p.allowed[what], func(one string) bool { return matches(one, list) })
	}
	return suits("os", pkg.OS) && suits("cpu", pkg.CPU) && (p.platform.Libc == "" || suits("libc", pkg.Libc))
}

// edges are the dependencies of a project that are asked for.
func (p *pnpmPlan) edges(im *pnpm.Importer) []pnpm.Dependency {
	if p.omitDev {
		return slices.Concat(im.Dependencies, im.OptionalDependencies)
	}
	return slices.Concat(im.DevDependencies, im.Dependencies, im.OptionalDependencies)
}

// direct are the edges of a project that lead to something installed.
func (p *pnpmPlan) direct(im *pnpm.Importer) []pnpm.Dependency { return p.installed(p.edges(im)) }

// children are the edges of a snapshot that lead to something installed.
func (p *pnpmPlan) children(s *pnpm.Snapshot) []pnpm.Dependency {
	return p.installed(slices.Concat(s.Dependencies, s.OptionalDependencies))
}

func (p *pnpmPlan) installed(list []pnpm.Dependency) []pnpm.Dependency {
	return slices.DeleteFunc(list, func(d pnpm.Dependency) bool { return d.Link == "" && !p.chosen[d.Snapshot] })
}

func (p *pnpmPlan) pkg(snapshot string) *pnpm.Package {
	s, _ := p.lock.Snapshot(snapshot)
	pkg, _ := p.lock.Package(s.Package)
	return pkg
}

func (p *pnpmPlan) bundles(snapshot string) bool {
	pkg := p.pkg(snapshot)
	return pkg.BundledAll || len(pkg.Bundled) > 0
}

// pnpmAssembler turns a layout into the step that makes it.
type pnpmAssembler struct {
	*pnpmPlan
	ask     *engine.Ask
	opts    ModulesOptions
	params  pnpmParams
	inputs  []engine.Step
	inputOf map[string]int // snapshot -> its input
}

func (a *pnpmAssembler) step(ctx context.Context, l layout) (engine.Step, error) {
	a.params = pnpmParams{Links: l.links, Dirs: l.dirs, Symlinks: a.symlinkBins, LowestWins: a.major >= 12}
	if a.hoistPattern != nil && a.linker == "isolated" {
		a.params.NodePath = "node_modules/.pnpm/node_modules"
	}
	replaced := map[string]bool{}
	for _, pl := range l.places {
		i, ok := a.inputOf[pl.snapshot]
		if !ok {
			s, err := a.source(ctx, pl.snapshot, replaced)
			if err != nil {
				return engine.Step{}, err
			}
			i = len(a.inputs)
			a.inputs = append(a.inputs, s)
			a.inputOf[pl.snapshot] = i
		}
		a.params.Places = append(a.params.Places, pnpmPlace{Path: pl.path, Input: i})
	}
	for _, name := range slices.Sorted(maps.Keys(a.opts.Replace)) {
		if !replaced[name] {
			return engine.Step{}, diag.Inputf("npm-replace", "package `%s` cannot be replaced: the lock does not install it", name).
				At(diag.Position{File: a.lock.File, Key: "packages"})
		}
	}
	for _, b := range l.bins {
		if err := a.bin(ctx, b); err != nil {
			return engine.Step{}, err
		}
	}
	return a.runScripts(ctx, engine.Native("node_modules", pnpmDef, a.params, a.inputs...), l)
}

func (a *pnpmAssembler) bin(ctx context.Context, b binDir) error {
	out := pnpmBins{Dir: b.path}
	for _, f := range b.from {
		from := pnpmBinFrom{Path: f.path, Input: -1, Direct: f.direct, Bundled: f.bundled}
		if f.local != "" {
			var err error
			if from.Local, err = a.localBins(ctx, f.local); err != nil {
				return err
			}
			if from.Local == nil {
				continue
			}
			from.Shim = a.major > 10
		} else {
			pkg := a.pkg(f.snapshot)
			if !pkg.HasBin && pkg.Resolution.Directory == "" && !f.bundled {
				continue
			}
			from.Input = a.inputOf[f.snapshot]
		}
		out.From = append(out.From, from)
	}
	if len(out.From) > 0 {
		a.params.Bins = append(a.params.Bins, out)
	}
	return nil
}

// localBins reads the commands of a project of the workspace whose files exist.
func (a *pnpmAssembler) localBins(ctx context.Context, dir string) (*packageBins, error) {
	if strings.HasPrefix(dir, "..") {
		return nil, nil
	}
	ok, err := a.ask.Exists(ctx, a.opts.Dir, path.Join(dir, "package.json"))
	if !ok || err != nil {
		return nil, err
	}
	b, err := a.ask.Read(ctx, a.opts.Dir, path.Join(dir, "package.json"))
	if err != nil {
		return nil, err
	}
	bins := readBins(b, nil)
	var have []npm.Bin
	for _, c := range bins.Bins {
		ok, err := a.ask.Exists(ctx, a.opts.Dir, path.Join(dir, c.File))
		if err != nil {
			return nil, err
		}
		if ok {
			have = append(have, c)
		}
	}
	if bins.Bins = have; len(have) == 0 {
		return nil, nil
	}
	return &bins, nil
}
