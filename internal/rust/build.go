package rust

import (
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/cargo"
	"hewn.example/hewn/internal/tree"
)

// Where things lie in the root of a build. All of it is fixed, so that no path differs between two builds.
const (
	targetDir = "/build/target" // compiled dependencies
	probeDir  = "/build/probe"  // a package that shows what cargo calls its default registry
	outDir    = "/build/out"
	defaultIn = "/build/src"
)

// BuildOptions says what to build.
type BuildOptions struct {
	Source engine.Static // the project: Cargo.toml and Cargo.lock at its root
	At     string        // where it is compiled; empty: /build/src
	Bin    string        // the name of the program
	Output string        // where it goes in the result: "/bin/authentik"
	Root   engine.Step   // a root with rustc, cargo, a C compiler and sed
	Rustc  string        // the version of rustc in Root
	Env    map[string]string
	Flags  []string // further flags of `cargo build`, for example --features=…
}

// Build is the step whose tree holds the program at o.Output, built with the release profile.
//
// What comes from the lock is compiled in a step of its own. It sees the manifests and the lock, and an empty program in
// the place of every root file of a target, so that it runs again only if a manifest, the lock or the toolchain changes.
func Build(ctx context.Context, ask *engine.Ask, o BuildOptions) (engine.Step, error) {
	w, err := readWorkspace(ctx, ask, o.Source, "", "")
	if err != nil {
		return engine.Step{}, err
	}
	if err := w.checkToolchain(ctx, o.Rustc); err != nil {
		return engine.Step{}, err
	}
	lock, err := w.goodLock(ctx)
	if err != nil {
		return engine.Step{}, err
	}
	crates, err := vendor(lock, DefaultAt)
	if err != nil {
		return engine.Step{}, err
	}
	if o.At == "" {
		o.At = defaultIn
	}
	skeleton, err := skeletonOf(ctx, ask, o.Source)
	if err != nil {
		return engine.Step{}, err
	}
	layers := []engine.Layer{{Step: o.Root, At: "/"}, {Step: crates.Step, At: DefaultAt}}
	prelude := "set -eu\n"
	if identity, probe := probeOf(lock); identity != "" {
		layers = append(layers, engine.Layer{Step: stubs("cargo's default registry", probe), At: probeDir})
		prelude += adopt(identity, o.At)
	}
	env := environment()
	maps.Copy(env, o.Env)
	common := []string{"--locked", "--offline", "--release", "--target-dir", targetDir}
	build := words(slices.Concat([]string{"cargo", "build"}, common, []string{"--bin", o.Bin}, o.Flags))
	clean := slices.Concat([]string{"cargo", "clean"}, common)
	for _, p := range lock.Packages {
		if !p.Source.Remote() {
			clean = append(clean, "-p", p.Name)
		}
	}
	run := func(label, script string, out string, more ...engine.Layer) engine.Step {
		return engine.Sub(engine.Run(label, engine.Command{Args: []string{"sh", "-c", prelude + script}, Env: env, Dir: o.At,
			Layers: slices.Concat(layers, more), Outputs: []string{out}}), out)
	}
	// All files of a root are of one time, so that cargo would take what it made of the empty programs for up to date.
	deps := run("cargo build dependencies of "+o.Bin, build+"\n"+words(clean)+"\n", targetDir, engine.Layer{Step: skeleton, At: o.At})
	app := run("cargo build "+o.Bin, build+"\nmkdir -p "+outDir+"\ncp "+targetDir+"/release/"+words([]string{o.Bin})+" "+outDir+"/\n", outDir,
		engine.Layer{Step: o.Source.Step, At: o.At}, engine.Layer{Step: deps, At: targetDir})
	if name := path.Base(o.Output); name != o.Bin {
		return engine.Step{}, diag.Inputf("rust-output", "the program is called `%s`, not `%s`", o.Bin, name)
	}
	return engine.Place(app, path.Dir(o.Output)), nil
}

// words quotes a command for sh.
func words(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(out, " ")
}

// probeOf gives the address of the default registry, if it is an identity that cargo does not know, and a package that
// depends on one of the registry's crates.
func probeOf(lock *cargo.Lock) (identity string, probe map[string]string) {
	for _, p := range lock.Packages {
		if p.Source.Default() && p.Source.Identity() {
			identity = p.Source.String()
			if len(p.Dependencies) == 0 && p.Replacement < 0 {
				return identity, map[string]string{"src/lib.rs": "", "Cargo.toml": "[package]\nname = \"hewn-probe\"\nversion = \"0.0.0\"\n[dependencies]\n" +
					key(p.Name) + " = " + quote("="+p.Version) + "\n[workspace]\n"}
			}
		}
	}
	return "", nil
}

// adopt puts what cargo calls its default registry in the place of the identity in the lock: our code names no host.
func adopt(identity, at string) string {
	return "(cd " + probeDir + " && cargo generate-lockfile --offline --quiet)\n" +
		"default=$(sed -n 's/^source = \"\\(.*\\)\"$/\\1/p' " + probeDir + "/Cargo.lock | head -n 1)\n" +
		"test -n \"$default\"\n" +
		"sed -i \"s|" + strings.NewReplacer(".", `\.`, "+", "+").Replace(identity) + "|$default|\" " + words([]string{at + "/Cargo.lock"}) + "\n"
}

// skeletonOf is what compiling the dependencies needs of a project: manifests, lock, configuration, and an empty program
// for every file at which a target of a package begins.
func skeletonOf(ctx context.Context, ask *engine.Ask, src engine.Static) (engine.Step, error) {
	manifests, err := ask.Glob(ctx, src, "**/"+manifestName)
	if err != nil {
		return engine.Step{}, err
	}
	if !slices.Contains(manifests, manifestName) {
		manifests = append(manifests, manifestName)
	}
	roots := map[string]string{}
	const empty = "fn main() {}\n"
	for _, m := range manifests {
		b, err := ask.Read(ctx, src, m)
		if err != nil {
			return engine.Step{}, err
		}
		dir := path.Dir(m)
		parsed, err := parseManifest(m, b)
		if err != nil {
			continue // cargo will say so, if it needs this one
		}
		for _, p := range parsed.explicit() {
			roots[path.Join(dir, p)] = empty
		}
		for _, pattern := range []string{"build.rs", "src/lib.rs", "src/main.rs", "src/bin/*.rs", "src/bin/*/main.rs"} {
			found, err := ask.Glob(ctx, src, path.Join(dir, pattern))
			if err != nil {
				return engine.Step{}, err
			}
			for _, f := range found {
				roots[f] = empty
			}
		}
	}
	keep := append(manifests, lockName, ".cargo/config.toml?", ".cargo/config?")
	return engine.Merge("manifests", engine.Part{Step: engine.Select(src.Step, keep...), At: "/"},
		engine.Part{Step: stubs("empty programs", roots), At: "/"}), nil
}

// explicit is the files that a manifest names for its targets, and its build script.
func (m *manifest) explicit() (files []string) {
	if p, ok := m.packageTable()["build"].(string); ok {
		files = append(files, p)
	}
	targets := []any{m.top["lib"]}
	for _, k := range []string{"bin", "example", "test", "bench"} {
		list, _ := m.top[k].([]any)
		targets = append(targets, list...)
	}
	for _, t := range targets {
		t, _ := t.(table)
		if p, ok := t["path"].(string); ok && !strings.HasPrefix(path.Clean(p), "..") && !path.IsAbs(p) {
			files = append(files, p)
		}
	}
	return files
}

// stubsDef makes a tree of small files out of its parameters.
var stubsDef = engine.NativeDef{Name: "rust-stubs", Version: 1, Run: func(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
	var texts map[string]string
	if err := json.Unmarshal(c.Params, &texts); err != nil {
		return tree.Tree{}, err
	}
	b := tree.NewBuilder()
	for _, p := range sortedKeys(texts) {
		d, err := c.Store.Put(ctx, []byte(texts[p]))
		if err != nil {
			return tree.Tree{}, err
		}
		if err := b.File(p, d, false); err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, c.Store)
}}

func stubs(label string, files map[string]string) engine.Step {
	return engine.Native(label, stubsDef, files)
}
