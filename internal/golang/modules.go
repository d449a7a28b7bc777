// Package golang builds Go programs: the module cache from go.sum alone, the toolchain that go.mod asks for, the
// dependencies compiled apart from the application, and the application.
package golang

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/gosum"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// Natives lists the native steps of this package.
func Natives() []engine.NativeDef {
	return []engine.NativeDef{zipDef, cacheDef, toolchainDef, modfileDef, textsDef}
}

// zipDef unpacks a module zip to its place in a module cache, with the hash that the go command compares with go.sum.
// The zip itself is left out: the go command needs it only for `go mod verify`. Nothing is executable, whatever the zip
// says, and there are no empty directories.
var zipDef = engine.NativeDef{Name: "go-mod-zip", Version: 2, Run: unpackZip}

// cacheDef puts unpacked modules and go.mod files together.
var cacheDef = engine.NativeDef{Name: "go-mod-cache", Version: 1, Run: putCache}

type zipParams struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Hash    string `json:"hash"` // h1, as go.sum has it
}

// ModulesOptions says which module cache to make.
type ModulesOptions struct {
	Dir     engine.Static // the project: go.work, or go.mod and go.sum, at its root
	Without []string      // paths of modules that the caller puts somewhere else
	NoWork  bool          // go.work does not count
}

// Modules is the step whose tree serves as GOMODCACHE: every module for which go.sum has the hash of a zip, and every
// go.mod file; with a go.work, those of all its modules. Nothing is resolved: what no go.sum names is not there.
func Modules(ctx context.Context, ask *engine.Ask, o ModulesOptions) (engine.Static, error) {
	p, err := readProject(ctx, ask, o.Dir, projectFiles{work: !o.NoWork})
	if err != nil {
		return engine.Static{}, err
	}
	return p.modules(o)
}

func (p *goProject) modules(o ModulesOptions) (engine.Static, error) {
	if err := p.complete(o.Dir); err != nil {
		return engine.Static{}, err
	}
	var mods []string
	var files, zips []engine.Static
	for _, s := range p.sums {
		if _, local := p.dirs[s.Path]; local || slices.Contains(o.Without, s.Path) {
			continue
		}
		a, where, err := artifact(s)
		if err != nil {
			return engine.Static{}, err
		}
		file := engine.FetchLocked(a, diag.Position{File: o.Dir.File(s.File), Line: s.Line, Key: s.Path})
		if s.Mod {
			mods, files = append(mods, where), append(files, file)
			continue
		}
		zip := zipParams{s.Path, s.Version, s.Hash.String()}
		zips = append(zips, engine.NativeStatic(a.String(), zipDef, zip, file))
	}
	return engine.NativeStatic("Go modules", cacheDef, mods, slices.Concat(files, zips)...), nil
}

// artifact is the file that a line of go.sum is about, and its place in a module cache.
func artifact(s gosum.Sum) (source.Artifact, string, error) {
	dir, version, err := escape(s.Path, s.Version)
	if err != nil {
		return source.Artifact{}, "", diag.Inputf("lock-value", "malformed go.sum").
			At(diag.Position{File: s.File, Line: s.Line, Key: s.Path}).Because(err)
	}
	ext := ".zip"
	if s.Mod {
		ext = ".mod"
	}
	a := source.Artifact{Ecosystem: source.Go, Name: s.Path, Version: s.Version, File: s.Version + ext, Integrity: s.Hash}
	return a, path.Join("cache/download", dir, "@v", version+ext), nil
}

// escape writes a module's path and version as module caches and proxies do: capitals as `!c`.
func escape(p, v string) (dir, version string, err error) {
	if dir, err = module.EscapePath(p); err == nil {
		version, err = module.EscapeVersion(v)
	}
	return dir, version, err
}

func unpackZip(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p zipParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	dir, version, err := escape(p.Path, p.Version)
	if err != nil {
		return tree.Tree{}, err
	}
	files, err := openZip(ctx, c, p.Path+"@"+p.Version+"/")
	if err != nil {
		return tree.Tree{}, fmt.Errorf("%s %s: %w", p.Path, p.Version, err)
	}
	b := tree.NewBuilder()
	err = tree.Walk(ctx, c.Store, files, func(at string, e tree.Entry) error {
		if e.Kind != tree.KindFile {
			return nil
		}
		return b.File(path.Join(dir+"@"+version, at), e.Digest, false)
	})
	if err != nil {
		return tree.Tree{}, err
	}
	info, err := json.Marshal(struct{ Version string }{p.Version})
	if err != nil {
		return tree.Tree{}, err
	}
	for ext, content := range map[string]string{".ziphash": p.Hash, ".info": string(info)} {
		d, err := c.Store.Put(ctx, []byte(content))
		if err != nil {
			return tree.Tree{}, err
		}
		if err := b.File(path.Join("cache/download", dir, "@v", version+ext), d, false); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}

// openZip unpacks the call's only input, a tree of one zip, whose names must all begin with prefix.
func openZip(ctx context.Context, c engine.NativeCall, prefix string) (tree.Tree, error) {
	if len(c.Inputs) != 1 {
		return tree.Tree{}, fmt.Errorf("want one input, got %d", len(c.Inputs))
	}
	in, err := c.Store.Directory(ctx, c.Inputs[0])
	if err != nil {
		return tree.Tree{}, err
	}
	if len(in.Files) != 1 {
		return tree.Tree{}, fmt.Errorf("the input has %d files, want one", len(in.Files))
	}
	ra, size, closeBlob, err := archive.OpenBlob(ctx, c.Store, in.Files[0].Digest)
	if err != nil {
		return tree.Tree{}, err
	}
	defer closeBlob() //nolint:errcheck // only read from
	var foreign string
	t, err := archive.Zip(ctx, ra, size, c.Store, archive.Options{Map: func(p string) (string, bool) {
		to, ok := strings.CutPrefix(p, prefix)
		if !ok && p+"/" != prefix && !strings.HasPrefix(prefix, p+"/") && foreign == "" {
			foreign = p
		}
		return to, ok && to != ""
	}})
	if err == nil && foreign != "" {
		err = diag.Inputf("archive-entry", "module zip has a file outside of its module: %q", foreign)
	}
	return t, err
}

// putCache puts go.mod files (the first inputs, each a tree of one file, at the places in params) and unpacked modules
// together.
func putCache(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var mods []string
	if err := json.Unmarshal(c.Params, &mods); err != nil {
		return tree.Tree{}, err
	}
	if len(mods) > len(c.Inputs) {
		return tree.Tree{}, fmt.Errorf("go-mod-cache: %d go.mod files, but %d inputs", len(mods), len(c.Inputs))
	}
	b := tree.NewBuilder()
	for i, t := range c.Inputs {
		if i >= len(mods) {
			if err := b.Tree("", t); err != nil {
				return tree.Tree{}, err
			}
			continue
		}
		in, err := c.Store.Directory(ctx, t)
		if err != nil {
			return tree.Tree{}, err
		}
		if len(in.Files) != 1 {
			return tree.Tree{}, fmt.Errorf("%s: the input has %d files, want one", mods[i], len(in.Files))
		}
		if err := b.File(mods[i], in.Files[0].Digest, false); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}
