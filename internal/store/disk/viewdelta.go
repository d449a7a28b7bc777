package disk

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// A large root in which one file has changed need not be made anew where it is only going to be mounted: a view of what
// has changed, over the view from before, shows the same. A root of 20,000 files takes a second to make; this takes
// some milliseconds.

const (
	worthDelta = 256  // how many entries a tree must have
	mostDelta  = 1024 // how many changed entries are still better than a view of one's own
	deltaTries = 4    // how many views are tried as what lies below
)

var _ store.LayeredViews = (*Store)(nil)

// errNoDelta says that a tree is not another one with something laid over it.
var errNoDelta = errors.New("not to be had by laying one tree over another")

// ViewLayers implements store.LayeredViews.
func (s *Store) ViewLayers(ctx context.Context, t tree.Tree) (paths []string, release func(), err error) {
	if s.hasView(t) || s.entriesUpTo(ctx, t, worthDelta) < worthDelta {
		return s.viewAlone(ctx, t)
	}
	all := s.similarViews(ctx, t)
	for _, base := range all[:min(len(all), deltaTries)] {
		delta, err := s.delta(ctx, base.tree, t)
		if errors.Is(err, errNoDelta) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		path, release, err := s.View(ctx, delta)
		if err != nil {
			return nil, nil, err
		}
		// The view below counts as new again, so that it is found the next time: views go by their change time.
		_ = unix.Utimes(base.path, epochTimes)
		return []string{path, base.path}, release, nil
	}
	return s.viewAlone(ctx, t)
}

func (s *Store) viewAlone(ctx context.Context, t tree.Tree) ([]string, func(), error) {
	path, release, err := s.View(ctx, t)
	return []string{path}, release, err
}

func (s *Store) hasView(t tree.Tree) bool {
	var st unix.Stat_t
	return unix.Lstat(s.path("views", t.Digest().Hex()), &st) == nil
}

// delta gives the tree that makes to of from when it is laid over it.
func (s *Store) delta(ctx context.Context, from, to tree.Tree) (tree.Tree, error) {
	b, n := tree.NewBuilder(), 0
	err := tree.Diff(ctx, s, from, to, func(path string, old, now *tree.Entry) error {
		if n++; n > mostDelta || now == nil || old != nil && (old.Kind == tree.KindDir || now.Kind == tree.KindDir) {
			return errNoDelta
		}
		switch now.Kind {
		case tree.KindDir:
			return b.Dir(path)
		case tree.KindLink:
			return b.Link(path, now.Target)
		}
		return b.File(path, now.Digest, now.Executable)
	})
	if err != nil {
		return tree.Tree{}, err
	}
	return b.Build(ctx, s)
}
