package oci

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/oci/layer"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/testkit/plantest"
	"hewn.example/hewn/internal/tree"
)

var update = flag.Bool("update", false, "write the goldens")

var amd64 = platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}

func golden(t *testing.T, name, got string) {
	t.Helper()
	p := "testdata/" + name
	if *update {
		if err := os.WriteFile(p, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: %s", p, d)
	}
}

// world is an engine with a store in memory, which notes the native steps that run.
type world struct {
	*plantest.World
	mu  sync.Mutex
	ran []string // name of the step, and for what
}

func newWorld(t testing.TB) *world {
	w := &world{}
	var natives []engine.NativeDef
	for _, d := range Natives() {
		run, name := d.Run, d.Name
		if strings.HasPrefix(name, "oci-layer-") {
			name = "oci-layer"
		}
		natives = append(natives, engine.NativeDef{Name: d.Name, Version: d.Version, Run: func(ctx context.Context, c engine.NativeCall) (tree.Tree, error) {
			w.mu.Lock()
			w.ran = append(w.ran, strings.TrimSpace(name+" "+strings.TrimPrefix(c.Labels[0], "image files ")))
			w.mu.Unlock()
			return run(ctx, c)
		}})
	}
	w.World = plantest.New(t, natives)
	w.Sources["root"] = map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nbroken\napp:x:1000:100:,,,:/app:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n",
		"etc/group":  "root:x:0:\nusers:x:100:\nwww-data:x:33:\n",
		"usr/bin/sh": "#!sh", "usr/bin/sudo": "#!sudo", "bin": "->usr/bin", "venv/lib/x.py": "x", "venv/bin/python": "->/usr/bin/python3",
		"app/main.py": "main", "app/data/keep": "", "tmp/.keep": "", "web/dist/a.js": "js", "web/dist/b.css": "css",
	}
	return w
}

// image has everything that can be said of one.
func image() spec.Image {
	return spec.Image{
		Layers: []spec.LayerGroup{group("system", "/"), group("nothing", "/opt"), group("packages", "/venv"), group("web", "/web/dist"), group("app", "/app")},
		Owners: map[string]string{"/app": "app", "/app/data": "1000:www-data", "/web": "5"},
		Modes:  map[string]string{"/tmp": "1777", "/usr/bin/su*": "4755", "/app/*.py": "600", "/usr/bin/sh": "0755"},

		Entrypoint: []string{"dumb-init", "--", "sh"}, Cmd: []string{"-c", "<&>"},
		Env: map[string]string{"PATH": "/usr/bin", "A": "1"}, WorkDir: "/app", User: "app:users",
		Ports: []string{"9443/tcp", "9000", "53/udp"}, Volumes: []string{"/data", "/app/data"},
		Healthcheck: &spec.Healthcheck{Command: []string{"sh", "health"}, Interval: 30 * time.Second, Timeout: 3 * time.Second,
			StartPeriod: time.Minute, Retries: 5},
		StopSignal: "SIGTERM", Labels: map[string]string{"org.b": "2", "org.a": "é"},
		Annotations: map[string]string{"org.opencontainers.image.version": "1"}, Created: 1700000000, Author: "somebody", Compression: "none",
	}
}

// plan makes i of the source `root`.
func plan(i spec.Image, p platform.Platform) engine.Plan {
	return func(context.Context, *engine.Ask) (engine.Step, error) {
		return Make(ImageOptions{Name: "image", Root: engine.Source("root").Step, Image: i, Platform: p}), nil
	}
}

func (w *world) image(t testing.TB, i spec.Image, p platform.Platform) tree.Tree {
	t.Helper()
	if err := i.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := w.Build(plan(i, p))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// text is the content of a file of a tree.
func (w *world) text(t testing.TB, tr tree.Tree, p string) string {
	t.Helper()
	e, err := tree.Lookup(t.Context(), w.Store, tr, p)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.ReadBlob(t.Context(), w.Store, e.Digest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The documents of an image are part of its digest: these bytes change only on purpose, with the version of the step.
func TestDocuments(t *testing.T) {
	w := newWorld(t)
	for name, i := range map[string]spec.Image{"full": image(), "least": {Compression: "none"}} {
		layout := w.image(t, i, platform.Platform{OS: "linux", Arch: "arm64", Libc: "glibc"})
		l, err := Open(t.Context(), w.Store, layout)
		if err != nil {
			t.Fatal(err)
		}
		config := blobsDir + "/" + l.Images[0].Manifest.Config.Digest.Hex
		var b strings.Builder
		for _, f := range []string{layoutFile, indexFile, blobsDir + "/" + l.Top.Digest.Hex, config, describeFile} {
			fmt.Fprintf(&b, "--- %s\n%s\n", f, w.text(t, layout, f))
		}
		golden(t, name+".golden", b.String())
	}
}

// An output that moves without a new version of its step would let old and new results stand in one store.
func TestOutputsOfVersions(t *testing.T) {
	var b strings.Builder
	for _, compression := range []string{"zstd", "gzip", "none"} {
		w := newWorld(t)
		i := image()
		i.Compression = compression
		root, err := w.Tree(w.Sources["root"])
		if err != nil {
			t.Fatal(err)
		}
		step := Make(ImageOptions{Name: "image", Root: engine.Tree(root).Step, Image: i, Platform: amd64})
		out, err := w.Build(func(context.Context, *engine.Ask) (engine.Step, error) { return step, nil })
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %s\n", layoutDef, compression, out)
		unpacked, err := w.Build(func(context.Context, *engine.Ask) (engine.Step, error) {
			return Unpack(engine.Tree(out).Step, amd64), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s of %s %s\n", unpackDef, compression, unpacked)
		split, err := runSplit(t.Context(), engine.NativeCall{Store: w.Store, Inputs: []tree.Tree{root}, Params: splitOf(t, i)})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", splitDef, split)
		part, err := tree.Sub(t.Context(), w.Store, split, "4")
		if err != nil {
			t.Fatal(err)
		}
		how := layer.Compression(compression)
		raw, err := encodeJSON(layerParams{how, layer.TarVersion, layer.CodecVersion(how)})
		if err != nil {
			t.Fatal(err)
		}
		made, err := runLayer(t.Context(), engine.NativeCall{Store: w.Store, Inputs: []tree.Tree{part}, Params: raw})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", layerDef(how), made)
	}
	golden(t, "outputs.golden", b.String())
}

// splitOf is the parameters with which Make cuts the files of an image.
func splitOf(t testing.TB, i spec.Image) []byte {
	p := splitParams{Owners: i.Owners, Modes: i.Modes, User: i.User}
	for _, g := range i.Layers {
		p.Groups = append(p.Groups, g.Paths)
	}
	b, err := encodeJSON(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAttributesOfEachLayer(t *testing.T) {
	w := newWorld(t)
	root, err := w.Tree(w.Sources["root"])
	if err != nil {
		t.Fatal(err)
	}
	split, err := runSplit(t.Context(), engine.NativeCall{Store: w.Store, Inputs: []tree.Tree{root}, Params: splitOf(t, image())})
	if err != nil {
		t.Fatal(err)
	}
	const head = "hewn attributes 1\n"
	for part, want := range map[string]string{
		"0": `mode 1777 "tmp"` + "\n" + `mode 4755 "usr/bin/sudo"` + "\n",
		"2": "",
		"3": `owner 5:5 "web"` + "\n",
		"4": `owner 1000:100 "app"` + "\n" + `owner 1000:33 "app/data"` + "\n" + `mode 0600 "app/main.py"` + "\n",
	} {
		if got := w.text(t, split, part+"/attrs"); got != head+want {
			t.Errorf("group %s: got %s", part, got)
		}
	}
}

// TestOnlyWhatChangedRunsAgain is what makes updates fast: a layer hangs on its own files and nothing else.
func TestOnlyWhatChangedRunsAgain(t *testing.T) {
	type change func(w *world, i *spec.Image)
	for name, c := range map[string]struct {
		change change
		ran    []string
	}{
		"nothing": {func(*world, *spec.Image) {}, nil},
		"one file": {func(w *world, _ *spec.Image) { w.Sources["root"]["app/main.py"] = "other" },
			[]string{"oci-layer 4", "oci-layout source root", "oci-split source root"}},
		"a new file among the rest": {func(w *world, _ *spec.Image) { w.Sources["root"]["srv/x"] = "" },
			[]string{"oci-layer 0", "oci-layout source root", "oci-split source root"}},
		"a file that comes with new directories": {func(w *world, _ *spec.Image) { w.Sources["root"]["venv/a/b/c"] = "" },
			[]string{"oci-layer 2", "oci-layout source root", "oci-split source root"}},
		"a user of another number, who owns nothing": {func(w *world, _ *spec.Image) { w.Sources["root"]["etc/passwd"] += "new:x:7:7:::\n" },
			[]string{"oci-layer 0", "oci-layout source root", "oci-split source root"}},
		"an owner": {func(_ *world, i *spec.Image) { i.Owners["/web/dist"] = "7" },
			[]string{"oci-layer 3", "oci-layout source root", "oci-split source root"}},
		"an owner by its number": {func(_ *world, i *spec.Image) { i.Owners["/app"] = "1000:100" },
			[]string{"oci-split source root"}},
		"a label":      {func(_ *world, i *spec.Image) { i.Labels["org.a"] = "new" }, []string{"oci-layout source root"}},
		"group's name": {func(_ *world, i *spec.Image) { i.Layers[2].Name = "python" }, []string{"oci-layout source root"}},
		"a group of the same files": {func(_ *world, i *spec.Image) { i.Layers[1].Paths = []string{"/opt", "/srv"} },
			[]string{"oci-layout source root", "oci-split source root"}},
	} {
		w, i := newWorld(t), image()
		w.image(t, i, amd64)
		w.ran = nil
		c.change(w, &i)
		w.image(t, i, amd64)
		slices.Sort(w.ran)
		if !slices.Equal(w.ran, c.ran) {
			t.Errorf("%s: ran %q, want %q", name, w.ran, c.ran)
		}
	}
}

func TestImagesThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, i *spec.Image)
		key   string
		says  []string
	}{
		"user": {func(_ *world, i *spec.Image) { i.User = "authentik" }, "user",
			[]string{"no user `authentik`", "app, root, www-data", "write one of these or a number"}},
		"user's group":       {func(_ *world, i *spec.Image) { i.User = "app:staff" }, "user", []string{"no group `staff`", "/etc/group has: root, users, www-data"}},
		"owner":              {func(_ *world, i *spec.Image) { i.Owners["/web"] = "ap" }, "owners./web", []string{"no user `ap`"}},
		"group of a file":    {func(_ *world, i *spec.Image) { i.Owners["/web"] = "app:ap" }, "owners./web", []string{"no group `ap`"}},
		"no passwd at all":   {func(w *world, _ *spec.Image) { delete(w.Sources["root"], "etc/passwd") }, "user", []string{"no user `app`", "no `/etc/passwd` at all", "write a number"}},
		"owned path":         {func(_ *world, i *spec.Image) { i.Owners["/web/dust/x"] = "0" }, "owners./web/dust/x", []string{"no `/web/dust/x`", "`/web` has: dist"}},
		"through a link":     {func(_ *world, i *spec.Image) { i.Modes["/bin/sh"] = "4755" }, "modes./bin/sh", []string{"write `/usr/bin/sh`"}},
		"mode of a link":     {func(_ *world, i *spec.Image) { i.Modes["/bin"] = "700" }, "modes./bin", []string{"is a link", "usr/bin"}},
		"pattern":            {func(_ *world, i *spec.Image) { i.Modes["/sbin/*"] = "700" }, "modes./sbin/*", []string{"matches `/sbin/*`"}},
		"two patterns":       {func(_ *world, i *spec.Image) { i.Modes["/usr/bin/*o"] = "700" }, "modes./usr/bin/su*", []string{"`/usr/bin/*o` and `/usr/bin/su*`", "/usr/bin/sudo", "of its own"}},
		"no files":           {func(w *world, i *spec.Image) { w.Sources["root"] = nil; *i = spec.Image{} }, "", []string{"no files"}},
		"labels without end": {func(_ *world, i *spec.Image) { i.Labels["x"] = strings.Repeat("x", maxDocument) }, "", []string{"registries take 4194304"}},
		"one of many names": {func(w *world, i *spec.Image) {
			for n := range 30 {
				w.Sources["root"]["etc/passwd"] += fmt.Sprintf("user%02d:x:%d:1:::\n", n, n)
			}
			i.User = "wwwdata"
		}, "user", []string{"www-data and 21 more"}},
		"a whiteout": {func(w *world, _ *spec.Image) { w.Sources["root"]["app/.wh.x"] = "" }, "", []string{".wh.x"}},
	} {
		w, i := newWorld(t), image()
		c.spoil(w, &i)
		_, err := w.Build(plan(i, amd64))
		var p *diag.Problem
		for cause := err; errors.As(cause, &p) && p.Cause != nil && p.Pos.Key == ""; cause = p.Cause {
		}
		all := fmt.Sprint(err)
		if p != nil {
			all += fmt.Sprint(p.Detail, p.Hints)
		}
		if p == nil || c.key != "" && (p.Pos.Key != c.key || diag.ExitCode(p) != 2) {
			t.Errorf("%s: got %v, %+v", name, err, p)
		}
		for _, s := range c.says {
			if !strings.Contains(all, s) {
				t.Errorf("%s: %q is missing in %s", name, s, all)
			}
		}
	}
}

// A layer budget of 127 is what runtimes can mount; one of 1 puts everything into one.
func TestLayerBudgets(t *testing.T) {
	for _, n := range []int{1, 127} {
		w := newWorld(t)
		i := spec.Image{Compression: "none", Layers: []spec.LayerGroup{group("rest", "/")}}
		for k := 1; k < n; k++ {
			w.Sources["root"][fmt.Sprintf("many/%03d/file", k)] = fmt.Sprint(k)
			i.Layers = append(i.Layers, group(fmt.Sprint(k), fmt.Sprintf("/many/%03d", k)))
		}
		l, err := Open(t.Context(), w.Store, w.image(t, i, amd64))
		if err != nil || len(l.Images[0].Manifest.Layers) != n {
			t.Errorf("%d layers: got %v, %v", n, l, err)
		}
	}
}

func TestAccountsAreFoundThroughLinks(t *testing.T) {
	w := newWorld(t)
	r := w.Sources["root"]
	r["usr/etc/passwd"] = "app:x:5:6:::\napp:x:7:7:::\n#comment:x:1:1:::\nbad:x:-1:0:::\nbad2:x:1\nhigh:x:4294967295:0:::\n"
	r["etc/passwd"], r["etc/group"] = "->/usr/etc/passwd", "->../../../usr/etc/group"
	r["usr/etc/group"] = "g:x:9:\nbad:x:\n"
	root, err := w.Tree(r)
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAccounts(t.Context(), w.Store, root)
	if err != nil {
		t.Fatal(err)
	}
	if uid, gid, err := a.owner("app", "k"); uid != 5 || gid != 6 || err != nil {
		t.Errorf("got %d:%d, %v", uid, gid, err)
	}
	if uid, gid, err := a.owner("12:g", "k"); uid != 12 || gid != 9 || err != nil {
		t.Errorf("got %d:%d, %v", uid, gid, err)
	}
	if len(a.users) != 1 || len(a.groups) != 1 {
		t.Errorf("malformed lines gave %v %v", a.users, a.groups)
	}
}

func TestAccountsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.Sources["root"]["etc/passwd"] = strings.Repeat("x", maxAccounts+1)
	if _, err := w.Build(plan(image(), amd64)); err == nil || !strings.Contains(err.Error(), "/etc/passwd") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkUpdate makes the image of 20,000 files again after one of them has changed.
func BenchmarkUpdate(b *testing.B) {
	w := newWorld(b)
	root := large(b, w.Store)
	i := spec.Image{Layers: largeGroups(), Owners: map[string]string{"/app": "1000"}, Modes: map[string]string{"/etc/*": "600"}}
	n := 0
	build := func() {
		content, err := w.Tree(map[string]string{"app/main.py": fmt.Sprint(n)})
		if err != nil {
			b.Fatal(err)
		}
		changed, err := tree.Overlay(b.Context(), w.Store, tree.Part{Tree: root}, tree.Part{Tree: content})
		if err != nil {
			b.Fatal(err)
		}
		n++
		_, err = w.Build(func(context.Context, *engine.Ask) (engine.Step, error) {
			return Make(ImageOptions{Name: "image", Root: engine.Tree(changed).Step, Image: i, Platform: amd64}), nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	build()
	for b.Loop() {
		build()
	}
}
