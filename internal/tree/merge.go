package tree

import (
	"context"
	"fmt"
	"slices"
	"sort"
)

// Part is one tree of several that are put together, and where in the result it goes.
type Part struct {
	Tree   Tree
	At     string // slash-separated, relative or absolute; "" and "/" are the root of the result
	Origin string // what people call it, for conflicts: "python-deps", "libc6 2.41"
}

// ConflictError says that two parts of a merge have different things at one path.
type ConflictError struct {
	Path           string // relative to the root of the result
	A, B           string // the origins, in the order of the parts
	EntryA, EntryB Entry
}

// Error names the path, both origins and what each has there.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: %s has a %s, %s has a %s", e.Path, e.A, e.EntryA, e.B, e.EntryB)
}

// Merge puts parts together. Several parts may have a directory, or the same file or link, at one path; anything else
// is a *ConflictError. It descends only where two parts both have a directory and the two differ.
func Merge(ctx context.Context, dirs Dirs, parts ...Part) (Tree, error) {
	return combine(ctx, combiner{dirs: dirs}, parts)
}

// MergeOver is Merge, but for what lies at paths of the result that a pattern (see Remove) matches: there the later
// part's entry stands, as in Overlay.
func MergeOver(ctx context.Context, dirs Dirs, patterns []string, parts ...Part) (Tree, error) {
	c := combiner{dirs: dirs, overlay: true, only: make([]pattern, len(patterns))}
	for i, s := range patterns {
		var err error
		if c.only[i], err = parsePattern(s); err != nil {
			return Tree{}, err
		}
	}
	return combine(ctx, c, parts)
}

// Overlay puts parts together as layers: where two have the same path, the later one's entry stands, except that two
// directories are put together.
func Overlay(ctx context.Context, dirs Dirs, parts ...Part) (Tree, error) {
	return combine(ctx, combiner{dirs: dirs, overlay: true}, parts)
}

// layer is one part seen from some directory of the result: a tree, or, while the part lies deeper, a directory whose
// only entry is the next name on the way to it.
type layer struct {
	tree   Tree
	rest   []string // names that still lead to tree
	origin string
}

type combiner struct {
	dirs    Dirs
	overlay bool      // the later entry stands
	only    []pattern // if not nil: only where one of these matches
}

func combine(ctx context.Context, c combiner, parts []Part) (Tree, error) {
	layers := make([]layer, 0, len(parts))
	for _, p := range parts {
		if p.Tree.IsZero() {
			return Tree{}, fmt.Errorf("merge: the tree of %s at %q was never made", p.Origin, p.At)
		}
		rest, err := SplitPath(p.At)
		if err != nil {
			return Tree{}, err
		}
		layers = append(layers, layer{p.Tree, rest, p.Origin})
	}
	return c.dir(ctx, "", layers)
}

// choice is what the layers have under one name.
type choice struct {
	entry  Entry   // of the layer that came first, or with overlay last
	origin string  // its origin
	below  []layer // if entry is a directory: all layers that have it
}

func (c combiner) dir(ctx context.Context, prefix string, layers []layer) (Tree, error) {
	layers = c.distinct(layers)
	if len(layers) == 1 && len(layers[0].rest) == 0 {
		return layers[0].tree, nil
	}
	if err := ctx.Err(); err != nil {
		return Tree{}, context.Cause(ctx)
	}
	byName := map[string]*choice{}
	for _, l := range layers {
		if len(l.rest) > 0 {
			e := Entry{Name: l.rest[0], Kind: KindDir, Tree: l.tree}
			if err := c.add(byName, prefix, e, layer{l.tree, l.rest[1:], l.origin}); err != nil {
				return Tree{}, err
			}
			continue
		}
		d, err := c.dirs.Directory(ctx, l.tree)
		if err != nil {
			return Tree{}, err
		}
		for _, e := range d.Entries() {
			if err := c.add(byName, prefix, e, layer{e.Tree, nil, l.origin}); err != nil {
				return Tree{}, err
			}
		}
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	sort.Strings(names)
	out := &Directory{}
	for _, name := range names {
		ch := byName[name]
		if ch.entry.Kind == KindDir {
			sub, err := c.dir(ctx, prefix+name+"/", ch.below)
			if err != nil {
				return Tree{}, err
			}
			ch.entry.Tree = sub
		}
		out.add(ch.entry)
	}
	return c.dirs.PutDirectory(ctx, out)
}

func (c combiner) add(byName map[string]*choice, prefix string, e Entry, l layer) error {
	ch := byName[e.Name]
	switch {
	case ch == nil:
		ch = &choice{entry: e, origin: l.origin}
		byName[e.Name] = ch
	case ch.entry.Kind == KindDir && e.Kind == KindDir:
	case ch.entry == e:
	case c.overlay && (c.only == nil || matches(c.only, prefix+e.Name)):
		*ch = choice{entry: e, origin: l.origin}
	default:
		return &ConflictError{Path: prefix + e.Name, A: ch.origin, B: l.origin, EntryA: ch.entry, EntryB: e}
	}
	if e.Kind == KindDir {
		ch.below = append(ch.below, l)
	}
	return nil
}

// distinct leaves out layers that stand there already, so that equal subtrees are never read. With overlay the last
// of equal layers counts, since it lies on top; in a merge the first, for the sake of the origins.
func (c combiner) distinct(layers []layer) []layer {
	if len(layers) < 2 {
		return layers
	}
	if c.overlay {
		slices.Reverse(layers)
		defer slices.Reverse(layers)
	}
	seen := make(map[Tree]bool, len(layers))
	out := make([]layer, 0, len(layers))
	for _, l := range layers {
		if len(l.rest) == 0 {
			// The empty tree adds nothing beside another layer.
			if seen[l.tree] || l.tree == Empty && len(layers) > 1 {
				continue
			}
			seen[l.tree] = true
		}
		out = append(out, l)
	}
	if len(out) == 0 {
		out = append(out, layer{tree: Empty})
	}
	if c.overlay {
		slices.Reverse(out)
	}
	return out
}
