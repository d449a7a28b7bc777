package debian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"pault.ag/go/debian/version"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// debianRoot merges unpacked packages into one root and completes it with what maintainer scripts would have made.
var debianRoot = engine.NativeDef{Name: "debian-root", Version: 2, Run: runRoot}

// rootParams is what the key of a root hangs on besides its packages.
type rootParams struct {
	Arch  string `json:"arch"`
	Users []User `json:"users,omitempty"`
}

// User is an account in a root's /etc/passwd.
type User struct {
	Name  string `json:"name"`
	UID   int    `json:"uid"`
	GID   int    `json:"gid"`
	Home  string `json:"home"`
	Shell string `json:"shell"`
}

func runRoot(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p rootParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	t, err := mergePackages(ctx, c.Store, p.Arch, c.Inputs)
	if err != nil {
		return tree.Tree{}, err
	}
	return complete(ctx, c.Store, t, p)
}

// unpacked is a package as the merge sees it.
type unpacked struct {
	name     string
	ver      version.Version
	replaces relation
}

// supersedes says whether files of p may stand in the place of those of o.
func (p unpacked) supersedes(o unpacked) bool {
	for _, g := range p.replaces {
		if g[0].name == o.name && g[0].admits(o.ver) {
			return true
		}
	}
	return false
}

// merger puts package trees together. Directories that only one package has are taken over by digest, unread, so
// that the cost is in shared directories only.
type merger struct {
	st       store.Store
	packages []unpacked
	diverted map[string]diversion // by path
	within   map[string]bool      // directories that must be read because a diversion may lie in them
}

type part struct {
	pkg  int
	tree tree.Tree
}

type claim struct {
	pkg   int
	entry tree.Entry
}

func mergePackages(ctx context.Context, st store.Store, arch string, trees []tree.Tree) (tree.Tree, error) {
	m := &merger{st: st, diverted: map[string]diversion{}, within: map[string]bool{}}
	parts := make([]part, len(trees))
	names := map[string]bool{}
	for i, t := range trees {
		p, err := describe(ctx, st, t)
		if err != nil {
			return tree.Tree{}, err
		}
		if names[p.name] {
			return tree.Tree{}, fmt.Errorf("package %s is there twice", p.name)
		}
		names[p.name] = true
		m.packages = append(m.packages, p)
		parts[i] = part{i, t}
	}
	for _, d := range diversions(m.packages, Triplet(arch)) {
		m.diverted[d.from] = d
		for dir := d.from; dir != "."; {
			dir = path.Dir(dir)
			m.within[dir] = true
		}
	}
	return m.merge(ctx, ".", parts)
}

// describe reads which package a tree is from its control file.
func describe(ctx context.Context, st store.Store, t tree.Tree) (p unpacked, err error) {
	e, err := tree.Lookup(ctx, st, t, statusDir)
	if err != nil {
		return p, err
	}
	d, err := st.Directory(ctx, e.Tree)
	if err != nil {
		return p, err
	}
	if len(d.Files) != 1 {
		return p, fmt.Errorf("%s holds %d files, want that of one package", statusDir, len(d.Files))
	}
	control, err := store.ReadBlob(ctx, st, d.Files[0].Digest, maxControl)
	if err != nil {
		return p, err
	}
	p.name = d.Files[0].Name
	if p.ver, err = version.Parse(controlField(control, "Version")); err == nil {
		p.replaces, err = parseRelation(controlField(control, "Replaces"))
	}
	if err != nil {
		err = diag.Inputf("deb-format", "the control file of package %s is malformed", p.name).Because(err)
	}
	return p, err
}

func (m *merger) merge(ctx context.Context, dir string, parts []part) (tree.Tree, error) {
	if same(parts) && !m.within[dir] {
		return parts[0].tree, nil
	}
	claims, err := m.claims(ctx, dir, parts)
	if err != nil {
		return tree.Tree{}, err
	}
	out := &tree.Directory{}
	for len(claims) > 0 {
		n := 1
		for n < len(claims) && claims[n].entry.Name == claims[0].entry.Name {
			n++
		}
		e, err := m.settle(ctx, dir, claims[:n])
		if err != nil {
			return tree.Tree{}, err
		}
		switch e.Kind {
		case tree.KindFile:
			out.Files = append(out.Files, tree.File{Name: e.Name, Digest: e.Digest, Executable: e.Executable})
		case tree.KindDir:
			out.Dirs = append(out.Dirs, tree.Dir{Name: e.Name, Tree: e.Tree})
		case tree.KindLink:
			out.Links = append(out.Links, tree.Link{Name: e.Name, Target: e.Target})
		}
		claims = claims[n:]
	}
	return m.st.PutDirectory(ctx, out)
}

func same(parts []part) bool {
	for _, p := range parts[1:] {
		if p.tree != parts[0].tree {
			return false
		}
	}
	return true
}

// claims gives every entry that some package has in a directory, by name, then in the order of packages.
func (m *merger) claims(ctx context.Context, dir string, parts []part) ([]claim, error) {
	var out []claim
	for _, p := range parts {
		d, err := m.st.Directory(ctx, p.tree)
		if err != nil {
			return nil, err
		}
		for _, e := range d.Entries() {
			if m.within[dir] {
				if v, ok := m.diverted[path.Join(dir, e.Name)]; ok && v.by != m.packages[p.pkg].name {
					e.Name = path.Base(v.to)
				}
			}
			out = append(out, claim{p.pkg, e})
		}
	}
	slices.SortStableFunc(out, func(a, b claim) int { return strings.Compare(a.entry.Name, b.entry.Name) })
	return out, nil
}

// settle decides what stands at a name that one or more packages claim.
func (m *merger) settle(ctx context.Context, dir string, cs []claim) (tree.Entry, error) {
	var parts []part
	for _, c := range cs {
		if c.entry.Kind == tree.KindDir {
			parts = append(parts, part{c.pkg, c.entry.Tree})
		}
	}
	p := path.Join(dir, cs[0].entry.Name)
	if len(parts) == len(cs) {
		t, err := m.merge(ctx, p, parts)
		return tree.Entry{Name: cs[0].entry.Name, Kind: tree.KindDir, Tree: t}, err
	}
	var best *claim // two may replace each other; then the first by name stands, whatever the order
	for i := range cs {
		if m.wins(cs[i], cs) && (best == nil || m.packages[cs[i].pkg].name < m.packages[best.pkg].name) {
			best = &cs[i]
		}
	}
	if best != nil {
		return best.entry, nil
	}
	a, b := cs[0], cs[1]
	for _, c := range cs[1:] {
		if !c.entry.Same(a.entry) {
			b = c
		}
	}
	return tree.Entry{}, diag.Failf("debian-overlap", "packages %s and %s both have /%s, and neither replaces the other",
		m.packages[a.pkg].name, m.packages[b.pkg].name, p).
		With(m.packages[a.pkg].name+" has a "+a.entry.String(), m.packages[b.pkg].name+" has a "+b.entry.String()).
		Hint("put one of them into a root of its own, or exclude it")
}

// wins says whether an entry stands against all others of its name: equal to them, or of a package that replaces theirs.
func (m *merger) wins(c claim, all []claim) bool {
	for _, o := range all {
		if o.pkg == c.pkg || o.entry.Same(c.entry) {
			continue
		}
		if !m.packages[c.pkg].supersedes(m.packages[o.pkg]) {
			return false
		}
	}
	return true
}

// view reads a tree, following links.
type view struct {
	st store.Store
	t  tree.Tree
}

// has says whether anything stands at p, be it a link to nowhere.
func (v view) has(ctx context.Context, p string) (bool, error) {
	dir, err := v.dir(ctx, path.Dir(p))
	if err != nil || dir == nil {
		return false, err
	}
	_, ok := dir.Entry(path.Base(p))
	return ok, nil
}

// leads says whether p leads to a file or directory.
func (v view) leads(ctx context.Context, p string) (bool, error) {
	_, _, err := tree.Resolve(ctx, v.st, v.t, p)
	if errors.Is(err, tree.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// dir gives the directory at p, or nil where there is none.
func (v view) dir(ctx context.Context, p string) (*tree.Directory, error) {
	_, e, err := tree.Resolve(ctx, v.st, v.t, p)
	if errors.Is(err, tree.ErrNotExist) || err == nil && e.Kind != tree.KindDir {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v.st.Directory(ctx, e.Tree)
}

// read gives the content of a file, or nil where there is none.
func (v view) read(ctx context.Context, p string) ([]byte, error) {
	_, e, err := tree.Resolve(ctx, v.st, v.t, p)
	if errors.Is(err, tree.ErrNotExist) || err == nil && e.Kind != tree.KindFile {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return store.ReadBlob(ctx, v.st, e.Digest, maxConfig)
}

const maxConfig = 1 << 20 // of a configuration file or certificate that completing reads
