package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// toolchainDef lays Node.js, its headers and npm out below /usr/local, as their own installers do.
var toolchainDef = engine.NativeDef{Name: "node-toolchain", Version: 2, Run: layToolchain}

// manifest is what is read of a package.json.
type manifest struct {
	Engines struct {
		Node string `json:"node"`
		NPM  string `json:"npm"`
	} `json:"engines"`
	DevEngines struct {
		Runtime json.RawMessage `json:"runtime"`
	} `json:"devEngines"`
}

// Toolchain is the Node.js that the first of dirs with an opinion asks for (`engines.node` of its package.json, else
// `devEngines.runtime`), and the newest npm that runs on it and satisfies `engines.npm`. The tree has
// /usr/local/bin/{node,npm,npx}. Both come from the npm registry, where versions stay. Where one of dirs has a lock of
// pnpm, there is also the pnpm that `packageManager` names.
//
// The Node.js is the newest of the lowest major line that satisfies the range: `>=24` means 24, which is what the
// project was made for, and not whatever is newest on the day. Where nothing is asked for, it is the newest even major.
func Toolchain(ctx context.Context, ask *engine.Ask, dirs ...engine.Static) (engine.Static, error) {
	node, npm := "*", "*"
	for _, dir := range dirs {
		m, err := readManifest(ctx, ask, dir)
		if err != nil {
			return engine.Static{}, err
		}
		if v := m.nodeRange(); v != "" && node == "*" {
			node = v
		}
		if v := m.Engines.NPM; v != "" && npm == "*" {
			npm = v
		}
	}
	q := pins.Question{
		Ecosystem: source.NPM, Set: "tool/node", Platform: ask.Platform(),
		Request: []string{"node " + node, "npm " + npm},
	}
	if nodePackage(q.Platform.OS, q.Platform.Arch, q.Platform.Libc) == "" {
		return engine.Static{}, diag.Environmentf("node-platform", "there is no Node.js package for %s", q.Platform)
	}
	as, err := ask.Artifacts(ctx, q)
	if err != nil {
		return engine.Static{}, err
	}
	inputs := make([]engine.Static, 2)
	for _, a := range as {
		switch {
		case a.Name == "npm":
			bins := []string{"bin/npm-cli.js", "bin/npx-cli.js"}
			inputs[1] = engine.NativeStatic(a.String(), unpackDef, unpackParams{Bins: bins}, engine.Fetch(a))
		case strings.HasPrefix(a.Name, "node-"):
			inputs[0] = engine.NativeStatic(a.String(), unpackDef, unpackParams{Bins: []string{"bin/node"}}, engine.Fetch(a))
		}
	}
	if len(as) != 2 || inputs[0].IsZero() || inputs[1].IsZero() {
		return engine.Static{}, diag.Inputf("pin-wrong", "the pins of `tool/node` are not one Node.js and one npm").
			Hint("run `hewn update`")
	}
	return withPnpm(ctx, ask, engine.NativeStatic("Node.js toolchain", toolchainDef, nil, inputs...), dirs)
}

func readManifest(ctx context.Context, ask *engine.Ask, dir engine.Static) (manifest, error) {
	var m manifest
	b, err := ask.Read(ctx, dir, "package.json")
	if errors.Is(err, tree.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(bytesWithoutMark(b), &m); err != nil {
		// `engines` of another form is npm's business; a file that is no JSON at all is the user's.
		var typ *json.UnmarshalTypeError
		if !errors.As(err, &typ) {
			return m, badManifest(dir.File("package.json"), b, err)
		}
	}
	return m, nil
}

// badManifest says where a package.json is not what it must be.
func badManifest(file string, b []byte, err error) *diag.Problem {
	pos := diag.Position{File: file}
	line := func(off int64) int {
		b := bytesWithoutMark(b)
		return bytes.Count(b[:min(max(int(off), 0), len(b))], []byte("\n")) + 1
	}
	var syn *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syn):
		pos.Line = line(syn.Offset)
		return diag.Inputf("package-json", "this is not JSON: %v", err).At(pos)
	case errors.As(err, &typ):
		pos.Line, pos.Key = line(typ.Offset), typ.Field
		return diag.Inputf("package-json", "this cannot be a JSON %s", typ.Value).At(pos)
	}
	return diag.Inputf("package-json", "this cannot be read").At(pos).Because(err)
}

func (m manifest) nodeRange() string {
	if m.Engines.Node != "" {
		return m.Engines.Node
	}
	type runtime struct{ Name, Version string }
	var one runtime
	var many []runtime
	if json.Unmarshal(m.DevEngines.Runtime, &one) == nil {
		many = []runtime{one}
	} else if json.Unmarshal(m.DevEngines.Runtime, &many) != nil {
		return ""
	}
	for _, r := range many {
		if r.Name == "node" {
			return r.Version
		}
	}
	return ""
}

// nodePackage is the npm package that holds Node.js for a platform, or empty.
func nodePackage(os, arch, libc string) string {
	cpu := map[string]string{"amd64": "x64", "arm64": "arm64"}[arch]
	if cpu == "" || libc == "musl" {
		return ""
	}
	switch os {
	case "linux", "darwin":
		return "node-" + os + "-" + cpu
	}
	return ""
}

// layToolchain puts Node.js (first input) and npm (second) at their places.
func layToolchain(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	if len(c.Inputs) != 2 {
		return tree.Tree{}, fmt.Errorf("node-toolchain: want two inputs, got %d", len(c.Inputs))
	}
	const npm = "lib/node_modules/npm"
	node, err := tree.Select(ctx, c.Store, c.Inputs[0], "bin/node", "include/node?")
	if err != nil {
		return tree.Tree{}, fmt.Errorf("the Node.js package is not laid out as expected: %w", err)
	}
	if _, err := tree.Lookup(ctx, c.Store, c.Inputs[1], "bin/npm-cli.js"); err != nil {
		return tree.Tree{}, fmt.Errorf("the npm package is not laid out as expected: %w", err)
	}
	b := tree.NewBuilder()
	if err := b.Tree("usr/local", node); err != nil {
		return tree.Tree{}, err
	}
	if err := b.Tree(path.Join("usr/local", npm), c.Inputs[1]); err != nil {
		return tree.Tree{}, err
	}
	for _, name := range []string{"npm", "npx"} {
		if err := b.Link("usr/local/bin/"+name, "../"+npm+"/bin/"+name+"-cli.js"); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}
