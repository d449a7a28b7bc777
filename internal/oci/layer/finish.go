package layer

import (
	"context"
	"slices"

	"hewn.example/hewn/internal/tree"
)

// finish writes the directories and gathers the attributes.
func (u *unpacker) finish(ctx context.Context) (Applied, error) {
	f := &finisher{ctx: ctx, dirs: u.st}
	if u.root.mode != 0o755 {
		f.attrs.Modes = append(f.attrs.Modes, Mode{Mode: u.root.mode})
	}
	f.owner("", u.root, &node{})
	t, err := f.dir(u.root, "")
	if err != nil {
		return Applied{}, err
	}
	attrs, err := f.attrs.Canonical()
	return Applied{Tree: t, Attrs: attrs}, err
}

type finisher struct {
	ctx   context.Context
	dirs  tree.Dirs
	attrs Attrs
}

func (f *finisher) dir(dir *node, prefix string) (tree.Tree, error) {
	if err := f.ctx.Err(); err != nil {
		return tree.Tree{}, context.Cause(f.ctx)
	}
	names := make([]string, 0, len(dir.children))
	for name := range dir.children {
		names = append(names, name)
	}
	slices.Sort(names)
	d := &tree.Directory{}
	for _, name := range names {
		n := dir.children[name]
		e := tree.Entry{Name: name, Kind: n.kind, Executable: n.exec}
		f.owner(prefix+name, n, dir)
		if n.mode != DefaultMode(e) {
			f.attrs.Modes = append(f.attrs.Modes, Mode{Path: prefix + name, Mode: n.mode})
		}
		switch n.kind {
		case tree.KindFile:
			d.Files = append(d.Files, tree.File{Name: name, Digest: *n.digest, Executable: n.exec})
		case tree.KindLink:
			d.Links = append(d.Links, tree.Link{Name: name, Target: n.target})
		default:
			t, err := f.dir(n, prefix+name+"/")
			if err != nil {
				return tree.Tree{}, err
			}
			d.Dirs = append(d.Dirs, tree.Dir{Name: name, Tree: t})
		}
	}
	return f.dirs.PutDirectory(f.ctx, d)
}

// owner notes the owner of a path where it is not that of the directory in which it lies.
func (f *finisher) owner(path string, n, parent *node) {
	if n.uid != parent.uid || n.gid != parent.gid {
		f.attrs.Owners = append(f.attrs.Owners, Owner{Path: path, UID: n.uid, GID: n.gid})
	}
}
