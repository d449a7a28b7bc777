package tree_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

var ctx = context.Background()

func TestText(t *testing.T) {
	dirs := newDirs()
	tr := build(t, dirs, "/usr/bin/ak*=hello", "usr/empty/", "usr/lib64->lib", "a b=x", "usr/line\nbreak=")
	const golden = `0644 "a b" 1 2d711642b726
dir  usr
dir  usr/bin
0755 usr/bin/ak 5 2cf24dba5fb0
dir  usr/empty
link usr/lib64 -> lib
0644 "usr/line\nbreak" 0 e3b0c44298fc
`
	if got := text(t, dirs, tr); got != golden {
		t.Errorf("got\n%s", got)
	}
}

func TestMerge(t *testing.T) {
	dirs := newDirs()
	a := build(t, dirs, "bin/x*=1", "lib/same=s", "l->t", "lib/only-a/deep=1")
	b := build(t, dirs, "bin/y=2", "lib/same=s", "l->t")
	got, err := tree.Merge(ctx, dirs, tree.Part{Tree: a, Origin: "a"}, tree.Part{Tree: b, At: "/", Origin: "b"},
		tree.Part{Tree: a, At: "/opt/app", Origin: "c"}, tree.Part{Tree: tree.Empty, At: "var/empty"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, dirs, got, "bin/x*=1", "bin/y=2", "lib/same=s", "l->t", "lib/only-a/deep=1",
		"opt/app/bin/x*=1", "opt/app/lib/same=s", "opt/app/l->t", "opt/app/lib/only-a/deep=1", "var/empty/")
	none, err := tree.Merge(ctx, dirs)
	if err != nil || none != tree.Empty {
		t.Errorf("merge of nothing: %v %v", none, err)
	}
}

func TestMergeOver(t *testing.T) {
	dirs := newDirs()
	a := tree.Part{Tree: build(t, dirs, "docs/f=1", "docs/d/g=1", "lib/x=1", "same=s"), Origin: "a"}
	b := tree.Part{Tree: build(t, dirs, "docs/f*=2", "docs/d/g=2", "same=s"), Origin: "b"}
	got, err := tree.MergeOver(ctx, dirs, []string{"docs/**"}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	want(t, dirs, got, "docs/f*=2", "docs/d/g=2", "lib/x=1", "same=s")
	if got, err = tree.MergeOver(ctx, dirs, []string{"docs/**"}, b, a); err != nil {
		t.Fatal(err)
	}
	want(t, dirs, got, "docs/f=1", "docs/d/g=1", "lib/x=1", "same=s")
	var conflict *tree.ConflictError
	if _, err = tree.MergeOver(ctx, dirs, []string{"docs/*"}, a, b, a); err != nil { // docs/d matches, docs/d/g does not
		if !errors.As(err, &conflict) || conflict.Path != "docs/d/g" {
			t.Errorf("got %v", err)
		}
	} else {
		t.Error("a conflict beside the patterns was taken")
	}
	if _, err = tree.MergeOver(ctx, dirs, []string{"../x"}, a, b); err == nil {
		t.Error("a bad pattern was taken")
	}
}

func TestMergeConflicts(t *testing.T) {
	for _, c := range [][2]string{
		{"d/f=1", "d/f=2"}, {"d/f=1", "d/f*=1"}, {"d/f=1", "d/f->x"}, {"d/f->x", "d/f->y"}, {"d/f=1", "d/f/g=1"}, {"d/f->x", "d/f/"},
	} {
		dirs := newDirs()
		_, err := tree.Merge(ctx, dirs, tree.Part{Tree: build(t, dirs, c[0]), At: "at", Origin: "one"}, tree.Part{Tree: build(t, dirs, c[1]), At: "at", Origin: "two"})
		var conflict *tree.ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("%v: got error %v", c, err)
			continue
		}
		if conflict.Path != "at/d/f" || conflict.A != "one" || conflict.B != "two" {
			t.Errorf("%v: got %+v", c, conflict)
		}
		if msg := err.Error(); !strings.Contains(msg, "one") || !strings.Contains(msg, "two") || !strings.Contains(msg, "at/d/f") {
			t.Errorf("message %q", msg)
		}
	}
	dirs := newDirs()
	file, inner := build(t, dirs, "d=1"), build(t, dirs, "x=1")
	if _, err := tree.Merge(ctx, dirs, tree.Part{Tree: file, Origin: "file"}, tree.Part{Tree: inner, At: "d/e", Origin: "placed"}); err == nil {
		t.Error("a tree was placed below a file")
	}
	if _, err := tree.Merge(ctx, dirs, tree.Part{Tree: file, At: "a/../b"}); err == nil {
		t.Error("a place with .. was taken")
	}
	if _, err := tree.Merge(ctx, dirs, tree.Part{}); err == nil {
		t.Error("a zero tree was taken")
	}
}

func TestMergeIsLazy(t *testing.T) {
	dirs := newDirs()
	var parts []tree.Part
	for i := range 50 {
		var lines []string
		for j := range 20 {
			lines = append(lines, fmt.Sprintf("pkg%d/d%d/f=%d", i, j, j), "shared/d/f=1")
		}
		parts = append(parts, tree.Part{Tree: build(t, dirs, lines...), At: "lib", Origin: fmt.Sprint(i)})
	}
	dirs.reads = 0
	if _, err := tree.Merge(ctx, dirs, parts...); err != nil {
		t.Fatal(err)
	}
	if dirs.reads > 50 {
		t.Errorf("%d directories were read to merge 50 parts that have nothing but equal directories in common", dirs.reads)
	}
}

func TestOverlay(t *testing.T) {
	for _, c := range []struct {
		name   string
		layers [][]string
		want   []string
	}{
		{"later file", [][]string{{"a=1", "b=1"}, {"a=2"}}, []string{"a=2", "b=1"}},
		{"directories unite", [][]string{{"d/a=1"}, {"d/b=1"}}, []string{"d/a=1", "d/b=1"}},
		{"file over directory", [][]string{{"d/a=1"}, {"d=1"}}, []string{"d=1"}},
		{"directory over file over directory", [][]string{{"d/a=1"}, {"d=1"}, {"d/c=1"}}, []string{"d/c=1"}},
		{"equal layers", [][]string{{"a=1"}, {"a=2", "b=2"}, {"a=1"}}, []string{"a=1", "b=2"}},
		{"empty on top", [][]string{{"a=1"}, {}}, []string{"a=1"}},
		{"link over file", [][]string{{"a=1"}, {"a->b"}}, []string{"a->b"}},
	} {
		dirs := newDirs()
		var parts []tree.Part
		for _, l := range c.layers {
			parts = append(parts, tree.Part{Tree: build(t, dirs, l...), At: "at"})
		}
		got, err := tree.Overlay(ctx, dirs, parts...)
		if err != nil {
			t.Fatal(err)
		}
		sub, err := tree.Sub(ctx, dirs, got, "/at")
		if err != nil {
			t.Fatal(err)
		}
		t.Run(c.name, func(t *testing.T) { want(t, dirs, sub, c.want...) })
	}
}

func TestBuilder(t *testing.T) {
	dirs := newDirs()
	inner := build(t, dirs, "x/y=1")
	b := tree.NewBuilder()
	for _, err := range []error{
		b.Tree("a", inner), b.Tree("/a", inner), b.File("a/x/z", digest.Of([]byte("2")), true), b.Dir("a/x"),
		b.File("a/x/z", digest.Of([]byte("2")), true), b.Tree("", build(t, dirs, "top=1")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.Build(ctx, dirs)
	if err != nil {
		t.Fatal(err)
	}
	want(t, dirs, got, "a/x/y=1", "a/x/z*=2", "top=1")
	for name, err := range map[string]error{
		"other content":   b.File("a/x/z", digest.Of([]byte("3")), true),
		"link over file":  b.Link("a/x/z", "t"),
		"below a file":    b.File("a/x/z/w", digest.Empty, false),
		"the root":        b.File("/", digest.Empty, false),
		"parent":          b.Dir("a/../b"),
		"bad target":      b.Link("l", "a\x00"),
		"no digest":       b.File("n", digest.Digest{}, false),
		"not UTF-8":       b.Dir("\xff"),
		"zero tree":       b.Tree("q", tree.Tree{}),
		"file over a dir": b.File("a/x", digest.Empty, false),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := b.File("a/x/y", digest.Of([]byte("other")), false); err != nil {
		t.Fatal(err)
	}
	var conflict *tree.ConflictError
	if _, err := b.Build(ctx, dirs); !errors.As(err, &conflict) || conflict.Path != "a/x/y" {
		t.Errorf("file against a tree's file: %v", err)
	}
}

func TestLookupAndResolve(t *testing.T) {
	dirs := newDirs()
	tr := build(t, dirs, "usr/bin/python3.14*=p", "usr/bin/python3->python3.14", "bin->usr/bin", "etc/alt/py->/bin/python3",
		"usr/bin/py->../../etc/alt/py", "loop->loop2", "loop2->/loop", "up->../../../usr", "dangling->nothing", "file=x", "usr/here->.")
	for p, wantPath := range map[string]string{
		"/bin/python3": "usr/bin/python3.14", "bin/py": "usr/bin/python3.14", "up/bin/python3": "usr/bin/python3.14",
		"/": "", "": "", "usr/../file": "file", "../..": "", "usr/here/here/bin": "usr/bin",
	} {
		got, e, err := tree.Resolve(ctx, dirs, tr, p)
		if err != nil || got != wantPath {
			t.Errorf("resolve %q: %q, %v, %v", p, got, e, err)
		}
	}
	for _, p := range []string{"loop", "dangling", "file/x", "usr/none", "file/.."} {
		if _, _, err := tree.Resolve(ctx, dirs, tr, p); !errors.Is(err, tree.ErrNotExist) {
			t.Errorf("resolve %q: %v", p, err)
		}
		if _, err := tree.Lookup(ctx, dirs, tr, p+"/x"); err == nil {
			t.Errorf("lookup %q found something", p)
		}
	}
	e, err := tree.Lookup(ctx, dirs, tr, "/usr/bin/python3")
	if err != nil || e.Kind != tree.KindLink || e.Target != "python3.14" || e.Name != "python3" {
		t.Errorf("lookup: %v %v", e, err)
	}
	if _, err := tree.Lookup(ctx, dirs, tr, "bin/python3"); !errors.Is(err, tree.ErrNotExist) {
		t.Errorf("lookup went through a link: %v", err)
	}
	if e, err := tree.Lookup(ctx, dirs, tr, "/"); err != nil || e.Tree != tr {
		t.Errorf("lookup of the root: %v %v", e, err)
	}
}

func TestSelectRemoveGlob(t *testing.T) {
	dirs := newDirs()
	all := []string{"a/b/c.py=1", "a/b/c.pyc=1", "a/x.pyc=2", "top.pyc=3", "keep=4", "l->a", "a/tests/t=1", "d/e/tests/t=1", "d/e/f=1"}
	tr := build(t, dirs, all...)
	got, err := tree.Select(ctx, dirs, tr, "/a/b", "l", "none?", "a/b/c.py", "keep?")
	if err != nil {
		t.Fatal(err)
	}
	want(t, dirs, got, "a/b/c.py=1", "a/b/c.pyc=1", "l->a", "keep=4")
	if _, err := tree.Select(ctx, dirs, tr, "none"); !errors.Is(err, tree.ErrNotExist) {
		t.Errorf("select of what is not there: %v", err)
	}
	for _, c := range []struct {
		patterns []string
		gone     []string
	}{
		{[]string{"**/*.pyc"}, []string{"a/b/c.pyc", "a/x.pyc", "top.pyc"}},
		{[]string{"*.pyc"}, []string{"top.pyc"}},
		{[]string{"/a/*.pyc", "none/**"}, []string{"a/x.pyc"}},
		{[]string{"**/tests/t", "keep"}, []string{"a/tests/t", "d/e/tests/t", "keep"}},
		{[]string{"a/**/c.p[xy]"}, []string{"a/b/c.py"}},
		{[]string{"d/**/f", "?"}, []string{"d", "a", "l"}},
		{[]string{"a/b/**"}, []string{"a/b/c.py", "a/b/c.pyc"}},
		{[]string{"**/**/e"}, []string{"d/e"}},
	} {
		got, err := tree.Remove(ctx, dirs, tr, c.patterns...)
		if err != nil {
			t.Fatal(err)
		}
		left := map[string]bool{}
		_ = tree.Walk(ctx, dirs, got, func(p string, _ tree.Entry) error { left[p] = true; return nil })
		var gone []string
		_ = tree.Walk(ctx, dirs, tr, func(p string, e tree.Entry) error {
			if left[p] {
				return nil
			}
			gone = append(gone, p)
			if e.Kind == tree.KindDir {
				return tree.SkipDir
			}
			return nil
		})
		slices.Sort(gone)
		slices.Sort(c.gone)
		if !slices.Equal(gone, c.gone) {
			t.Errorf("%v: gone is %v, want %v", c.patterns, gone, c.gone)
		}
	}
	for _, bad := range []string{"a/[", "", "/", "../x"} {
		if _, err := tree.Remove(ctx, dirs, tr, bad); err == nil {
			t.Errorf("pattern %q was taken", bad)
		}
	}
	globbed, err := tree.Glob(ctx, dirs, tr, "**/tests/*")
	if err != nil || !slices.Equal(globbed, []string{"a/tests/t", "d/e/tests/t"}) {
		t.Errorf("glob: %v %v", globbed, err)
	}
}

func TestDiff(t *testing.T) {
	dirs := newDirs()
	a := build(t, dirs, "same/x=1", "gone/y/z=1", "f=1", "x=1", "kind/a=1", "d/e=1", "d/f=1")
	b := build(t, dirs, "same/x=1", "new/y=1", "f=2", "x*=1", "kind=1", "d/e=1", "d/f=2")
	var got []string
	err := tree.Diff(ctx, dirs, a, b, func(p string, old, now *tree.Entry) error {
		sign := "~"
		if old == nil {
			sign = "+"
		} else if now == nil {
			sign = "-"
		}
		got = append(got, sign+p)
		return nil
	})
	wantLines := []string{"~d/f", "~f", "-gone", "-gone/y", "-gone/y/z", "~kind", "-kind/a", "+new", "+new/y", "~x"}
	if err != nil || !slices.Equal(got, wantLines) {
		t.Errorf("got %v, %v", got, err)
	}
}
