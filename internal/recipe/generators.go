package recipe

import (
	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/debian"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/maven"
	"hewn.example/hewn/internal/openapi"
)

// generatorJar is where openapi-generator is published.
const generatorJar = "org.openapitools:openapi-generator-cli"

// debianElfCheck is debian.elf_check(root, below=[], ignore=[]).
func debianElfCheck(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if _, err := plan(th, b.Name()); err != nil {
		return nil, err
	}
	var root treeArg
	var below, ignore *starlark.List
	var o debian.ElfOptions
	err := starlark.UnpackArgs(b.Name(), args, kwargs, "root", &root, "below?", &below, "ignore?", &ignore)
	if err == nil {
		o.Below, err = strs("below", below)
	}
	if err == nil {
		o.Ignore, err = strs("ignore", ignore)
	}
	if err != nil {
		return nil, err
	}
	return newTree(debian.ElfCheck(root.v.rooted(), o), "/"), nil
}

// mavenJar is maven.jar("group:artifact", version).
func mavenJar(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var name, version string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "version", &version); err != nil {
		return nil, err
	}
	s, err := maven.Jar(p.ctx, p.ask, name, version)
	if err != nil {
		return nil, err
	}
	return newTree(s.Step, "/"), nil
}

// openapiGenerate is openapi.generate(generator, version, java, schema, schema_path, config=None, config_path="",
// include=[], args=[], remove=[]). Schema and config are seen at /local, as in the generator's own container.
func openapiGenerate(th *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	p, err := plan(th, b.Name())
	if err != nil {
		return nil, err
	}
	var o openapi.Options
	var version string
	var java, schema, config treeArg
	var include, extra, remove *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "generator", &o.Generator, "version", &version, "java", &java,
		"schema", &schema, "schema_path", &o.SchemaPath, "config??", &config, "config_path?", &o.ConfigPath,
		"include?", &include, "args?", &extra, "remove?", &remove); err != nil {
		return nil, err
	}
	o.JRE = java.v.rooted()
	if o.Schema, err = staticOf("schema", schema.v); err != nil {
		return nil, err
	}
	if config.v != nil {
		if o.Config, err = staticOf("config", config.v); err != nil {
			return nil, err
		}
	}
	for _, l := range []struct {
		into *[]string
		from *starlark.List
	}{{&o.Include, include}, {&o.Args, extra}, {&o.Remove, remove}} {
		if *l.into, err = strs(b.Name(), l.from); err != nil {
			return nil, err
		}
	}
	if o.Jar, err = maven.Jar(p.ctx, p.ask, generatorJar, version); err != nil {
		return nil, err
	}
	var s engine.Step
	if s, err = openapi.Generate(p.ctx, p.ask, o); err != nil {
		return nil, err
	}
	return newTree(s, "/"), nil
}
