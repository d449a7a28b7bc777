package tree_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// memDirs keeps directories in a map and counts how many were read, so that tests can tell lazy from eager.
type memDirs struct {
	mu    sync.Mutex
	m     map[tree.Tree]*tree.Directory
	reads int
}

func newDirs() *memDirs {
	return &memDirs{m: map[tree.Tree]*tree.Directory{tree.Empty: {}}}
}

func (s *memDirs) Directory(_ context.Context, t tree.Tree) (*tree.Directory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if d := s.m[t]; d != nil {
		return d, nil
	}
	return nil, tree.ErrNotExist
}

func (s *memDirs) PutDirectory(_ context.Context, d *tree.Directory) (tree.Tree, error) {
	if err := d.Check(); err != nil {
		return tree.Tree{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := tree.Of(digest.Of(d.Encode()))
	s.m[t] = d
	return t, nil
}

// build makes a tree of lines: "path=content" a file, "path*=content" an executable one, "path->target" a link,
// "path/" a directory.
func build(t *testing.T, dirs tree.Dirs, lines ...string) tree.Tree {
	t.Helper()
	b := tree.NewBuilder()
	for _, l := range lines {
		var err error
		if p, target, ok := strings.Cut(l, "->"); ok {
			err = b.Link(p, target)
		} else if p, content, ok := strings.Cut(l, "="); ok {
			p, exec := strings.CutSuffix(p, "*")
			err = b.File(p, digest.Of([]byte(content)), exec)
		} else {
			err = b.Dir(l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.Build(context.Background(), dirs)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// text is the tree in the lines that build reads, with "=<size>" for contents.
func text(t *testing.T, dirs tree.Dirs, tr tree.Tree) string {
	t.Helper()
	s, err := tree.Text(context.Background(), dirs, tr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func want(t *testing.T, dirs tree.Dirs, got tree.Tree, lines ...string) {
	t.Helper()
	if w := build(t, dirs, lines...); got != w {
		t.Errorf("got\n%swant\n%s", text(t, dirs, got), text(t, dirs, w))
	}
}
