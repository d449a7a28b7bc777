package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/tree"
)

// modulesDef puts the trees of packages, links and commands together.
var modulesDef = engine.NativeDef{Name: "npm-modules", Version: 1, Run: assemble}

type modulesParams struct {
	Packages []placed  `json:"packages"` // one an input, in the order of inputs
	Links    []link    `json:"links,omitempty"`
	Bins     []binLink `json:"bins,omitempty"`
}

// placed is where an input goes.
type placed struct {
	Path   string   `json:"path"`
	Within []string `json:"within,omitempty"` // places inside it that other inputs take
}

type link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// binLink is a command in a `.bin`. It is made only if its file exists.
type binLink struct {
	Path    string `json:"path"`
	Target  string `json:"target"`
	Package int    `json:"package"` // the input that has the file; -1: it lies outside and is known to exist
	File    string `json:"file"`    // in that input
}

func assemble(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var p modulesParams
	if err := json.Unmarshal(c.Params, &p); err != nil {
		return tree.Tree{}, err
	}
	if len(p.Packages) != len(c.Inputs) {
		return tree.Tree{}, fmt.Errorf("npm-modules: %d packages, but %d inputs", len(p.Packages), len(c.Inputs))
	}
	b := tree.NewBuilder()
	for i, pkg := range p.Packages {
		t, err := giveWay(ctx, c.Store, c.Inputs[i], pkg.Within)
		if err != nil {
			return tree.Tree{}, err
		}
		if err := b.Tree(pkg.Path, t); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, l := range p.Links {
		if err := b.Link(l.Path, l.Target); err != nil {
			return tree.Tree{}, err
		}
	}
	for _, bin := range p.Bins {
		if bin.Package >= 0 {
			_, err := tree.Lookup(ctx, c.Store, c.Inputs[bin.Package], bin.File)
			if errors.Is(err, tree.ErrNotExist) {
				continue
			}
			if err != nil {
				return tree.Tree{}, err
			}
		}
		if err := b.Link(bin.Path, bin.Target); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}

// giveWay removes from a package what lies at the places of other packages.
func giveWay(ctx context.Context, dirs tree.Dirs, t tree.Tree, within []string) (tree.Tree, error) {
	for _, w := range within {
		_, err := tree.Lookup(ctx, dirs, t, w)
		if errors.Is(err, tree.ErrNotExist) {
			continue
		}
		if err == nil {
			t, err = tree.Remove(ctx, dirs, t, w)
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}
