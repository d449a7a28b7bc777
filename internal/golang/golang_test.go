package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/lock/gosum"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
)

func zipOf(t testing.TB, prefix string, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(prefix + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// project is a world with a source `app`: a module with a program, and the modules that it needs.
type project struct {
	t     testing.TB
	world *plantest.World
	src   map[string]string
}

func newProject(t testing.TB) *project {
	w := plantest.New(t, Natives())
	p := &project{t: t, world: w, src: map[string]string{
		"go.mod":                     "module goauthentik.io\n\ngo 1.25.0\n\ntoolchain go1.25.14\n\nrequire (\n\tgithub.com/Azure/x v1.0.0\n\tgoauthentik.io/api/v3 v3.1.0\n)\n",
		"go.sum":                     "",
		"cmd/server/main.go":         "package main\n\nimport (\n\t\"fmt\"\n\t\"goauthentik.io/internal/web\"\n)\n\nfunc main() { fmt.Println(web.X) }\n",
		"internal/web/web.go":        "package web\n\nimport (\n\t_ \"embed\"\n\t\"github.com/Azure/x/sub\"\n\tapi \"goauthentik.io/api/v3\"\n)\n\n//go:embed assets/*.html \"a b\"\nvar X string\n",
		"internal/web/web_test.go":   "package web\n\nimport \"testing\"\n",
		"internal/web/win.go":        "//go:build windows\n\npackage web\n\nimport \"golang.org/x/sys/windows\"\n",
		"internal/web/asm_amd64.s":   "",
		"internal/web/assets/a.html": "",
		"internal/web/assets/a.css":  "",
		"internal/web/a b":           "",
		"internal/other/other.go":    "package other\n\nimport \"os\"\n",
		"manage.py":                  "",
	}}
	w.Sources["app"] = p.src
	w.Sources["client"] = map[string]string{"go.mod": "module goauthentik.io/api/v3\n", "client.go": "package api\n"}
	p.module("github.com/Azure/x", "v1.0.0", map[string]string{"go.mod": "module github.com/Azure/x\n", "sub/sub.go": "package sub\n"})
	p.module("goauthentik.io/api/v3", "v3.1.0", map[string]string{"go.mod": "module goauthentik.io/api/v3\n", "api.go": "package api\n"})
	version := "v0.0.1-go1.25.14.linux-amd64"
	w.Files[version+".zip"] = zipOf(t, toolchainModule+"@"+version+"/", map[string]string{
		"bin/go": "", "bin/gofmt": "", "pkg/tool/linux_amd64/compile": "", "src/_go.mod": "", "src/cmd/x/y_go.mod": "", "VERSION": "",
	})
	w.Pins["tool/go"] = []source.Artifact{{Ecosystem: source.Go, Name: toolchainModule, Version: version, File: version + ".zip", Integrity: p.h1(version + ".zip")}}
	return p
}

func (p *project) h1(file string) source.Integrity {
	p.t.Helper()
	b := p.world.Files[file]
	i, err := source.VerifyH1(file, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		p.t.Fatal(err)
	}
	return i
}

// module puts a module at the proxy and into go.sum.
func (p *project) module(path, version string, files map[string]string) {
	p.t.Helper()
	p.world.Files[version+".zip"] = zipOf(p.t, path+"@"+version+"/", files)
	p.world.Files[version+".mod"] = []byte(files["go.mod"])
	p.src["go.sum"] += path + " " + version + " " + p.h1(version+".zip").String() + "\n" +
		path + " " + version + "/go.mod " + p.h1(version+".mod").String() + "\n"
}

func (p *project) paths(plan engine.Plan) string {
	p.t.Helper()
	t, err := p.world.Build(plan)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.world.Paths(t)
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestModules(t *testing.T) {
	p := newProject(t)
	compare(t, p.paths(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		s, err := Modules(ctx, ask, ModulesOptions{Dir: engine.Source("app"), Without: []string{"goauthentik.io/api/v3"}})
		return s.Step, err
	}), `
cache/download/github.com/!azure/x/@v/v1.0.0.info
cache/download/github.com/!azure/x/@v/v1.0.0.mod
cache/download/github.com/!azure/x/@v/v1.0.0.ziphash
github.com/!azure/x@v1.0.0/go.mod
github.com/!azure/x@v1.0.0/sub/sub.go
`)
}

func TestModulesRefuse(t *testing.T) {
	p := newProject(t)
	p.world.Files["v1.0.0.zip"] = zipOf(t, "", map[string]string{"github.com/Azure/x@v1.0.0/go.mod": "", "github.com/Azure/y@v1.0.0/evil.go": ""})
	_, err := p.world.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		s, err := Modules(ctx, ask, ModulesOptions{Dir: engine.Source("app")})
		return s.Step, err
	})
	if err == nil || !strings.Contains(err.Error(), "outside of its module") {
		t.Errorf("got %v", err)
	}
}

func TestToolchain(t *testing.T) {
	p := newProject(t)
	compare(t, p.paths(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		s, err := Toolchain(ctx, ask, engine.Source("app"))
		return s.Step, err
	}), `
usr/local/bin/go -> ../go/bin/go
usr/local/bin/gofmt -> ../go/bin/gofmt
usr/local/go/VERSION
usr/local/go/bin/go*
usr/local/go/bin/gofmt*
usr/local/go/pkg/tool/linux_amd64/compile*
usr/local/go/src/cmd/x/y_go.mod
usr/local/go/src/go.mod
`)
	if got := p.world.Asked[0]; got.Request[0] != "go1.25.14" || got.Set != "tool/go" {
		t.Errorf("asked %+v", got)
	}
}

func TestWantedGo(t *testing.T) {
	for _, c := range []struct{ line, toolchain, want string }{
		{"1.24.3", "go1.24.6", "go1.24.6"},
		{"1.24.3", "", "go1.24.3"},
		{"1.26", "", "go1.26.x"},
		{"1.26rc1", "", "go1.26rc1"},
		{"1.26", "go1.26.1-custom", "go1.26.1"},
		{"1.26", "go1.25.4", "go1.26.x"},
		{"1.26.3", "go1.26.1", "go1.26.3"},
	} {
		if got, err := wantedGo(gosum.Lines{Go: c.line, Toolchain: c.toolchain}, "go.mod"); err != nil || got != c.want {
			t.Errorf("%+v: got %q, %v", c, got, err)
		}
	}
	if _, err := wantedGo(gosum.Lines{}, "go.mod"); err == nil {
		t.Error("no error without a version")
	}
	list := "v0.0.1-go1.26.9.linux-amd64\nv0.0.1-go1.26.10.linux-amd64\nv0.0.1-go1.26.11.linux-arm64\nv0.0.1-go1.27.0.linux-amd64\nv0.0.1-go1.26rc1.linux-amd64\n"
	if got := newestOf(list, "go1.26", platform.Platform{OS: "linux", Arch: "amd64"}); got != "go1.26.10" {
		t.Errorf("got %q", got)
	}
}

func (p *project) build(o BuildOptions) string {
	p.t.Helper()
	p.world.Ran = nil
	o.Source, o.Package, o.Output = engine.Source("app"), "./cmd/server", "/bin/authentik"
	return p.paths(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) { return Build(ctx, ask, o) })
}

func (p *project) ran() string {
	var labels []string
	for _, r := range p.world.Ran {
		labels = append(labels, strings.TrimPrefix(r.Label, "it: "))
	}
	return strings.Join(labels, ", ")
}

// TestBuildSteps: what an edit runs again, and what each action sees.
func TestBuildSteps(t *testing.T) {
	p := newProject(t)
	p.world.Act = func(r executor.Request) map[string]string {
		if strings.Contains(r.Label, "go build ./") {
			return map[string]string{"/build/out/authentik": "#!"}
		}
		return nil
	}
	o := BuildOptions{Replace: map[string]engine.Step{"goauthentik.io/api/v3": engine.Source("client").Step}}
	if got := p.build(o); got != "bin/authentik*\n" {
		t.Errorf("got %s", got)
	}
	const helper, deps, app = "go build cache server", "go build dependencies of ./cmd/server", "go build ./cmd/server"
	if got := p.ran(); got != strings.Join([]string{helper, deps, app}, ", ") {
		t.Fatalf("ran %s", got)
	}
	compare(t, p.sees(1, "/build/deps"), "build/deps/deps.go\nbuild/deps/go.mod\nbuild/deps/go.sum\n")
	compare(t, p.sees(2, "/go/src/app"), `
go/src/app/cmd/server/main.go
go/src/app/go.mod
go/src/app/go.sum
go/src/app/internal/web/a b
go/src/app/internal/web/asm_amd64.s
go/src/app/internal/web/assets/a.html
go/src/app/internal/web/web.go
go/src/app/internal/web/win.go
`)
	compare(t, p.sees(2, "/build/replace"), "build/replace/goauthentik.io/api/v3/client.go\nbuild/replace/goauthentik.io/api/v3/go.mod\n")

	for _, c := range []struct{ name, file, old, new, want string }{
		{"nothing", "go.mod", "", "", ""},
		{"a file that is not Go", "manage.py", "", "x", ""},
		{"a package that is not used", "internal/other/other.go", "os", "io", ""},
		{"a test", "internal/web/web_test.go", "testing", "os", ""},
		{"a function", "cmd/server/main.go", "web.X", "web.X, 1", app},
		{"an embedded file", "internal/web/assets/a.html", "", "<p>", app},
		{"an import", "cmd/server/main.go", `"fmt"`, `"fmt"; _ "os"`, deps + ", " + app},
		{"the client", "client.go", "package api", "package api // new", deps + ", " + app},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := p.src
			if c.file == "client.go" {
				src = p.world.Sources["client"]
			}
			src[c.file] = strings.Replace(src[c.file], c.old, c.new, 1)
			p.build(o)
			if got := p.ran(); got != c.want {
				t.Errorf("ran %q, want %q", got, c.want)
			}
		})
	}
}

// sees lists what action i finds below dir.
func (p *project) sees(i int, dir string) string {
	var out strings.Builder
	for line := range strings.Lines(p.world.Paths(p.world.Ran[i].Action.Root)) {
		if strings.HasPrefix("/"+line, dir+"/") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestBuildWhole: where dependencies cannot be compiled apart, there is one action, without a cache server.
func TestBuildWhole(t *testing.T) {
	for name, edit := range map[string]func(p *project){
		"local replacement": func(p *project) {
			p.src["go.mod"] += "replace github.com/Azure/x => ./internal/x\n"
			p.src["internal/x/go.mod"], p.src["internal/x/sub/sub.go"] = "module github.com/Azure/x\n", "package sub\n"
		},
		"a workspace": func(p *project) { p.src["go.work"] = "go 1.25.0\n\ngodebug tlsmlkem=0\n\nuse .\n" },
		"old Go": func(p *project) {
			p.src["go.mod"] = strings.NewReplacer("1.25.0", "1.23.0", "go1.25.14", "go1.23.4").Replace(p.src["go.mod"])
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			edit(p)
			p.world.Act = func(executor.Request) map[string]string { return map[string]string{"/build/out/authentik": "#!"} }
			p.build(BuildOptions{})
			if got := p.ran(); got != "go build ./cmd/server" {
				t.Errorf("ran %s", got)
			}
			for _, v := range p.world.Ran[0].Action.Env {
				if strings.HasPrefix(v, "GOCACHEPROG") {
					t.Error(v)
				}
			}
		})
	}
}

func TestBuildErrors(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(p *project, o *BuildOptions)
		want string
	}{
		"no go.sum": {func(p *project, _ *BuildOptions) { delete(p.src, "go.sum") }, "go.mod:8: `github.com/Azure/x`: target it: cannot read `go.sum`"},
		"a module twice in go.work": {func(p *project, _ *BuildOptions) {
			p.src["go.work"], p.src["lib/go.mod"] = "go 1.25.0\n\nuse (\n\t.\n\t./lib\n)\n", p.src["go.mod"]
		}, "go.work: `use ./lib`: target it: the module `goauthentik.io` stands in go.work twice: in `.` and in `lib`"},
		"a go.work of nothing": {func(p *project, _ *BuildOptions) { p.src["go.work"] = "go 1.25.0\n" }, "go.work:1: target it: go.work uses no modules"},
		"a go.work for more":   {func(p *project, _ *BuildOptions) { p.src["go.work"] = "go 1.25.0\nuse .\nuse ./none\n" }, "go.work: `use ./none`: target it: cannot read `none/go.mod`"},
		"replaced from nowhere": {func(p *project, _ *BuildOptions) { p.src["go.work"] = "go 1.25.0\nuse .\nreplace x.example => ./x\n" },
			"go.work:3: `replace x.example`: target it: module `x.example` is replaced by ./x, where there is no go.mod"},
		"malformed": {func(p *project, _ *BuildOptions) { p.src["go.sum"] = "x\n" }, "go.sum:1"},
		"no C compiler in the root": {func(p *project, o *BuildOptions) {
			p.src["internal/web/c.go"] = "package web\n\nimport \"C\"\n"
			o.Root, o.NoCC = engine.Source("client").Step, true
		}, "internal/web/c.go:3:8: `C`: target it: the program uses cgo, but there is no C compiler"},
		"no root": {func(p *project, o *BuildOptions) {
			p.src["internal/web/c.go"] = "package web\n\nimport \"C\"\n"
			o.Env = map[string]string{"CGO_ENABLED": "1"}
		}, "the program uses cgo, but there is no C compiler"},
		"unknown replace": {func(_ *project, o *BuildOptions) {
			o.Replace = map[string]engine.Step{"x.example/y": engine.Source("client").Step}
		}, "module `x.example/y` cannot be replaced"},
		"no package": {func(p *project, _ *BuildOptions) {
			delete(p.src, "internal/web/web.go")
			delete(p.src, "internal/web/win.go")
			delete(p.src, "internal/web/asm_amd64.s")
			delete(p.src, "internal/web/web_test.go")
			delete(p.src, "internal/web/a b")
			delete(p.src, "internal/web/assets/a.html")
			delete(p.src, "internal/web/assets/a.css")
		}, "there is no package `internal/web`"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			o := BuildOptions{Source: engine.Source("app"), Package: "./cmd/server", Output: "/bin/authentik"}
			c.edit(p, &o)
			_, err := p.world.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) { return Build(ctx, ask, o) })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEmbedPatterns(t *testing.T) {
	b := buildContext(platform.Platform{OS: "linux", Arch: "amd64"}, map[string]string{"GOFLAGS": "-mod=mod -tags=a,b"})
	if !slices.Equal(b.BuildTags, []string{"a", "b"}) || !b.CgoEnabled {
		t.Errorf("got %+v", b.BuildTags)
	}
}

// TestBuildEnv: what a recipe chooses reaches both actions that compile, and so their keys.
func TestBuildEnv(t *testing.T) {
	for name, c := range map[string]struct {
		env        map[string]string
		root       bool
		want       []string
		sees, lack string
	}{
		"nothing chosen": {nil, false, []string{"CGO_ENABLED=0"}, "go/src/app/internal/web/web.go", ""},
		"a root":         {nil, true, nil, "go/src/app/internal/web/web.go", "CGO_ENABLED=0"},
		"cgo": {map[string]string{"CGO_ENABLED": "1", "CGO_CFLAGS": "-O1", "CC": "clang", "GOFIPS140": "latest"}, true,
			[]string{"CGO_ENABLED=1", "CGO_CFLAGS=-O1", "CC=clang", "GOFIPS140=latest"}, "", ""},
		"no cgo although there is a compiler": {map[string]string{"CGO_ENABLED": "0"}, true, []string{"CGO_ENABLED=0"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.src["internal/web/c.go"] = "//go:build cgo\n\npackage web\n\nimport \"C\"\n"
			p.world.Act = func(r executor.Request) map[string]string {
				if strings.Contains(r.Label, "go build ./") {
					return map[string]string{"/build/out/authentik": "#!"}
				}
				return nil
			}
			p.world.Sources["root"] = map[string]string{"usr/bin/cc": "#!"}
			o := BuildOptions{Env: c.env}
			if c.root {
				o.Root = engine.Source("root").Step
			}
			p.build(o)
			for _, r := range p.world.Ran[1:] {
				for _, want := range c.want {
					if !slices.Contains(r.Action.Env, want) {
						t.Errorf("%s has no %s in %q", r.Label, want, r.Action.Env)
					}
				}
				if slices.Contains(r.Action.Env, c.lack) {
					t.Errorf("%s has %s", r.Label, c.lack)
				}
			}
			if !strings.Contains(p.sees(2, "/go/src/app"), c.sees) {
				t.Errorf("sees %s", p.sees(2, "/go/src/app"))
			}
		})
	}
}

// TestNoRelease: a release that does not exist is named with what there is instead.
func TestNoRelease(t *testing.T) {
	const list = "https://proxy.test/golang.org/toolchain/@v/list"
	r := Resolver{Endpoints: endpoints{{URL: "direct"}, {URL: "https://proxy.test"}}, TempDir: t.TempDir(), Getter: pages{
		list: "v0.0.1-go1.26.9.linux-amd64\nv0.0.1-go1.27rc1.linux-amd64\nv0.0.1-go1.28.0.linux-arm64\nv0.0.1-go1.25.14.linux-amd64\n",
	}}
	for request, want := range map[string]string{
		"go1.99.0":  "there is no `go1.99.0` for linux/amd64 [there is no release of go1.99 the newest of all is go1.27rc1]",
		"go1.99.x":  "there is no `go1.99` for linux/amd64 [there is no release of go1.99 the newest of all is go1.27rc1]",
		"go1.26.99": "there is no `go1.26.99` for linux/amd64 [the newest of its line is go1.26.9 the newest of all is go1.27rc1]",
	} {
		_, err := r.Resolve(t.Context(), pins.Question{Set: "tool/go", Request: []string{request}, Platform: platform.Platform{OS: "linux", Arch: "amd64"}})
		var p *diag.Problem
		if !errors.As(err, &p) || fmt.Sprint(p.Error(), " ", p.Detail) != want {
			t.Errorf("%s: got %v", request, err)
		}
	}
}
