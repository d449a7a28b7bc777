package tree

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"hewn.example/hewn/internal/digest"
)

// Builder puts a tree together from entries in any order. Paths are slash-separated, relative or absolute. Setting the
// same entry twice is allowed, setting two different ones at a path is a *ConflictError. It is not safe for
// concurrent use.
type Builder struct{ root *bnode }

type bnode struct {
	entry    Entry             // a file or link; Kind is KindDir for all else
	children map[string]*bnode // of a directory
	trees    []Tree            // trees put at this directory
}

// NewBuilder starts an empty tree.
func NewBuilder() *Builder { return &Builder{root: &bnode{entry: Entry{Kind: KindDir}}} }

// File puts a file at a path; the directories above it come by themselves.
func (b *Builder) File(p string, d digest.Digest, executable bool) error {
	if d.IsZero() {
		return fmt.Errorf("file %s has no digest", p)
	}
	return b.leaf(p, Entry{Kind: KindFile, Digest: d, Executable: executable})
}

// Link puts a symbolic link at a path.
func (b *Builder) Link(p, target string) error {
	if err := checkTarget(p, target); err != nil {
		return err
	}
	return b.leaf(p, Entry{Kind: KindLink, Target: target})
}

// Dir makes a directory that may stay empty.
func (b *Builder) Dir(p string) error {
	_, err := b.dir(p)
	return err
}

// Tree puts a whole tree at a path. What it holds is put together with other entries and trees there as by Merge.
func (b *Builder) Tree(p string, t Tree) error {
	if t.IsZero() {
		return fmt.Errorf("the tree at %q was never made", p)
	}
	n, err := b.dir(p)
	if err == nil {
		n.trees = append(n.trees, t)
	}
	return err
}

func (b *Builder) dir(p string) (*bnode, error) {
	names, err := SplitPath(p)
	if err != nil {
		return nil, err
	}
	return b.descend(names)
}

func (b *Builder) descend(names []string) (*bnode, error) {
	n := b.root
	for i, name := range names {
		next := n.children[name]
		if next == nil {
			next = n.set(name, Entry{Name: name, Kind: KindDir})
		}
		if next.entry.Kind != KindDir {
			return nil, builderConflict(names[:i+1], next.entry, Entry{Name: name, Kind: KindDir})
		}
		n = next
	}
	return n, nil
}

func (b *Builder) leaf(p string, e Entry) error {
	names, err := SplitPath(p)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("the root of a tree cannot be a %s", e.Kind)
	}
	e.Name = names[len(names)-1]
	parent, err := b.descend(names[:len(names)-1])
	if err != nil {
		return err
	}
	old := parent.children[e.Name]
	if old == nil {
		parent.set(e.Name, e)
	} else if old.entry != e {
		return builderConflict(names, old.entry, e)
	}
	return nil
}

func builderConflict(names []string, a, b Entry) error {
	return &ConflictError{Path: strings.Join(names, "/"), A: "one entry", B: "a later one", EntryA: a, EntryB: b}
}

func (n *bnode) set(name string, e Entry) *bnode {
	if n.children == nil {
		n.children = map[string]*bnode{}
	}
	c := &bnode{entry: e}
	n.children[name] = c
	return c
}

// Build keeps the directories in dirs and gives the tree. The builder may go on being used.
func (b *Builder) Build(ctx context.Context, dirs Dirs) (Tree, error) {
	return b.root.build(ctx, dirs, "")
}

func (n *bnode) build(ctx context.Context, dirs Dirs, at string) (Tree, error) {
	if len(n.children) == 0 && len(n.trees) == 1 {
		return n.trees[0], nil
	}
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	sort.Strings(names)
	d := &Directory{}
	for _, name := range names {
		c := n.children[name]
		e := c.entry
		if e.Kind == KindDir {
			sub, err := c.build(ctx, dirs, at+name+"/")
			if err != nil {
				return Tree{}, err
			}
			e.Tree = sub
		}
		d.add(e)
	}
	t, err := dirs.PutDirectory(ctx, d)
	if err != nil || len(n.trees) == 0 {
		return t, err
	}
	layers := []layer{{tree: t, origin: "one entry"}}
	for _, sub := range n.trees {
		layers = append(layers, layer{tree: sub, origin: "a tree put at /" + at})
	}
	return combiner{dirs: dirs}.dir(ctx, at, layers)
}
