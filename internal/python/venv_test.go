package python

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/python/wheel"
	"hewn.example/hewn/internal/python/wheeltest"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

var update = flag.Bool("update", false, "write goldens")

// world is a real engine with everything around it in memory. Actions are not run: an executor writes down what they
// are and makes what they would have made.
type world struct {
	t       *testing.T
	st      *memory.Store
	files   map[string]string // of the source
	packed  map[string][]byte // artifacts by file name
	options VenvOptions
	asks    map[string]string // what a back end's hook says, by label of the package

	mu        sync.Mutex
	traces    map[string][]byte
	questions []string
	ran       []executor.Request
}

func (w *world) LoadTrace(k string) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.traces[k]
	return b, ok
}

func (w *world) SaveTrace(k string, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traces[k] = b
	return nil
}

func (w *world) Lock(context.Context, string) (func(), error) { return func() {}, nil }

func (w *world) Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error) {
	b, ok := w.packed[a.File]
	if !ok {
		return digest.Digest{}, errors.New("no artifact " + a.File)
	}
	return w.st.Put(ctx, b)
}

func (w *world) FetchGit(ctx context.Context, ref source.GitRef) (tree.Tree, error) {
	if ref.Repo != "mirror:repo" {
		return tree.Tree{}, fmt.Errorf("asked for %+v", ref)
	}
	return w.tree(ctx, map[string]string{"sub/pyproject.toml": "[build-system]\nrequires = [\"setuptools>=77\", \"tomli; python_version < '3.11'\"]\nbuild-backend = \"setuptools.build_meta\"\n"})
}

func (w *world) Tree(ctx context.Context, name string) (tree.Tree, error) {
	if name == "root" {
		return w.tree(ctx, map[string]string{"usr/bin/python3.14": "python"})
	}
	return w.tree(ctx, w.files)
}

func (w *world) Info(context.Context, string) (engine.SourceInfo, error) {
	return engine.SourceInfo{}, nil
}

func (w *world) tree(ctx context.Context, files map[string]string) (tree.Tree, error) {
	b := tree.NewBuilder()
	for p, text := range files {
		d, err := w.st.Put(ctx, []byte(text))
		if err == nil {
			err = b.File(p, d, false)
		}
		if err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, w.st)
}

func (w *world) Artifacts(_ context.Context, q pins.Question) ([]source.Artifact, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.questions = append(w.questions, fmt.Sprintf("%s %s %q", q.Set, q.Platform, q.Request))
	return []source.Artifact{{Ecosystem: source.PyPI, Name: "backend", Version: "1", File: "backend-1-py3-none-any.whl", Integrity: w.sum("backend-1-py3-none-any.whl")}}, nil
}

func (w *world) sum(file string) source.Integrity {
	h := sha256.Sum256(w.packed[file])
	i, err := source.NewIntegrity(source.SHA256, h[:])
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

func (w *world) Plan(string) (engine.Plan, string, error) {
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		o := w.options
		o.Source, o.Interpreter = engine.Source("app"), engine.Source("root").Step
		return Venv(ctx, ask, o)
	}, "1", nil
}

// Execute does what the three scripts would do.
func (w *world) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	w.mu.Lock()
	w.ran = append(w.ran, r)
	w.mu.Unlock()
	label := r.Label[strings.Index(r.Label, ": ")+2:]
	files := map[string]string{}
	if of, ok := strings.CutPrefix(label, "build requirements of "); ok {
		files["build/requires.txt"] = w.asks[of]
	} else if built, ok := strings.CutPrefix(label, "build "); ok {
		name, version, _ := strings.Cut(built, " ")
		content := map[string]string{name + "/__init__.py": "built"}
		if r.Action.Args[3] == "editable" {
			content = map[string]string{"_" + name + ".pth": r.Action.Dir}
		}
		files["build/dist/"+name+"-"+version+"-py3-none-any.whl"] = string(wheeltest.Pure(name, version, content))
	} else {
		files["build/bytecode/"+wheel.Site("3.14")+"/__pycache__/"+strings.Fields(label)[2]+".pyc"] = "bytecode"
	}
	t, err := w.tree(ctx, files)
	return &executor.Outcome{Output: t}, err
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, st: memory.New(), traces: map[string][]byte{}, packed: map[string][]byte{
		"backend-1-py3-none-any.whl": wheeltest.Pure("backend", "1", map[string]string{"backend.py": ""}),
		"plain-1-py3-none-any.whl":   wheeltest.Pure("plain", "1", map[string]string{"plain/__init__.py": "x", "LICENSE": "same"}),
		"other-1-py3-none-any.whl":   wheeltest.Pure("other", "1", map[string]string{"other.py": "x", "LICENSE": "same"}),
		"local-1-py3-none-any.whl":   wheeltest.Pure("local", "1", map[string]string{"local.py": ""}),
	}}
	w.asks = map[string]string{"member 0.1": "editables~=0.3\n"}
	w.packed["old-1.zip"] = wheeltest.Pack("old-1", map[string]wheeltest.Entry{"old-1/setup.py": {Text: "setup()"}})
	w.options = VenvOptions{At: "/ak-root/.venv", MembersAt: "/ak-root", Python: "3.14.8", BuildRoot: engine.Source("root").Step, Bytecode: true,
		BuildRequires: map[string][]string{"Old": {"cython>=3"}}, Env: map[string]map[string]string{"OLD": {"CFLAGS": "-O1"}},
		Origin: func(u string) string { return "mirror:" + path.Base(u) }}
	w.files = map[string]string{
		"pyproject.toml":                     "[project]\nname = \"Root\"\nrequires-python = \"==3.14.*\"\n[tool.uv]\nno-binary-package = [\"old\"]\nbuild-constraint-dependencies = [\"setuptools<90\"]\n",
		"packages/member/pyproject.toml":     "[project]\nname = \"member\"\n[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n",
		"packages/member/member/__init__.py": "original",
		"vendor/local-1-py3-none-any.whl":    string(w.packed["local-1-py3-none-any.whl"]),
		"uv.lock":                            "",
	}
	w.lock()
	return w
}

// lock writes uv.lock for what there is.
func (w *world) lock() {
	file := func(name string) string {
		return "{ url = \"https://files.pypi.example/" + name + "\", hash = \"" + w.sum(name).String() + "\" }"
	}
	index := func(name, rest string) string {
		return "[[package]]\nname = \"" + name + "\"\nversion = \"1\"\nsource = { registry = \"https://pypi.example/simple\" }\n" + rest + "\n"
	}
	names := []string{"local", "member", "old", "other", "plain", "repo"}
	w.files["uv.lock"] = lockHead + strings.Join([]string{
		"[[package]]\nname = \"local\"\nversion = \"1\"\nsource = { path = \"vendor/local-1-py3-none-any.whl\" }\nwheels = [{ filename = \"local-1-py3-none-any.whl\", hash = \"" + w.sum("local-1-py3-none-any.whl").String() + "\" }]\n",
		"[[package]]\nname = \"member\"\nversion = \"0.1\"\nsource = { editable = \"packages/member\" }\n",
		index("old", "sdist = "+file("old-1.zip")+"\nwheels = ["+file("plain-1-py3-none-any.whl")+"]"),
		index("other", "wheels = ["+file("other-1-py3-none-any.whl")+"]"),
		index("plain", "wheels = ["+file("plain-1-py3-none-any.whl")+"]"),
		"[[package]]\nname = \"repo\"\nversion = \"3\"\nsource = { git = \"https://git.example/repo?rev=v3&subdirectory=sub#0123456789abcdef0123456789abcdef01234567\" }\n",
		"[[package]]\nname = \"root\"\nversion = \"0\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"" + strings.Join(names, "\" }, { name = \"") + "\" }]\n",
	}, "")
}

func (w *world) build() (tree.Tree, error) {
	e, err := engine.New(engine.Config{Store: w.st, Executor: w, Fetcher: w, Sources: w, Pins: w, Targets: w, Natives: Natives(), Traces: w, Locks: w,
		Platform: platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return e.Build(w.t.Context(), engine.Target("venv"))
}

// story is what was asked and run, and what came of it.
func (w *world) story(t tree.Tree) string {
	var b strings.Builder
	for _, q := range w.questions {
		fmt.Fprintf(&b, "asked %s\n", q)
	}
	slices.SortFunc(w.ran, func(a, b executor.Request) int { return strings.Compare(a.Label, b.Label) })
	for _, r := range w.ran {
		fmt.Fprintf(&b, "\n%s\n  in %s: %s\n  outputs %s\n", r.Label, r.Action.Dir, engine.CommandLine("", r.Action.Args), strings.Join(r.Action.Outputs, " "))
		for _, kv := range r.Action.Env {
			if k, _, _ := strings.Cut(kv, "="); !slices.Contains([]string{"HOME", "LC_ALL", "TMPDIR", "TZ", "SOURCE_DATE_EPOCH"}, k) {
				fmt.Fprintf(&b, "  %s\n", kv)
			}
		}
		_ = tree.Walk(w.t.Context(), w.st, r.Action.Root, func(p string, e tree.Entry) error {
			if e.Kind != tree.KindDir && !strings.Contains(p, ".dist-info/") {
				fmt.Fprintf(&b, "    %s %s\n", p, w.about(e))
			}
			return nil
		})
	}
	b.WriteString("\nresult\n")
	_ = tree.Walk(w.t.Context(), w.st, t, func(p string, e tree.Entry) error {
		if e.Kind != tree.KindDir {
			fmt.Fprintf(&b, "  %s %s\n", p, w.about(e))
		}
		return nil
	})
	return b.String()
}

func (w *world) about(e tree.Entry) string {
	if e.Kind == tree.KindLink {
		return "-> " + e.Target
	}
	r, err := w.st.Open(w.t.Context(), e.Digest)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	text := make([]byte, 400)
	n, _ := r.Read(text)
	if n > 300 || strings.HasPrefix(string(text), "PK") {
		return "…"
	}
	return fmt.Sprintf("%q", text[:n])
}

func TestVenv(t *testing.T) {
	w := newWorld(t)
	tr, err := w.build()
	if err != nil {
		t.Fatal(err)
	}
	got := w.story(tr)
	const file = "testdata/venv.golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, _ := os.ReadFile(file); got != string(want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}

	// An edit of a member's module builds nothing, one of its pyproject.toml builds the member.
	ran := func() string {
		w.ran, w.questions = nil, nil
		if _, err := w.build(); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range w.ran {
			out = append(out, r.Label)
		}
		return strings.Join(out, ", ")
	}
	w.files["packages/member/member/__init__.py"] = "edited"
	if got := ran(); got != "" {
		t.Errorf("after an edit: %s", got)
	}
	w.files["packages/member/pyproject.toml"] += "# edited\n"
	if got := ran(); got != "venv: build requirements of member 0.1, venv: build member 0.1" {
		t.Errorf("after an edit of pyproject.toml: %s", got)
	}
	// A backend that may look into modules must see them.
	w.files["packages/member/pyproject.toml"] += "[tool.hatch.build.hooks.custom]\n"
	ran()
	w.files["packages/member/member/__init__.py"] = "edited again"
	if got := ran(); got != "venv: build requirements of member 0.1, venv: build member 0.1" {
		t.Errorf("after an edit, with a build hook: %s", got)
	}
}

func TestVenvRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(w *world)
		want   string
		code   int
	}{
		{"no lock", func(w *world) { delete(w.files, "uv.lock") }, "the source has no uv.lock, poetry.lock, pylock.toml or requirements.txt to install from", 2},
		{"broken lock", func(w *world) { w.files["uv.lock"] = "version = 1\n[[package]]\n" }, "uv.lock:2:3: `package.name`: target venv: `name` is missing", 2},
		{"two packages write one file", func(w *world) {
			w.packed["other-1-py3-none-any.whl"] = wheeltest.Pure("other", "1", map[string]string{"LICENSE": "mine"})
			w.lock()
		}, "/LICENSE", 1},
		{"a package writes the interpreter", func(w *world) {
			w.packed["other-1-py3-none-any.whl"] = wheeltest.Pure("other", "1", map[string]string{"other-1.data/scripts/python": "mine"})
			w.lock()
		}, "/bin/python", 1},
		{"no root to build in", func(w *world) { w.options.BuildRoot = engine.Step{} }, "`old 1` must be built from source, but the recipe gives no root with compilers", 2},
		{"a path outside", func(w *world) {
			w.files["uv.lock"] = strings.Replace(w.files["uv.lock"], "packages/member", "../member", 1)
		}, "`member` comes from `../member`, which lies outside the source", 2},
		{"changed file in the source", func(w *world) {
			w.files["vendor/local-1-py3-none-any.whl"] = string(w.packed["plain-1-py3-none-any.whl"])
		}, "it does not have the hash that the lock gives", 1},
		{"malformed build requirement", func(w *world) { w.options.BuildRequires = map[string][]string{"repo": {"a b"}} }, "build requirements of `repo 3`: requirement \"a b\": version specifier \"b\" has no operator", 2},
		{"short version", func(w *world) { w.options.Python = "3.14" }, "\"3.14\" is not a full version such as 3.14.8", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.change(w)
			_, err := w.build()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				var p *diag.Problem
				if !errors.As(err, &p) || !strings.Contains(strings.Join(p.Detail, "\n"), tc.want) {
					t.Fatalf("got  %v\nwant %s", err, tc.want)
				}
			}
			if diag.ExitCode(err) != tc.code {
				t.Errorf("exit code %d, want %d: %v", diag.ExitCode(err), tc.code, err)
			}
			var p *diag.Problem
			if text := ""; tc.name == "two packages write one file" && errors.As(err, &p) {
				if text = strings.Join(p.Detail, "\n"); !strings.Contains(text, "plain 1") || !strings.Contains(text, "other 1") {
					t.Errorf("does not name both packages: %v\n%s", err, text)
				}
			}
		})
	}
}
