package oci

import (
	"context"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

// Split cuts root into one tree a group, as spec.Image.Layers has it: together they are root, and no two have the same
// file. Groups to which nothing belongs have the empty tree. Without groups there is one tree, which is root itself.
//
// It reads only directories in which a pattern can still match something, so the price of an image of many files is that
// of its patterns.
func Split(ctx context.Context, dirs tree.Dirs, root tree.Tree, groups []spec.LayerGroup) ([]tree.Tree, error) {
	out := make([]tree.Tree, max(1, len(groups)))
	for i := range out {
		out[i] = tree.Empty
	}
	owner := 0
	var below []cut
	for i, g := range groups {
		for _, p := range g.Paths {
			if p == "/" {
				owner = i
				continue
			}
			below = append(below, cut{i, strings.Split(strings.TrimPrefix(p, "/"), "/")})
		}
	}
	s := splitter{dirs}
	pieces, err := s.dir(ctx, root, owner, below)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		out[p.group] = p.tree
	}
	return out, nil
}

// cut is a pattern seen from some directory: the names that are still to be matched.
type cut struct {
	group int
	names []string
}

// piece is what a group has of a directory.
type piece struct {
	group int
	tree  tree.Tree
}

type splitter struct{ dirs tree.Dirs }

// dir cuts the directory t, which belongs to owner, by the patterns that lead into it, sorted by group.
func (s splitter) dir(ctx context.Context, t tree.Tree, owner int, below []cut) ([]piece, error) {
	if len(below) == 0 || t == tree.Empty {
		return []piece{{owner, t}}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	d, err := s.dirs.Directory(ctx, t)
	if err != nil {
		return nil, err
	}
	parts := map[int]*tree.Directory{}
	add := func(group int, e tree.Entry) {
		if parts[group] == nil {
			parts[group] = &tree.Directory{}
		}
		addEntry(parts[group], e)
	}
	for _, e := range d.Entries() {
		group, rest := match(owner, below, e.Name)
		if e.Kind != tree.KindDir {
			add(group, e)
			continue
		}
		pieces, err := s.dir(ctx, e.Tree, group, rest)
		if err != nil {
			return nil, err
		}
		for _, p := range pieces {
			add(p.group, tree.Entry{Name: e.Name, Kind: tree.KindDir, Tree: p.tree})
		}
	}
	return s.keep(ctx, t, parts)
}

// keep stores what the groups have of the directory t.
func (s splitter) keep(ctx context.Context, t tree.Tree, parts map[int]*tree.Directory) ([]piece, error) {
	out := make([]piece, 0, len(parts))
	for group, d := range parts {
		if len(parts) == 1 {
			return []piece{{group, t}}, nil // all of it
		}
		sub, err := s.dirs.PutDirectory(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, piece{group, sub})
	}
	return out, nil
}

// match gives the group of an entry of a directory that belongs to owner, and the patterns that lead on below it.
func match(owner int, below []cut, name string) (group int, rest []cut) {
	group = owner
	for _, c := range below {
		if ok, _ := path.Match(c.names[0], name); !ok { // well-formed, says spec.Image.Validate
			continue
		}
		if len(c.names) == 1 {
			group = c.group // the last of those that match here, all of which are deeper than that of owner
		} else {
			rest = append(rest, cut{c.group, c.names[1:]})
		}
	}
	return group, rest
}

// addEntry appends e to d, in the order of names.
func addEntry(d *tree.Directory, e tree.Entry) {
	switch e.Kind {
	case tree.KindFile:
		d.Files = append(d.Files, tree.File{Name: e.Name, Digest: e.Digest, Executable: e.Executable})
	case tree.KindDir:
		d.Dirs = append(d.Dirs, tree.Dir{Name: e.Name, Tree: e.Tree})
	case tree.KindLink:
		d.Links = append(d.Links, tree.Link{Name: e.Name, Target: e.Target})
	}
}

// layerGroups is the groups of an image, of which there is always one.
func layerGroups(groups []spec.LayerGroup) []spec.LayerGroup {
	if len(groups) == 0 {
		return []spec.LayerGroup{{Name: "image", Paths: []string{"/"}}}
	}
	return slices.Clone(groups)
}
