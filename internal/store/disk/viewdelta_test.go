package disk_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// laid is what directories show that are mounted over one another, the first on top.
func laid(t *testing.T, paths []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, root := range paths {
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, p)
			if was, covered := out[rel]; err != nil || covered {
				if was == removed && d.IsDir() {
					return fs.SkipDir
				}
				return err
			}
			switch {
			case d.Type()&fs.ModeCharDevice != 0:
				out[rel] = removed
			case d.IsDir():
				out[rel] = "/"
			case d.Type()&fs.ModeSymlink != 0:
				out[rel], err = os.Readlink(p)
			default:
				var b []byte
				b, err = os.ReadFile(p)
				info, _ := d.Info()
				out[rel] = fmt.Sprint(info.Mode(), " ", string(b))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	maps.DeleteFunc(out, func(_, what string) bool { return what == removed })
	return out
}

const removed = "removed"

func TestViewLayers(t *testing.T) {
	root := func(t *testing.T, s *disk.Store, change func(files, links map[string]string)) tree.Tree {
		files, links := map[string]string{}, map[string]string{"bin/sh": "dash"}
		files["p/f"], files["p/old"] = "old", "old"
		for i := range 5 {
			files[fmt.Sprintf("p-1/x/f%d", i)] = "old"
		}
		for i := range 400 {
			files[fmt.Sprintf("d%d/f%d", i%7, i)] = fmt.Sprint("content ", i)
		}
		change(files, links)
		b := tree.NewBuilder()
		for p, content := range files {
			file(t, s, b, p, []byte(content), false)
		}
		for p, target := range links {
			_ = b.Link(p, target)
		}
		return finish(t, s, b)
	}
	layers := func(t *testing.T, s *disk.Store, tr tree.Tree) store.LayeredView {
		t.Helper()
		v, release, err := s.ViewLayers(t.Context(), tr)
		if err != nil {
			t.Fatal(err)
		}
		release()
		return v
	}
	for _, c := range []struct {
		name   string
		want   int
		change func(files, links map[string]string)
		hides  string
	}{
		{"the same", 1, func(_, _ map[string]string) {}, ""},
		{"a file changed", 2, func(f, _ map[string]string) { f["d1/f1"] = "new" }, ""},
		{"a file and a directory more", 2, func(f, _ map[string]string) { f["d1/new"], f["d8/e/f"] = "new", "new" }, ""},
		{"a link changed", 2, func(_, l map[string]string) { l["bin/sh"] = "bash" }, ""},
		{"a link is now a file", 2, func(f, l map[string]string) { delete(l, "bin/sh"); f["bin/sh"] = "#!" }, ""},
		{"a file less", 2, func(f, _ map[string]string) { delete(f, "d1/f1") }, "d1/f1"},
		{"a directory less, and a file in the first directory", 2, func(f, l map[string]string) {
			delete(l, "bin/sh")
			f["new"] = "new"
		}, "bin"},
		{"another version of a package", 2, func(f, _ map[string]string) {
			for i := range 5 {
				delete(f, fmt.Sprintf("p-1/x/f%d", i))
				f[fmt.Sprintf("p-2/x/f%d", i)] = "new"
			}
			delete(f, "p/old")
			f["p/f"] = "new"
		}, "p-1 p/old"},
		{"a directory is now a file", 1, func(f, l map[string]string) { delete(l, "bin/sh"); f["bin"] = "x" }, ""},
		{"a file is now a directory", 1, func(f, _ map[string]string) { delete(f, "d1/f1"); f["d1/f1/x"] = "x" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			if n := len(layers(t, s, root(t, s, func(_, _ map[string]string) {})).Paths); n != 1 {
				t.Fatalf("the first root has %d layers", n)
			}
			tr := root(t, s, c.change)
			got := layers(t, s, tr)
			if len(got.Paths) != c.want {
				t.Errorf("%d layers, want %d", len(got.Paths), c.want)
			}
			if want := strings.Fields(c.hides); !slices.Equal(got.Hides, want) {
				t.Errorf("%q are hidden, want %q", got.Hides, want)
			}
			if again := layers(t, s, tr); !slices.Equal(again.Paths, got.Paths) {
				t.Errorf("%q the first time, %q the second", got.Paths, again.Paths)
			}
			for _, dir := range got.Paths {
				compareTimes(t, dir)
			}
			compareShown(t, s, tr, got.Paths)
		})
	}
}

// compareTimes checks that all directories of a view have the one time of views.
func compareTimes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().Year() != 1980 {
			t.Errorf("%s is of %s", p, info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// compareShown compares what layers show with a view of the tree.
func compareShown(t *testing.T, s *disk.Store, tr tree.Tree, layers []string) {
	t.Helper()
	alone, release, err := s.View(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	want, have := laid(t, []string{alone}), laid(t, layers)
	for p, w := range want {
		if have[p] != w {
			t.Errorf("%s: %q, want %q", p, have[p], w)
		}
	}
	if len(have) != len(want) {
		t.Errorf("%d entries, want %d", len(have), len(want))
	}
}
