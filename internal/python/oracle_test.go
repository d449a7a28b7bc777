package python

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/lock/tomldoc"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/pyindex"
	"hewn.example/hewn/internal/tree"
)

// The machine on which the results were recorded.
const (
	oraclePython = "3.11.7"
	oracleLibc   = "2.36"
	oracleVenv   = "/app/.venv"
)

// oracleCase is a project with the packages that it needs, and what uv made of it. Its file is a txtar: the comment's
// first line says what it is about, the further lines `key: value` are options; `app/` is the project, `pkgs/FILE/` the
// content of a package, `git/NAME/` a repository; `uv.lock` and `want` are written by the recording.
type oracleCase struct {
	name    string
	options map[string]string
	files   map[string]string // by path below app/
	repos   map[string]map[string]string
	packed  map[string][]byte
	locks   map[string]string // by file name
	want    map[string]string // by the lock's file name: "" is uv.lock
}

func (c *oracleCase) list(option string) []string { return strings.Fields(c.options[option]) }

func readCases(t *testing.T, dir string) []*oracleCase {
	t.Helper()
	names, err := filepath.Glob("testdata/" + dir + "/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases", err)
	}
	var out []*oracleCase
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, newCase(strings.TrimSuffix(filepath.Base(name), ".txtar"), a))
	}
	return out
}

func newCase(name string, a *txtar.Archive) *oracleCase {
	c := &oracleCase{name: name, options: map[string]string{}, files: map[string]string{}, repos: map[string]map[string]string{}, packed: map[string][]byte{},
		locks: map[string]string{}, want: map[string]string{}}
	_, options, _ := strings.Cut(string(a.Comment), "\n")
	for line := range strings.Lines(options) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			c.options[k] = v
		}
	}
	pkgs := map[string]map[string]string{}
	put := func(m map[string]map[string]string, rest, text string) {
		dir, p, _ := strings.Cut(rest, "/")
		if m[dir] == nil {
			m[dir] = map[string]string{}
		}
		m[dir][p] = text
	}
	for _, f := range a.Files {
		kind, rest, _ := strings.Cut(f.Name, "/")
		switch strings.TrimSpace(string(f.Data)) {
		case "@tiny":
			f.Data = []byte(pyindex.Tiny)
		case "@asking":
			f.Data = []byte(pyindex.Asking)
		}
		switch kind {
		case "app":
			c.files[rest] = string(f.Data)
		case "pkgs":
			put(pkgs, rest, string(f.Data))
		case "git":
			put(c.repos, rest, string(f.Data))
		case uvLock, poetryLock, pyLock, reqsFile:
			c.locks[kind] = string(f.Data)
		case "want":
			c.want[uvLock] = string(f.Data)
		case "want-" + pyLock, "want-" + reqsFile:
			c.want[strings.TrimPrefix(kind, "want-")] = string(f.Data)
		}
	}
	for file, content := range pkgs {
		c.packed[file] = pyindex.Pack(file, content)
	}
	for p, text := range c.files {
		if strings.TrimSpace(text) == "@pkg" {
			c.files[p] = string(c.packed[path.Base(p)])
		}
		for file, b := range c.packed {
			c.files[p] = strings.ReplaceAll(c.files[p], "@sum "+file, fmt.Sprintf("sha256:%x", sha256.Sum256(b)))
		}
	}
	return c
}

// oracleWorld is an engine whose actions are those of the back end `tiny`, written in Go.
type oracleWorld struct {
	*oracleCase
	st   *memory.Store
	lock string    // the file that is installed from
	pins pins.Pins // answers instead of the index; may be nil

	mu    sync.Mutex
	roots map[string]tree.Tree // of actions, by label
}

func (w *oracleWorld) LoadTrace(string) ([]byte, bool)                               { return nil, false }
func (w *oracleWorld) SaveTrace(string, []byte) error                                { return nil }
func (w *oracleWorld) Lock(context.Context, string) (func(), error)                  { return func() {}, nil }
func (w *oracleWorld) Info(context.Context, string) (i engine.SourceInfo, err error) { return i, nil }

func (w *oracleWorld) Fetch(ctx context.Context, a source.Artifact) (digest.Digest, error) {
	b, ok := w.packed[a.File]
	if !ok {
		return digest.Digest{}, errors.New("no artifact " + a.File)
	}
	if h := sha256.Sum256(b); a.Integrity.Hex() != fmt.Sprintf("%x", h) {
		return digest.Digest{}, errors.New("another hash than the lock's: " + a.File)
	}
	return w.st.Put(ctx, b)
}

func (w *oracleWorld) FetchGit(ctx context.Context, ref source.GitRef) (tree.Tree, error) {
	files, ok := w.repos[path.Base(ref.Repo)]
	if !ok || ref.Commit != commitOf(files) {
		return tree.Tree{}, fmt.Errorf("no such commit: %+v", ref)
	}
	return w.tree(ctx, files)
}

func (w *oracleWorld) Tree(ctx context.Context, name string) (tree.Tree, error) {
	if name == "root" {
		return w.tree(ctx, map[string]string{"usr/bin/python3.11": "python"})
	}
	files := maps.Clone(w.files)
	files[w.lock] = w.locks[w.lock]
	return w.tree(ctx, files)
}

func (w *oracleWorld) tree(ctx context.Context, files map[string]string) (tree.Tree, error) {
	b := tree.NewBuilder()
	for p, text := range files {
		d, err := w.st.Put(ctx, []byte(text))
		if err == nil {
			err = b.File(p, d, strings.HasPrefix(text, "#!"))
		}
		if err != nil {
			return tree.Tree{}, err
		}
	}
	return b.Build(ctx, w.st)
}

func (w *oracleWorld) Artifacts(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	if w.pins != nil {
		return w.pins.Artifacts(ctx, q)
	}
	return w.Resolve(ctx, q)
}

// Resolve answers a question as an update does.
func (w *oracleWorld) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	if q.Ecosystem == source.Git {
		repo := strings.TrimPrefix(q.Request[0], "repo ")
		return []source.Artifact{pins.GitAnswer(repo, strings.TrimPrefix(q.Request[1], "rev "), commitOf(w.repos[path.Base(repo)]))}, nil
	}
	s := served{site{endpoints: []string{"https://index.example/simple"}}, pyindex.Handler(w.packed)}
	return Resolver{Getter: s, Endpoints: s}.Resolve(ctx, q)
}

// served is a Getter from a handler.
type served struct {
	site
	h http.Handler
}

func (s served) Get(_ context.Context, _ origin.Endpoint, u, _ string, _ int64) ([]byte, error) {
	r := httptest.NewRecorder()
	u = strings.Replace(u, "https://files.example/", "https://files.example/files/", 1)
	s.h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, u, nil))
	if r.Code != http.StatusOK {
		return nil, fmt.Errorf("%s: %w", u, fetch.ErrGone)
	}
	return r.Body.Bytes(), nil
}

func (w *oracleWorld) Plan(string) (engine.Plan, string, error) {
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		return Venv(ctx, ask, VenvOptions{
			Source: engine.Source("app"), At: oracleVenv, MembersAt: "/app", Python: oraclePython, Libc: oracleLibc,
			Interpreter: engine.Source("root").Step, BuildRoot: engine.Source("root").Step,
			Extras: w.list(w.asked("extras")), Groups: w.list(w.asked("groups")),
			Overlaps: w.list("overlaps"),
		})
	}, "1", nil
}

// Execute packs what lies below `wheel/` of the source, as tiny.py does, or asks for more and packs it, as asking.py does.
func (w *oracleWorld) Execute(ctx context.Context, r executor.Request) (*executor.Outcome, error) {
	w.mu.Lock()
	if w.roots == nil {
		w.roots = map[string]tree.Tree{}
	}
	w.roots[r.Label] = r.Action.Root
	w.mu.Unlock()
	files := map[string]string{}
	err := tree.Walk(ctx, w.st, r.Action.Root, func(p string, e tree.Entry) error {
		rest, ok := strings.CutPrefix("/"+strings.TrimPrefix(p, "/"), r.Action.Dir+"/")
		if e.Kind != tree.KindFile || !ok {
			return nil
		}
		files[rest] = w.text(ctx, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	doc, err := tomldoc.Parse("pyproject.toml", []byte(files["pyproject.toml"]))
	if err != nil {
		return nil, err
	}
	asks, copies := asking(doc.Cursor(&err))
	if strings.HasPrefix(r.Action.Args[3], "requires-") {
		t, err := w.tree(ctx, map[string]string{r.Action.Outputs[0]: strings.Join(asks, "\n")})
		return &executor.Outcome{Output: t}, err
	}
	c, _ := doc.Cursor(&err).Sub("project")
	stem := strings.ReplaceAll(c.Text("name"), "-", "_") + "-" + c.Text("version")
	info := stem + ".dist-info/"
	content := map[string]string{
		info + "METADATA": "Metadata-Version: 2.1\nName: " + c.Text("name") + "\nVersion: " + c.Text("version") + "\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	for _, d := range c.Texts("dependencies") {
		content[info+"METADATA"] += "Requires-Dist: " + d + "\n"
	}
	if s, ok := c.Sub("scripts"); ok {
		content[info+"entry_points.txt"] = "[console_scripts]\n"
		for _, k := range s.Table().Keys() {
			content[info+"entry_points.txt"] += k + " = " + s.Text(k) + "\n"
		}
	}
	if r.Action.Args[3] == "editable" {
		content["_"+strings.ReplaceAll(c.Text("name"), "-", "_")+".pth"] = r.Action.Dir + "/wheel\n"
	} else {
		for p, text := range files {
			if rest, ok := strings.CutPrefix(p, "wheel/"); ok {
				content[rest] = text
			}
		}
	}
	for _, name := range copies {
		_, e, err := tree.Resolve(ctx, w.st, r.Action.Root, path.Join(buildEnv, "lib/python3.11/site-packages", name+".py"))
		if err != nil {
			return nil, err
		}
		content[c.Text("name")+"_has_"+name+".py"] = w.text(ctx, e)
	}
	file := stem + "-py3-none-any.whl"
	t, err := w.tree(ctx, map[string]string{"build/dist/" + file: string(pyindex.Pack(file, content))})
	return &executor.Outcome{Output: t}, err
}

func (w *oracleWorld) text(ctx context.Context, e tree.Entry) string {
	r, err := w.st.Open(ctx, e.Digest)
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (w *oracleWorld) install() (*listing, error) {
	ctx := context.Background()
	e, err := engine.New(engine.Config{Store: w.st, Executor: w, Fetcher: w, Sources: w, Pins: w, Targets: w, Natives: Natives(), Traces: w, Locks: w,
		Platform: platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}})
	if err != nil {
		return nil, err
	}
	t, err := e.Build(ctx, engine.Target("venv"))
	if err != nil {
		return nil, err
	}
	l := &listing{}
	err = tree.Walk(ctx, w.st, t, func(p string, e tree.Entry) error {
		switch rest := strings.TrimPrefix("/"+strings.TrimPrefix(p, "/"), oracleVenv+"/"); e.Kind {
		case tree.KindLink:
			l.link(rest, e.Target)
		case tree.KindFile:
			l.file(rest, w.text(ctx, e), e.Executable)
		}
		return nil
	})
	return l, err
}

// listing is the content of an environment as text, one line a file.
type listing struct{ lines []string }

func (l *listing) link(p, target string) { l.lines = append(l.lines, p+" -> "+target) }

// file adds a line, unless the file is one of those that are different on purpose. This is the whole list:
//
//   - what makes the environment: pyvenv.cfg, activation scripts, uv's own `_virtualenv` module, lock and cache marks;
//   - INSTALLER, REQUESTED and uv_cache.json, uv_build.json: they tell of the installer, not of the package;
//   - scripts that an installer writes itself: name, mode and the interpreter of their first line are compared, not the text;
//   - RECORD: the lines of the above, and of direct_url.json and .pth files, whose text has another path when recorded.
func (l *listing) file(p, text string, executable bool) {
	base := path.Base(p)
	info := strings.HasSuffix(path.Dir(p), ".dist-info")
	mark := ""
	if executable {
		mark = " x"
	}
	switch {
	case !strings.Contains(p, "/"), strings.HasPrefix(p, "bin/activate"), base == "deactivate.bat", base == "pydoc.bat",
		strings.HasPrefix(base, "_virtualenv."), info && (base == "INSTALLER" || base == "REQUESTED" || strings.HasPrefix(base, "uv_")):
		return
	case strings.HasPrefix(p, "bin/") && strings.Contains(text, "sys.exit("):
		first, _, _ := strings.Cut(text, "\n")
		l.lines = append(l.lines, p+mark+" "+first)
		return
	case info && base == "direct_url.json":
		l.lines = append(l.lines, p+mark+" "+text)
		return
	case info && base == "RECORD":
		text = comparableRecord(text)
	}
	l.lines = append(l.lines, fmt.Sprintf("%s%s %x", p, mark, sha256.Sum256([]byte(text))))
}

func comparableRecord(text string) string {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, r := range rows {
		base := path.Base(r[0])
		if strings.HasPrefix(r[0], "../../../bin/") || base == "INSTALLER" || base == "REQUESTED" || strings.HasPrefix(base, "uv_") ||
			base == "direct_url.json" || strings.HasSuffix(base, ".pth") {
			continue
		}
		out = append(out, strings.Join(r, ","))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func (l *listing) String() string {
	slices.Sort(l.lines)
	return strings.Join(l.lines, "\n") + "\n"
}

// commitOf is the commit that git makes of files at a fixed time, so that the recording and the tests agree on it.
func commitOf(files map[string]string) string {
	return object("commit", "tree "+gitTree(files)+"\nauthor t <t@t.example> 1767323045 +0000\ncommitter t <t@t.example> 1767323045 +0000\n\nall\n")
}

func object(kind, body string) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", kind, len(body), body)))
}

func gitTree(files map[string]string) string {
	dirs := map[string]map[string]string{}
	type entry struct{ sort, mode, name, sum string }
	var list []entry
	for p, text := range files {
		dir, rest, ok := strings.Cut(p, "/")
		if !ok {
			list = append(list, entry{p, "100644", p, object("blob", text)})
			continue
		}
		if dirs[dir] == nil {
			dirs[dir] = map[string]string{}
		}
		dirs[dir][rest] = text
	}
	for d, inner := range dirs {
		list = append(list, entry{d + "/", "40000", d, gitTree(inner)})
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.sort, b.sort) })
	var body []byte
	for _, e := range list {
		body = append(fmt.Appendf(body, "%s %s\x00", e.mode, e.name), unhex(e.sum)...)
	}
	return object("tree", string(body))
}

func unhex(s string) []byte {
	var b []byte
	_, _ = fmt.Sscanf(s, "%x", &b) // of a sum
	return b
}

// TestOracle compares environments with those that `uv sync --frozen` made of the same locks.
func TestOracle(t *testing.T) {
	for _, c := range readCases(t, "oracle") {
		t.Run(c.name, func(t *testing.T) {
			for _, lock := range []string{uvLock, pyLock, reqsFile} {
				if want := cmp.Or(c.want[lock], c.want[uvLock]); c.locks[lock] != "" && want != "" {
					t.Run(lock, func(t *testing.T) { c.compare(t, lock, want) })
				} else if lock == uvLock {
					t.Error("not recorded: see oracle_record_test.go")
				}
			}
		})
	}
}

func (c *oracleCase) compare(t *testing.T, lock, want string) {
	got, err := (&oracleWorld{oracleCase: c, st: memory.New(), lock: lock}).install()
	if refused := c.options["refused"]; refused != "" {
		if err == nil || !strings.Contains(problemText(err), refused) {
			t.Fatalf("got  %v\nwant a refusal with %q", problemText(err), refused)
		}
		return
	}
	if err != nil {
		t.Fatal(problemText(err))
	}
	if d := difference(want, got.String()); d != "" {
		t.Errorf("- as uv, + as hewn\n%s", d)
	}
}

// asked is the option, or none where a lock was written for what is asked.
func (w *oracleWorld) asked(option string) string {
	if w.lock == uvLock || w.lock == poetryLock {
		return option
	}
	return "none"
}

func problemText(err error) string {
	var p *diag.Problem
	if errors.As(err, &p) {
		return err.Error() + "\n" + strings.Join(p.Detail, "\n")
	}
	return fmt.Sprint(err)
}

func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for _, l := range a {
		if !slices.Contains(b, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}
