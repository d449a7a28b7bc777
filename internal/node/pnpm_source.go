package node

import (
	"context"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/pnpm"
	"hewn.example/hewn/internal/source"
)

// source is the step with the files of a package.
func (a *pnpmAssembler) source(ctx context.Context, snapshot string, replaced map[string]bool) (engine.Step, error) {
	pkg := a.pkg(snapshot)
	if s, ok := a.opts.Replace[pkg.Name]; ok {
		replaced[pkg.Name] = true
		return s, nil
	}
	s, err := a.unpacked(ctx, snapshot)
	if err != nil {
		return s, err
	}
	sn, _ := a.lock.Snapshot(snapshot)
	if sn.PatchHash == "" {
		return s, nil
	}
	return a.patched(s, sn)
}

func (a *pnpmAssembler) problem(pkg *pnpm.Package, format string, args ...any) error {
	return diag.Inputf("npm-package", "package `%s`: "+format, append([]any{pkg.Name}, args...)...).
		At(diag.Position{File: a.lock.File, Line: pkg.Line, Key: "packages." + pkg.Key}).
		Hint("replace it in the recipe: node.modules(…, replace = {%q: …})", pkg.Name)
}

// unpacked is a package as it comes from wherever it is.
func (a *pnpmAssembler) unpacked(ctx context.Context, snapshot string) (engine.Step, error) {
	pkg := a.pkg(snapshot)
	res := pkg.Resolution
	label := pkg.Name + " " + pkg.Version
	params := unpackParams{OwnBins: pkg.HasBin, BundledBins: a.bundles(snapshot), KeepNames: true, KeepCR: a.major >= 12}
	if res.Directory != "" {
		if err := inSource(ctx, a.ask, a.opts.Dir, res.Directory); err != nil {
			return engine.Step{}, a.problem(pkg, "%v", err)
		}
		return engine.Native(label, localDef, localParams{KeepCR: params.KeepCR}, engine.Sub(a.opts.Dir.Step, path.Clean(res.Directory))), nil
	}
	if file, ok := strings.CutPrefix(res.Tarball, "file:"); ok {
		if err := inSource(ctx, a.ask, a.opts.Dir, file); err != nil {
			return engine.Step{}, a.problem(pkg, "%v", err)
		}
		s, ok := engine.Select(a.opts.Dir.Step, path.Clean(file)).Static()
		if !ok {
			return engine.Step{}, a.problem(pkg, "`file:` needs a source")
		}
		if params.File = path.Clean(file); !res.Integrity.IsZero() {
			params.Integrity = res.Integrity.String()
		}
		return engine.NativeStatic(label, unpackDef, params, s).Step, nil
	}
	if repo, _ := forge(res.Tarball); res.Repo != "" || res.GitHosted || res.Path != "" || repo != "" && res.Integrity.IsZero() {
		ref, err := a.gitRef(pkg)
		if err != nil {
			return engine.Step{}, err
		}
		return engine.NativeStatic(label, packDef, params, engine.Git(ref)).Step, nil
	}
	artifact := source.Artifact{
		Ecosystem: source.NPM, Name: pkg.Name, Version: pkg.Version, File: tarballName(pkg.Name, pkg.Version, res.Tarball),
		URL: res.Tarball, Integrity: res.Integrity,
	}
	if strings.Contains(pkg.Version, "/") {
		return engine.Step{}, a.problem(pkg, "it has no version of its own")
	}
	if !strong(artifact.Integrity) {
		var err error
		if artifact, err = a.pinned(ctx, pkg, artifact); err != nil {
			return engine.Step{}, err
		}
	}
	return engine.NativeStatic(label, unpackDef, params, engine.FetchLocked(artifact, diag.Position{File: a.lock.File, Line: pkg.Line, Key: "packages." + pkg.Key})).Step, nil
}

// pinned is an archive whose hash the lock does not know: `hewn update` pins it.
func (a *pnpmAssembler) pinned(ctx context.Context, pkg *pnpm.Package, wanted source.Artifact) (source.Artifact, error) {
	as, err := a.ask.Artifacts(ctx, unlocked(wanted))
	if err != nil {
		return wanted, err
	}
	if len(as) != 1 {
		return wanted, a.problem(pkg, "sources.lock has %d archives for it, want one", len(as))
	}
	return as[0], nil
}

// gitRef is the commit that a package is taken from. Where the lock has the archive that a forge makes of a commit, it is
// the commit all the same: such archives have no bytes that stay, and pnpm packs anew what is in them.
func (a *pnpmAssembler) gitRef(pkg *pnpm.Package) (source.GitRef, error) {
	res := pkg.Resolution
	ref := source.GitRef{Repo: res.Repo, Commit: res.Commit}
	if res.Repo == "" {
		if ref.Repo, ref.Commit = forge(res.Tarball); ref.Repo == "" {
			return ref, a.problem(pkg, "%s names no commit of a git repository", res.Tarball)
		}
	}
	if raw, err := hex.DecodeString(ref.Commit); err != nil || len(raw) != 20 && len(raw) != 32 {
		return ref, a.problem(pkg, "%q is not a commit", ref.Commit)
	}
	ref.Rev = ref.Commit
	ref.Subdir = strings.Trim(path.Clean("/"+res.Path), "/")
	return ref, nil
}

// forge takes the repository and the commit out of the address of an archive that a forge makes:
// `…/<owner>/<repository>/tar.gz/<commit>`, `…/<owner>/<repository>/get/<commit>.tar.gz` or
// `…/<owner>%2F<repository>/repository/archive.tar.gz?ref=<commit>`.
func forge(address string) (repo, commit string) {
	head, rest, ok := strings.Cut(address, "://")
	if !ok {
		return "", ""
	}
	host, rest, _ := strings.Cut(rest, "/")
	head += "://" + strings.TrimPrefix(strings.TrimPrefix(host, "codeload."), "api.") + "/"
	if before, ref, ok := strings.Cut(rest, "?ref="); ok {
		name, isArchive := strings.CutSuffix(before, "/repository/archive.tar.gz")
		name = strings.ReplaceAll(strings.ReplaceAll(name, "%2F", "/"), "%2f", "/")
		if i := strings.Index(name, "projects/"); isArchive && i >= 0 {
			return head + name[i+len("projects/"):] + ".git", ref
		}
		return "", ""
	}
	parts := strings.Split(rest, "/")
	i := slices.IndexFunc(parts, func(s string) bool { return s == "tar.gz" || s == "get" })
	if i != len(parts)-2 || i < 2 {
		return "", ""
	}
	return head + strings.Join(parts[:i], "/") + ".git", strings.TrimSuffix(parts[i+1], ".tar.gz")
}
