package python

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/source"
)

//go:embed scripts/build.py
var buildScript string

// Where a build finds things. The places are part of what compilers write into debug information, so they are the same
// for every build.
const (
	buildEnv  = "/build/env"
	buildSrc  = "/build/src"
	buildDist = "/build/dist"
)

// sourceOf is what a package is built from.
type sourceOf struct {
	tree     engine.Static
	dir      string // of the project within tree
	at       string // where tree is mounted
	mode     string // which hook: "wheel" or "editable"
	project  project
	fromRepo bool // from version control, whose history the build does not see
}

// build is an action that gives a package's wheel, somewhere in its tree. chain are the packages that this one is built
// for.
func (v *venv) build(ctx context.Context, sel Selected, chain ...string) (engine.Step, error) {
	if slices.Contains(chain, sel.Name) {
		return engine.Step{}, diag.Failf("build-cycle", "`%s` would be needed in order to build itself", sel.Name).At(sel.Pos).
			With(strings.Join(append(chain, sel.Name), " needs ")).
			Hint("constrain one of them to a version that has a wheel: `[tool.uv] build-constraint-dependencies`")
	}
	if v.BuildRoot.IsZero() {
		return engine.Step{}, errNoRoot(sel)
	}
	src, err := v.source(ctx, sel)
	if err != nil {
		return engine.Step{}, err
	}
	vars := map[string]string{
		// Nobody debugs these extensions, and debug information costs a fifth of the time (the largest file of lxml:
		// 106 s of CPU with it, 87 without). The interpreter's own flags come first and ask for it.
		"CFLAGS":         "-g0",
		"CXXFLAGS":       "-g0",
		"PATH":           buildEnv + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"PYTHONHASHSEED": "0",
		"VIRTUAL_ENV":    buildEnv,
	}
	if src.fromRepo && sel.Version != "" {
		// Backends that ask version control for the version are told what the lock says.
		vars["SETUPTOOLS_SCM_PRETEND_VERSION"] = sel.Version
		vars["PBR_VERSION"] = sel.Version
		vars["PDM_BUILD_SCM_VERSION"] = sel.Version
	}
	crates, err := v.rust(ctx, sel, src)
	if err != nil {
		return engine.Step{}, err
	}
	maps.Copy(vars, crates.Env)
	maps.Copy(vars, v.Env[sel.Name])
	j := &job{venv: v, sel: sel, src: src, vars: vars, layers: append([]engine.Layer{{Step: crates.Source, At: src.at}}, crates.Layers...), chain: append(slices.Clone(chain), sel.Name)}
	env, err := j.environment(ctx)
	if err != nil {
		return engine.Step{}, err
	}
	return j.call("build", src.mode, env, buildDist), nil
}

// source finds out what a package is built from and reads its pyproject.toml.
func (v *venv) source(ctx context.Context, sel Selected) (sourceOf, error) {
	s := sourceOf{at: buildSrc, mode: "wheel"}
	switch sel.Source.Kind {
	case uv.Git:
		repo := sel.Source.Location
		if v.Origin != nil {
			repo = v.Origin(repo)
		}
		s.tree = engine.Git(source.GitRef{Repo: repo, Rev: sel.Source.Rev, Commit: sel.Source.Commit})
		s.dir, s.fromRepo = path.Clean("/" + sel.Source.Subdirectory)[1:], true
	case uv.Directory, uv.Editable:
		return v.member(ctx, sel)
	default:
		var p unpackParams
		if sel.Sdist.Local() {
			p.SHA256 = sel.Sdist.Integrity.Hex()
		}
		file, err := v.file(sel, sel.Sdist)
		if err != nil {
			return s, err
		}
		s.tree = engine.NativeStatic("source of "+label(sel), sdistUnpack, p, file)
		s.dir = path.Clean("/" + sel.Source.Subdirectory)[1:]
	}
	var err error
	s.project, err = readProject(ctx, v.ask, s.tree, s.dir, label(sel))
	return s, err
}

// member is a package of the workspace, or another directory beside the lock.
func (v *venv) member(ctx context.Context, sel Selected) (sourceOf, error) {
	s := sourceOf{at: buildSrc, mode: "wheel"}
	dir, err := inside(sel.Source.Location, sel)
	if err != nil {
		return s, err
	}
	if s.project, err = readProject(ctx, v.ask, v.Source, dir, ""); err != nil {
		return s, err
	}
	sub, _ := engine.Sub(v.Source.Step, dir).Static() // of a Static step
	s.tree = sub
	if sel.Source.Kind == uv.Editable {
		s.mode, s.at = "editable", path.Join(v.MembersAt, dir)
		if s.project.editableSkeleton() {
			s.tree = engine.NativeStatic("module names of "+sel.Name, moduleNames, nil, s.tree)
		}
	}
	return s, nil
}

// directURL is PEP 610's record of where a package came from, in its order of fields.
type directURL struct {
	URL          string       `json:"url"`
	Dir          *dirInfo     `json:"dir_info,omitempty"`
	Archive      *archiveInfo `json:"archive_info,omitempty"`
	VCS          *vcsInfo     `json:"vcs_info,omitempty"`
	Subdirectory string       `json:"subdirectory,omitempty"`
}

type dirInfo struct {
	Editable *bool `json:"editable,omitempty"`
}

type archiveInfo struct {
	Hashes map[string]string `json:"hashes,omitempty"`
}

type vcsInfo struct {
	VCS      string `json:"vcs"`
	Commit   string `json:"commit_id"`
	Revision string `json:"requested_revision,omitempty"`
}

// direct is the text of direct_url.json, empty for what comes from an index.
func (v *venv) direct(sel Selected) (string, error) {
	s := sel.Source
	d := directURL{URL: s.Location, Subdirectory: s.Subdirectory}
	switch s.Kind {
	case uv.Git:
		d.VCS = &vcsInfo{VCS: "git", Commit: s.Commit, Revision: s.Rev}
	case uv.URL:
		d.Archive = v.archive(sel)
	case uv.Path, uv.Directory, uv.Editable:
		p, err := inside(s.Location, sel)
		if err != nil {
			return "", err
		}
		d.URL = "file://" + (&url.URL{Path: path.Join(v.MembersAt, p)}).EscapedPath()
		if s.Kind == uv.Path {
			d.Archive = v.archive(sel)
		} else {
			d.Dir = &dirInfo{}
			if editable := s.Kind == uv.Editable; editable || v.lockFile == uvLock || v.lockFile == pyLock { // elsewhere uv and Poetry leave it out
				d.Dir.Editable = &editable
			}
		}
	default:
		return "", nil
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return "", fmt.Errorf("direct_url.json of %s: %w", sel.Name, err)
	}
	return strings.TrimSpace(b.String()), nil
}
