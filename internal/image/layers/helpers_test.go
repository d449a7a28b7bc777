package layers

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// files is an image as a test writes it: path -> "size content". The content only tells one state from another, so that
// images of hundreds of megabytes need none.
type files map[string]file

type file struct {
	size  int64
	state int
}

func digestOf(name string, f file) digest.Digest {
	d := digest.Of(fmt.Appendf(nil, "%s\x00%d", name, f.state))
	out, err := digest.FromHex(d.Hex(), f.size)
	if err != nil {
		panic(err)
	}
	return out
}

// put stores the directories of an image.
func (fs files) put(t testing.TB, dirs tree.Dirs) tree.Tree {
	t.Helper()
	type dir struct {
		files map[string]file
		dirs  map[string]bool
	}
	all := map[string]*dir{}
	var ensure func(p string) *dir
	ensure = func(p string) *dir {
		if all[p] == nil {
			all[p] = &dir{map[string]file{}, map[string]bool{}}
			if p != "/" {
				ensure(path.Dir(p)).dirs[path.Base(p)] = true
			}
		}
		return all[p]
	}
	ensure("/")
	for name, f := range fs {
		if strings.HasSuffix(name, "/") {
			ensure(path.Clean(name))
			continue
		}
		ensure(path.Dir(name)).files[path.Base(name)] = f
	}
	var store func(p string) tree.Tree
	store = func(p string) tree.Tree {
		var d tree.Directory
		for _, name := range slices.Sorted(maps.Keys(all[p].files)) {
			d.Files = append(d.Files, tree.File{Name: name, Digest: digestOf(path.Join(p, name), all[p].files[name])})
		}
		for _, name := range slices.Sorted(maps.Keys(all[p].dirs)) {
			d.Dirs = append(d.Dirs, tree.Dir{Name: name, Tree: store(path.Join(p, name))})
		}
		tr, err := dirs.PutDirectory(context.Background(), &d)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	return store("/")
}

func (fs files) clone() files { return maps.Clone(fs) }

// history stores versions, called v0, v1 and so on.
func history(t testing.TB, dirs tree.Dirs, images ...files) []Version {
	var out []Version
	for i, fs := range images {
		out = append(out, Version{fmt.Sprintf("v%d", i), fs.put(t, dirs)})
	}
	return out
}

func group(name string, paths ...string) spec.LayerGroup {
	return spec.LayerGroup{Name: name, Paths: paths}
}

func plan(t testing.TB, dirs tree.Dirs, in Input) *Plan {
	t.Helper()
	p, err := Make(t.Context(), dirs, in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// text is groups on lines.
func text(groups []spec.LayerGroup) string {
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s: %s\n", g.Name, strings.Join(g.Paths, " "))
	}
	return b.String()
}

// ownerOf is the semantics of spec.LayerGroup, said once more and as simply as can be.
func ownerOf(p string, groups []spec.LayerGroup) int {
	names := strings.Split(strings.TrimPrefix(p, "/"), "/")
	owner, deepest := 0, -1
	for g, group := range groups {
		for _, pattern := range group.Paths {
			n := strings.Count(pattern, "/")
			if pattern == "/" {
				n = 0
			}
			if n > len(names) || n < deepest {
				continue
			}
			if ok, _ := path.Match(pattern, "/"+strings.Join(names[:n], "/")); ok {
				owner, deepest = g, n
			}
		}
	}
	return owner
}

func newStore() *memory.Store { return memory.New() }
