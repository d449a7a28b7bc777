package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"deps.dev/util/semver"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/lock/yarn"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

const yarnLock = "yarn.lock"

// yarnAll is a package that yarn makes up: it needs the project's own dependencies and its workspaces.
const yarnAll = "workspace-aggregator-00000000-0000-0000-0000-000000000000"

// yarnPlan finds out what a yarn project installs. The lock has neither peers nor platforms nor commands, so the
// package.json of every package is read.
type yarnPlan struct {
	*assembler
	ctx        context.Context
	yarn       *yarn.Lock
	nodes      map[string]*yarnNode // by what they are
	order      []*yarnNode          // in the order in which they were met
	pending    []*yarnNode          // whose needs have not been looked at
	workspaces map[string]*yarnNode // by name
	found      []difference         // what the manifests want and the lock does not have
	resolved   map[string]bool      // names for which the project's resolutions may have another answer
}

// isYarn says whether a project has a lock of yarn and none of npm; pnpm's has been looked for.
func isYarn(ctx context.Context, ask *engine.Ask, dir engine.Static) (bool, error) {
	for _, name := range []string{"npm-shrinkwrap.json", "package-lock.json"} {
		if ok, err := ask.Exists(ctx, dir, name); ok || err != nil {
			return false, err
		}
	}
	return ask.Exists(ctx, dir, yarnLock)
}

// yarnModules is Modules for a project with a yarn.lock.
func yarnModules(ctx context.Context, ask *engine.Ask, o ModulesOptions) (engine.Step, error) {
	if len(o.Only) > 0 {
		return engine.Step{}, diag.Inputf("yarn-only", "`only` is for package-lock.json; a yarn.lock is installed whole").At(diag.Position{File: o.Dir.File(yarnLock)})
	}
	b, err := ask.Read(ctx, o.Dir, yarnLock)
	if err != nil {
		return engine.Step{}, err
	}
	lock, err := yarn.Parse(o.Dir.File(yarnLock), b)
	if err != nil {
		return engine.Step{}, err
	}
	y := &yarnPlan{ctx: ctx, yarn: lock, nodes: map[string]*yarnNode{}, workspaces: map[string]*yarnNode{}, resolved: map[string]bool{},
		assembler: &assembler{lock: &npm.Lock{File: lock.File}, opts: o, ask: ask, inputOf: map[string]int{}}}
	top, err := y.project()
	if err != nil {
		return engine.Step{}, err
	}
	if len(y.found) > 0 {
		a := agreement{lock: y.lock, found: y.found}
		p := a.problem()
		p.Hints = nil
		return engine.Step{}, p.Hint("run `yarn install --mode update-lockfile`, or `yarn install`, in the project, and commit the lock")
	}
	return y.step(hoistYarn(top))
}

// project reads the manifests of the project and its workspaces, and gives what the project itself asks for.
func (y *yarnPlan) project() ([]*yarnNode, error) {
	m, err := y.manifest("")
	if err != nil {
		return nil, err
	}
	if err := y.findWorkspaces(m); err != nil {
		return nil, err
	}
	var top []*yarnNode
	all := &yarnNode{name: yarnAll, version: "1.0.0", pattern: yarnAll + "@1.0.0"}
	for _, kind := range yarnKinds(m, true) {
		for _, name := range kind.names {
			n, err := y.resolve(yarnWant{name, m.Wants[name], kind.optional, "package.json", nil})
			if err != nil {
				return nil, err
			}
			if n == nil {
				continue
			}
			n.ignored = kind.dev && y.opts.OmitDev
			n.pattern = name + "@" + m.Wants[name]
			top = append(top, n)
		}
	}
	if len(y.workspaces) > 0 {
		if err := y.needs(all, m, true, "package.json"); err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(y.workspaces)) {
			ws := y.workspaces[name]
			y.meet(ws, all.chain())
			all.add(name+"@"+ws.version, ws)
		}
		top = append(top, all)
	}
	for ; len(y.pending) > 0; y.pending = y.pending[1:] {
		if err := y.expand(y.pending[0]); err != nil {
			return nil, err
		}
	}
	y.peers()
	return top, nil
}

// chain is the names of packages by which a request of n's comes: those of the first that asked for n, and its own.
func (n *yarnNode) chain() []string {
	if len(n.asked) == 0 {
		return []string{n.name}
	}
	return append(slices.Clone(n.asked[0]), n.name)
}

// meet notes who asks for n: the names of packages from the project down.
func (y *yarnPlan) meet(n *yarnNode, by []string) {
	if len(n.asked) == 0 {
		y.order, y.pending = append(y.order, n), append(y.pending, n)
	}
	n.asked = append(n.asked, by)
}

// expand looks for what a package needs.
func (y *yarnPlan) expand(n *yarnNode) error {
	if n.link != "" {
		if n.local == nil {
			return nil
		}
		return y.needs(n, n.local, y.workspaces[n.name] == n && !y.opts.OmitDev, path.Join(n.link, "package.json"))
	}
	for k, names := range [][]string{n.locked.Dependencies, n.locked.OptionalDependencies} {
		for _, d := range names {
			to, err := y.resolve(yarnWant{d, n.locked.Wants[d], n.optional || k == 1, n.pattern, n.chain()})
			if err != nil {
				return err
			}
			n.add(d+"@"+n.locked.Wants[d], to)
		}
	}
	return nil
}

// peers makes the peers of each package something that it needs: of those that are asked for beside it, or above, the
// nearest in the chain of names that leads to the package.
func (y *yarnPlan) peers() {
	for _, n := range y.order {
		from := slices.MinFunc(n.asked, func(a, b []string) int { return len(a) - len(b) })
		for _, peer := range n.peers {
			var best *yarnNode
			distance := len(from) + 1
			for _, p := range y.order {
				if p.name != peer || !yarnFits(p.version, n.peerRanges[peer]) {
					continue
				}
				for _, by := range p.asked {
					if d := len(from) - len(by); d >= 0 && d < distance && slices.Equal(by, from[:len(by)]) {
						best, distance = p, d
					}
				}
			}
			if best != nil {
				for _, pattern := range best.answers {
					n.add(pattern, best)
				}
			}
		}
	}
}

// yarnKind is the names of one section of a manifest.
type yarnKind struct {
	names         []string
	dev, optional bool
}

// yarnKinds are the sections in yarn's order; what stands in two counts in one.
func yarnKinds(m *npm.Manifest, dev bool) []yarnKind {
	out := []yarnKind{{names: slices.DeleteFunc(slices.Clone(m.Dependencies), func(n string) bool { return slices.Contains(m.OptionalDependencies, n) })}}
	if dev {
		out = append(out, yarnKind{names: m.DevDependencies, dev: true})
	}
	return append(out, yarnKind{names: m.OptionalDependencies, optional: true})
}

// manifest reads the package.json of the project or of a workspace.
func (y *yarnPlan) manifest(dir string) (*npm.Manifest, error) {
	name := path.Join(dir, "package.json")
	b, err := y.ask.Read(y.ctx, y.opts.Dir, name)
	if err != nil {
		return nil, diag.Inputf("lock-missing", "cannot read `%s`, without which yarn.lock does not say what to install", y.opts.Dir.File(name)).Because(err)
	}
	var more struct {
		InstallConfig struct {
			Pnp bool `json:"pnp"`
		} `json:"installConfig"`
		Resolutions map[string]any `json:"resolutions"`
		Workspaces  struct {
			Nohoist []string `json:"nohoist"`
		} `json:"workspaces"`
	}
	_ = json.Unmarshal(b, &more) // of another type these are not set
	if more.InstallConfig.Pnp || len(more.Workspaces.Nohoist) > 0 {
		return nil, diag.Inputf("yarn-setting", "`nohoist` and `installConfig.pnp` change the layout in a way that cannot be made here").
			At(diag.Position{File: y.opts.Dir.File(name)})
	}
	for key := range more.Resolutions {
		dir, base := path.Split(key)
		if scope := path.Base(dir); strings.HasPrefix(scope, "@") {
			base = scope + "/" + base
		}
		y.resolved[base] = true
	}
	return npm.ParseManifest(y.opts.Dir.File(name), b)
}

// findWorkspaces finds the project's workspaces; what they need is not looked at.
func (y *yarnPlan) findWorkspaces(m *npm.Manifest) error {
	for _, pattern := range m.Workspaces {
		found, err := y.ask.Glob(y.ctx, y.opts.Dir, path.Join(strings.Trim(path.Clean("/"+pattern), "/"), "package.json"))
		if err != nil {
			return err
		}
		for _, f := range found {
			dir := path.Dir(f)
			if strings.Contains("/"+dir+"/", "/node_modules/") || dir == "." {
				continue
			}
			b, err := y.ask.Read(y.ctx, y.opts.Dir, f)
			if err != nil {
				return err
			}
			var name struct{ Name, Version string }
			if err := json.Unmarshal(b, &name); err != nil || !npm.ValidName(name.Name) || name.Version == "" {
				return diag.Inputf("package-json", "a workspace needs a name and a version").At(diag.Position{File: y.opts.Dir.File(f)})
			}
			ws := &yarnNode{name: name.Name, version: name.Version, link: dir, answers: []string{name.Name + "@" + name.Version}}
			if ws.local, err = y.manifest(dir); err != nil {
				return err
			}
			if err := y.describe(ws, b, y.opts.Dir, dir); err != nil {
				return err
			}
			y.workspaces[name.Name] = ws
		}
	}
	return nil
}

// needs adds what a manifest of the project wants for n.
func (y *yarnPlan) needs(n *yarnNode, m *npm.Manifest, dev bool, file string) error {
	for _, kind := range yarnKinds(m, dev) {
		for _, name := range kind.names {
			d, err := y.resolve(yarnWant{name, m.Wants[name], kind.optional, file, n.chain()})
			if err != nil {
				return err
			}
			n.add(name+"@"+m.Wants[name], d)
		}
	}
	return nil
}

// add notes that n needs d, which is asked for by a pattern; d may be nil.
func (n *yarnNode) add(pattern string, d *yarnNode) {
	if d != nil && !slices.Contains(n.patterns, pattern) {
		n.deps, n.patterns = append(n.deps, d), append(n.patterns, pattern)
	}
}

// yarnWant is a wish for a package: by is the manifest or the package that has it, chain the names that lead there.
type yarnWant struct {
	name, spec string
	optional   bool
	by         string
	chain      []string
}

// resolve gives the package that answers w; nil if the lock does not have it.
func (y *yarnPlan) resolve(w yarnWant) (*yarnNode, error) {
	if !npm.ValidName(w.name) {
		return nil, diag.Inputf("lock-path", "%q is not the name of a package", w.name).At(diag.Position{File: y.opts.Dir.File(w.by)})
	}
	n, err := y.find(w)
	if n != nil && err == nil {
		if pattern := w.name + "@" + w.spec; !slices.Contains(n.answers, pattern) {
			n.answers = append(n.answers, pattern)
		}
		y.require(n, w.optional)
		y.meet(n, w.chain)
	}
	return n, err
}

func (y *yarnPlan) find(w yarnWant) (*yarnNode, error) {
	if dir, ok := strings.CutPrefix(w.spec, "link:"); ok {
		return y.linked(w.name, dir)
	}
	if ws := y.workspaces[w.name]; ws != nil && w.spec != "" && yarnFits(ws.version, w.spec) {
		return ws, nil
	}
	pattern := w.name + "@" + w.spec
	pkg, ok := y.yarn.Package(pattern)
	if !ok {
		if pkg, ok = y.yarn.Package(w.name); !ok {
			y.found = append(y.found, difference{text: "`" + pattern + "` is not in the lock, but `" + w.by + "` wants it", key: pattern})
			return nil, nil
		}
	}
	if _, err := semver.NPM.ParseConstraint(w.spec); err == nil && w.spec != "" && !y.resolved[w.name] && !yarnFits(pkg.Version, w.spec) {
		y.found = append(y.found, difference{text: "`" + pattern + "` is locked as " + pkg.Version, line: pkg.Line, key: pattern})
		return nil, nil
	}
	id := w.name + " " + pkg.Version + " " + pkg.Resolved
	if pkg.Resolved == "" {
		id += pattern
	}
	if n := y.nodes[id]; n != nil {
		return n, nil
	}
	n := &yarnNode{name: w.name, version: pkg.Version, pattern: pattern, locked: pkg, optional: w.optional}
	y.nodes[id] = n
	if err := y.files(n, w.spec); err != nil {
		return nil, err
	}
	n.incompatible = !y.suits(n)
	return n, nil
}

// require notes that something cannot do without n, nor without what n needs.
func (y *yarnPlan) require(n *yarnNode, optional bool) {
	if optional || !n.optional {
		return
	}
	n.optional = false
	for i, d := range n.deps {
		name, _ := yarn.Split(n.patterns[i])
		y.require(d, slices.Contains(n.locked.OptionalDependencies, name))
	}
}

// yarnFits says whether a version is in a range.
func yarnFits(version, spec string) bool {
	if spec == "*" {
		return true
	}
	want, err := semver.NPM.ParseConstraint(spec)
	if err != nil {
		return false
	}
	have, err := semver.NPM.Parse(version)
	return err == nil && want.MatchVersion(have)
}

func (y *yarnPlan) linked(name, dir string) (*yarnNode, error) {
	dir = path.Clean(dir)
	id := name + " link:" + dir
	if n := y.nodes[id]; n != nil {
		return n, nil
	}
	n := &yarnNode{name: name, version: "0.0.0", link: dir, pattern: name + "@link:" + dir}
	file := path.Join(dir, "package.json")
	y.nodes[id] = n
	if path.IsAbs(dir) || dir == ".." || strings.HasPrefix(dir, "../") {
		return n, nil
	}
	b, err := y.ask.Read(y.ctx, y.opts.Dir, file)
	if errors.Is(err, tree.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return nil, err
	}
	n.local, err = npm.ParseManifest(y.opts.Dir.File(file), b)
	return n, err
}

// files makes the step that has a package's files, and reads its package.json.
func (y *yarnPlan) files(n *yarnNode, spec string) error {
	p := n.locked
	params := unpackParams{OwnBins: true, KeepNames: true, KeepCR: true}
	label := p.Name + " " + p.Version
	file, local := strings.CutPrefix(p.Resolved, "file:")
	repo, commit := forge(p.Resolved)
	ref, git := gitRef(p.Resolved)
	if !git && repo != "" && p.Integrity.IsZero() {
		ref, git = gitRef("git+" + repo + "#" + commit)
	}
	if p.Resolved == "" && (strings.HasPrefix(spec, "file:") || strings.HasPrefix(spec, ".") || strings.HasPrefix(spec, "/")) {
		file = strings.TrimPrefix(spec, "file:")
		if err := inSource(y.ctx, y.ask, y.opts.Dir, file); err != nil {
			return y.trouble(n, "%v", err)
		}
		s, ok := engine.Sub(y.opts.Dir.Step, path.Clean(file)).Static()
		if !ok {
			return y.trouble(n, "`file:` needs a source")
		}
		n.files = engine.NativeStatic(label, localDef, localParams{KeepCR: true}, s)
		return y.read(n)
	}
	switch {
	case local:
		if err := inSource(y.ctx, y.ask, y.opts.Dir, file); err != nil {
			return y.trouble(n, "%v", err)
		}
		s, ok := engine.Select(y.opts.Dir.Step, path.Clean(file)).Static()
		if !ok {
			return y.trouble(n, "`file:` needs a source")
		}
		if params.File = path.Clean(file); !p.Integrity.IsZero() {
			params.Integrity = p.Integrity.String()
		}
		n.files = engine.NativeStatic(label, unpackDef, params, s)
	case git:
		var err error
		if n.files, err = y.commit(label, ref, params); err != nil {
			return err
		}
	default:
		a, err := y.artifact(y.ctx, p)
		if err != nil {
			return err
		}
		n.files = engine.NativeStatic(label, unpackDef, params, engine.FetchLocked(a, diag.Position{File: y.lock.File, Line: p.Line, Key: n.pattern}))
	}
	return y.read(n)
}

// commit is a package from git. Yarn takes all of the commit, but where a script has to prepare the package: that one it
// packs.
func (y *yarnPlan) commit(label string, ref source.GitRef, params unpackParams) (engine.Static, error) {
	b, err := y.ask.Read(y.ctx, engine.Git(ref), "package.json")
	if err != nil && !errors.Is(err, tree.ErrNotExist) {
		return engine.Static{}, err
	}
	var m struct {
		Scripts struct {
			Prepare string `json:"prepare"`
		} `json:"scripts"`
	}
	if _ = json.Unmarshal(bytesWithoutMark(b), &m); m.Scripts.Prepare != "" { // it stays empty where it cannot be read
		return engine.NativeStatic(label, packDef, params, engine.Git(ref)), nil
	}
	return engine.NativeStatic(label, localDef, localParams{KeepCR: true, KeepModules: true}, engine.Git(ref)), nil
}

func (y *yarnPlan) trouble(n *yarnNode, format string, args ...any) error {
	return diag.Inputf("npm-package", "package `%s`: "+format, append([]any{n.name}, args...)...).
		At(diag.Position{File: y.lock.File, Line: n.locked.Line, Key: n.pattern})
}

func (y *yarnPlan) read(n *yarnNode) error {
	b, err := y.ask.Read(y.ctx, n.files, "package.json")
	if errors.Is(err, tree.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return y.describe(n, b, n.files, "")
}

// yarnBinName is what yarn takes for the name of a command.
var yarnBinName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// describe takes from a package.json what the lock does not have. The package lies at dir of files.
func (y *yarnPlan) describe(n *yarnNode, b []byte, files engine.Static, dir string) error {
	var m struct {
		Name        string                     `json:"name"`
		Bin         json.RawMessage            `json:"bin"`
		Peers       map[string]json.RawMessage `json:"peerDependencies"`
		Bundled     any                        `json:"bundledDependencies"`
		Bundle      any                        `json:"bundleDependencies"`
		OS          any                        `json:"os"`
		CPU         any                        `json:"cpu"`
		Scripts     map[string]any             `json:"scripts"`
		Directories struct {
			Bin string `json:"bin"`
		} `json:"directories"`
	}
	var typ *json.UnmarshalTypeError
	if err := json.Unmarshal(bytesWithoutMark(b), &m); err != nil && !errors.As(err, &typ) {
		return y.trouble(n, "its package.json is not JSON: %v", err)
	}
	n.peerRanges = map[string]string{}
	for peer, raw := range m.Peers {
		var spec string
		_ = json.Unmarshal(raw, &spec) // a range that is no text fits nothing
		n.peers, n.peerRanges[peer] = append(n.peers, peer), spec
	}
	slices.Sort(n.peers)
	for _, name := range append(texts(m.Bundled), texts(m.Bundle)...) {
		if ok, err := y.ask.Exists(y.ctx, files, path.Join(dir, "node_modules", name)); err != nil {
			return err
		} else if ok {
			n.bundled = append(n.bundled, name)
		}
	}
	n.os, n.cpu = texts(m.OS), texts(m.CPU)
	for _, event := range []string{"preinstall", "install", "postinstall"} {
		text, _ := m.Scripts[event].(string)
		n.scripts = n.scripts || text != ""
	}
	bins := map[string]string{}
	var one string
	switch {
	case len(m.Bin) > 0 && json.Unmarshal(m.Bin, &one) == nil && one != "":
		bins[path.Base(m.Name)] = one
	case len(m.Bin) > 0:
		var many map[string]any
		_ = json.Unmarshal(m.Bin, &many) // else there are none
		for name, file := range many {
			bins[name], _ = file.(string)
		}
	case m.Directories.Bin != "":
		found, err := y.ask.Glob(y.ctx, files, path.Join(dir, path.Clean("/"+m.Directories.Bin), "*"))
		if err != nil {
			return err
		}
		for _, f := range found {
			if name := path.Base(f); name[0] != '.' {
				bins[name] = strings.TrimPrefix(f, dir+"/")
			}
		}
	}
	for name, file := range bins {
		if file = path.Clean(file); !yarnBinName.MatchString(name) || strings.HasPrefix(name, ".") && strings.Trim(name, ".") == "" ||
			strings.HasPrefix(file, ".") || path.IsAbs(file) {
			continue
		}
		if ok, err := y.ask.Exists(y.ctx, files, path.Join(dir, file)); err != nil {
			return err
		} else if ok {
			n.bins = append(n.bins, npm.Bin{Name: name, File: file})
		}
	}
	slices.SortFunc(n.bins, func(a, b npm.Bin) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func bytesWithoutMark(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }

// texts is a text, or the texts of a list.
func texts(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	var out []string
	list, _ := v.([]any)
	for _, w := range list {
		if s, ok := w.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// suits says whether a package may be on the platform. Yarn 1 does not look at the C library.
func (y *yarnPlan) suits(n *yarnNode) bool {
	return matches(npmOS(y.opts.Platform), n.os) && matches(npmCPU(y.opts.Platform), n.cpu)
}
