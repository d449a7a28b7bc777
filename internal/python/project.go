package python

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/poetry"
	"hewn.example/hewn/internal/lock/pylock"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/python/pep440"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/tree"
)

// project is what is read of a pyproject.toml.
type project struct {
	name           string
	version        string // empty: not known without a build
	requiresPython string
	dynamic        []string
	requires       []string // dependencies and those of all extras
	dependencies   []string
	extras         map[string][]string // by normalised name
	groups         map[string][]string // dependency groups, with what they include
	build          buildSystem
	tool           uvSettings
	hooks          bool // hatchling: build hooks run code of the project
	rust           rustSettings
}

// buildSystem is the table of PEP 518, with what stands in where it is missing.
type buildSystem struct {
	requires []string
	backend  string
	paths    []string
}

// uvSettings are those of [tool.uv] that change what is installed.
type uvSettings struct {
	noBinary    bool
	noBinaryOf  []string
	noBuild     bool
	noBuildOf   []string
	extraBuild  map[string][]string // build requirements that a package forgot, by package
	constraints []string            // of build requirements
	resolution  map[string][]string // `constraint-dependencies` and `override-dependencies`, where they are texts
	places      map[string][]string // of [tool.uv.sources]: where a package is from, as uv.Requirement says it; nil: it depends
	isPackage   bool                // it is installed, not only what it needs
}

// legacy is what PEP 517 says of a source without [build-system].
var legacy = buildSystem{requires: []string{"setuptools >= 40.8.0"}, backend: "setuptools.build_meta:__legacy__"}

// parseProject reads a pyproject.toml.
func parseProject(file string, data []byte) (project, error) {
	p := project{build: legacy}
	doc, err := tomldoc.Parse(file, data)
	if err != nil {
		return p, err
	}
	c := doc.Cursor(&err)
	if c, ok := c.Sub("project"); ok {
		p.name = pep508.Normalise(c.Text("name"))
		p.requiresPython = c.Text("requires-python")
		p.dynamic = c.Texts("dynamic")
		p.version = c.Text("version")
		p.dependencies, p.extras = c.Texts("dependencies"), map[string][]string{}
		p.requires = slices.Clone(p.dependencies)
		if c, ok := c.Sub("optional-dependencies"); ok {
			for _, k := range c.Table().Keys() {
				p.extras[pep508.Normalise(k)] = c.Texts(k)
				p.requires = append(p.requires, c.Texts(k)...)
			}
		}
	}
	p.groups = readGroups(c)
	if c, ok := c.Sub("build-system"); ok {
		p.build.requires = c.Texts("requires")
		if b := c.Text("build-backend"); b != "" {
			p.build.backend = b
			p.build.paths = c.Texts("backend-path")
		}
	}
	packaged := c.Has("build-system")
	if tool, ok := c.Sub("tool"); ok {
		p.rust = readRustSettings(tool)
		if c, ok := tool.Sub("uv"); ok {
			p.tool = readSettings(c)
			p.tool.places = readPlaces(c, path.Dir(file))
			p.tool.resolution = readResolution(c)
		}
		if c, ok := tool.Sub("hatch"); ok {
			p.hooks = hatchHooks(c)
		}
		if c, ok := tool.Sub("uv"); ok && c.Has("package") {
			packaged = c.Bool("package")
		}
	}
	p.tool.isPackage = packaged
	return p, err
}

func readSettings(c tomldoc.Cursor) uvSettings {
	s := uvSettings{noBinary: c.Bool("no-binary"), noBuild: c.Bool("no-build"), constraints: c.Texts("build-constraint-dependencies")}
	for _, name := range c.Texts("no-binary-package") {
		s.noBinaryOf = append(s.noBinaryOf, pep508.Normalise(name))
	}
	for _, name := range c.Texts("no-build-package") {
		s.noBuildOf = append(s.noBuildOf, pep508.Normalise(name))
	}
	extra, ok := c.Sub("extra-build-dependencies")
	if !ok {
		return s
	}
	s.extraBuild = map[string][]string{}
	for _, name := range extra.Table().Keys() {
		v, _ := extra.Table().Get(name)
		for _, item := range v.Items {
			text := item.Str
			if item.Kind == tomldoc.Object {
				inner, _ := item.Table.Get("requirement")
				text = inner.Str
			}
			key := pep508.Normalise(name)
			s.extraBuild[key] = append(s.extraBuild[key], text)
		}
	}
	return s
}

func hatchHooks(c tomldoc.Cursor) bool {
	build, ok := c.Sub("build")
	if !ok {
		return false
	}
	if build.Has("hooks") {
		return true
	}
	targets, ok := build.Sub("targets")
	if !ok {
		return false
	}
	for _, name := range targets.Table().Keys() {
		if t, ok := targets.Sub(name); ok && t.Has("hooks") {
			return true
		}
	}
	return false
}

// readProject asks for a pyproject.toml in a directory of s. A missing file is a project without any settings.
func readProject(ctx context.Context, ask *engine.Ask, s engine.Static, dir, label string) (project, error) {
	data, err := ask.Read(ctx, s, path.Join(dir, "pyproject.toml"))
	if errors.Is(err, tree.ErrNotExist) {
		return project{build: legacy}, nil
	}
	if err != nil {
		return project{}, err
	}
	return parseProject(path.Join(label, dir, "pyproject.toml"), data)
}

// Version is the minor version of Python that a project asks for ("3.14"): the one in `.python-version`, as with uv, or
// else the lowest that its `requires-python` accepts, which with the usual `==3.14.*` is the only one.
func Version(ctx context.Context, ask *engine.Ask, src engine.Static) (string, error) {
	p, err := readProject(ctx, ask, src, "", "")
	if err != nil {
		return "", err
	}
	if data, err := ask.Read(ctx, src, versionFile); !errors.Is(err, tree.ErrNotExist) {
		if err != nil {
			return "", err
		}
		return chosenVersion(data, p.requiresPython)
	}
	if p.requiresPython != "" {
		return minorOf("pyproject.toml", "project.requires-python", p.requiresPython)
	}
	data, err := ask.Read(ctx, src, poetryLock) // which has the range that a project of Poetry 1's form gives
	if err == nil {
		lock, err := poetry.Read(poetryLock, data)
		if err != nil {
			return "", err
		}
		return minorOf(poetryLock, "metadata.python-versions", poetry.Ranges(lock.PythonVersions)[0])
	}
	if !errors.Is(err, tree.ErrNotExist) {
		return "", err
	}
	data, err = ask.Read(ctx, src, pyLock) // which needs no project beside it
	if errors.Is(err, tree.ErrNotExist) {
		return minorOf("pyproject.toml", "project.requires-python", "")
	}
	if err != nil {
		return "", err
	}
	lock, err := pylock.Read(pyLock, data)
	if err != nil {
		return "", err
	}
	return minorOf(pyLock, "requires-python", lock.RequiresPython)
}

// versionFile is where uv and pyenv keep which Python a project is worked on with.
const versionFile = ".python-version"

var versionLine = regexp.MustCompile(`^(?:cpython[-@])?(3\.\d+)(\.\d+)?$`)

// chosenVersion is what the first line of a version file says that is no comment.
func chosenVersion(data []byte, requires string) (string, error) {
	at := diag.Position{File: versionFile}
	for line := range strings.Lines(string(data)) {
		at.Line++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := versionLine.FindStringSubmatch(line)
		if m == nil {
			return "", diag.Inputf("python-version", "`%s` is no version of CPython", line).At(at).Hint("write a version, such as 3.14")
		}
		// A patch release that nobody named may be any.
		spec, err := pep440.ParseSpecifiers(requires)
		v, verr := pep440.Parse(m[1] + cmp.Or(m[2], ".999"))
		if err == nil && verr == nil && !spec.Match(v) {
			return "", diag.Inputf("python-version", "Python %s is not what `requires-python` of pyproject.toml wants: %s", line, requires).At(at)
		}
		return m[1], nil
	}
	return "", diag.Inputf("python-version", "names no version").At(at).Hint("write a version, such as 3.14, or delete the file")
}

func minorOf(file, key, requires string) (string, error) {
	at := diag.Position{File: file, Key: key}
	spec, err := pep440.ParseSpecifiers(requires)
	if err != nil {
		return "", diag.Inputf("bad-file", "%v", err).At(at)
	}
	v, ok := spec.Lower()
	if !ok || v.Release(0) != 3 {
		return "", diag.Inputf("python-version", "does not say which Python 3 the project needs: %q", requires).At(at)
	}
	return fmt.Sprintf("%d.%d", v.Release(0), v.Release(1)), nil
}

// minor cuts a full version down: "3.14.8" -> "3.14".
func minor(full string) (string, error) {
	v, err := pep440.Parse(full)
	if err != nil || strings.Count(full, ".") < 2 {
		return "", fmt.Errorf("python: %q is not a full version such as 3.14.8", full)
	}
	return fmt.Sprintf("%d.%d", v.Release(0), v.Release(1)), nil
}

// editableSkeleton says that a project's editable wheel depends on the names of its modules only, not on what is in
// them, so that an edit needs no new build.
func (p project) editableSkeleton() bool {
	return p.build.backend == "hatchling.build" && len(p.build.paths) == 0 && len(p.dynamic) == 0 && !p.hooks
}

// request is the Request of a question about build requirements: requirements whose markers hold, in one spelling.
func request(lines []string, env pep508.Environment) ([]string, error) {
	var out []string
	for _, text := range lines {
		r, err := pep508.Parse(text)
		if err != nil {
			return nil, err
		}
		if r.Marker.Holds(env) {
			out = append(out, r.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
