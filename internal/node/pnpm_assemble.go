package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"deps.dev/util/semver"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/npm"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// pnpmDef puts packages, links and commands together as pnpm lays them out.
var pnpmDef = engine.NativeDef{Name: "pnpm-modules", Version: 1, Run: assemblePnpm}

// localDef takes a directory as a package: its commands are executable, its node_modules mostly stay behind.
var localDef = engine.NativeDef{Name: "pnpm-local", Version: 2, Run: localPackage}

type localParams struct {
	KeepCR      bool `json:"keepCR,omitempty"`      // commands keep the carriage return of their first line
	KeepModules bool `json:"keepModules,omitempty"` // node_modules does not stay behind
}

type pnpmParams struct {
	Places     []pnpmPlace `json:"places,omitempty"`
	Links      []link      `json:"links,omitempty"`
	Dirs       []string    `json:"dirs,omitempty"`
	Bins       []pnpmBins  `json:"bins,omitempty"`
	Symlinks   bool        `json:"symlinks,omitempty"`   // commands are links, not scripts
	LowestWins bool        `json:"lowestWins,omitempty"` // of two packages with one command, the first by name
	NodePath   string      `json:"nodePath,omitempty"`   // what scripts add to NODE_PATH
}

type pnpmPlace struct {
	Path  string `json:"path"`
	Input int    `json:"input"`
}

// pnpmBins is a `.bin` with the packages whose commands it has.
type pnpmBins struct {
	Dir  string        `json:"dir"`
	From []pnpmBinFrom `json:"from"`
}

type pnpmBinFrom struct {
	Path    string       `json:"path"`
	Input   int          `json:"input"` // -1: Local
	Local   *packageBins `json:"local,omitempty"`
	Direct  bool         `json:"direct,omitempty"`
	Bundled bool         `json:"bundled,omitempty"` // the packages in node_modules of the input
	Shim    bool         `json:"shim,omitempty"`    // a script even where commands are links
}

// packageBins is what a package.json says of commands.
type packageBins struct {
	Name    string    `json:"name"`
	Version string    `json:"version,omitempty"`
	Bins    []npm.Bin `json:"bins"`
}

// readBins reads a package.json as pnpm does: names with characters that a URL escapes are passed over. files are those of
// the package, for directories.bin.
func readBins(b []byte, files []string) packageBins {
	var m struct {
		Name        string          `json:"name"`
		Version     string          `json:"version"`
		Bin         json.RawMessage `json:"bin"`
		Directories struct {
			Bin string `json:"bin"`
		} `json:"directories"`
	}
	if json.Unmarshal(b, &m) != nil {
		return packageBins{}
	}
	out := packageBins{Name: m.Name, Version: m.Version}
	add := func(command, file string) {
		if command = command[strings.LastIndex(command, "/")+1:]; command == "" || strings.ContainsFunc(command, escaped) || command[0] == '.' {
			return
		}
		if file = path.Join("/", file)[1:]; file != "" && !strings.ContainsRune(file, 0) {
			out.Bins = append(out.Bins, npm.Bin{Name: command, File: file})
		}
	}
	var one string
	var many map[string]string
	switch {
	case len(m.Bin) > 0 && json.Unmarshal(m.Bin, &one) == nil && one != "":
		add(m.Name, one)
	case len(m.Bin) > 0 && json.Unmarshal(m.Bin, &many) == nil:
		for name, file := range many {
			add(name, file)
		}
	case m.Directories.Bin != "":
		dir := path.Join("/", m.Directories.Bin)[1:] + "/"
		for _, f := range files {
			if strings.HasPrefix(f, dir) {
				add(path.Base(f), f)
			}
		}
	}
	slices.SortFunc(out.Bins, func(a, b npm.Bin) int { return strings.Compare(a.Name+"\x00"+a.File, b.Name+"\x00"+b.File) })
	return out
}

func escaped(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.!~*'()$", r))
}

// treeBins reads the commands of the package that lies at dir of a tree.
func treeBins(ctx context.Context, s store.Store, t tree.Tree, dir string) (packageBins, error) {
	e, err := tree.Lookup(ctx, s, t, path.Join(dir, "package.json"))
	if errors.Is(err, tree.ErrNotExist) || err == nil && e.Kind != tree.KindFile {
		return packageBins{}, nil
	}
	if err != nil {
		return packageBins{}, err
	}
	b, err := store.ReadBlob(ctx, s, e.Digest, maxManifest)
	if err != nil {
		return packageBins{}, err
	}
	var files []string
	if bytes.Contains(b, []byte(`"directories"`)) {
		files, err = tree.Glob(ctx, s, t, path.Join(dir, "**"))
		for i := range files {
			files[i] = strings.TrimPrefix(files[i], dir+"/")
		}
	}
	out := readBins(b, files)
	out.Bins = slices.DeleteFunc(out.Bins, func(c npm.Bin) bool {
		e, lookErr := tree.Lookup(ctx, s, t, path.Join(dir, c.File))
		return lookErr != nil || e.Kind != tree.KindFile
	})
	return out, err
}

// inner are the packages that lie in node_modules of a tree.
func inner(ctx context.Context, s store.Store, t tree.Tree) ([]string, error) {
	var out []string
	for _, pattern := range []string{"node_modules/*/package.json", "node_modules/@*/*/package.json"} {
		found, err := tree.Glob(ctx, s, t, pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			out = append(out, path.Dir(f))
		}
	}
	return out, nil
}

type pnpmMaker struct {
	ctx    context.Context
	call   engine.NativeCall
	params pnpmParams
	out    *tree.Builder
}

func assemblePnpm(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	m := &pnpmMaker{ctx: ctx, call: c, out: tree.NewBuilder()}
	if err := json.Unmarshal(c.Params, &m.params); err != nil {
		return tree.Tree{}, err
	}
	for _, p := range m.params.Places {
		if p.Input < 0 || p.Input >= len(c.Inputs) {
			return tree.Tree{}, fmt.Errorf("pnpm-modules: there is no input %d", p.Input)
		}
		if err := m.out.Tree(p.Path, c.Inputs[p.Input]); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, l := range m.params.Links {
		if err := m.out.Link(l.Path, l.Target); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, d := range m.params.Dirs {
		if err := m.out.Dir(d); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, b := range m.params.Bins {
		if err := m.bins(b); err != nil {
			return tree.Tree{}, err
		}
	}
	return m.out.Build(ctx, c.Store)
}

// command is one of those that want a name in a `.bin`.
type command struct {
	npm.Bin
	pkg    packageBins
	from   pnpmBinFrom
	folder string // of the package
	inside string // the same in the input
}

func (m *pnpmMaker) bins(b pnpmBins) error {
	won := map[string]command{}
	consider := func(c command) {
		old, ok := won[c.Name]
		if !ok || m.wins(c, old) {
			won[c.Name] = c
		}
	}
	for _, f := range b.From {
		if f.Local != nil {
			for _, bin := range f.Local.Bins {
				consider(command{bin, *f.Local, f, f.Path, ""})
			}
			continue
		}
		if f.Input < 0 || f.Input >= len(m.call.Inputs) {
			return fmt.Errorf("pnpm-modules: there is no input %d", f.Input)
		}
		dirs := []string{""}
		if f.Bundled {
			var err error
			if dirs, err = inner(m.ctx, m.call.Store, m.call.Inputs[f.Input]); err != nil {
				return err
			}
		}
		for _, dir := range dirs {
			pkg, err := treeBins(m.ctx, m.call.Store, m.call.Inputs[f.Input], dir)
			if err != nil {
				return err
			}
			for _, bin := range pkg.Bins {
				consider(command{bin, pkg, f, path.Join(f.Path, dir), dir})
			}
		}
	}
	for name, c := range won {
		if err := m.write(b.Dir+"/"+name, c); err != nil {
			return err
		}
	}
	return nil
}

// wins is pnpm's choice where two packages have a command of one name.
func (m *pnpmMaker) wins(a, b command) bool {
	if a.from.Direct != b.from.Direct {
		return a.from.Direct
	}
	if own := a.Name == a.pkg.Name; own != (b.Name == b.pkg.Name) {
		return own
	}
	if c := compareLocale(a.pkg.Name, b.pkg.Name); c != 0 {
		return (c > 0) != m.params.LowestWins
	}
	return laterVersion(a.pkg.Version, b.pkg.Version)
}

func (m *pnpmMaker) write(at string, c command) error {
	target := relative(path.Dir(at), c.folder+"/"+c.File)
	if m.params.Symlinks && !c.from.Shim {
		return m.out.Link(at, target)
	}
	interpreter := map[string]string{".js": "node", ".cjs": "node", ".mjs": "node", ".sh": "sh"}[path.Ext(c.File)]
	if c.from.Local == nil {
		e, err := tree.Lookup(m.ctx, m.call.Store, m.call.Inputs[c.from.Input], path.Join(c.inside, c.File))
		if err != nil {
			return err
		}
		if e.Digest.Size() <= maxBin {
			b, err := store.ReadBlob(m.ctx, m.call.Store, e.Digest, maxBin)
			if err != nil {
				return err
			}
			if bytes.HasPrefix(b, []byte("#!")) {
				interpreter = "" // the system reads that line
			}
		}
	}
	d, err := m.call.Store.Put(m.ctx, []byte(m.shim(at, target, interpreter)))
	if err != nil {
		return err
	}
	return m.out.File(at, d, true)
}

// shim is a script that runs a command where it really lies, with the hidden node_modules in sight.
func (m *pnpmMaker) shim(at, target, interpreter string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nhere=$(dirname -- \"$(readlink -f -- \"$0\")\")\n")
	if m.params.NodePath != "" {
		fmt.Fprintf(&b, "export NODE_PATH=\"$here\"/%s${NODE_PATH:+:$NODE_PATH}\n", quote(relative(path.Dir(at), m.params.NodePath)))
	}
	if interpreter != "" {
		interpreter += " "
	}
	fmt.Fprintf(&b, "exec %s\"$here\"/%s \"$@\"\n", interpreter, quote(target))
	return b.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func localPackage(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	if len(c.Inputs) != 1 {
		return tree.Tree{}, fmt.Errorf("pnpm-local: want one input, got %d", len(c.Inputs))
	}
	var p localParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	t := c.Inputs[0]
	bins, err := treeBins(ctx, c.Store, t, "")
	if err != nil {
		return tree.Tree{}, err
	}
	commands := map[string]bool{}
	for _, b := range bins.Bins {
		commands[b.File] = true
	}
	out := tree.NewBuilder()
	err = tree.Walk(ctx, c.Store, t, func(at string, e tree.Entry) (err error) {
		switch {
		case strings.HasPrefix(at+"/", "node_modules/") && !p.KeepModules:
		case e.Kind == tree.KindFile:
			if commands[at] && !p.KeepCR {
				if e.Digest, err = mendHashBang(ctx, c.Store, e.Digest); err != nil {
					return err
				}
			}
			return out.File(at, e.Digest, e.Executable || commands[at])
		case e.Kind == tree.KindLink:
			return out.Link(at, e.Target)
		}
		return nil
	})
	if err != nil {
		return tree.Tree{}, err
	}
	return out.Build(ctx, c.Store)
}

// ownBins are the commands that the package.json files of an unpacked tarball name.
func (u *unpacker) ownBins(p unpackParams) ([]string, error) {
	var dirs, out []string
	if p.OwnBins {
		dirs = append(dirs, "")
	}
	files := slices.Sorted(maps.Keys(u.files))
	for _, f := range files {
		if rest, ok := strings.CutPrefix(f, "node_modules/"); p.BundledBins && ok && path.Base(f) == "package.json" {
			if n := strings.Count(rest, "/"); n == 1 || n == 2 && rest[0] == '@' {
				dirs = append(dirs, path.Dir(f)+"/")
			}
		}
	}
	for _, dir := range dirs {
		f, ok := u.files[dir+"package.json"]
		if !ok {
			continue
		}
		b, err := store.ReadBlob(u.ctx, u.store, f.digest, maxManifest)
		if err != nil {
			return nil, err
		}
		var below []string
		for _, f := range files {
			if rest, ok := strings.CutPrefix(f, dir); ok {
				below = append(below, rest)
			}
		}
		for _, c := range readBins(b, below).Bins {
			out = append(out, dir+c.File)
		}
	}
	return out, nil
}

func laterVersion(a, b string) bool {
	x, errX := semver.NPM.Parse(a)
	y, errY := semver.NPM.Parse(b)
	return errX == nil && errY == nil && x.Compare(y) > 0
}
