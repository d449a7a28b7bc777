package openapi

import (
	"context"
	"strings"
	"testing"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
)

func newWorld(t *testing.T) (*plantest.World, Options) {
	w := plantest.New(t, Natives())
	w.Sources["app"] = map[string]string{
		"schema.yml":                               "openapi: 3.0.3\n",
		"scripts/api/ts-config.yaml":               "templateDir: /local/scripts/api/ts-templates/\nadditionalProperties:\n  npmName: x\n",
		"scripts/api/ts-templates/README.mustache": "",
		"scripts/api/other.yaml":                   "",
		"manage.py":                                "",
	}
	w.Sources["client-go"] = map[string]string{"config.yaml": "additionalProperties: {}\n", "schema.yml": "old", "templates/x.mustache": ""}
	w.Sources["jre"] = map[string]string{"usr/bin/java": "#!"}
	w.Sources["gofmt"] = map[string]string{"usr/local/bin/gofmt": "#!"}
	w.Files["generator-7.jar"] = []byte("jar")
	jar := engine.Fetch(source.Artifact{Ecosystem: source.Maven, Name: "org.example:generator", Version: "7", File: "generator-7.jar", Integrity: plantest.Integrity([]byte("jar"))})
	w.Act = func(r executor.Request) map[string]string {
		if strings.Contains(r.Label, "gofmt") {
			return map[string]string{"/out/api.go": "formatted", "/out/docs/a.md": ""}
		}
		return map[string]string{"/out/api.go": "generated", "/out/docs/a.md": "", "/out/.openapi-generator/FILES": ""}
	}
	return w, Options{Generator: "go", Schema: engine.Source("app"), SchemaPath: "schema.yml", Jar: jar, JRE: engine.Source("jre").Step}
}

func generate(o Options) engine.Plan {
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) { return Generate(ctx, ask, o) }
}

func TestTypeScript(t *testing.T) {
	w, o := newWorld(t)
	o.Generator, o.ConfigPath, o.Args = "typescript-fetch", "scripts/api/ts-config.yaml", []string{"--additional-properties=npmVersion=1.0.0"}
	tr, err := w.Build(generate(o))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.Paths(tr), ".openapi-generator/FILES\napi.go\ndocs/a.md\n"; got != want {
		t.Errorf("got\n%s", got)
	}
	a := w.Ran[0].Action
	if got, want := strings.Join(a.Args, " "), "java -XX:-UsePerfData -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -jar /build/generator/generator-7.jar generate "+
		"-i /local/schema.yml -g typescript-fetch -o /out -c /local/scripts/api/ts-config.yaml --additional-properties=npmVersion=1.0.0"; got != want {
		t.Errorf("got %s", got)
	}
	want := "build/generator/generator-7.jar\nlocal/schema.yml\nlocal/scripts/api/ts-config.yaml\nlocal/scripts/api/ts-templates/README.mustache\nusr/bin/java*\n"
	if got := w.Paths(a.Root); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// What the generator does not see does not run it again.
	w.Sources["app"]["manage.py"] = "changed"
	if _, err := w.Build(generate(o)); err != nil || len(w.Ran) != 1 {
		t.Errorf("ran %d times, %v", len(w.Ran), err)
	}
}

// TestGo: configuration in another source than the description, a formatter afterwards, files left out.
func TestGo(t *testing.T) {
	w, o := newWorld(t)
	o.Config, o.ConfigPath, o.Templates = engine.Source("client-go"), "config.yaml", "templates"
	o.Post = []Post{{Args: []string{"gofmt", "-w", "."}, Layers: []engine.Layer{{Step: engine.Source("gofmt").Step, At: "/"}}}}
	o.Remove = []string{"docs", "README.md"}
	if got := w.Text(generate(o)); !strings.Contains(got, "api.go") || strings.Contains(got, "docs") {
		t.Errorf("got\n%s", got)
	}
	if got, want := w.Paths(w.Ran[0].Action.Root), "build/generator/generator-7.jar\nlocal/config.yaml\nlocal/schema.yml\nlocal/templates/x.mustache\nusr/bin/java*\n"; got != want {
		t.Errorf("got\n%s", got)
	}
	if got, want := w.Paths(w.Ran[1].Action.Root), "out/.openapi-generator/FILES\nout/api.go\nout/docs/a.md\nusr/local/bin/gofmt*\n"; got != want {
		t.Errorf("got\n%s", got)
	}
	if args := strings.Join(w.Ran[0].Action.Args, " "); !strings.HasSuffix(args, "-c /local/config.yaml -t /local/templates") {
		t.Errorf("got %s", args)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(w *plantest.World, o *Options)
		want string
	}{
		"no schema":       {func(_ *plantest.World, o *Options) { o.SchemaPath = "nope.yml" }, "there is no `nope.yml`"},
		"no config":       {func(_ *plantest.World, o *Options) { o.ConfigPath = "nope.yaml" }, "cannot read `nope.yaml`"},
		"malformed":       {func(w *plantest.World, o *Options) { w.Sources["app"]["c.yaml"] = "a: [\n"; o.ConfigPath = "c.yaml" }, "malformed option file"},
		"other mount":     {func(_ *plantest.World, o *Options) { o.ConfigPath, o.Mount = "scripts/api/ts-config.yaml", "/src" }, "templates lie in `/local/scripts/api/ts-templates/`, but the source is seen at `/src`"},
		"no jar":          {func(_ *plantest.World, o *Options) { o.Jar = engine.Source("jre") }, "holds no jar"},
		"unknown include": {func(_ *plantest.World, o *Options) { o.Include = []string{"nope"} }, "nope"},
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newWorld(t)
			c.edit(w, &o)
			if _, err := w.Build(generate(o)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
