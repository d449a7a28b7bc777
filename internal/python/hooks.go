package python

import (
	"context"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/python/wheel"
	"hewn.example/hewn/internal/source"
)

// job is the build of one package: what all calls of its back end have in common.
type job struct {
	*venv
	sel    Selected
	src    sourceOf
	vars   map[string]string
	layers []engine.Layer // the source, and what is beside root, environment and script
	chain  []string       // packages that it is built for, and itself
}

// call is an action that calls a hook of the back end: `wheel` or `editable`, or `requires-` and one of these. What it
// gives is at out.
func (j *job) call(what, hook string, env engine.Step, out string) engine.Step {
	b := j.src.project.build
	return engine.Run(what+" "+label(j.sel), engine.Command{
		Args: append([]string{buildEnv + "/bin/python", "-P", scriptsAt + "/build.py", hook, b.backend, out, setName(j.sel)}, b.paths...),
		Env:  j.vars,
		Dir:  path.Join(j.src.at, j.src.dir),
		Layers: append([]engine.Layer{
			{Step: j.BuildRoot, At: "/"},
			{Step: env, At: buildEnv},
			scriptLayer("build.py", buildScript),
		}, j.layers...),
		Outputs:  []string{out},
		Platform: j.ask.Platform(),
	})
}

// environment is a virtual environment with all that the build requires: what pyproject.toml says, and what the back end
// asks for when its hook is called in an environment with that. Both are pinned, and so is what the hook said.
func (j *job) environment(ctx context.Context) (engine.Step, error) {
	lines := slices.Concat(j.src.project.build.requires, j.root.tool.extraBuild[j.sel.Name], j.BuildRequires[j.sel.Name])
	static, err := request(lines, j.env)
	if err != nil {
		return engine.Step{}, diag.Inputf("bad-file", "build requirements of `%s`: %v", label(j.sel), err).At(j.sel.Pos)
	}
	have, err := j.requirements(ctx, setName(j.sel), static)
	if err != nil {
		return engine.Step{}, err
	}
	env, err := j.installed(ctx, have)
	if err != nil {
		return engine.Step{}, err
	}
	told, err := j.hook(ctx, env, have)
	if err != nil {
		return engine.Step{}, err
	}
	more, err := request(told, j.env)
	if err != nil {
		return engine.Step{}, diag.Failf("bad-hook", "the build backend of `%s` asks for something odd: %v", label(j.sel), err).At(j.sel.Pos)
	}
	more = slices.DeleteFunc(more, func(text string) bool { return slices.Contains(static, text) || satisfied(text, have) })
	if len(more) == 0 {
		return env, nil
	}
	// PEP 517 has one environment: what the hook asks for may decide which version of the rest is right.
	both := slices.Concat(static, more)
	slices.Sort(both)
	if have, err = j.requirements(ctx, setName(j.sel)+"/all", both); err != nil {
		return engine.Step{}, err
	}
	return j.installed(ctx, have)
}

// hook is what the back end asks for beyond its pyproject.toml. To know it foreign code must be run, with what is pinned
// for the build: an update does that, in the sandbox.
func (j *job) hook(ctx context.Context, env engine.Step, have []source.Artifact) ([]string, error) {
	id, err := j.identity(ctx)
	if err != nil {
		return nil, err
	}
	req := []string{"python " + j.minor}
	if j.Libc != "" {
		req = append(req, "libc "+j.Libc)
	}
	req = append(req, "hook "+j.src.mode, id)
	var rest []string
	for _, a := range have {
		rest = append(rest, "have "+a.Name+"=="+a.Version)
	}
	for k, val := range j.Env[j.sel.Name] {
		rest = append(rest, "env "+k+"="+val)
	}
	slices.Sort(rest)
	q := pins.Question{Ecosystem: source.PyPI, Set: setName(j.sel) + "/hook", Platform: j.ask.Platform(), Request: append(req, rest...)}
	const out = "/build/requires.txt"
	return j.ask.Observe(ctx, q, j.call("build requirements of", "requires-"+j.src.mode, env, out), out)
}

// identity is a line that changes when the hook may say something else. Of a directory these are the files that back
// ends look into in order to know what they need, not the modules that people edit all the time.
func (j *job) identity(ctx context.Context) (string, error) {
	var of engine.Step
	s := j.sel.Source
	switch {
	case s.Kind == uv.Git:
		return strings.TrimSpace("source git:" + s.Commit + " " + j.src.dir), nil
	case s.Kind == uv.Directory || s.Kind == uv.Editable:
		dir, err := inside(s.Location, j.sel)
		if err != nil {
			return "", err
		}
		files, err := j.buildFiles(ctx, dir)
		if err != nil {
			return "", err
		}
		of = engine.Select(j.Source.Step, files...)
	case !j.sel.Sdist.Integrity.IsZero():
		return strings.TrimSpace("source " + j.sel.Sdist.Integrity.String() + " " + j.src.dir), nil
	default: // a file in the source, which needs no hash
		file, err := j.file(j.sel, j.sel.Sdist)
		if err != nil {
			return "", err
		}
		of = file.Step
	}
	static, _ := of.Static() // all of these are
	t, err := j.ask.Tree(ctx, static)
	return "source tree:" + t.Digest().Hex(), err
}

// buildFiles are the files of a directory that decide what its back end asks for: its settings and a back end of its own.
func (j *job) buildFiles(ctx context.Context, dir string) ([]string, error) {
	var files []string
	for _, name := range [...]string{"pyproject.toml", "setup.py", "setup.cfg", "hatch_build.py"} {
		files = append(files, path.Join(dir, name)+"?")
	}
	for _, p := range j.src.project.build.paths {
		at := path.Join(dir, p)
		if inner, err := inside(at, j.sel); err != nil || inner != dir {
			files = append(files, at+"?")
			continue
		}
		// The whole project is the back end's path: only modules that lie there are meant, not its packages.
		modules, err := j.ask.Glob(ctx, j.Source, path.Join(dir, "*.py"))
		if err != nil {
			return nil, err
		}
		files = append(files, modules...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// satisfied says that what is installed is enough for a requirement. What its extras need is not known here.
func satisfied(text string, have []source.Artifact) bool {
	r, err := pep508.Parse(text)
	if err != nil || len(r.Extras) > 0 || r.URL != "" {
		return false
	}
	for _, a := range have {
		v, err := pep440.Parse(a.Version)
		if err == nil && a.Name == r.Name {
			return r.Specifiers.Match(v)
		}
	}
	return false
}

// requirements are the artifacts that sources.lock pins for requirements.
func (j *job) requirements(ctx context.Context, set string, req []string) ([]source.Artifact, error) {
	if len(req) == 0 {
		return nil, nil
	}
	return j.ask.Artifacts(ctx, pins.Question{Ecosystem: source.PyPI, Set: set, Platform: j.ask.Platform(), Request: j.question(req)})
}

// installed is a virtual environment with artifacts. What is pinned as an sdist is built first.
func (j *job) installed(ctx context.Context, artifacts []source.Artifact) (engine.Step, error) {
	parts := []engine.Part{{Step: j.skeleton(buildEnv, "").Step, At: "/"}}
	for _, a := range artifacts {
		in := wheel.Install{Prefix: buildEnv, Python: j.minor, Name: a.Name}
		if !strings.HasSuffix(a.File, ".whl") {
			file := &uv.File{Name: a.File, Integrity: a.Integrity, Size: a.Size}
			built, err := j.build(ctx, Selected{Package: &uv.Package{Name: a.Name, Version: a.Version, Source: uv.Source{Kind: uv.Registry}, Sdist: file, Pos: j.sel.Pos}}, j.chain...)
			if err != nil {
				return engine.Step{}, err
			}
			parts = append(parts, engine.Part{Step: engine.Native(a.String()+" (to build)", wheelInstall, in, built), At: "/"})
			continue
		}
		step := engine.NativeStatic(a.String()+" (to build)", wheelInstall, in, engine.Fetch(a))
		parts = append(parts, engine.Part{Step: step.Step, At: "/"})
	}
	return engine.Merge("build environment of "+label(j.sel), parts...), nil
}

func setName(sel Selected) string {
	if sel.Version == "" {
		return "build/" + sel.Name
	}
	return "build/" + sel.Name + "@" + sel.Version
}

// question completes a request for requirements with what the answer also depends on. Only the minor version of Python: a
// new patch release must not make every pin stale. And not the day of the sdist, but whose day it is.
func (j *job) question(req []string) []string {
	out := []string{"python " + j.minor}
	if j.Libc != "" {
		out = append(out, "libc "+j.Libc)
	}
	if j.sel.Source.Kind == uv.Registry && j.sel.Version != "" && j.sel.Sdist != nil && !j.sel.Sdist.Local() {
		out = append(out, "cutoff "+j.sel.Name+"=="+j.sel.Version)
	}
	for _, c := range j.root.tool.constraints {
		out = append(out, "constraint "+c)
	}
	return append(out, req...)
}
