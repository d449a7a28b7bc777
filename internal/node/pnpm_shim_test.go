package node

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"hewn.example/hewn/internal/lock/npm"
)

// TestShimRuns runs a script of `.bin` through a link, from a folder with an odd name.
func TestShimRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a $place")
	m := &pnpmMaker{params: pnpmParams{NodePath: "node_modules/.pnpm/node_modules"}}
	const at, target = "node_modules/.bin/tool", "node_modules/.pnpm/tool@1.0.0/node_modules/tool/tool.sh"
	for name, text := range map[string]string{
		at:     m.shim(at, relative("node_modules/.bin", target), ""),
		target: "#!/bin/sh\necho \"$NODE_PATH|$*\"\nexit 3\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, at), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(filepath.Join(dir, "elsewhere"), "a b", "c")
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "NODE_PATH=/before"}
	out, err := c.Output()
	want := filepath.Join(dir, "node_modules/.bin") + "/../.pnpm/node_modules:/before|a b c\n"
	if c.ProcessState.ExitCode() != 3 || string(out) != want {
		t.Errorf("got %q, %v; want %q and exit code 3", out, err, want)
	}
}

func TestReadBins(t *testing.T) {
	tests := []struct {
		name, in string
		files    []string
		want     []npm.Bin
	}{
		{"one", `{"name": "@s/a", "bin": "./x.js"}`, nil, []npm.Bin{{Name: "a", File: "x.js"}}},
		{"several", `{"bin": {"b": "b.js", "@s/a": "bin/../a.js"}}`, nil, []npm.Bin{{Name: "a", File: "a.js"}, {Name: "b", File: "b.js"}}},
		{"outside", `{"bin": {"b": "../../b.js"}}`, nil, []npm.Bin{{Name: "b", File: "b.js"}}},
		{"odd names", `{"bin": {"a b": "b.js", "..": "c.js", ".hidden": "d.js", "": "e.js"}}`, nil, nil},
		{"empty", `{"name": "a", "bin": ""}`, nil, nil},
		{"a directory", `{"directories": {"bin": "./tools"}}`, []string{"tools/a", "tools/b.sh", "other"}, []npm.Bin{{Name: "a", File: "tools/a"}, {Name: "b.sh", File: "tools/b.sh"}}},
		{"no JSON", `{`, nil, nil},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			if got := readBins([]byte(c.in), c.files).Bins; !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestHoistKeepsPromises hoists chains with conflicts at every level and looks at what each package finds, by the rule
// by which Node.js looks for modules.
func TestHoistKeepsPromises(t *testing.T) {
	// Package p<i>@<v> depends on p<i+1>@<v> and p<i+2>@<1-v>.
	made := map[[2]int]*hoistEntry{}
	var entry func(i, v int) *hoistEntry
	name := func(i int) string { return "p" + string(rune('a'+i)) }
	entry = func(i, v int) *hoistEntry {
		if n, ok := made[[2]int{i, v}]; ok {
			shared(n)
			return n
		}
		n := newHoistEntry(name(i), name(i), name(i)+"@"+string(rune('0'+v)), nil)
		made[[2]int{i, v}] = n
		for step, w := range []int{v, 1 - v} {
			if j := i + 1 + step; j < 8 {
				d := entry(j, w)
				n.deps.set(d)
				n.original.set(d)
			}
		}
		return n
	}
	root := newHoistEntry(".", ".", "", nil)
	root.workspace = true
	for v := range 2 {
		d := entry(v, v)
		root.deps.set(d)
		root.original.set(d)
	}
	hoist(root)
	checked := 0
	var check func(path []*hoistEntry)
	check = func(path []*hoistEntry) {
		n := path[len(path)-1]
		for _, want := range n.original.all() {
			for i := len(path) - 1; i >= 0; i-- {
				if got := path[i].deps.get(want.name); got != nil {
					if got.ident != want.ident {
						t.Errorf("%s finds %s, not %s", n.ident, got.ident, want.ident)
					}
					checked++
					break
				}
				if i == 0 {
					t.Errorf("%s finds no %s", n.ident, want.ident)
				}
			}
		}
		for _, d := range n.deps.all() {
			if !slices.Contains(path, d) {
				check(append(path[:len(path):len(path)], d))
			}
		}
	}
	check([]*hoistEntry{root})
	if checked < 16 || len(root.deps.order) != 8 {
		t.Errorf("%d edges, %d packages at the top", checked, len(root.deps.order))
	}
}
