package rust

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/cargo"
	"hewn.example/hewn/internal/tree"
)

// maxPackages bounds the packages of a workspace: path dependencies are followed.
const maxPackages = 10_000

// workspace is the packages that one Cargo.lock is for, as their manifests have it.
type workspace struct {
	ask      *engine.Ask
	src      engine.Static
	label    string // what src is, put before names of files in messages
	dir      string // where Cargo.lock lies, in src
	root     *manifest
	packages []*localPackage // by the path of their manifests
}

// localPackage is a package in the source.
type localPackage struct {
	*manifest
	file string // its Cargo.toml in the source
	own  bool   // a member of the workspace; otherwise a path dependency outside of it, whose tests nobody compiles
}

// rootOf finds the directory of the workspace that a manifest belongs to.
func rootOf(ctx context.Context, ask *engine.Ask, src engine.Static, label, file string) (string, error) {
	own := path.Dir(file)
	m, err := readManifest(ctx, ask, src, label, file)
	if err != nil {
		return "", err
	}
	if to, ok := m.packageTable()["workspace"].(string); ok {
		return path.Join(own, to), nil
	}
	if sub(m.top, "workspace") != nil {
		return own, nil
	}
	for dir := own; dir != "."; {
		dir = path.Dir(dir)
		m, err := readManifest(ctx, ask, src, label, path.Join(dir, manifestName))
		if errors.Is(err, tree.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if w := sub(m.top, "workspace"); w != nil && !excluded(w, dir, own) {
			return dir, nil
		}
	}
	return own, nil
}

// excluded says that a workspace at root does not want the package at dir.
func excluded(w table, root, dir string) bool {
	return slices.ContainsFunc(texts(w["exclude"]), func(x string) bool {
		at := path.Join(root, x)
		return dir == at || strings.HasPrefix(dir, at+"/")
	})
}

// readWorkspace reads the manifests of a workspace, and those of the path dependencies.
func readWorkspace(ctx context.Context, ask *engine.Ask, src engine.Static, label, dir string) (*workspace, error) {
	w := &workspace{ask: ask, src: src, label: label, dir: path.Clean(dir)}
	var err error
	if w.root, err = readManifest(ctx, ask, src, label, path.Join(dir, manifestName)); errors.Is(err, tree.ErrNotExist) {
		return nil, diag.Inputf("lock-missing", "cannot read `%s`", named(src, label, path.Join(dir, manifestName))).Because(err).
			Hint("let the source begin where the manifest of the workspace lies, for example with source.dir(…)")
	}
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	queue := []string{path.Join(dir, manifestName)}
	table := sub(w.root.top, "workspace")
	for _, pattern := range texts(table["members"]) {
		found, err := ask.Glob(ctx, src, path.Join(dir, pattern, manifestName))
		if err != nil {
			return nil, err
		}
		queue = append(queue, found...)
	}
	patches := sub(w.root.top, "patch")
	for _, registry := range sortedKeys(patches) {
		for _, k := range sortedKeys(sub(patches, registry)) {
			if to, ok := sub(sub(patches, registry), k)["path"].(string); ok {
				queue = append(queue, path.Join(dir, to, manifestName))
			}
		}
	}
	for len(queue) > 0 {
		file := queue[0]
		queue = queue[1:]
		if seen[file] || len(seen) > maxPackages || strings.HasPrefix(file, "../") {
			continue
		}
		seen[file] = true
		m, err := readManifest(ctx, ask, src, label, file)
		if errors.Is(err, tree.ErrNotExist) {
			continue // cargo says so, if it needs it
		}
		if err != nil {
			return nil, err
		}
		p := &localPackage{manifest: m, file: file, own: w.owns(file)}
		if excluded(table, w.dir, path.Dir(file)) && file != path.Join(dir, manifestName) {
			p.own = false
		}
		if m.packageTable() != nil {
			w.packages = append(w.packages, p)
		}
		for _, n := range w.needs(p) {
			if n.path != "" {
				queue = append(queue, path.Join(n.path, manifestName))
			}
		}
	}
	slices.SortFunc(w.packages, func(a, b *localPackage) int { return strings.Compare(a.file, b.file) })
	return w, nil
}

// owns says that a package at a place is a member: in a workspace all below it are, else the root package alone.
func (w *workspace) owns(file string) bool {
	if sub(w.root.top, "workspace") == nil {
		return file == path.Join(w.dir, manifestName)
	}
	return w.dir == "." || strings.HasPrefix(file, w.dir+"/")
}

func readManifest(ctx context.Context, ask *engine.Ask, src engine.Static, label, file string) (*manifest, error) {
	b, err := ask.Read(ctx, src, file)
	if err != nil {
		return nil, err
	}
	return parseManifest(named(src, label, file), b)
}

// named is a file of a source as messages have it.
func named(src engine.Static, label, file string) string {
	if label == "" {
		return src.File(file)
	}
	return path.Join(label, file)
}

// version of a package, which may be the workspace's.
func (w *workspace) version(p *localPackage) string {
	return w.inheritable(p, "version")
}

func (w *workspace) inheritable(p *localPackage, key string) string {
	v := p.packageTable()[key]
	if inherited(v) {
		v = sub(sub(w.root.top, "workspace"), "package")[key]
	}
	s, _ := v.(string)
	return s
}

// need is a dependency as a manifest has it.
type need struct {
	name     string // of the package
	key      string // what the manifest calls it
	req      string // the version requirement; empty: any
	dev      bool
	optional bool
	path     string // the directory of a path dependency, in the source
	git      string // the URL of a git dependency
	ref      cargo.RefKind
	refTo    string
	registry bool // from a registry that is not the default
	features []string
	defaults bool
	wrong    string // what cargo would not take of its value; empty: nothing
	pos      diag.Position
}

// needs is what a package depends on, on all platforms.
func (w *workspace) needs(p *localPackage) (all []need) {
	shared := sub(sub(w.root.top, "workspace"), "dependencies")
	places := [][]string{nil}
	for _, k := range sortedKeys(sub(p.top, "target")) {
		places = append(places, []string{"target", k})
	}
	for _, place := range places {
		t := p.top
		for _, k := range place {
			t = sub(t, k)
		}
		for _, kind := range dependencyTables {
			deps := sub(t, kind)
			for _, k := range sortedKeys(deps) {
				n := need{name: k, key: k, dev: strings.HasPrefix(kind, "dev"), defaults: true, pos: p.at(append(slices.Clone(place), kind, k)...)}
				base := path.Dir(p.file)
				own, _ := deps[k].(table)
				n.wrong = wrongKind(k, deps[k], shared)
				n.optional = own["optional"] == true
				spec := deps[k]
				if inherited(spec) {
					spec, base = shared[k], w.dir
				}
				n.fill(spec, base)
				if inherited(deps[k]) {
					n.features = append(n.features, texts(own["features"])...)
					n.defaults = n.defaults || own["default-features"] == true
				}
				all = append(all, n)
			}
		}
	}
	return all
}

// fill takes what a dependency's value says; base is the directory that paths in it start from.
func (n *need) fill(spec any, base string) {
	if s, ok := spec.(string); ok {
		n.req = s
		return
	}
	t, _ := spec.(table)
	if s, ok := t["package"].(string); ok {
		n.name = s
	}
	n.req, _ = t["version"].(string)
	if s, ok := t["path"].(string); ok {
		n.path = path.Join(base, s)
	}
	n.git, _ = t["git"].(string)
	for _, k := range []cargo.RefKind{cargo.Branch, cargo.Tag, cargo.Rev} {
		if to, ok := t[string(k)].(string); ok {
			n.ref, n.refTo = k, to
		}
	}
	_, named := t["registry"]
	_, index := t["registry-index"]
	n.registry = named || index
	n.features = texts(t["features"])
	n.defaults = t["default-features"] != false && t["default_features"] != false
}
