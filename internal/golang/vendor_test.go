package golang

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
)

// workspaceToVendor has a module of its own, one that a line of go.work replaces and one that a line of a member does.
func workspaceToVendor() map[string]string {
	return with(mainOf("", "dep.example/two", "two.T()", "lib.example/lib", "lib.L()", "dep.example/old", "old.O()"), map[string]string{
		"go.work":    "go 1.24\n\ngodebug tlsmlkem=0\n\nuse (\n\t.\n\t./lib\n)\n\nreplace dep.example/old => ./third/old\n",
		"lib/go.mod": "module lib.example/lib\n\ngo 1.24\n\nreplace dep.example/base => ../third/base\n",
		"lib/lib.go": "package lib\n\nimport \"dep.example/base\"\n\nfunc L() string { return \"+\" + base.B() }\n",

		"third/old/go.mod": "module dep.example/old\n\ngo 1.24\n", "third/old/o.go": "package old\n\nfunc O() string { return \"+old\" }\n",
		"third/base/go.mod": "module dep.example/base\n\ngo 1.24\n", "third/base/b.go": "package base\n\nfunc B() string { return \"base\" }\n",
	})
}

var vendorWorkspace = [][]string{
	{"lib", "mod", "tidy"}, {".", "mod", "edit", "-require=dep.example/old@v1.3.0"}, {".", "get", "dep.example/two@v1.0.2"},
	{".", "work", "sync"}, {".", "work", "vendor"},
}

// TestVendor: the vendor directory is used where the go command uses it, and nothing else then.
func TestVendor(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	plain := mainOf("", "dep.example/two", "two.T()")
	vendorPlain := [][]string{{".", "mod", "tidy"}, {".", "mod", "vendor"}}
	for name, c := range map[string]struct {
		src    map[string]string
		lock   [][]string
		edit   map[string]string // files to change afterwards; empty: to remove
		env    map[string]string
		prints string // empty: it is not built
		cache  bool   // the module cache is used
	}{
		"a module":    {src: plain, lock: vendorPlain},
		"a workspace": {src: workspaceToVendor(), lock: vendorWorkspace},
		"without the directories that were replaced": {src: workspaceToVendor(), lock: vendorWorkspace, prints: "v1+base+old",
			edit: map[string]string{"third/old/go.mod": "", "third/old/o.go": "", "third/base/go.mod": "", "third/base/b.go": ""}},
		"of a module in a workspace": {src: plain, lock: vendorPlain, cache: true,
			edit: map[string]string{"go.work": "go 1.24\n\nuse .\n"}},
		"of a workspace and not in it": {src: plain, lock: [][]string{{".", "mod", "tidy"}, {".", "work", "init", "."}, {".", "work", "vendor"}}, cache: true,
			env: map[string]string{"GOWORK": "off"}},
		"not wanted":              {src: plain, lock: vendorPlain, env: map[string]string{"GOFLAGS": "-mod=readonly"}, cache: true},
		"wanted":                  {src: plain, lock: vendorPlain, env: map[string]string{"GOFLAGS": "-mod=vendor"}},
		"lines nobody knows":      {src: plain, lock: vendorPlain, edit: map[string]string{"vendor/modules.txt": "# what is this\n## explicit\nsome words here\n+"}},
		"explicit but not needed": {src: plain, lock: vendorPlain, edit: map[string]string{"vendor/modules.txt": "+# x.example v1.0.0\n## explicit\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newAsGo(t, maps.Clone(c.src))
			for _, l := range c.lock {
				g.lock(l[0], l[1:]...)
			}
			g.edit(c.edit)
			if c.env["GOFLAGS"] != "-mod=readonly" && c.env["GOWORK"] == "" {
				if out, err := g.command(g.dir, g.cache, "list", "-deps", "./cmd/server").CombinedOutput(); err != nil {
					t.Fatalf("the go command says %v\n%s", err, out)
				}
			}
			// With dependencies apart there would be three builds, which the tests of the sandbox run.
			g.src["go.mod"] = strings.Replace(g.src["go.mod"], "go 1.24", "go 1.23", 1)
			if c.prints == "" {
				g.world.Act = func(executor.Request) map[string]string { return map[string]string{"/build/out/authentik": "#!"} }
				g.build(BuildOptions{Env: c.env})
			} else if got := strings.TrimSpace(g.run(BuildOptions{Env: c.env})); got != c.prints {
				t.Errorf("prints %q, want %q", got, c.prints)
			}
			if got := strings.Contains(g.world.Paths(g.world.Ran[0].Action.Root), "go/pkg/mod/"); got != c.cache {
				t.Errorf("there is a module cache: %v, want %v", got, c.cache)
			}
		})
	}
}

// edit changes files of the project: an empty text removes one, and text after + goes to the end or before it to the front.
func (g *asGo) edit(files map[string]string) {
	g.t.Helper()
	for file, text := range files {
		if text == "" {
			delete(g.src, file)
			if err := os.Remove(filepath.Join(g.dir, file)); err != nil {
				g.t.Fatal(err)
			}
			continue
		}
		if before, after, ok := strings.Cut(text, "+"); ok && file == vendorList {
			text = before + g.src[file] + after
		}
		g.src[file] = text
		write(g.t, filepath.Join(g.dir, file), text)
	}
}

// TestVendorRefused: what the go command refuses, with the line of modules.txt and what to run.
func TestVendorRefused(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	module := func() (map[string]string, [][]string) {
		return mainOf("", "dep.example/two", "two.T()"), [][]string{{".", "mod", "tidy"}, {".", "mod", "vendor"}}
	}
	workspace := func() (map[string]string, [][]string) { return workspaceToVendor(), vendorWorkspace }
	for name, c := range map[string]struct {
		of             func() (map[string]string, [][]string)
		file, old, new string
		want           []string
		goSays         string
	}{
		"another version": {workspace, "go.mod", "two v1.0.2", "two v1.0.3",
			[]string{"vendor/modules.txt", "not those of the workspace: go.mod requires dep.example/two v1.0.3, vendored is v1.0.2", "go work vendor"}, "inconsistent vendoring"},
		"a member requires more": {workspace, "lib/go.mod", "go 1.24\n", "go 1.24\n\nrequire dep.example/over v1.0.7\n",
			[]string{"lib/go.mod requires dep.example/over v1.0.7, which is not vendored"}, "inconsistent vendoring"},
		"replaced elsewhere": {workspace, "go.work", "./third/old", "./third/new",
			[]string{"go.work replaces dep.example/old by ./third/new, the vendored modules by ./third/old"}, "inconsistent vendoring"},
		"replaced by a member elsewhere": {workspace, "lib/go.mod", "../third/base", "./base",
			[]string{"lib/go.mod replaces dep.example/base by ./lib/base, the vendored modules by ./third/base"}, "inconsistent vendoring"},
		"replaced no more": {workspace, "go.work", "replace dep.example/old => ./third/old", "",
			[]string{"vendor/modules.txt:", "dep.example/old is marked as replaced, but nothing replaces it"}, "inconsistent vendoring"},
		"no list": {module, vendorList, "*", "",
			[]string{"there is a directory `vendor`, but no `vendor/modules.txt`", "go mod vendor", "-mod=readonly"}, "inconsistent vendoring"},
		"a package that is not there": {module, "cmd/server/main.go", "import (\n", "import (\n\t_ \"dep.example/two/more\"\n",
			[]string{"cmd/server/main.go:4:2: `dep.example/two/more`", "the package `dep.example/two/more` is not vendored"}, "cannot find"},
		"a list of nothing": {module, vendorList, "*", "\x00\xff\n",
			[]string{"go.mod requires dep.example/two v1.0.2, which is not vendored"}, "inconsistent vendoring"},
	} {
		t.Run(name, func(t *testing.T) {
			src, lock := c.of()
			g := newAsGo(t, src)
			for _, l := range lock {
				g.lock(l[0], l[1:]...)
			}
			text := c.new
			if c.old != "*" {
				if text = strings.Replace(g.src[c.file], c.old, c.new, 1); text == g.src[c.file] {
					t.Fatalf("%s has no %q:\n%s", c.file, c.old, text)
				}
			}
			g.edit(map[string]string{c.file: text})
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
			said := err.Error() + "\n" + strings.Join(p.Detail, "\n") + strings.Join(p.Hints, "\n")
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("got %s\nwithout %s", said, want)
				}
			}
		})
	}
}
