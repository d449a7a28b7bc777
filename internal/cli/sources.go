package cli

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/pins"
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
	decl, ok := x.s.rec.Sources[name]
	if !ok {
		return tree.Tree{}, diag.Inputf("unknown-source", "the recipe `%s` has no source `%s`", x.s.p.recipe, name)
	}
	over := x.s.p.ws.Source[name]
	if over.Path != "" {
		return x.directory(ctx, name, over.Path)
	}
	if decl.Path != "" && over.Git == "" {
		return x.directory(ctx, name, filepath.Join(x.s.p.recipe, decl.Path))
	}
	if over.Git != "" {
		decl.Git = over.Git
	}
	if over.Rev != "" {
		decl.Rev = over.Rev
	}
	if decl.Rev == "" {
		decl.Rev = "HEAD"
	}
	if decl.Git == "" {
		return tree.Tree{}, x.nowhere(name)
	}
	if _, err := x.s.git.URLs(decl.Git); err != nil {
		return tree.Tree{}, diag.Inputf("source-missing", "the source `%s` cannot be found", name).Because(err).
			Hint("name a directory that holds it in hewn.toml: [source.%s] path = \"…\"", name)
	}
	as, err := x.pins.Artifacts(ctx, pins.GitQuestion(name, decl.Git, decl.Rev))
	if err != nil {
		return tree.Tree{}, err
	}
	if len(as) != 1 {
		return tree.Tree{}, diag.Inputf("pin-wrong", "the source `%s` has %d pins", name, len(as)).Hint("run `hewn update`")
	}
	return x.s.git.Tree(ctx, pins.GitRef(as[0]))
}

// Info tells where a source's content comes from.
func (x *sources) Info(context.Context, string) (engine.SourceInfo, error) {
	return engine.SourceInfo{}, nil
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
		t, err = tree.Remove(ctx, x.store, t, workspace.FileName, pins.LockName)
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
