package oci

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/oci/layer"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

// rules is an image's owners and modes, as numbers and without patterns, while they are put together.
type rules struct {
	owners []layer.Owner
	modes  map[string]modeRule // by path
}

// modeRule is the permission bits of one path.
type modeRule struct {
	mode    uint32
	pattern string // that gave it
}

// resolveAttrs looks up names in the image and expands patterns against it. Whatever says nothing about the image is an
// error: it is a typing mistake, or the files have moved.
func resolveAttrs(ctx context.Context, st Store, root tree.Tree, a accounts, p splitParams) (layer.Attrs, error) {
	owners, modes := p.Owners, p.Modes
	r := rules{modes: map[string]modeRule{}}
	for _, p := range slices.Sorted(maps.Keys(owners)) {
		if _, err := lookup(ctx, st, root, p, "owners."+p); err != nil {
			return layer.Attrs{}, err
		}
		uid, gid, err := a.owner(owners[p], "owners."+p)
		if err != nil {
			return layer.Attrs{}, err
		}
		r.owners = append(r.owners, layer.Owner{Path: p, UID: int(uid), GID: int(gid)})
	}
	// Paths without patterns come first and are never overruled.
	patterns := slices.SortedFunc(maps.Keys(modes), func(a, b string) int {
		if x, y := isPattern(a), isPattern(b); x != y {
			if x {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	for _, p := range patterns {
		if err := r.addMode(ctx, st, root, p, modes[p]); err != nil {
			return layer.Attrs{}, err
		}
	}
	return r.attrs()
}

// attrs is the canonical form.
func (r rules) attrs() (layer.Attrs, error) {
	a := layer.Attrs{Owners: r.owners}
	for p, m := range r.modes {
		a.Modes = append(a.Modes, layer.Mode{Path: p, Mode: m.mode})
	}
	return a.Canonical()
}

// attrsOf is what of all attributes concerns the files of one layer, and the directories that lead to them. Whatever says
// only what holds anyway is left out. Thus a layer depends on nothing that leaves its bytes as they are.
func attrsOf(ctx context.Context, dirs tree.Dirs, t tree.Tree, all layer.Attrs) (layer.Attrs, error) {
	var out layer.Attrs
	for _, o := range all.Owners {
		_, err := tree.Lookup(ctx, dirs, t, o.Path)
		if errors.Is(err, tree.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, err
		}
		// all is sorted: rules for directories above came before.
		if uid, gid := out.Owner(o.Path); uid != o.UID || gid != o.GID {
			out.Owners = append(out.Owners, o)
		}
	}
	for _, m := range all.Modes {
		e, err := tree.Lookup(ctx, dirs, t, m.Path)
		if errors.Is(err, tree.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, err
		}
		if m.Mode != layer.DefaultMode(e) {
			out.Modes = append(out.Modes, m)
		}
	}
	return out, nil
}

func isPattern(p string) bool { return strings.ContainsAny(p, `*?[\`) }

func (r rules) addMode(ctx context.Context, st Store, root tree.Tree, pattern, text string) error {
	key := "modes." + pattern
	mode, ok := spec.ParseMode(text)
	if !ok {
		return diag.Inputf("bad-image", "%q is no mode", text).At(diag.Position{Key: key})
	}
	m := modeRule{mode, pattern}
	if !isPattern(pattern) {
		e, err := lookup(ctx, st, root, pattern, key)
		if err == nil && e.Kind == tree.KindLink {
			err = diag.Inputf("image-mode", "`%s` is a link, and a link has no mode", pattern).At(diag.Position{Key: key}).
				Hint("name what it leads to: %s", e.Target)
		}
		r.modes[pattern] = m
		return err
	}
	found, err := tree.Glob(ctx, st, root, pattern)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return diag.Inputf("image-path", "nothing in the image matches `%s`", pattern).At(diag.Position{Key: key}).
			Hint("correct the pattern, or leave it out")
	}
	for _, p := range found {
		if err := r.addMatch(ctx, st, root, "/"+p, m); err != nil {
			return err
		}
	}
	return nil
}

// addMatch gives a path that a pattern matches its mode.
func (r rules) addMatch(ctx context.Context, st Store, root tree.Tree, p string, m modeRule) error {
	old, there := r.modes[p]
	if there && old.mode != m.mode && isPattern(old.pattern) {
		return diag.Inputf("image-mode", "`%s` and `%s` give `%s` different modes", old.pattern, m.pattern, p).
			At(diag.Position{Key: "modes." + m.pattern}).Hint("give `%s` a mode of its own", p)
	}
	e, err := tree.Lookup(ctx, st, root, p)
	if err == nil && !there && e.Kind != tree.KindLink {
		r.modes[p] = m
	}
	return err
}

// lookup gives the entry at a path of the image. That there is none is told with what is there.
func lookup(ctx context.Context, st Store, root tree.Tree, p, key string) (tree.Entry, error) {
	e, err := tree.Lookup(ctx, st, root, p)
	if !errors.Is(err, tree.ErrNotExist) {
		return e, err
	}
	prob := diag.Inputf("image-path", "the image has no `%s`", p).At(diag.Position{Key: key})
	if to, _, err := tree.Resolve(ctx, st, root, p); err == nil {
		return e, prob.Hint("there is a link on the way: write `/%s`", to)
	}
	at, name := path.Dir(p), path.Base(p)
	for {
		d, err := directory(ctx, st, root, at)
		if err == nil {
			return e, prob.With("`" + at + "` has: " + someOf(names(d), name)).Hint("correct the path, or leave it out")
		}
		if !errors.Is(err, tree.ErrNotExist) {
			return e, err
		}
		at, name = path.Dir(at), path.Base(at)
	}
}

// directory is the directory at a path, following no links.
func directory(ctx context.Context, dirs tree.Dirs, root tree.Tree, p string) (*tree.Directory, error) {
	sub, err := tree.Sub(ctx, dirs, root, p)
	if err != nil {
		return nil, err
	}
	return dirs.Directory(ctx, sub)
}

func names(d *tree.Directory) (out []string) {
	for _, e := range d.Entries() {
		out = append(out, e.Name)
	}
	return out
}
