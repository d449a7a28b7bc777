package disk_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/tree"
)

func file(t testing.TB, s *disk.Store, b *tree.Builder, path string, content []byte, exec bool) {
	t.Helper()
	d, err := s.Put(t.Context(), content)
	if err == nil {
		err = b.File(path, d, exec)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func finish(t testing.TB, s *disk.Store, b *tree.Builder) tree.Tree {
	t.Helper()
	tr, err := b.Build(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestView(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	s := open(t, t.TempDir())
	b := tree.NewBuilder()
	big, small := storetest.Content(1, 9000), []byte("#!/bin/sh\n")
	want := map[string]string{}
	for i, exec := range []bool{false, true, false, true} {
		for name, content := range map[string][]byte{"big": big, "small": small, "empty": nil} {
			p := fmt.Sprintf("d%d/%s%d", i%2, name, i)
			file(t, s, b, p, content, exec)
			want[p] = string(content)
		}
	}
	_ = b.Link("d0/link", "../gone")
	_ = b.Dir("void")
	tr := finish(t, s, b)
	path, release, err := s.View(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	inodes := map[uint64]string{}
	found := 0
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(path, p)
		st, _ := e.Info()
		if !st.ModTime().Equal(time.Unix(315532800, 0)) {
			t.Errorf("%s has the time %v", rel, st.ModTime())
		}
		switch {
		case e.IsDir():
			if st.Mode().Perm() != 0o755 {
				t.Errorf("directory %s has mode %v", rel, st.Mode())
			}
		case e.Type() == fs.ModeSymlink:
			if target, _ := os.Readlink(p); target != "../gone" {
				t.Errorf("link to %s", target)
			}
		default:
			found++
			wantMode := fs.FileMode(0o644)
			if n := rel[len(rel)-1]; n == '1' || n == '3' {
				wantMode = 0o755
			}
			got, _ := os.ReadFile(p)
			if st.Mode().Perm() != wantMode || string(got) != want[rel] {
				t.Errorf("%s: mode %v, %d bytes", rel, st.Mode(), len(got))
			}
			ino := st.Sys().(*syscall.Stat_t).Ino
			if other := inodes[ino]; other != "" {
				t.Errorf("%s and %s are one inode", rel, other)
			}
			inodes[ino] = rel
		}
		return nil
	})
	if err != nil || found != len(want) {
		t.Errorf("found %d of %d files: %v", found, len(want), err)
	}
	again, _, err := s.View(t.Context(), tr)
	if err != nil || again != path {
		t.Errorf("second view: %s %v", again, err)
	}
	if _, _, err := s.View(t.Context(), tree.Of(tr.Digest())); err != nil {
		t.Error(err)
	}
}

// A view made with the help of another one must be as right as any, and must not share inodes within itself.
func TestViewFromAnother(t *testing.T) {
	s := open(t, t.TempDir())
	lines := []string{"top=x", "link->top"}
	for i := range 60 {
		lines = append(lines, fmt.Sprintf("d%d/e/f%d=content %d", i%6, i, i), fmt.Sprintf("d%d/same=the same", i%6))
	}
	first := made(t, s, lines...)
	changed := append([]string{"d3/e/new*=new", "d9/e/f=other", "top*=x"}, lines[1:]...)
	for _, tr := range []tree.Tree{first, made(t, s, changed...), made(t, s, lines[10:]...)} {
		path, release, err := s.View(t.Context(), tr)
		if err != nil {
			t.Fatal(err)
		}
		mustHold(t, s, path, tr)
		seen := map[uint64]bool{}
		_ = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
			if st, _ := e.Info(); e.Type().IsRegular() {
				ino := st.Sys().(*syscall.Stat_t).Ino
				if seen[ino] {
					t.Errorf("%s shares an inode", p)
				}
				seen[ino] = true
			}
			return err
		})
		release()
	}
}
