package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// packDef turns a directory, mostly that of a commit, into the folder that npm would install: the files that `npm pack`
// would put into a tarball. No script is run, so that what only a build makes is not there.
var packDef = engine.NativeDef{Name: "npm-pack", Version: 1, Run: pack}

// maxPackage bounds a package.json and an ignore file.
const maxPackage = 8 << 20

// neverPacked are left out but where `files` names them.
const neverPacked = `.npmignore
.gitignore
**/.git
**/.svn
**/.hg
**/CVS
**/.git/**
**/.svn/**
**/.hg/**
**/CVS/**
/.lock-wscript
/.wafpickle-*
/build/config.gypi
npm-debug.log
**/.npmrc
.*.swp
.DS_Store
**/.DS_Store/**
._*
**/._*/**
*.orig
/archived-packages/**
`

// alwaysDecided is what no ignore file has a say in.
const alwaysDecided = `/.git
!/package.json
!/readme{,.*[^~$]}
!/copying{,.*[^~$]}
!/license{,.*[^~$]}
!/licence{,.*[^~$]}
/.git
/node_modules
.npmrc
/package-lock.json
/yarn.lock
/pnpm-lock.yaml
/bun.lockb
`

func pack(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p unpackParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	if len(c.Inputs) != 1 {
		return tree.Tree{}, fmt.Errorf("npm-pack: want one input, got %d", len(c.Inputs))
	}
	l := packer{ctx: ctx, store: c.Store, root: c.Inputs[0], files: map[string]packed{}}
	if err := l.list(); err != nil {
		return tree.Tree{}, diag.Inputf("npm-pack", "cannot tell what belongs to the package").Because(err)
	}
	u := unpacker{ctx: ctx, store: c.Store, files: l.files}
	p.Manifest = true
	return u.finish("package.json", p)
}

// packer finds the files of a package.
type packer struct {
	ctx   context.Context
	store store.Store
	root  tree.Tree
	files map[string]packed
}

// packDir is a directory on the way, with the rules that are in it.
type packDir struct {
	parent   *packDir
	base     string
	rules    []rule // in the order in which they are applied
	exact    bool   // a rule names the directory itself
	required []string
}

func (l *packer) list() error {
	text, err := l.read("package.json")
	if err != nil {
		return err
	}
	var m struct {
		Name    string          `json:"name"`
		Main    json.RawMessage `json:"main"`
		Browser json.RawMessage `json:"browser"`
		Bin     json.RawMessage `json:"bin"`
		Files   []string        `json:"files"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return fmt.Errorf("package.json: %w", err)
	}
	d := &packDir{}
	var first, wanted []string
	for _, f := range m.Files {
		f = strings.TrimPrefix(f, ".")
		if !strings.HasPrefix(f, "/") && len(f) > 0 && f != "" {
			f = strings.TrimPrefix(f, "/")
		}
		kind, err := l.kind(strings.TrimLeft(f, "!"))
		switch {
		case err != nil:
			return err
		case kind == tree.KindFile && f != "":
			first = append([]string{"!" + f}, first...)
			d.required = append(d.required, strings.TrimPrefix(f, "/"))
		case kind == tree.KindDir:
			wanted = append(wanted, "!"+f, "!"+f+"/**")
		case kind == 0:
			if strings.HasSuffix(f, "/*") {
				f += "*"
			}
			wanted = append(wanted, "!"+f)
		}
	}
	strict := strings.Join(first, "\n") + "\n" + alwaysDecided
	for _, raw := range []json.RawMessage{m.Browser, m.Main} {
		var one string
		if json.Unmarshal(raw, &one) == nil && one != "" {
			strict += "!/" + one + "\n"
		}
	}
	for _, b := range npm.Bins(m.Name, m.Bin) {
		strict += "!/" + b.File + "\n"
	}
	rules := neverPacked
	if m.Files != nil {
		rules += "*\n" + strings.Join(wanted, "\n") + "\n"
	} else if text, err = l.ignoreFile(""); err != nil {
		return err
	} else {
		rules += text + "\n"
	}
	if d.rules, err = parseRules(rules + strict); err != nil {
		return err
	}
	return l.walk(d, "", l.root)
}

// kind is what lies at p; 0 where nothing does.
func (l *packer) kind(p string) (tree.Kind, error) {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		return tree.KindDir, nil
	}
	if strings.ContainsRune(p, 0) {
		return 0, errors.New("package.json: `files` has a name with a zero byte")
	}
	e, err := tree.Lookup(l.ctx, l.store, l.root, p)
	if errors.Is(err, tree.ErrNotExist) {
		return 0, nil
	}
	return e.Kind, err
}

func (l *packer) read(p string) (string, error) {
	e, err := tree.Lookup(l.ctx, l.store, l.root, p)
	if err != nil {
		return "", err
	}
	if e.Kind != tree.KindFile {
		return "", fmt.Errorf("%s is no file", p)
	}
	b, err := store.ReadBlob(l.ctx, l.store, e.Digest, maxPackage)
	return string(b), err
}

// ignoreFile gives what a directory's own file says: .npmignore, else .gitignore.
func (l *packer) ignoreFile(dir string) (string, error) {
	for _, name := range []string{".npmignore", ".gitignore"} {
		text, err := l.read(path.Join(dir, name))
		if !errors.Is(err, tree.ErrNotExist) {
			return text, err
		}
	}
	return "", nil
}

func (l *packer) walk(d *packDir, at string, t tree.Tree) error {
	dir, err := l.store.Directory(l.ctx, t)
	if err != nil {
		return err
	}
	for _, e := range dir.Entries() {
		name := strings.ToLower(e.Name)
		here := path.Join(at, e.Name)
		switch e.Kind {
		case tree.KindFile:
			if d.included(name, false, "") && !strings.Contains(e.Name, "*") {
				l.files[here] = packed{e.Digest, e.Executable}
			}
		case tree.KindDir:
			if !d.included(name, true, "") || strings.Contains(e.Name, "*") {
				continue
			}
			sub := &packDir{parent: d, base: name, exact: d.included(name, false, "") || d.included(name+"/", false, "")}
			text, err := l.ignoreFile(here)
			if err != nil {
				return err
			}
			text = neverPacked + text + "\n/.git\n"
			for _, r := range d.required {
				if rest, ok := strings.CutPrefix(r, e.Name+"/"); ok {
					sub.required = append(sub.required, rest)
					text += "!" + rest + "\n"
				}
			}
			if sub.rules, err = parseRules(text); err != nil {
				return fmt.Errorf("%s: %w", here, err)
			}
			if err := l.walk(sub, here, e.Tree); err != nil {
				return err
			}
		case tree.KindLink: // a package holds none
		}
	}
	return nil
}

// included says whether an entry is wanted; dir asks on behalf of what may lie below. base is the entry's own name where
// it is looked at from a directory further up.
func (d *packDir) included(entry string, dir bool, base string) bool {
	in := true
	if d.parent != nil {
		b := base
		if b == "" {
			b = entry
		}
		if in = d.parent.included(d.base+"/"+entry, dir, b); !in && !d.exact {
			return false
		}
	}
	for _, r := range d.rules {
		if r.negate != in && r.about(entry, dir, base) {
			in = r.negate
		}
	}
	return in
}

func (r rule) about(entry string, dir bool, base string) bool {
	hit := func(p string, suffix string, partial bool) bool {
		return r.match("/"+p+suffix, partial) || r.match(p+suffix, partial)
	}
	if hit(entry, "", false) {
		return true
	}
	if !dir {
		return false
	}
	if hit(entry, "/", false) || r.negate && hit(entry, "", true) {
		return true
	}
	return base != "" && r.relative() && (hit(base, "/", false) || r.negate && hit(base, "", true))
}

// manifestBins are the files that the package.json among files calls commands.
func manifestBins(ctx context.Context, s store.Store, files map[string]packed) ([]string, error) {
	f, ok := files["package.json"]
	if !ok || f.digest.Size() > maxPackage {
		return nil, nil
	}
	b, err := store.ReadBlob(ctx, s, f.digest, maxPackage)
	if err != nil {
		return nil, err
	}
	var m struct {
		Name string          `json:"name"`
		Bin  json.RawMessage `json:"bin"`
	}
	if json.Unmarshal(b, &m) != nil {
		return nil, nil // npm takes packages without a usable manifest as they are
	}
	found := map[string]bool{}
	for _, bin := range npm.Bins(m.Name, m.Bin) {
		found[bin.File] = true
	}
	return slices.Sorted(maps.Keys(found)), nil
}
