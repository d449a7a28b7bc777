package cli

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/image/layers"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/fingerprint"
	"hewn.example/hewn/internal/tree"
	"hewn.example/hewn/internal/workspace"
)

// sources gives the engine the content of a recipe's sources as this workspace has them: directories by scanning them
// (files whose stat data did not move are not read again), git sources by their pinned commit.
type sources struct {
	s     *shop
	store *disk.Store
	pins  pins.Pins

	mu     sync.Mutex
	prints map[string]*fingerprint.Fingerprint // of the directory sources that were looked at, by name
}

func newSources(s *shop, p pins.Pins) *sources {
	return &sources{s: s, store: s.store, pins: p, prints: map[string]*fingerprint.Fingerprint{}}
}

// Tree gives a source's tree.
func (x *sources) Tree(ctx context.Context, name string) (tree.Tree, error) {
	decl, err := x.declared(name)
	if err != nil {
		return tree.Tree{}, err
	}
	if decl.Path != "" {
		return x.directory(ctx, name, decl.Path)
	}
	ref, err := x.pinned(ctx, name, decl)
	if err != nil {
		return tree.Tree{}, err
	}
	return x.s.git.Tree(ctx, ref)
}

// Info tells where a source's content comes from. For a directory that is nothing, even where it is the work tree of a
// repository: what a build reads there is whatever lies there, and no commit vouches for it.
func (x *sources) Info(ctx context.Context, name string) (engine.SourceInfo, error) {
	decl, err := x.declared(name)
	if err != nil || decl.Path != "" {
		return engine.SourceInfo{}, err
	}
	ref, err := x.pinned(ctx, name, decl)
	if err != nil {
		return engine.SourceInfo{}, err
	}
	d, err := x.s.git.Describe(ctx, ref)
	if err != nil {
		return engine.SourceInfo{}, err
	}
	return engine.SourceInfo{Rev: decl.Rev, Revision: d.Commit, Time: d.Time, URL: publicURL(decl.Git)}, nil
}

// pin asks for the pin of a source, where it has one.
func (x *sources) pin(ctx context.Context, name string) error {
	decl, err := x.declared(name)
	if err != nil || decl.Path != "" {
		return err
	}
	_, err = x.pinned(ctx, name, decl)
	return err
}

// declared is where a source comes from: what the recipe says unless the workspace says otherwise, with a path that can be
// opened, or else a repository and a rev.
func (x *sources) declared(name string) (pins.SourceDecl, error) {
	decl, ok := x.s.rec.Sources[name]
	if !ok {
		return decl, diag.Inputf("unknown-source", "the recipe `%s` has no source `%s`", x.s.p.recipe, name)
	}
	over := x.s.p.ws.Source[name]
	if over.Path != "" {
		return pins.SourceDecl{Path: over.Path}, nil
	}
	if decl.Path != "" && over.Git == "" {
		return pins.SourceDecl{Path: filepath.Join(x.s.p.recipe, decl.Path)}, nil
	}
	decl.Path = ""
	decl.Git = cmp.Or(over.Git, decl.Git)
	decl.Rev = cmp.Or(over.Rev, decl.Rev, "HEAD")
	if decl.Git == "" {
		return decl, x.nowhere(name)
	}
	return decl, nil
}

// pinned is the commit that a git source is pinned to.
func (x *sources) pinned(ctx context.Context, name string, decl pins.SourceDecl) (source.GitRef, error) {
	if _, err := x.s.git.URLs(decl.Git); err != nil {
		return source.GitRef{}, diag.Inputf("source-missing", "the source `%s` cannot be found", name).Because(err).
			Hint("name a directory that holds it in hewn.toml: [source.%s] path = \"…\"", name)
	}
	as, err := x.pins.Artifacts(ctx, pins.GitQuestion(name, decl.Git, decl.Rev))
	if err != nil {
		return source.GitRef{}, err
	}
	if len(as) != 1 {
		return source.GitRef{}, diag.Inputf("pin-wrong", "the source `%s` has %d pins", name, len(as)).Hint("run `hewn update`")
	}
	return pins.GitRef(as[0]), nil
}

// publicURL is the address of a repository where everybody may read it: nothing for an alias or a directory, which mean
// something on this machine only, or where a name, a password or a token is part of it.
func publicURL(repo string) string {
	u, err := url.Parse(repo)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	switch u.Scheme {
	case "https", "http", "git", "ssh":
		return u.String()
	}
	return ""
}

func (x *sources) nowhere(name string) error {
	return diag.Inputf("source-missing", "nothing says where the source `%s` is", name).
		At(diag.Position{File: filepath.Join(x.s.p.ws.Dir, workspace.FileName)}).
		Hint("add [source.%s] path = \"…\" or git = \"…\" to hewn.toml", name)
}

func (x *sources) directory(ctx context.Context, name, dir string) (tree.Tree, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		if err == nil {
			err = errors.New("it is no directory")
		}
		return tree.Tree{}, diag.Inputf("source-missing", "cannot read the source `%s` in `%s`", name, dir).Because(err).
			At(workspace.Locate(filepath.Join(x.s.p.ws.Dir, workspace.FileName), x.s.p.ws.Raw, "source."+name+".path"))
	}
	kv := "fingerprint-" + digest.Of([]byte(dir)).Hex()
	var old *fingerprint.Fingerprint
	if b, ok := x.store.LoadRecord(kv); ok {
		old, _ = fingerprint.Parse(b) // nil where another version wrote it: everything is read again
	}
	fp, t, err := fingerprint.Scan(ctx, dir, old, x.store)
	if err == nil {
		// What hewn itself writes there is not part of the source: an update must not be a change of it.
		t, err = tree.Remove(ctx, x.store, t, workspace.FileName, pins.LockName, layers.LockName)
	}
	if err != nil {
		return t, diag.Inputf("source-unreadable", "cannot read the source `%s`", name).Because(err)
	}
	if b, err := fp.MarshalBinary(); err == nil {
		_ = x.store.SaveRecord(kv, b) // without it the next scan is slower, no more
	}
	x.mu.Lock()
	x.prints[name] = fp
	x.mu.Unlock()
	return t, nil
}

// fingerprints are those of the directory sources that this run has looked at.
func (x *sources) fingerprints() map[string]*fingerprint.Fingerprint {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.prints)
}
