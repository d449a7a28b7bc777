package recipe

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// app is the source that the recipes of the tests have.
var app = map[string]string{
	"main.c":         "int main(void) { return 0; }\n",
	"lib/a.txt":      "a",
	"lib/b/c.txt":    "c",
	"web/index.html": "<p>",
	"web/x/y.html":   "<b>",
	"conf.toml":      "name = \"app\"\nlist = [1, 2.5]\nwhen = 2026-01-02\n",
	"bad.toml":       "name = \"app\"\nlist = [1,\n\n= 3\n",
	"data.json":      `{"z": 1, "a": {"big": 12345678901, "float": 1.5, "none": null}, "m": ["x", true]}`,
	"data.yaml":      "image: \"example.test/tool:v7\"\nlist:\n  - 1\n  - two\n",
}

// world is what an engine needs, in memory.
type world struct {
	store  *memory.Store
	ran    *recorder
	origin engine.SourceInfo // of every source
}

func newWorld() *world {
	st := memory.New()
	return &world{store: st, ran: &recorder{store: st}}
}

func (w *world) engine(t *testing.T, r *Recipe) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{
		Store: w.store, Executor: w.ran, Fetcher: nowhere{}, Sources: sources{w.store, w.origin}, Pins: nowhere{}, Targets: r.Plans("id"),
		Natives: Natives(), Traces: traces{}, Locks: &locks{}, Platform: platform.Platform{OS: "linux", Arch: "arm64", Libc: "glibc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sources gives app, whatever the name.
type sources struct {
	st     store.Store
	origin engine.SourceInfo
}

func (s sources) Tree(ctx context.Context, _ string) (tree.Tree, error) {
	return files(ctx, s.st, app)
}

func (s sources) Info(context.Context, string) (engine.SourceInfo, error) { return s.origin, nil }

// read gives the text of a file of a tree.
func (w *world) read(t *testing.T, in tree.Tree, name string) string {
	t.Helper()
	e, err := tree.Lookup(t.Context(), w.store, in, name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.ReadBlob(t.Context(), w.store, e.Digest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func files(ctx context.Context, st store.Store, m map[string]string) (tree.Tree, error) {
	b := tree.NewBuilder()
	for _, name := range sortedKeys(m) {
		d, err := st.Put(ctx, []byte(m[name]))
		if err == nil {
			err = b.File(name, d, false)
		}
		if err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, st)
}

// nowhere has nothing outside.
type nowhere struct{}

var errNowhere = errors.New("there is nothing outside")

func (nowhere) Fetch(context.Context, source.Artifact) (digest.Digest, error) {
	return digest.Digest{}, errNowhere
}
func (nowhere) FetchGit(context.Context, source.GitRef) (tree.Tree, error) {
	return tree.Tree{}, errNowhere
}
func (nowhere) Artifacts(context.Context, pins.Question) ([]source.Artifact, error) {
	return nil, errNowhere
}
func (nowhere) Lines(context.Context, pins.Question, func(context.Context) ([]string, error)) ([]string, error) {
	return nil, errNowhere
}

type traces struct{}

func (traces) LoadTrace(string) ([]byte, bool) { return nil, false }
func (traces) SaveTrace(string, []byte) error  { return nil }

type locks struct{ mu sync.Mutex }

func (l *locks) Lock(context.Context, string) (func(), error) {
	l.mu.Lock()
	return l.mu.Unlock, nil
}

// recorder is an executor that writes what it was asked to do into every output.
type recorder struct{ store store.Store }

func (x *recorder) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	var b strings.Builder
	base := action.BaseEnv()
	fmt.Fprintf(&b, "label %s\nargs %q\ndir %s\nroot %v\n", r.Label, r.Action.Args, r.Action.Dir, r.Action.AsRoot)
	for _, kv := range r.Action.Env {
		if k, v, _ := strings.Cut(kv, "="); base[k] != v {
			fmt.Fprintf(&b, "env %s\n", kv)
		}
	}
	for _, l := range r.Layers {
		fmt.Fprintf(&b, "layer at %s\n", l.At)
	}
	err := tree.Walk(ctx, x.store, r.Action.Root, func(p string, e tree.Entry) error {
		if e.Kind == tree.KindFile {
			fmt.Fprintf(&b, "sees %s\n", p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, o := range r.Action.Outputs {
		m[o] = b.String()
	}
	out, err := files(ctx, x.store, m)
	if err != nil {
		return nil, err
	}
	log, err := x.store.Put(ctx, nil)
	return &executor.Outcome{Output: out, Log: log}, err
}

func recipeFS(t *testing.T, main string, more map[string]string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{MainFile: {Data: []byte(main)}, SourcesFile: {Data: []byte("[app]\ngit = \"upstream:team/app\"\nrev = \"v1\"\n")}}
	for name, text := range more {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func mustLoad(t *testing.T, main string, more map[string]string) *Recipe {
	t.Helper()
	r, err := Load(recipeFS(t, main, more), Options{Name: "errors"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// build gives the tree of a target.
func (w *world) build(t *testing.T, r *Recipe, target string) (tree.Tree, error) {
	t.Helper()
	return w.engine(t, r).Build(t.Context(), engine.Target(target))
}

// TestErrors evaluates the recipes of testdata/errors.star, each of which has one mistake.
func TestErrors(t *testing.T) {
	text, err := os.ReadFile("testdata/errors.star")
	if err != nil {
		t.Fatal(err)
	}
	for i, chunk := range strings.Split(string(text), "\n---\n") {
		if i > 0 {
			chunk = "\n" + chunk // so that each chunk begins on the line after its dashes
		}
		line, want := 0, ""
		for n, l := range strings.Split(chunk, "\n") {
			if _, w, ok := strings.Cut(l, "# want: "); ok && !strings.HasPrefix(l, "#") {
				line, want = n+1, w
			}
		}
		t.Run(want, func(t *testing.T) {
			if racing && want == "too many steps" {
				t.Skip("takes half a minute with the race detector")
			}
			r, err := Load(recipeFS(t, chunk, nil), Options{Name: "errors"})
			if err == nil {
				_, err = newWorld().build(t, r, "t")
			}
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want a problem", err)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got %q, want %q in it", err, want)
			}
			if p.Kind != diag.BadInput || diag.ExitCode(err) != 2 {
				t.Errorf("the kind is %v", p.Kind)
			}
			if at := fmt.Sprintf("errors/recipe.star:%d:", line); !strings.Contains(err.Error()+"\n"+strings.Join(p.Detail, "\n"), at) {
				t.Errorf("neither %q nor the calls %q name %s", err, p.Detail, at)
			}
		})
	}
}

func TestCallStack(t *testing.T) {
	r := mustLoad(t, `load("other.star", "outer")
target("t", outer)
`, map[string]string{"other.star": `
def inner(t):
    fail("on purpose")

def outer(t):
    inner(t)
`})
	_, err := newWorld().build(t, r, "t")
	var p *diag.Problem
	if !errors.As(err, &p) {
		t.Fatal(err)
	}
	want := []string{"errors/other.star:3:9: in inner", "errors/other.star:6:10: in outer"}
	if d := cmp.Diff(want, p.Detail); d != "" || p.Pos.Line != 3 || p.Pos.File != "errors/other.star" {
		t.Errorf("at %v: %s", p.Pos, d)
	}
}

// TestLoadedFile: a mistake in a file that another one loads is told at its own place.
func TestLoadedFile(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		at    diag.Position
		want  string
		stack []string
	}{
		"fails": {"def f():\n    fail('on purpose')\n\nf()\n", diag.Position{File: "errors/lib/b.star", Line: 2, Col: 9}, "on purpose",
			[]string{"errors/lib/b.star:2:9: in f", "errors/lib/b.star:4:2: in <toplevel>", "errors/a.star:1:1: in <toplevel>", "errors/recipe.star:1:1: in <toplevel>"}},
		"syntax": {"x = (\n", diag.Position{File: "errors/lib/b.star", Line: 2, Col: 1}, "got end of file",
			[]string{"errors/a.star:1:1: in <toplevel>", "errors/recipe.star:1:1: in <toplevel>"}},
		"undefined": {"\nf = nothing\n", diag.Position{File: "errors/lib/b.star", Line: 2, Col: 5}, "undefined: nothing",
			[]string{"errors/a.star:1:1: in <toplevel>", "errors/recipe.star:1:1: in <toplevel>"}},
		"problem": {"app('a', [service('s', ['x'], 't', signal = 'KILL')])\n", diag.Position{File: "errors/lib/b.star", Line: 1, Col: 4, Key: "a.s.signal"},
			"`KILL` is none of TERM, INT, QUIT",
			[]string{"errors/lib/b.star:1:4: in <toplevel>", "errors/a.star:1:1: in <toplevel>", "errors/recipe.star:1:1: in <toplevel>"}},
		"missing": {"load('nowhere.star', 'x')\n", diag.Position{File: "errors/lib/b.star", Line: 1, Col: 1}, "the recipe has no file `nowhere.star`",
			[]string{"errors/lib/b.star:1:1: in <toplevel>", "errors/a.star:1:1: in <toplevel>", "errors/recipe.star:1:1: in <toplevel>"}},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := recipeFS(t, "load('a.star', 'f')\ntarget('t', f)\n",
				map[string]string{"a.star": "load('lib/b.star', 'f')\n", "lib/b.star": c.text})
			_, err := Load(fsys, Options{Name: "errors"})
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want a problem", err)
			}
			if p.Pos != c.at || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v at %v, want %q at %v", err, p.Pos, c.want, c.at)
			}
			if d := cmp.Diff(c.stack, p.Detail); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	main, err := os.ReadFile("testdata/targets.star")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Load(recipeFS(t, string(main), map[string]string{"driver.py": "print()"}), Options{Name: "app", Vars: map[string]string{"edition": "community"}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	var b strings.Builder
	for _, target := range r.Targets() {
		fmt.Fprintf(&b, "== %s\n", target.Name)
		got, err := w.build(t, r, target.Name)
		if err != nil {
			t.Fatal(err)
		}
		err = tree.Walk(t.Context(), w.store, got, func(p string, e tree.Entry) error {
			switch e.Kind {
			case tree.KindFile:
				text, err := store.ReadBlob(t.Context(), w.store, e.Digest, 1<<20)
				if err != nil {
					return err
				}
				fmt.Fprintf(&b, "%s%s: %s\n", p, map[bool]string{true: " (executable)"}[e.Executable],
					strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "\n", "\n    "))
			case tree.KindLink:
				fmt.Fprintf(&b, "%s -> %s\n", p, e.Target)
			case tree.KindDir:
				if e.Tree == tree.Empty {
					fmt.Fprintf(&b, "%s/\n", p)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	golden := filepath.Join("testdata", "targets.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Error(d)
	}
}

func TestDeclarations(t *testing.T) {
	main, err := os.ReadFile("testdata/targets.star")
	if err != nil {
		t.Fatal(err)
	}
	r := mustLoad(t, string(main), map[string]string{"driver.py": ""})
	if r.Default() != "merged" {
		t.Errorf("the default is %s", r.Default())
	}
	if first := r.Targets()[0]; first.Name != "source" || first.Doc != "the source" || first.Check {
		t.Errorf("the first target is %+v", first)
	}
	for of, want := range map[string]int{"": 1, "merged": 1, "looks": 1, "ran": 0} {
		if got := r.Checks(of); len(got) != want {
			t.Errorf("%d checks of %q, want %d", len(got), of, want)
		}
	}
	if got := r.Sources["app"]; got != (pins.SourceDecl{Git: "upstream:team/app", Rev: "v1"}) {
		t.Errorf("the source is %+v", got)
	}
	a, err := r.App("")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.App("app"); err != nil || again != a {
		t.Errorf("by name: %v, %v", again, err)
	}
	want := &spec.App{
		Name: "app", Ports: []spec.Port{{Name: "http", Inside: 9000, Host: 9000}}, URL: "/start/", Welcome: "open {url}", Secrets: []string{"key"},
		Run: spec.Environment{Target: "ran", Env: map[string]string{"X": "y"}, Dir: "/"},
		Services: []spec.Service{
			{Name: "database", Command: []string{"db"}, Environment: spec.Environment{Target: "merged", Dir: "/", State: map[string]string{"/data": "database"}},
				Ready: spec.Ready{Command: []string{"ready"}}, Signal: "INT", Grace: 30 * time.Second},
			{Name: "migrate", Command: []string{"migrate"}, Environment: spec.Environment{Target: "ran", Dir: "/"}, After: []string{"database"}, Once: true},
			{Name: "server", Command: []string{"serve", "--all"}, Environment: spec.Environment{Target: "ran", Dir: "/", Env: map[string]string{"KEY": "{secret:key}"}, Tmpfs: []string{"/dev/shm"}},
				After: []string{"migrate"}, Ready: spec.Ready{HTTP: "http://127.0.0.1:9000/", Timeout: 5 * time.Second}, Restart: true},
		},
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Error(d)
	}
}

func TestUnknownNames(t *testing.T) {
	r := mustLoad(t, `target("webui", lambda t: None)
target("webui-deps", lambda t: None)
target("authentik-server", lambda t: None)
`, nil)
	for name, hint := range map[string]string{
		"webiu":           "did you mean `webui`?",
		"webui-dep":       "did you mean `webui-deps`?",
		"autentik-server": "did you mean `authentik-server`?",
		"postgres":        "the recipe `errors` has: webui, webui-deps, authentik-server",
		"":                "the recipe `errors` has: webui, webui-deps, authentik-server",
		"python":          "the recipe `errors` has: webui, webui-deps, authentik-server",
	} {
		_, err := r.Target(name)
		var p *diag.Problem
		if !errors.As(err, &p) || p.Code != "unknown-target" || !slices.Equal(p.Hints, []string{hint}) {
			t.Errorf("%q: got %v with the hints %q, want %q", name, err, p.Hints, hint)
		}
	}
	if target, err := r.Target("webui"); err != nil || target.Name != "webui" {
		t.Errorf("got %v, %v", target, err)
	}
	if _, err := r.App(""); err == nil {
		t.Error("there is an application")
	}
}

func TestLoadErrors(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		code  string
		want  string
	}{
		"no main file":    {map[string]string{"other.star": ""}, "recipe-missing", "it has no file `recipe.star`"},
		"no target":       {map[string]string{MainFile: "x = 1"}, "recipe-empty", "declares no target"},
		"check of none":   {map[string]string{MainFile: "target('a', len)\ncheck('c', len, of = 'b')"}, "unknown-target", "check `c` is of the target `b`"},
		"unknown key":     {map[string]string{MainFile: "target('a', len)", SourcesFile: "[app]\nbranch = 'x'"}, "unknown-key", "r/sources.toml:2:1: `app.branch`"},
		"malformed table": {map[string]string{MainFile: "target('a', len)", SourcesFile: "[app\n"}, "malformed-toml", "r/sources.toml:1:"},
		"rev alone":       {map[string]string{MainFile: "target('a', len)", SourcesFile: "[b]\npath = '.'\n[app]\npath = '.'\nrev = 'x'"}, "bad-source", "r/sources.toml:5:1: `app.rev`: `rev` goes with `git`"},
		"two places":      {map[string]string{MainFile: "target('a', len)", SourcesFile: "[app]\ngit = 'a:b'\npath = '.'"}, "bad-source", "a source has a `git` or a `path`, not both"},
		"large file":      {map[string]string{MainFile: "target('a', len)", "x.py": strings.Repeat("#", maxFile+1)}, "recipe-missing", "x.py has 4194305 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for n, text := range c.files {
				fsys[n] = &fstest.MapFile{Data: []byte(text)}
			}
			_, err := Load(fsys, Options{Name: "r"})
			var p *diag.Problem
			if !errors.As(err, &p) || p.Code != c.code || !strings.Contains(err.Error(), c.want) || p.Kind != diag.BadInput {
				t.Errorf("got %v, want %s: %q", err, c.code, c.want)
			}
		})
	}
}

// TestDigest says what is part of a recipe's identity.
func TestDigest(t *testing.T) {
	base := map[string]string{"driver.py": "print()", "lib/x.star": "y = 1"}
	main := "target('a', len)\n"
	d := mustLoad(t, main, base).Digest
	for name, c := range map[string]struct {
		main string
		more map[string]string
		same bool
	}{
		"the same":       {main, base, true},
		"other files":    {main, map[string]string{"driver.py": "print()", "lib/x.star": "y = 1", "README.md": "x", ".git/x.star": "z = 1"}, true},
		"another main":   {main + "\n", base, false},
		"another driver": {main, map[string]string{"driver.py": "print(1)", "lib/x.star": "y = 1"}, false},
		"another name":   {main, map[string]string{"driver2.py": "print()", "lib/x.star": "y = 1"}, false},
		"one file less":  {main, map[string]string{"driver.py": "print()"}, false},
	} {
		if got := mustLoad(t, c.main, c.more).Digest == d; got != c.same {
			t.Errorf("%s: the same digest: %v, want %v", name, got, c.same)
		}
	}
}

// TestPlanIdentity says what else a target's plan depends on.
func TestPlanIdentity(t *testing.T) {
	id := func(identity, target, edition string) string {
		r, err := Load(recipeFS(t, "target('a', len)\ntarget('b', len)\n", nil), Options{Name: "r", Vars: map[string]string{"edition": edition, "x": "y"}})
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := r.Plans(identity).Plan(target)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	all := []string{id("1", "a", "e"), id("2", "a", "e"), id("1", "b", "e"), id("1", "a", "f")}
	if all[0] != id("1", "a", "e") {
		t.Error("the identity of a plan is not the same twice")
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 4 {
		t.Errorf("different plans have one identity: %v", all)
	}
}

func TestCancelled(t *testing.T) {
	r := mustLoad(t, "def f(t):\n    for i in range(1 << 30):\n        pass\n\ntarget('t', f)\n", nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	target, err := r.Target("t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.run(ctx, nil, target); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// TestEverythingIsDescribed compares docs/RECIPES.md with what recipes see.
func TestEverythingIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../../docs/RECIPES.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	want := func(call string) {
		if !strings.Contains(doc, "`"+call+"(") {
			t.Errorf("docs/RECIPES.md says nothing of %s(…)", call)
		}
	}
	l := &loader{r: &Recipe{}}
	for name := range l.predeclared() {
		if members, ok := ecosystemModules[name]; ok {
			for m := range members {
				want(name + "." + m)
			}
		} else if name != "json" {
			want(name)
		}
	}
	for name := range treeMethods {
		want("tree." + name)
	}
	for _, name := range (&target{}).AttrNames() {
		if name != "name" {
			want("t." + name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"testdata/errors.star", "testdata/targets.star"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, chunk := range strings.Split(string(text), "\n---\n") {
			if !strings.Contains(chunk, "range(1") { // takes as long as the limit allows
				f.Add(chunk)
			}
		}
	}
	f.Fuzz(func(t *testing.T, main string) {
		if strings.Contains(main, "range") || strings.Contains(main, "*") {
			return
		}
		_, err := Load(fstest.MapFS{MainFile: {Data: []byte(main)}}, Options{Name: "r"})
		var p *diag.Problem
		if err != nil && !errors.As(err, &p) {
			t.Errorf("%v is no problem", err)
		}
	})
}
