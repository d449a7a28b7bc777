package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"deps.dev/util/semver"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/tree"
)

// pnpmToolDef lays pnpm out below /usr/local: its package, and from pnpm 12 on the program that its install script would
// put there.
var pnpmToolDef = engine.NativeDef{Name: "pnpm-toolchain", Version: 2, Run: layPnpm}

// withPnpm adds to a toolchain the pnpm that the project names, where one of dirs has a lock of pnpm. Its hash is that of
// `packageManager`, else `hewn update` pins it.
func withPnpm(ctx context.Context, ask *engine.Ask, toolchain engine.Static, dirs []engine.Static) (engine.Static, error) {
	wanted := false
	for _, dir := range dirs {
		is, err := isPnpm(ctx, ask, dir)
		if err != nil {
			return toolchain, err
		}
		wanted = wanted || is
	}
	if !wanted {
		return toolchain, nil
	}
	for _, dir := range dirs {
		text, err := packageManager(ctx, ask, dir)
		if err != nil && !errors.Is(err, tree.ErrNotExist) {
			return toolchain, err
		}
		if version, ok := strings.CutPrefix(text, "pnpm@"); ok {
			s, err := pnpmTool(ctx, ask, version)
			if err != nil || s.IsZero() {
				return toolchain, err
			}
			both, _ := engine.Merge("Node.js and pnpm", engine.Part{Step: toolchain.Step, At: "/"}, engine.Part{Step: s.Step, At: "/"}).Static()
			return both, nil
		}
	}
	return toolchain, nil
}

// pnpmTool is the pnpm of a version; zero if it is a range.
func pnpmTool(ctx context.Context, ask *engine.Ask, version string) (engine.Static, error) {
	version, hash, _ := strings.Cut(version, "+")
	v, err := semver.NPM.Parse(version)
	if err != nil {
		ask.Note("the toolchain has no pnpm: `%s` of package.json is not one version", version)
		return engine.Static{}, nil
	}
	all := []source.Artifact{{Ecosystem: source.NPM, Name: "pnpm", Version: version, File: "pnpm-" + version + ".tgz"}}
	if sum, ok := strings.CutPrefix(hash, "sha512."); ok {
		if raw, err := hex.DecodeString(sum); err == nil {
			if all[0].Integrity, err = source.NewIntegrity(source.SHA512, raw); err != nil {
				return engine.Static{}, diag.Inputf("pnpm-version", "the hash of `packageManager` is none").At(diag.Position{File: "package.json", Key: "packageManager"}).Because(err)
			}
		}
	}
	q := pins.Question{Ecosystem: source.NPM, Set: "tool/pnpm"}
	const firstNative = 12
	if major, _ := v.Major(); major >= firstNative {
		q.Platform = ask.Platform()
		exe, err := pnpmProgram(q.Platform.OS, q.Platform.Arch, q.Platform.Libc)
		if err != nil {
			return engine.Static{}, err
		}
		all = append(all, source.Artifact{Name: exe, Version: version})
	}
	for _, a := range all {
		if a.Integrity.IsZero() {
			q.Request = append(q.Request, a.Name+"@"+a.Version)
		}
	}
	if len(q.Request) > 0 {
		pinned, err := ask.Artifacts(ctx, q)
		if err != nil {
			return engine.Static{}, err
		}
		for i, a := range all {
			j := slices.IndexFunc(pinned, func(p source.Artifact) bool { return p.Name == a.Name && p.Version == a.Version })
			if a.Integrity.IsZero() && j < 0 {
				return engine.Static{}, diag.Inputf("pin-wrong", "the pins of `tool/pnpm` have no %s %s", a.Name, a.Version).Hint("run `hewn update`")
			}
			if a.Integrity.IsZero() {
				all[i] = pinned[j]
			}
		}
	}
	var inputs []engine.Static
	for _, a := range all {
		inputs = append(inputs, engine.NativeStatic(a.String(), unpackDef, unpackParams{}, engine.Fetch(a)))
	}
	return engine.NativeStatic("pnpm toolchain", pnpmToolDef, nil, inputs...), nil
}

// pnpmProgram is the package with the program of pnpm 12 and later.
func pnpmProgram(os, arch, libc string) (string, error) {
	cpu := map[string]string{"amd64": "x64", "arm64": "arm64"}[arch]
	if cpu == "" || os != "linux" && os != "darwin" {
		return "", diag.Environmentf("node-platform", "there is no pnpm package for %s/%s", os, arch)
	}
	name := "@pnpm/exe." + os + "-" + cpu
	if libc == "musl" {
		name += "-musl"
	}
	return name, nil
}

// pnpmWrapper runs pnpm. What it would check before it runs a script is its own record of an installation, which
// node_modules does not have here, and whether it is the version of packageManager, which it is.
const pnpmWrapper = `#!/bin/sh
export npm_config_verify_deps_before_run=false pnpm_config_verify_deps_before_run=false
export npm_config_manage_package_manager_versions=false pnpm_config_pm_on_fail=ignore
exec %s "$@"
`

func layPnpm(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	if len(c.Inputs) != 1 && len(c.Inputs) != 2 {
		return tree.Tree{}, fmt.Errorf("pnpm-toolchain: want one or two inputs, got %d", len(c.Inputs))
	}
	const at = "usr/local/lib/node_modules/pnpm"
	b := tree.NewBuilder()
	command := ""
	for _, name := range []string{"bin/pnpm.cjs", "bin/pnpm.mjs"} {
		if _, err := tree.Lookup(ctx, c.Store, c.Inputs[0], name); err == nil {
			command = "/usr/local/bin/node /" + at + "/" + name
		}
	}
	if command == "" {
		return tree.Tree{}, errors.New("the pnpm package is not laid out as expected")
	}
	pkg := c.Inputs[0]
	if len(c.Inputs) == 2 {
		e, err := tree.Lookup(ctx, c.Store, c.Inputs[1], "pnpm")
		if err != nil {
			return tree.Tree{}, fmt.Errorf("the package with pnpm's program is not laid out as expected: %w", err)
		}
		if pkg, err = tree.Remove(ctx, c.Store, pkg, "pnpm", "pn", "pnpx", "pnx"); err != nil {
			return tree.Tree{}, err
		}
		if err := b.File(path.Join(at, "pnpm"), e.Digest, true); err != nil {
			return tree.Tree{}, err
		}
		command = "/" + at + "/pnpm"
	}
	if err := b.Tree(at, pkg); err != nil {
		return tree.Tree{}, err
	}
	for name, command := range map[string]string{"pnpm": command, "pnpx": command + " dlx"} {
		d, err := c.Store.Put(ctx, fmt.Appendf(nil, pnpmWrapper, command))
		if err != nil {
			return tree.Tree{}, err
		}
		if err := b.File("usr/local/bin/"+name, d, true); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}
