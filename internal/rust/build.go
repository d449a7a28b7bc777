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

	togetherMark = targetDir + "/.hewn-together" // there if packages of the source cannot be compiled apart
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
// Then come the packages of the source, each without what those above it are made of (see stages), and the program's own last.
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
	if name := path.Base(o.Output); name != o.Bin {
		return engine.Step{}, diag.Inputf("rust-output", "the program is called `%s`, not `%s`", o.Bin, name)
	}
	if o.At == "" {
		o.At = defaultIn
	}
	p, err := readProject(ctx, ask, o.Source)
	if err != nil {
		return engine.Step{}, err
	}
	c := newCompiler(o, lock, crates.Step)
	return engine.Place(c.program(p, w.stages(o.Bin, p.roots, lock)), path.Dir(o.Output)), nil
}

// compiler makes the steps of one build: the same command, with more and more of the source.
type compiler struct {
	o       BuildOptions
	layers  []engine.Layer
	prelude string
	env     map[string]string
	common  []string // flags of each cargo
	locals  []string // names of the packages in the source
}

func newCompiler(o BuildOptions, lock *cargo.Lock, crates engine.Step) *compiler {
	c := &compiler{o: o, prelude: "set -eu\n", env: environment(), common: []string{"--locked", "--offline", "--release", "--target-dir", targetDir}}
	maps.Copy(c.env, o.Env)
	c.layers = []engine.Layer{{Step: o.Root, At: "/"}, {Step: crates, At: DefaultAt}}
	if identity, probe := probeOf(lock); identity != "" {
		c.layers = append(c.layers, engine.Layer{Step: stubs("cargo's default registry", probe), At: probeDir})
		c.prelude += adopt(identity, o.At)
	}
	for _, p := range lock.Packages {
		if !p.Source.Remote() {
			c.locals = append(c.locals, p.Name)
		}
	}
	return c
}

// program is the steps: the crates, each stage, and what the last one leaves.
func (c *compiler) program(p *project, stages []stage) engine.Step {
	// All files of a root are of one time, so that cargo would take what it made of the empty programs for up to date.
	target := c.run("cargo build dependencies of "+c.o.Bin, c.build()+"\n"+c.clean(c.locals)+"\n", targetDir, engine.Layer{Step: p.skeleton(), At: c.o.At})
	last, appear := len(stages)-1, ""
	for i, s := range stages {
		if appear = p.appear(s); i == last {
			break
		}
		var names, later []string
		var above []*localPackage
		for _, l := range s {
			names = append(names, l.name())
		}
		for _, l := range slices.Concat(stages[i+1:]...) {
			above, later = append(above, l), append(later, l.name())
		}
		// A package that needs more than it says is compiled in the last step, where everything is there.
		script := appear + "if test -e " + togetherMark + "; then :\nelif " + c.build() + "; then " + c.clean(later) + "\n" +
			"else echo 'hewn: these packages are compiled together with the program'\n" + c.clean(c.locals) + "\n: > " + togetherMark + "\nfi\n"
		target = c.run("cargo build "+strings.Join(names, ", ")+" for "+c.o.Bin, script, targetDir,
			engine.Layer{Step: p.without(above), At: c.o.At}, engine.Layer{Step: target, At: targetDir})
	}
	return c.run("cargo build "+c.o.Bin, appear+c.build()+"\nmkdir -p "+outDir+"\ncp "+targetDir+"/release/"+words([]string{c.o.Bin})+" "+outDir+"/\n", outDir,
		engine.Layer{Step: p.src.Step, At: c.o.At}, engine.Layer{Step: target, At: targetDir})
}

func (c *compiler) build() string {
	return words(slices.Concat([]string{"cargo", "build"}, c.common, []string{"--bin", c.o.Bin}, c.o.Flags))
}

// clean has cargo forget what it made of packages.
func (c *compiler) clean(names []string) string {
	args := slices.Concat([]string{"cargo", "clean"}, c.common)
	for _, n := range names {
		args = append(args, "-p", n)
	}
	return words(args)
}

func (c *compiler) run(label, script, out string, more ...engine.Layer) engine.Step {
	return engine.Sub(engine.Run(label, engine.Command{Args: []string{"sh", "-c", c.prelude + script}, Env: c.env, Dir: c.o.At,
		Layers: slices.Concat(c.layers, more), Outputs: []string{out}}), out)
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

// project is the source of a build, and where its targets begin.
type project struct {
	src       engine.Static
	manifests []string
	roots     map[string][]string // by the directory of a manifest, the files at which a target of it begins, and its build script
}

const emptyProgram = "fn main() {}\n"

func readProject(ctx context.Context, ask *engine.Ask, src engine.Static) (*project, error) {
	manifests, err := ask.Glob(ctx, src, "**/"+manifestName)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(manifests, manifestName) {
		manifests = append(manifests, manifestName)
	}
	p := &project{src, manifests, map[string][]string{}}
	for _, m := range manifests {
		b, err := ask.Read(ctx, src, m)
		if err != nil {
			return nil, err
		}
		dir := path.Dir(m)
		parsed, err := parseManifest(m, b)
		if err != nil {
			continue // cargo will say so, if it needs this one
		}
		for _, f := range parsed.explicit() {
			p.roots[dir] = append(p.roots[dir], path.Join(dir, f))
		}
		for _, pattern := range []string{"build.rs", "src/lib.rs", "src/main.rs", "src/bin/*.rs", "src/bin/*/main.rs"} {
			found, err := ask.Glob(ctx, src, path.Join(dir, pattern))
			if err != nil {
				return nil, err
			}
			p.roots[dir] = append(p.roots[dir], found...)
		}
	}
	return p, nil
}

// skeleton is what compiling the dependencies needs of a project: manifests, lock, configuration, and an empty program
// for every file at which a target of a package begins.
func (p *project) skeleton() engine.Step {
	empty := map[string]string{}
	for _, files := range p.roots {
		for _, f := range files {
			empty[f] = emptyProgram
		}
	}
	keep := append(slices.Clone(p.manifests), lockName, ".cargo/config.toml?", ".cargo/config?")
	return engine.Merge("manifests", engine.Part{Step: engine.Select(p.src.Step, keep...), At: "/"},
		engine.Part{Step: stubs("empty programs", empty), At: "/"})
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
