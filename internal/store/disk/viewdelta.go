package disk

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hewn.example/hewn/internal/digest"
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
func (s *Store) ViewLayers(ctx context.Context, t tree.Tree) (v store.LayeredView, release func(), err error) {
	if s.hasView(t) || s.entriesUpTo(ctx, t, worthDelta) < worthDelta {
		return s.viewAlone(ctx, t)
	}
	all := s.similarViews(ctx, t)
	for _, base := range all[:min(len(all), deltaTries)] {
		d, err := s.delta(ctx, base.tree, t)
		var path string
		if err == nil {
			path, release, err = s.deltaView(ctx, d)
		}
		if errors.Is(err, errNoDelta) {
			continue
		}
		if err != nil {
			return store.LayeredView{}, nil, err
		}
		// The view below counts as new again, so that it is found the next time: views go by their change time.
		_ = unix.Utimes(base.path, epochTimes)
		return store.LayeredView{Paths: []string{path, base.path}, Hides: d.hides}, release, nil
	}
	return s.viewAlone(ctx, t)
}

func (s *Store) viewAlone(ctx context.Context, t tree.Tree) (store.LayeredView, func(), error) {
	path, release, err := s.View(ctx, t)
	return store.LayeredView{Paths: []string{path}}, release, err
}

func (s *Store) hasView(t tree.Tree) bool {
	var st unix.Stat_t
	return unix.Lstat(s.path("views", t.Digest().Hex()), &st) == nil
}

// delta is what makes one tree of another when it is laid over it.
type delta struct {
	tree  tree.Tree
	hides []string // sorted; what the other tree has besides
}

// delta gives what makes to of from.
func (s *Store) delta(ctx context.Context, from, to tree.Tree) (delta, error) {
	var d delta
	b, n, gone := tree.NewBuilder(), 0, ""
	err := tree.Diff(ctx, s, from, to, func(p string, old, now *tree.Entry) error {
		if now == nil && gone != "" && strings.HasPrefix(p, gone) {
			return nil // goes with the directory that it is in
		}
		if n++; n > mostDelta || old != nil && now != nil && (old.Kind == tree.KindDir || now.Kind == tree.KindDir) {
			return errNoDelta
		}
		if now == nil {
			gone = p + "/"
			d.hides = append(d.hides, p)
			if dir := path.Dir(p); dir != "." {
				return b.Dir(dir)
			}
			return nil
		}
		switch now.Kind {
		case tree.KindDir:
			return b.Dir(p)
		case tree.KindLink:
			return b.Link(p, now.Target)
		}
		return b.File(p, now.Digest, now.Executable)
	})
	if err != nil {
		return d, err
	}
	slices.Sort(d.hides)
	d.tree, err = b.Build(ctx, s)
	return d, err
}

// deltaView is a directory with what a delta adds and, as the kernel marks it for overlays, what it takes away.
func (s *Store) deltaView(ctx context.Context, d delta) (string, func(), error) {
	if len(d.hides) == 0 {
		return s.View(ctx, d.tree)
	}
	name := d.tree.Digest().Hex() + "-" + digest.Of([]byte(strings.Join(d.hides, "\x00"))).Hex()
	at, err := s.viewAs(ctx, name, func(dir string) error {
		if err := s.materialise(ctx, d.tree, dir); err != nil {
			return err
		}
		return hide(dir, d.hides)
	})
	return at, func() {}, err
}

// hide makes whiteouts in a directory. Anybody may make one since Linux 5.8; where that is refused, there is no delta.
func hide(dir string, paths []string) error {
	last := ""
	for _, p := range paths {
		at := dir + "/" + p
		err := unix.Mknod(at, unix.S_IFCHR|0o600, 0)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) {
			return errNoDelta
		}
		if err != nil {
			return &fs.PathError{Op: "mark as removed", Path: at, Err: err}
		}
		if parent := path.Dir(at); parent != last {
			if last != "" {
				_ = unix.Utimes(last, epochTimes)
			}
			last = parent
		}
	}
	_ = unix.Utimes(last, epochTimes)
	return nil
}
