package rust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/source/gitignore"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// gitDef takes one package out of a repository, which may hold several: the files that cargo would package, with a
// manifest that needs no workspace around it.
var gitDef = engine.NativeDef{Name: "cargo-git-package", Version: 1, Run: gitPackage}

type gitParams struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

const (
	manifestName = "Cargo.toml"
	maxManifest  = 4 << 20
	maxDepth     = 100 // of directories, which links could make endless
)

func gitPackage(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p gitParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	if len(c.Inputs) != 1 {
		return tree.Tree{}, fmt.Errorf("cargo-git-package: want one input, got %d", len(c.Inputs))
	}
	r := &repository{ctx: ctx, store: c.Store, root: c.Inputs[0], manifests: map[string]*manifest{}}
	dir, err := r.find(p)
	if err != nil {
		return tree.Tree{}, err
	}
	m, err := r.manifest(dir)
	if err != nil {
		return tree.Tree{}, err
	}
	l := lister{r: r, top: dir, files: files{}}
	l.filter(m)
	if err := l.walk(dir, 0); err != nil {
		return tree.Tree{}, err
	}
	if m.inherits() {
		if err := r.settle(m, dir); err != nil {
			return tree.Tree{}, diag.Inputf("cargo-inherit", "cannot complete the manifest of `%s`", p.Name).Because(err).
				At(diag.Position{File: path.Join(dir, manifestName)})
		}
		d, err := c.Store.Put(ctx, m.encode())
		if err != nil {
			return tree.Tree{}, err
		}
		l.files[manifestName] = file{digest: d}
	}
	return l.files.tree(ctx, c.Store, "", nil)
}

// repository is the tree of a commit.
type repository struct {
	ctx       context.Context
	store     store.Store
	root      tree.Tree
	manifests map[string]*manifest // by directory; nil: there is none that can be read
}

// manifest reads the manifest in dir, or gives nil.
func (r *repository) manifest(dir string) (*manifest, error) {
	if m, ok := r.manifests[dir]; ok {
		return m, nil
	}
	_, e, err := tree.Resolve(r.ctx, r.store, r.root, path.Join(dir, manifestName))
	if errors.Is(err, tree.ErrNotExist) || err == nil && e.Kind != tree.KindFile {
		r.manifests[dir] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := store.ReadBlob(r.ctx, r.store, e.Digest, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(path.Join(dir, manifestName), b)
	if err != nil {
		m = nil // repositories hold broken manifests as well: data of tests
	}
	r.manifests[dir] = m
	return m, nil
}

// find gives the directory of a package, the first by path if there are several.
func (r *repository) find(p gitParams) (string, error) {
	var found, others []string
	var visit func(dir string, t tree.Tree) error
	visit = func(dir string, t tree.Tree) error {
		d, err := r.store.Directory(r.ctx, t)
		if err != nil {
			return err
		}
		_, has := d.Entry(manifestName)
		if has {
			m, err := r.manifest(dir)
			if err != nil {
				return err
			}
			if m != nil && m.name() == p.Name {
				v, err := r.version(m, dir)
				if err == nil && v == p.Version {
					found = append(found, dir)
				} else {
					others = append(others, v)
				}
			}
		}
		for _, e := range d.Entries() {
			if e.Kind != tree.KindDir || strings.HasPrefix(e.Name, ".") || has && e.Name == "target" {
				continue
			}
			if err := visit(path.Join(dir, e.Name), e.Tree); err != nil {
				return err
			}
		}
		return nil
	}
	if err := visit("", r.root); err != nil {
		return "", err
	}
	if len(found) > 0 {
		slices.Sort(found)
		return found[0], nil
	}
	problem := diag.Inputf("cargo-git", "the repository has no package `%s` of version %s", p.Name, p.Version)
	if len(others) > 0 {
		problem.With("it has: " + strings.Join(others, ", "))
	}
	return "", problem.Hint("the commit in Cargo.lock may be another than the one that cargo saw: run `cargo update %s`", p.Name)
}

func (r *repository) version(m *manifest, dir string) (string, error) {
	pkg := m.packageTable()
	if inherited(pkg["version"]) {
		w, _, err := r.workspace(m, dir)
		if err != nil {
			return "", err
		}
		pkg = sub(sub(w.top, "workspace"), "package")
	}
	if v, ok := pkg["version"].(string); ok {
		return v, nil
	}
	return "0.0.0", nil
}

// workspace finds the root of the workspace that the package in dir is a member of.
func (r *repository) workspace(m *manifest, dir string) (*manifest, string, error) {
	at := dir
	if to, ok := m.packageTable()["workspace"].(string); ok {
		at = strings.TrimPrefix(path.Join("/", dir, to), "/")
		w, err := r.manifest(at)
		if err != nil || w != nil {
			return w, at, err
		}
		return nil, "", fmt.Errorf("there is no workspace at %q", to)
	}
	for {
		w, err := r.manifest(at)
		if err != nil {
			return nil, "", err
		}
		if w != nil && w.top["workspace"] != nil {
			return w, at, nil
		}
		if at == "" {
			return nil, "", errors.New("it inherits from a workspace, but no directory above it has one")
		}
		if at = path.Dir(at); at == "." {
			at = ""
		}
	}
}

// settle puts into m what it inherits.
func (r *repository) settle(m *manifest, dir string) error {
	w, at, err := r.workspace(m, dir)
	if err != nil {
		return err
	}
	return m.settle(sub(w.top, "workspace"), relative(dir, at))
}

// relative is the way from a directory up to one above it.
func relative(dir, above string) string {
	rest := strings.Trim(strings.TrimPrefix(dir, above), "/")
	if !strings.HasPrefix(dir+"/", above+"/") && above != "" || rest == "" {
		return ""
	}
	return strings.Repeat("../", strings.Count(rest, "/")+1)
}

// lister collects the files of a package as `cargo package` would: all that git tracks, but no packages inside, and with
// what the manifest includes or excludes.
type lister struct {
	r       *repository
	top     string
	files   files
	include bool // rules name what is kept, not what is left out
	rules   *gitignore.Matcher
	but     *gitignore.Matcher // rules after one that matches everything: tells "taken back" from "no rule"
	entries int
}

func (l *lister) filter(m *manifest) {
	pkg := m.packageTable()
	list := texts(pkg["include"])
	if l.include = len(list) > 0; !l.include {
		list = texts(pkg["exclude"])
	}
	text := strings.Join(list, "\n")
	l.rules = (*gitignore.Matcher)(nil).With("", []byte(text))
	l.but = (*gitignore.Matcher)(nil).With("", []byte("*\n"+text))
}

// keeps says whether a file is part of the package. The nearest of the file and the directories above it for which there
// is a rule decides.
func (l *lister) keeps(rel string) bool {
	if rel == manifestName || rel == "Cargo.lock" {
		return true
	}
	for p, isDir := rel, false; p != "."; p, isDir = path.Dir(p), true {
		if l.rules.Ignored(p, isDir) {
			return l.include
		}
		if !l.but.Ignored(p, isDir) {
			return !l.include
		}
	}
	return !l.include
}

func (l *lister) walk(dir string, depth int) error {
	_, e, err := tree.Resolve(l.r.ctx, l.r.store, l.r.root, dir)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("%s: directories are more than %d deep", dir, maxDepth)
	}
	d, err := l.r.store.Directory(l.r.ctx, e.Tree)
	if err != nil {
		return err
	}
	if _, nested := d.Entry(manifestName); nested && depth > 0 {
		return nil // a package of its own
	}
	for _, e := range d.Entries() {
		p := path.Join(dir, e.Name)
		if l.entries++; l.entries > 1_000_000 {
			return fmt.Errorf("%s: more than a million files", l.top)
		}
		if e.Kind == tree.KindLink { // cargo copies what links point at
			if _, e, err = tree.Resolve(l.r.ctx, l.r.store, l.r.root, p); errors.Is(err, tree.ErrNotExist) {
				continue
			} else if err != nil {
				return err
			}
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(p, l.top), "/")
		switch {
		case e.Kind == tree.KindDir:
			if l.include && depth == 0 && e.Name == "target" {
				continue
			}
			if err := l.walk(p, depth+1); err != nil {
				return err
			}
		case l.keeps(rel) && vendored(rel):
			l.files[rel] = file{e.Digest, e.Executable}
		}
	}
	return nil
}
