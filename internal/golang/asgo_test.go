package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/testkit/plantest"
	"hewn.example/hewn/internal/tree"
)

// asGo is a project that the go command of this machine handles as well, with a proxy of files.
type asGo struct {
	*project
	dir, proxy, cache string
}

// modules of the proxy; each has another version, since tests know artifacts by their file names.
var proxyModules = map[string]map[string]string{
	"dep.example/a@v1.0.0":     {"go.mod": "module dep.example/a\n\ngo 1.21\n\nrequire dep.example/Upper v1.1.0\n", "a.go": "package a\n\nimport \"dep.example/Upper\"\n\nfunc A() string { return \"a+\" + upper.U() }\n"},
	"dep.example/Upper@v1.1.0": {"go.mod": "module dep.example/Upper\n\ngo 1.21\n", "u.go": "package upper\n\nfunc U() string { return \"U\" }\n", "run.sh": "#!/bin/sh\n", "internal/.hidden": "x", "LICENSE": "free"},
	"dep.example/fork@v1.2.0":  {"go.mod": "module dep.example/a\n\ngo 1.21\n", "a.go": "package a\n\nfunc A() string { return \"fork\" }\n"},
	"dep.example/old@v1.3.0":   {"go.mod": "module dep.example/old\n", "o.go": "package old\n\nfunc O() string { return \"old\" }\n"},

	"dep.example/two/v2@v2.0.1":                             {"go.mod": "module dep.example/two/v2\n\ngo 1.21\n", "t.go": "package two\n\nfunc T() string { return \"v2\" }\n"},
	"dep.example/two@v1.0.2":                                {"go.mod": "module dep.example/two\n\ngo 1.21\n", "t.go": "package two\n\nfunc T() string { return \"v1\" }\n"},
	"dep.example/plain@v3.0.3+incompatible":                 {"go.mod": "module dep.example/plain\n", "p.go": "package plain\n\nfunc P() string { return \"incompatible\" }\n"},
	"dep.example/pseudo@v0.0.0-20200102030405-abcdef123456": {"go.mod": "module dep.example/pseudo\n\ngo 1.21\n", "p.go": "package pseudo\n\nfunc P() string { return \"pseudo\" }\n"},
	"dep.example/nest@v1.0.4":                               {"go.mod": "module dep.example/nest\n\ngo 1.21\n", "n.go": "package nest\n\nfunc N() string { return \"outer\" }\n", "own/o.go": "package own\n\nfunc O() string { return \"own\" }\n"},
	"dep.example/nest/inner@v0.1.5":                         {"go.mod": "module dep.example/nest/inner\n\ngo 1.21\n", "deep/d.go": "package deep\n\nfunc D() string { return \"inner\" }\n"},
	"dep.example/base@v1.0.6":                               {"go.mod": "module dep.example/base\n\ngo 1.21\n", "b.go": "package base\n\nfunc B() string { return \"1.0.6\" }\n"},
	"dep.example/base@v1.1.6":                               {"go.mod": "module dep.example/base\n\ngo 1.21\n\nretract v1.2.6 // broken\n", "b.go": "package base\n\nfunc B() string { return \"1.1.6\" }\n"},
	"dep.example/base@v1.2.6":                               {"go.mod": "module dep.example/base\n\ngo 1.21\n\nretract v1.2.6 // broken\n", "b.go": "package base\n\nfunc B() string { return \"retracted\" }\n"},
	"dep.example/over@v1.0.7":                               {"go.mod": "module dep.example/over\n\ngo 1.21\n\nrequire dep.example/base v1.1.6\n", "o.go": "package over\n\nimport \"dep.example/base\"\n\nfunc O() string { return \"over+\" + base.B() }\n"},
	"dep.example/newer@v1.0.8":                              {"go.mod": "module dep.example/newer\n\ngo 1.25\n", "n.go": "package newer\n\nfunc N() string { return \"newer\" }\n"},
}

func newAsGo(t *testing.T, src map[string]string) *asGo {
	t.Helper()
	g := &asGo{project: &project{t: t, world: plantest.New(t, Natives()), src: src}, dir: t.TempDir(), proxy: t.TempDir(), cache: t.TempDir()}
	t.Cleanup(func() { _ = g.command(g.dir, g.cache, "clean", "-modcache").Run() })
	g.world.Sources["app"] = src
	toolchain := newProject(t)
	const file = "v0.0.1-go1.25.14.linux-amd64.zip"
	g.world.Files[file], g.world.Pins = toolchain.world.Files[file], toolchain.world.Pins
	versions := map[string]string{}
	for id, files := range proxyModules {
		p, v, _ := strings.Cut(id, "@")
		g.world.Files[v+".zip"], g.world.Files[v+".mod"] = executableZip(t, id+"/", files), []byte(files["go.mod"])
		esc, err := module.EscapePath(p)
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(g.proxy, esc, "@v", v)
		write(t, at+".zip", string(g.world.Files[v+".zip"]))
		write(t, at+".mod", files["go.mod"])
		write(t, at+".info", fmt.Sprintf(`{"Version":%q,"Time":"2020-01-01T00:00:00Z"}`, v))
		versions[esc] += v + "\n"
		write(t, filepath.Join(g.proxy, esc, "@v/list"), versions[esc])
	}
	for p, text := range src {
		write(t, filepath.Join(g.dir, p), text)
	}
	return g
}

// executableZip is zipOf with scripts that say of themselves that they are executable.
func executableZip(t *testing.T, prefix string, files map[string]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		h := &zip.FileHeader{Name: prefix + name}
		h.SetMode(0o644)
		if strings.HasPrefix(text, "#!") {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (g *asGo) command(dir, cache string, args ...string) *exec.Cmd {
	c := exec.Command("go", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOPROXY=file://"+g.proxy, "GOMODCACHE="+cache, "GONOSUMDB=*", "GONOSUMCHECK=1", "GOSUMDB=off", "GOFLAGS=",
		"GOTOOLCHAIN=local", "GOWORK=", "GOENV=off", "CGO_ENABLED=0", "GOVCS=*:off")
	return c
}

// lock runs the go command in the project and takes over the files that it wrote.
func (g *asGo) lock(dir string, args ...string) {
	g.t.Helper()
	if out, err := g.command(filepath.Join(g.dir, dir), g.cache, args...).CombinedOutput(); err != nil {
		g.t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	err := filepath.WalkDir(g.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(file)
		rel, _ := filepath.Rel(g.dir, file)
		g.src[rel] = string(b)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// materialise writes a tree to a new directory; edit is applied to every file's text.
func (g *asGo) materialise(tr tree.Tree, edit func(p, text string) string) string {
	g.t.Helper()
	dir := g.t.TempDir()
	ctx := g.t.Context()
	err := tree.Walk(ctx, g.world.Store, tr, func(p string, e tree.Entry) error {
		if e.Kind != tree.KindFile {
			return nil
		}
		b, err := store.ReadBlob(ctx, g.world.Store, e.Digest, 1<<24)
		if err == nil {
			write(g.t, filepath.Join(dir, p), edit(p, string(b)))
		}
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return dir
}

// run builds the program as hewn would, but with the go command of this machine, and gives what it prints.
func (g *asGo) run(o BuildOptions) string {
	g.t.Helper()
	var printed string
	g.world.Act = func(r executor.Request) map[string]string {
		const root = "/go/src/app"
		top := g.t.TempDir()
		at := strings.NewReplacer(root, top+root, "/go/pkg", top+"/go/pkg", "/build/", top+"/build/", "/tmp/", top+"/tmp/").Replace
		from := g.materialise(r.Action.Root, func(p, text string) string {
			if strings.HasPrefix(p, "build/mod/") {
				return at(text)
			}
			return text
		})
		if err := os.CopyFS(top, os.DirFS(from)); err != nil {
			g.t.Error(err)
			return nil
		}
		var args []string
		for _, a := range r.Action.Args[1:] {
			if a != "-trimpath" { // the standard library has been compiled without it already
				args = append(args, at(a))
			}
		}
		c := exec.Command("go", args...)
		c.Dir = at(r.Action.Dir)
		c.Env = os.Environ()
		for _, kv := range r.Action.Env {
			if k, _, _ := strings.Cut(kv, "="); strings.HasPrefix(k, "GO") && k != "GOROOT" && k != "GOCACHE" || k == "CGO_ENABLED" {
				c.Env = append(c.Env, at(kv))
			}
		}
		if out, err := c.CombinedOutput(); err != nil {
			g.t.Errorf("go %v: %v\n%s", args, err, out) // no Fatal: this is the engine's goroutine
			return nil
		}
		program := top + "/build/out/authentik"
		out, err := exec.Command(program).CombinedOutput()
		if err != nil {
			g.t.Error(err)
		}
		printed = string(out)
		return map[string]string{"/build/out/authentik": "#!"}
	}
	g.build(o)
	return printed
}

// listFiles lists a module cache by path and content, without what the go command keeps for itself.
func listFiles(t *testing.T, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		p, _ := filepath.Rel(dir, file)
		switch {
		case strings.HasSuffix(p, ".lock"), strings.HasSuffix(p, "/list"), strings.HasSuffix(p, ".zip"), p == "cache/lock":
			return nil
		case strings.HasSuffix(p, ".info"):
			fmt.Fprintln(&b, p) // the date is not in go.sum
			return nil
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		st, _ := f.Stat()
		fmt.Fprintf(&b, "%s %v %q\n", p, st.Mode()&0o111 != 0, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const mainA = "package main\n\nimport \"dep.example/a\"\n\nfunc main() { println(a.A()) }\n"

var tidy = [][]string{{".", "mod", "tidy"}}

// mainOf is a module, with more lines in its go.mod, whose program prints the values of packages and expressions.
func mainOf(lines string, uses ...string) map[string]string {
	var imports, values strings.Builder
	for i := 0; i < len(uses); i += 2 {
		pkg, _, _ := strings.Cut(uses[i+1], ".")
		fmt.Fprintf(&imports, "\t%s %q\n", pkg, uses[i])
		fmt.Fprintf(&values, " + %s", uses[i+1])
	}
	return map[string]string{
		"go.mod":             "module app.example\n\ngo 1.24\n\n" + lines,
		"cmd/server/main.go": "package main\n\nimport (\n" + imports.String() + ")\n\nfunc main() { println(\"\"" + values.String() + ") }\n",
	}
}

func with(src, more map[string]string) map[string]string {
	maps.Copy(src, more)
	return src
}

// TestAsGo compares module caches with those of `go mod download`, and builds programs with nothing else.
func TestAsGo(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	for name, c := range map[string]struct {
		src     map[string]string
		lock    [][]string // directory, arguments of go
		prints  string     // empty: the program is not run, all there is to see is in the module cache
		noCache bool       // modules are vendored, or go.sum has more than the workspace needs: there is no module cache to compare
	}{
		"one module": {map[string]string{"go.mod": "module app.example\n\ngo 1.24\n", "cmd/server/main.go": mainA}, [][]string{{".", "mod", "tidy"}}, "a+U", false},
		"replaced by another module": {map[string]string{"go.mod": "module app.example\n\ngo 1.24\n\nreplace dep.example/a => dep.example/fork v1.2.0\n", "cmd/server/main.go": mainA},
			[][]string{{".", "mod", "tidy"}}, "fork", false},
		"one version replaced": {map[string]string{"go.mod": "module app.example\n\ngo 1.24\n\nrequire dep.example/a v1.0.0\n\nreplace dep.example/a v1.0.0 => dep.example/fork v1.2.0\n", "cmd/server/main.go": mainA},
			[][]string{{".", "mod", "tidy"}}, "fork", false},
		"replaced by a directory": {map[string]string{"go.mod": "module app.example\n\ngo 1.24\n\nreplace dep.example/a => ./third/a\n", "cmd/server/main.go": mainA,
			"third/a/go.mod": "module dep.example/a\n\ngo 1.24\n", "third/a/a.go": "package a\n\nimport \"dep.example/old\"\n\nfunc A() string { return \"here+\" + old.O() }\n"},
			[][]string{{"third/a", "mod", "tidy"}, {".", "mod", "tidy"}}, "here+old", false},
		"go.work": {map[string]string{"go.work": "go 1.24\n\nuse (\n\t.\n\t./lib\n)\n\nreplace dep.example/old => ./old\n",
			"go.mod": "module app.example\n\ngo 1.24\n", "cmd/server/main.go": "package main\n\nimport (\n\t\"dep.example/a\"\n\t\"lib.example/lib\"\n)\n\nfunc main() { println(a.A() + lib.L()) }\n",
			"lib/go.mod": "module lib.example/lib\n\ngo 1.24\n\nrequire dep.example/old v1.3.0\n", "lib/lib.go": "package lib\n\nimport \"dep.example/old\"\n\nfunc L() string { return \"+lib+\" + old.O() }\n",
			"old/go.mod": "module dep.example/old\n\ngo 1.24\n", "old/o.go": "package old\n\nfunc O() string { return \"here\" }\n"},
			[][]string{{"lib", "mod", "tidy"}, {".", "get", "dep.example/a@v1.0.0"}, {".", "work", "sync"}}, "a+U+lib+here", false},
		"vendor":                             {map[string]string{"go.mod": "module app.example\n\ngo 1.24\n", "cmd/server/main.go": mainA}, [][]string{{".", "mod", "tidy"}, {".", "mod", "vendor"}}, "a+U", true},
		"a major version beside another":     {mainOf("", "dep.example/two", "two.T()", "dep.example/two/v2", "v2.T()"), tidy, "", false},
		"incompatible":                       {mainOf("", "dep.example/plain", "plain.P()"), tidy, "", false},
		"a pseudo-version":                   {mainOf("", "dep.example/pseudo", "pseudo.P()"), [][]string{{".", "get", "dep.example/pseudo@v0.0.0-20200102030405-abcdef123456"}}, "", false},
		"nested modules":                     {mainOf("", "dep.example/nest", "nest.N()", "dep.example/nest/own", "own.O()", "dep.example/nest/inner/deep", "deep.D()"), tidy, "outerowninner", false},
		"a retracted version is passed over": {mainOf("", "dep.example/base", "base.B()"), tidy, "", false},
		"a retracted version on purpose":     {mainOf("", "dep.example/base", "base.B()"), [][]string{{".", "get", "dep.example/base@v1.2.6"}}, "", false},
		"an excluded version":                {mainOf("exclude dep.example/base v1.1.6\n", "dep.example/over", "over.O()"), tidy, "", false},
		"only indirectly required":           {mainOf("require dep.example/base v1.2.6 // indirect\n", "dep.example/over", "over.O()"), tidy, "", false},
		"another version instead":            {mainOf("replace dep.example/base => dep.example/base v1.0.6\n", "dep.example/over", "over.O()"), tidy, "", false},
		"another major version instead":      {mainOf("require dep.example/two v1.0.2\n\nreplace dep.example/two v1.0.2 => dep.example/two v1.0.2\n", "dep.example/two", "two.T()"), tidy, "", false},
		"retractions of its own":             {mainOf("retract [v1.0.0, v1.1.0]\n", "dep.example/two", "two.T()"), tidy, "", false},
		"lines for the go command": {with(mainOf("replace dep.example/old => ./old\n", "dep.example/two", "two.T()", "dep.example/old", "old.O()"), map[string]string{
			"go.mod":     "module app.example\n\ngo 1.25\n\ntoolchain go1.25.14\n\ngodebug default=go1.21\n\ntool dep.example/nest/own\n\nignore ./junk\n\nreplace dep.example/old => ./old\n",
			"old/go.mod": "module dep.example/old\n\ngo 1.25\n", "old/o.go": "package old\n\nfunc O() string { return \"+here\" }\n", "junk/x.go": "package x\n\nimport _ \"none.example/x\"\n"}),
			tidy, "v1+here", false},
		"vendor in go.work": {with(mainOf("", "dep.example/two", "two.T()", "lib.example/lib", "lib.L()"), map[string]string{"go.work": "go 1.24\n\nuse (\n\t.\n\t./lib\n)\n",
			"lib/go.mod": "module lib.example/lib\n\ngo 1.24\n", "lib/lib.go": "package lib\n\nimport \"dep.example/base\"\n\nfunc L() string { return \"+\" + base.B() }\n"}),
			[][]string{{"lib", "mod", "tidy"}, {".", "get", "dep.example/two@v1.0.2"}, {".", "work", "sync"}, {".", "work", "vendor"}}, "v1+1.1.6", true},
		"replace in go.work by another version": {with(mainOf("", "dep.example/over", "over.O()"), map[string]string{"go.work": "go 1.24\n\nuse .\n\nreplace dep.example/base => dep.example/base v1.0.6\n"}),
			[][]string{{".", "mod", "tidy"}, {".", "mod", "download"}}, "over+1.0.6", true},
		"nothing required": {map[string]string{"go.mod": "module app.example\n\ngo 1.24\n", "cmd/server/main.go": "package main\n\nfunc main() { println(\"alone\") }\n"},
			nil, "alone", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newAsGo(t, c.src)
			for _, l := range c.lock {
				g.lock(l[0], l[1:]...)
			}
			if !c.noCache {
				tr, err := g.world.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
					s, err := Modules(ctx, ask, ModulesOptions{Dir: engine.Source("app")})
					return s.Step, err
				})
				if err != nil {
					t.Fatal(err)
				}
				fresh := t.TempDir()
				t.Cleanup(func() { _ = g.command(g.dir, fresh, "clean", "-modcache").Run() })
				if out, err := g.command(g.dir, fresh, "mod", "download").CombinedOutput(); err != nil && !strings.Contains(string(out), "no module dependencies") {
					t.Fatalf("%v\n%s", err, out)
				}
				if got, want := listFiles(t, g.materialise(tr, func(_, s string) string { return s })), listFiles(t, fresh); got != want {
					t.Errorf("got\n%s\ngo has\n%s", got, want)
				}
				if strings.Contains(g.world.Paths(tr), "*") {
					t.Error("a module has executable files, which the go command never makes")
				}
			}
			if c.prints == "" {
				g.world.Act = func(executor.Request) map[string]string { return map[string]string{"/build/out/authentik": "#!"} }
				g.build(BuildOptions{})
				return
			}
			if g.src["go.work"] == "" && name != "vendor" && !strings.Contains(g.src["go.mod"], "=> ./") {
				// With dependencies apart there would be three builds, which the tests of the sandbox run.
				g.src["go.mod"] = strings.Replace(g.src["go.mod"], "go 1.24", "go 1.23", 1)
			}
			if got := strings.TrimSpace(g.run(BuildOptions{})); got != c.prints {
				t.Errorf("prints %q, want %q", got, c.prints)
			}
		})
	}
}

// TestRefusesAsGo: where the go command refuses a lock, so does hewn, before it builds, with file, line and reason.
func TestRefusesAsGo(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	over := mainOf("", "dep.example/over", "over.O()")
	for name, c := range map[string]struct {
		file, old, new string
		want           []string
		goSays         string
	}{
		"no hash of the zip": {"go.sum", "dep.example/over v1.0.7 ", "dep.example/gone v1.0.7 ",
			[]string{"go.mod:5: `dep.example/over`", "go.sum has no line `dep.example/over v1.0.7`", "cmd/server/main.go:4 imports dep.example/over"}, "missing go.sum entry"},
		"no hash of go.mod": {"go.sum", "dep.example/over v1.0.7/go.mod ", "dep.example/gone v1.0.7/go.mod ",
			[]string{"go.mod:5: `dep.example/over`", "go.sum has no line `dep.example/over v1.0.7/go.mod`"}, "missing go.sum entry"},
		"an import of nothing required": {"cmd/server/main.go", "import (\n", "import (\n\t_ \"dep.example/none/x\"\n",
			[]string{"cmd/server/main.go:4:2: `dep.example/none/x`", "no module that go.mod requires has the package `dep.example/none/x`", "go mod tidy"}, "no required module provides package"},
		"an older version than another wants": {"go.mod", "dep.example/base v1.1.6", "dep.example/base v1.0.6",
			[]string{"go.mod:7: `dep.example/base`", "dep.example/over@v1.0.7 requires dep.example/base@v1.1.6, go.mod has v1.0.6", "go mod tidy"}, "updates to go.mod needed"},
		"a module for a newer Go": {"go.mod", "go 1.24", "go 1.20",
			[]string{"go.mod:5: `dep.example/over`", "dep.example/over@v1.0.7 is for Go 1.21, go.mod is for Go 1.20"}, "updates to go.mod needed"},
		"no go.mod of a line": {"go.mod", "module app.example\n", "", []string{"go.mod", "there is no module line"}, "missing module declaration"},
		"a word too many":     {"go.mod", "go 1.24", "go 1.24 1.25", []string{"go.mod:3", "malformed go.mod"}, "errors parsing go.mod"},
		"a cut hash":          {"go.sum", "/go.mod h1:", "/go.mod", []string{"go.sum:2", "malformed go.sum"}, "malformed go.sum"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newAsGo(t, maps.Clone(over))
			g.lock(".", "mod", "tidy")
			before := g.src[c.file]
			if g.src[c.file] = strings.Replace(before, c.old, c.new, 1); g.src[c.file] == before {
				t.Fatalf("%s has no %q:\n%s", c.file, c.old, before)
			}
			write(t, filepath.Join(g.dir, c.file), g.src[c.file])
			if c.file == "go.mod" && strings.Contains(c.new, "v1.0.6") {
				g.lock(".", "mod", "download", "dep.example/base@v1.0.6") // its hash has to be in go.sum
			}
			if out, err := g.command(g.dir, g.cache, "build", "-o", os.DevNull, "./cmd/server").CombinedOutput(); err == nil || !strings.Contains(string(out), c.goSays) {
				t.Errorf("the go command says %v\n%s", err, out)
			}
			_, err := g.world.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				return Build(ctx, ask, BuildOptions{Source: engine.Source("app"), Package: "./cmd/server", Output: "/bin/authentik"})
			})
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v", err)
			}
			text := err.Error() + "\n" + strings.Join(p.Detail, "\n") + strings.Join(p.Hints, "\n")
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("got %s\nwithout %s", text, want)
				}
			}
			for _, r := range g.world.Ran {
				if strings.Contains(r.Label, "go build ./") {
					t.Errorf("%s ran", r.Label)
				}
			}
		})
	}
}
