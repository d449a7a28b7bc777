package oci

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// files makes a tree of `path` -> content; "->x" is a link, "#!" makes executable, a path that ends in a slash is an
// empty directory.
func files(t testing.TB, st *memory.Store, content map[string]string) tree.Tree {
	t.Helper()
	b := tree.NewBuilder()
	for p, c := range content {
		var err error
		if strings.HasSuffix(p, "/") {
			err = b.Dir(p)
		} else if target, ok := strings.CutPrefix(c, "->"); ok {
			err = b.Link(p, target)
		} else {
			var d digest.Digest
			if d, err = st.Put(t.Context(), []byte(c)); err == nil {
				err = b.File(p, d, strings.HasPrefix(c, "#!"))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tr, err := b.Build(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// paths lists the files, links and empty directories of a tree.
func paths(t testing.TB, dirs tree.Dirs, tr tree.Tree) []string {
	t.Helper()
	out := []string{}
	err := tree.Walk(t.Context(), dirs, tr, func(p string, e tree.Entry) error {
		switch {
		case e.Kind != tree.KindDir:
			out = append(out, "/"+p)
		case e.Tree == tree.Empty:
			out = append(out, "/"+p+"/")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func group(name string, paths ...string) spec.LayerGroup {
	return spec.LayerGroup{Name: name, Paths: paths}
}

func TestSplit(t *testing.T) {
	st := memory.New()
	root := files(t, st, map[string]string{
		"etc/passwd": "", "usr/bin/python": "", "usr/lib/a.so": "", "venv/lib/python3.13/site-packages/x/y": "",
		"venv/lib/python3.13/site-packages/z": "", "venv/bin/x": "", "venv/empty/": "", "app": "->/usr/bin/python",
		"web/dist/a.js": "", "web/dist/a.css": "", "web/index.html": "",
	})
	const rest = "/app /etc/passwd /usr/bin/python /usr/lib/a.so"
	const venv = "/venv/bin/x /venv/empty/ /venv/lib/python3.13/site-packages/x/y /venv/lib/python3.13/site-packages/z"
	const web = "/web/dist/a.css /web/dist/a.js /web/index.html"
	for name, c := range map[string]struct {
		groups []spec.LayerGroup
		want   []string
	}{
		"no groups":     {nil, []string{rest + " " + venv + " " + web}},
		"rest is first": {[]spec.LayerGroup{group("a", "/nowhere"), group("b", "/venv", "/web")}, []string{rest, venv + " " + web}},
		"all elsewhere": {[]spec.LayerGroup{group("a", "/nowhere"), group("b", "/")}, []string{"", rest + " " + venv + " " + web}},
		"deepest wins": {[]spec.LayerGroup{group("deep", "/venv/lib/python3.*/site-packages/x"), group("b", "/"), group("c", "/venv")},
			[]string{"/venv/lib/python3.13/site-packages/x/y", rest + " " + web,
				"/venv/bin/x /venv/empty/ /venv/lib/python3.13/site-packages/z"}},
		"later wins": {[]spec.LayerGroup{group("a", "/"), group("b", "/web/dist/*"), group("c", "/web/*/a.css")},
			[]string{rest + " " + venv + " /web/index.html", "/web/dist/a.js", "/web/dist/a.css"}},
		"links and empty directories": {[]spec.LayerGroup{group("a", "/"), group("b", "/app", "/venv/e*")},
			[]string{"/etc/passwd /usr/bin/python /usr/lib/a.so /venv/bin/x /venv/lib/python3.13/site-packages/x/y /venv/lib/python3.13/site-packages/z " + web,
				"/app /venv/empty/"}},
		"below a file": {[]spec.LayerGroup{group("a", "/"), group("b", "/etc/passwd/x", "/app/x", "/venv/empty/x")},
			[]string{rest + " " + venv + " " + web, ""}},
		"a directory of nobody's own": {[]spec.LayerGroup{group("a", "/"), group("b", "/web"), group("c", "/web/*")},
			[]string{rest + " " + venv, "", web}},
	} {
		trees, err := Split(t.Context(), st, root, c.groups)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, tr := range trees {
			got = append(got, strings.Join(paths(t, st, tr), " "))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestSplitByDefinition compares with the definition, path by path, on random trees and patterns.
func TestSplitByDefinition(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		st := memory.New()
		root := files(t, st, randomFiles(r))
		groups := randomGroups(r)
		trees, err := Split(t.Context(), st, root, groups)
		if err != nil {
			t.Fatal(err)
		}
		want := make([][]string, len(groups))
		for _, p := range paths(t, st, root) {
			g := ownerOf(p, groups)
			want[g] = append(want[g], p)
		}
		var parts []tree.Part
		for i, tr := range trees {
			parts = append(parts, tree.Part{Tree: tr})
			if got := paths(t, st, tr); !slices.Equal(got, want[i]) {
				t.Fatalf("seed %d, %v: group %d has %v, want %v", seed, groups, i, got, want[i])
			}
		}
		if union, err := tree.Merge(t.Context(), st, parts...); err != nil || union != root {
			t.Fatalf("seed %d, %v: together %v, %v, want %v", seed, groups, union, err, root)
		}
	}
}

// ownerOf is the definition of spec.Image.Layers.
func ownerOf(p string, groups []spec.LayerGroup) int {
	names := strings.Split(strings.Trim(p, "/"), "/")
	best, depth := 0, -1
	for g, group := range groups {
		for _, pattern := range group.Paths {
			n := 0
			if pattern != "/" {
				n = strings.Count(pattern, "/")
			}
			if n > len(names) || n < depth {
				continue
			}
			if ok, _ := path.Match(pattern, "/"+strings.Join(names[:n], "/")); ok {
				best, depth = g, n
			}
		}
	}
	return best
}

func randomFiles(r *rand.Rand) map[string]string {
	out := map[string]string{"file": ""}
	for range r.IntN(30) {
		p := ""
		for range 1 + r.IntN(4) {
			p += "/d" + string(rune('a'+r.IntN(3)))
		}
		switch r.IntN(4) {
		case 0:
			out[p+"/"] = "" // a directory, empty unless something else is put there
		case 1:
			out[p+"/l"] = "->x"
		default:
			out[p+"/f"+string(rune('a'+r.IntN(3)))] = fmt.Sprint(r.IntN(3))
		}
	}
	return out
}

func randomGroups(r *rand.Rand) []spec.LayerGroup {
	names := []string{"da", "db", "dc", "d?", "*", "d[ab]", "fa", "f*", "l", "no"}
	groups := make([]spec.LayerGroup, 1+r.IntN(5))
	for i := range groups {
		for range 1 + r.IntN(3) {
			p := "/"
			for range r.IntN(5) {
				p = path.Join(p, names[r.IntN(len(names))])
			}
			groups[i].Paths = append(groups[i].Paths, p)
		}
	}
	return groups
}

// counted counts the directories that are read.
type counted struct {
	tree.Dirs
	read *atomic.Int64
}

func (c counted) Directory(ctx context.Context, t tree.Tree) (*tree.Directory, error) {
	c.read.Add(1)
	return c.Dirs.Directory(ctx, t)
}

// large is a tree of 20,000 files in 2,000 directories.
func large(t testing.TB, st *memory.Store) tree.Tree {
	content := map[string]string{}
	for i := range 20_000 {
		content[fmt.Sprintf("usr/lib/p%02d/d%02d/f%d", i%50, i/50%40, i)] = fmt.Sprint(i)
	}
	maps.Copy(content, map[string]string{"app/main.py": "", "app/lib/x.py": "", "etc/passwd": "", "web/dist/a.js": ""})
	return files(t, st, content)
}

func largeGroups() []spec.LayerGroup {
	return []spec.LayerGroup{group("system", "/"), group("packages", "/usr/lib/p[0-3]?"), group("one", "/usr/lib/p07/d03"),
		group("web", "/web/dist"), group("app", "/app")}
}

func TestSplitReadsOnlyWhatPatternsLeadTo(t *testing.T) {
	st := memory.New()
	root := large(t, st)
	var read atomic.Int64
	if _, err := Split(t.Context(), counted{st, &read}, root, largeGroups()); err != nil {
		t.Fatal(err)
	}
	if got := read.Load(); got != 5 { // the root, usr, usr/lib, usr/lib/p07, web
		t.Errorf("%d directories of 2,000 were read, want 5", got)
	}
}

func BenchmarkSplit(b *testing.B) {
	st := memory.New()
	root := large(b, st)
	groups := largeGroups()
	for b.Loop() {
		if _, err := Split(b.Context(), st, root, groups); err != nil {
			b.Fatal(err)
		}
	}
}
