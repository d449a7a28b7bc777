package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"hewn.example/hewn/internal/tree"
)

// algebraNatives is the tree algebra as native steps; every engine knows them.
func algebraNatives() []NativeDef {
	return []NativeDef{
		{Name: "merge", Version: 1, Run: combineParts(without(tree.Merge))},
		{Name: "merge-over", Version: 1, Run: combineParts(tree.MergeOver)},
		{Name: "overlay", Version: 1, Run: combineParts(without(tree.Overlay))},
		{Name: "sub", Version: 1, Run: onPaths(func(ctx context.Context, dirs tree.Dirs, t tree.Tree, paths ...string) (tree.Tree, error) {
			if len(paths) != 1 {
				return tree.Tree{}, fmt.Errorf("sub takes one path, not %d", len(paths))
			}
			return tree.Sub(ctx, dirs, t, paths[0])
		})},
		{Name: "select", Version: 1, Run: onPaths(tree.Select)},
		{Name: "remove", Version: 1, Run: onPaths(tree.Remove)},
	}
}

// without is merge or overlay in the form that combineParts takes.
func without(f func(context.Context, tree.Dirs, ...tree.Part) (tree.Tree, error)) func(context.Context, tree.Dirs, []string, ...tree.Part) (tree.Tree, error) {
	return func(ctx context.Context, dirs tree.Dirs, _ []string, parts ...tree.Part) (tree.Tree, error) {
		return f(ctx, dirs, parts...)
	}
}

// combineParts is what puts parts together as a native step.
func combineParts(f func(context.Context, tree.Dirs, []string, ...tree.Part) (tree.Tree, error)) NativeFunc {
	return func(ctx context.Context, c NativeCall) (tree.Tree, error) {
		var p algebraParams
		if err := json.Unmarshal(c.Params, &p); err != nil {
			return tree.Tree{}, err
		}
		if len(p.At) != len(c.Inputs) {
			return tree.Tree{}, fmt.Errorf("%d places for %d parts", len(p.At), len(c.Inputs))
		}
		parts := make([]tree.Part, len(c.Inputs))
		for i, t := range c.Inputs {
			parts[i] = tree.Part{Tree: t, At: p.At[i], Origin: c.Labels[i]}
		}
		return f(ctx, c.Store, p.Paths, parts...)
	}
}

// onPaths is a function of one tree and some paths as a native step.
func onPaths(f func(context.Context, tree.Dirs, tree.Tree, ...string) (tree.Tree, error)) NativeFunc {
	return func(ctx context.Context, c NativeCall) (tree.Tree, error) {
		var p algebraParams
		if err := json.Unmarshal(c.Params, &p); err != nil {
			return tree.Tree{}, err
		}
		if len(c.Inputs) != 1 {
			return tree.Tree{}, fmt.Errorf("want one input, not %d", len(c.Inputs))
		}
		return f(ctx, c.Store, c.Inputs[0], p.Paths...)
	}
}
