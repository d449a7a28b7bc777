// Package openapi generates API clients from an OpenAPI description with openapi-generator.
//
// The generator is run as upstreams run it, with their own option files: these name their templates below the place at
// which the container of the generator sees the repository (`/local`), so the files lie there.
package openapi

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/platform"
)

// Natives lists the native steps of this package: none.
func Natives() []engine.NativeDef { return nil }

// Where things lie while the generator runs.
const (
	defaultMount = "/local"
	jarDir       = "/build/generator"
	outDir       = "/out"
)

// Options says what to generate.
type Options struct {
	Generator  string        // "go", "typescript-fetch"
	Schema     engine.Static // a tree with the API description
	SchemaPath string        // in Schema: "schema.yml"
	Config     engine.Static // a tree with the option file and what it refers to; zero: Schema's tree
	ConfigPath string        // in Config: "scripts/api/ts-config.yaml"; empty: no option file
	Templates  string        // a directory in Config, where the option file names none
	Include    []string      // further files and directories of Config that options name
	Mount      string        // where Config's tree and the description are seen; default "/local"
	Args       []string      // further arguments, for example --additional-properties=npmVersion=1.0.0
	Jar        engine.Static // openapi-generator-cli: a tree of one jar
	JRE        engine.Step   // a root with `java`
	Post       []Post        // commands to run on what was generated, in this order
	Remove     []string      // patterns of what to leave out of the result, after Post
	Platform   platform.Platform
}

// Post is a command that runs in the generated tree and changes it: a formatter, a compiler. The tree lies at /out,
// which is the working directory.
type Post struct {
	Args   []string
	Env    map[string]string
	Layers []engine.Layer
}

// Generate is the step whose tree is the generated client, its package.json or go.mod at the root.
func Generate(ctx context.Context, ask *engine.Ask, o Options) (engine.Step, error) {
	if o.Mount == "" {
		o.Mount = defaultMount
	}
	if o.Config.IsZero() {
		o.Config = o.Schema
	}
	if o.Platform == (platform.Platform{}) {
		o.Platform = ask.Platform()
	}
	jar, err := jarName(ctx, ask, o.Jar)
	if err != nil {
		return engine.Step{}, err
	}
	if ok, err := ask.Exists(ctx, o.Schema, o.SchemaPath); err != nil || !ok {
		return engine.Step{}, diag.Inputf("openapi-schema", "there is no `%s` in %s", o.SchemaPath, o.Schema.Label()).Because(err)
	}
	layers := []engine.Layer{
		{Step: o.JRE, At: "/"},
		{Step: o.Jar.Step, At: jarDir},
		{Step: engine.Select(o.Schema.Step, clean(o.SchemaPath)), At: o.Mount},
	}
	paths, err := configPaths(ctx, ask, o)
	if err != nil {
		return engine.Step{}, err
	}
	if len(paths) > 0 {
		layers = append(layers, engine.Layer{Step: engine.Select(o.Config.Step, paths...), At: o.Mount})
	}
	run := engine.Run("generate "+o.Generator+" client", engine.Command{
		Args: o.command(jar), Dir: o.Mount, Layers: layers, Outputs: []string{outDir}, Platform: o.Platform,
	})
	out := engine.Sub(run, outDir)
	for _, p := range o.Post {
		out = engine.Sub(engine.Run(strings.Join(p.Args, " ")+" on the "+o.Generator+" client", engine.Command{
			Args: p.Args, Env: p.Env, Dir: outDir, Outputs: []string{outDir}, Platform: o.Platform,
			Layers: append(slices.Clone(p.Layers), engine.Layer{Step: out, At: outDir}),
		}), outDir)
	}
	if len(o.Remove) > 0 {
		out = engine.Remove(out, o.Remove...)
	}
	return out, nil
}

// command is the generator's command line. The flags of the JVM make a short run quick and keep its scratch files away.
func (o Options) command(jar string) []string {
	args := []string{
		"java", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", jarDir + "/" + jar, "generate",
		"-i", path.Join(o.Mount, o.SchemaPath), "-g", o.Generator, "-o", outDir,
	}
	if o.ConfigPath != "" {
		args = append(args, "-c", path.Join(o.Mount, o.ConfigPath))
	}
	if o.Templates != "" {
		args = append(args, "-t", path.Join(o.Mount, o.Templates))
	}
	return append(args, o.Args...)
}

func jarName(ctx context.Context, ask *engine.Ask, jar engine.Static) (string, error) {
	entries, err := ask.List(ctx, jar, "/")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".jar") {
			return e.Name, nil
		}
	}
	return "", diag.Inputf("openapi-jar", "%s holds no jar", jar.Label())
}

// configPaths are the files of Config that the generator has to see.
func configPaths(ctx context.Context, ask *engine.Ask, o Options) ([]string, error) {
	var paths []string
	for _, p := range append(slices.Clone(o.Include), o.ConfigPath, o.Templates) {
		if p != "" {
			paths = append(paths, clean(p))
		}
	}
	if o.ConfigPath != "" {
		dir, err := templateDir(ctx, ask, o)
		if err != nil {
			return nil, err
		}
		if dir != "" {
			paths = append(paths, dir)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// templateDir reads from the option file where templates lie, as a path in Config.
func templateDir(ctx context.Context, ask *engine.Ask, o Options) (string, error) {
	b, err := ask.Read(ctx, o.Config, o.ConfigPath)
	if err != nil {
		return "", diag.Inputf("openapi-config", "cannot read `%s` of %s", o.ConfigPath, o.Config.Label()).Because(err)
	}
	var c struct {
		TemplateDir string `yaml:"templateDir"`
	}
	if err := yaml.Unmarshal(b, &c); err != nil { // JSON is YAML as well
		return "", diag.Inputf("openapi-config", "malformed option file").At(diag.Position{File: o.ConfigPath}).Because(err)
	}
	switch {
	case c.TemplateDir == "":
		return "", nil
	case !path.IsAbs(c.TemplateDir):
		return clean(c.TemplateDir), nil // relative to the working directory, which is the mount
	}
	dir, ok := strings.CutPrefix(path.Clean(c.TemplateDir)+"/", path.Clean(o.Mount)+"/")
	if !ok {
		return "", diag.Inputf("openapi-config", "templates lie in `%s`, but the source is seen at `%s`", c.TemplateDir, o.Mount).
			At(diag.Position{File: o.ConfigPath, Key: "templateDir"}).
			Hint("set the mount to the place that the option file expects")
	}
	return clean(dir), nil
}

// clean is a path in a tree: relative, without `..`.
func clean(p string) string { return strings.TrimPrefix(path.Clean("/"+p), "/") }
