package sandbox

import (
	"context"
	"errors"
	"fmt"

	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// wrapLayers turns layers, each with its place, into at most MaxLayers trees of whole roots. An overlay's layers all
// start at its root, so that a layer with a place of its own is wrapped in the directories that lead there: a few
// Directory messages. What is over MaxLayers is merged into the last.
func wrapLayers(ctx context.Context, dirs tree.Dirs, layers []executor.Layer) ([]tree.Tree, error) {
	var out []tree.Tree
	for i, l := range layers {
		if i == MaxLayers-1 && len(layers) > MaxLayers {
			t, err := tree.Merge(ctx, dirs, parts(layers[i:])...)
			if err != nil {
				return nil, fmt.Errorf("merge the last %d of %d layers: %w", len(layers)-i, len(layers), err)
			}
			return append(out, t), nil
		}
		t := l.Tree
		if l.At != "/" && l.At != "" {
			var err error
			if t, err = tree.Merge(ctx, dirs, parts(layers[i:i+1])...); err != nil {
				return nil, fmt.Errorf("place a layer at `%s`: %w", l.At, err)
			}
		}
		out = append(out, t)
	}
	return out, nil
}

func parts(layers []executor.Layer) []tree.Part {
	out := make([]tree.Part, len(layers))
	for i, l := range layers {
		out[i] = tree.Part{Tree: l.Tree, At: l.At, Origin: "layer at " + l.At}
	}
	return out
}

// views gives directories that show the trees when they are mounted over one another, and one function that releases
// them all. Those of one tree come together and in their order: where one of them has an older content of a path, the
// one with the tree's own content lies above it.
func views(ctx context.Context, c Config, trees []tree.Tree) (paths []string, release func(), err error) {
	var releases []func()
	release = func() {
		for _, f := range releases {
			f()
		}
	}
	seen := make(map[tree.Tree]bool, len(trees))
	for _, t := range trees {
		if t == tree.Empty && len(trees) > 1 || seen[t] {
			continue
		}
		seen[t] = true
		p, done, err := view(ctx, c, t, trees)
		if err != nil {
			release()
			return nil, nil, fmt.Errorf("make a view of tree %s: %w", t.Digest().Short(), err)
		}
		releases = append(releases, done)
		paths = append(paths, p...)
	}
	if len(paths) == 0 {
		p, done, err := c.Views.View(ctx, tree.Empty)
		if err != nil {
			return nil, nil, fmt.Errorf("make a view of the empty tree: %w", err)
		}
		return []string{p}, done, nil
	}
	return paths, release, nil
}

// view gives the directories of one of the trees that make a root.
func view(ctx context.Context, c Config, t tree.Tree, trees []tree.Tree) ([]string, func(), error) {
	if l, ok := c.Views.(store.LayeredViews); ok {
		v, done, err := l.ViewLayers(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		clash, err := anyHas(ctx, c.Store, trees, t, v.Hides)
		if err == nil && !clash {
			return v.Paths, done, nil
		}
		done()
		if err != nil {
			return nil, nil, err
		}
	}
	p, done, err := c.Views.View(ctx, t)
	return []string{p}, done, err
}

// anyHas says whether a tree other than t has one of the paths.
func anyHas(ctx context.Context, dirs tree.Dirs, trees []tree.Tree, t tree.Tree, paths []string) (bool, error) {
	for _, other := range trees {
		if other == t {
			continue
		}
		for _, p := range paths {
			_, err := tree.Lookup(ctx, dirs, other, p)
			if err == nil {
				return true, nil
			}
			if !errors.Is(err, tree.ErrNotExist) {
				return false, err
			}
		}
	}
	return false, nil
}
