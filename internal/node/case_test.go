package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/testkit/plantest"
	"hewn.example/hewn/internal/tree"
)

// oracleCase is a project in testdata/oracle with the packages that it needs, and what npm itself made of it. Its files are
//
//	project/PATH          the project; package-lock.json is what npm wrote, unless the case needs one that it would not
//	registry/NAME@V/PATH  a package of the registry
//	tgz/FILE/PATH         a tarball in the project
//	git/NAME/PATH         a repository with one commit
//	flags                 for npm: --omit=dev
//	scripts               packages whose install scripts are run, after all else is installed
//	want                  what is in node_modules; or, on one line, why npm refuses
//	ours                  what is there with us, where that differs for a reason that docs/LOCKS.md gives
//	refuse                why we refuse, where npm does
//
// A name that ends in "*" is executable, in "/" a directory; a content "->x" is a link; <CR> is a carriage return. The
// words {registry}, {scoped} (a registry with a token) and {git} are addresses.
type oracleCase struct {
	name     string
	dir      string // below testdata
	archive  *txtar.Archive
	project  map[string]string
	packages map[string][]entry // by name@version
	tarballs map[string][]entry // by path in the project
	repos    map[string]map[string]string
	text     map[string]string // all other files
}

const (
	caseRegistry = "https://npm.example"
	caseScoped   = "https://private.example/npm"
	caseGit      = "https://forge.example"
)

func oracleCases(t testing.TB) []*oracleCase { return casesIn(t, "oracle") }

// casesIn reads the cases below testdata/DIR.
func casesIn(t testing.TB, dir string) []*oracleCase {
	t.Helper()
	files, err := filepath.Glob("testdata/" + dir + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	var out []*oracleCase
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c := newCase(strings.TrimSuffix(filepath.Base(f), ".txtar"), a)
		c.dir = dir
		out = append(out, c)
	}
	return out
}

func newCase(name string, a *txtar.Archive) *oracleCase {
	c := &oracleCase{name: name, archive: a, project: map[string]string{}, packages: map[string][]entry{},
		tarballs: map[string][]entry{}, repos: map[string]map[string]string{}, text: map[string]string{}}
	for _, f := range a.Files {
		content := strings.ReplaceAll(strings.TrimSuffix(string(f.Data), "\n"), "<CR>", "\r")
		kind, rest, _ := strings.Cut(f.Name, "/")
		e := entry{name: strings.TrimSuffix(rest, "*"), content: content}
		if e.name != rest {
			e.mode = 0o755
		}
		switch kind {
		case "project":
			c.project[e.name] = content
		case "registry":
			at := strings.Index(rest[1:], "@") + 1
			slash := at + strings.Index(rest[at:], "/")
			e.name = "package/" + e.name[slash+1:]
			c.packages[rest[:slash]] = append(c.packages[rest[:slash]], e)
		case "tgz":
			file, in, _ := strings.Cut(e.name, ".tgz/")
			e.name = "package/" + in
			c.tarballs[file+".tgz"] = append(c.tarballs[file+".tgz"], e)
		case "git":
			repo, in, _ := strings.Cut(e.name, "/")
			if c.repos[repo] == nil {
				c.repos[repo] = map[string]string{}
			}
			c.repos[repo][in] = content
		case "--install-links": // is in the lock
		default:
			c.text[f.Name] = string(f.Data)
		}
	}
	return c
}

func (c *oracleCase) options(t testing.TB) ModulesOptions {
	o := ModulesOptions{Dir: engine.Source("web")}
	if allow := strings.Fields(c.text["scripts"]); len(allow) > 0 {
		o.Scripts = Scripts{Allow: allow, At: "/web", Layers: []engine.Layer{{Step: engine.Source("root").Step, At: "/"}}}
	}
	for _, f := range strings.Fields(c.text["flags"]) {
		switch f {
		case "--omit=dev":
			o.OmitDev = true
		case "--install-links": // is in the lock
		default:
			t.Fatalf("flag %s is not known here", f)
		}
	}
	return o
}

// world has everything that the case needs, and no npm.
func (c *oracleCase) world(t testing.TB) *plantest.World {
	w := plantest.New(t, Natives())
	addresses := strings.NewReplacer("{registry}", caseRegistry, "{scoped}", caseScoped, "{git}", caseGit)
	web := map[string]string{}
	for p, text := range c.project {
		web[p] = addresses.Replace(text)
	}
	for p, entries := range c.tarballs {
		web[p] = string(tgz(t, entries...))
	}
	w.Sources["web"] = web
	w.Sources["root"] = map[string]string{"etc/root": ""}
	w.Act = func(r executor.Request) map[string]string { return runOnHost(t, w, r) }
	for id, entries := range c.packages {
		at := strings.LastIndex(id, "@")
		b := tgz(t, entries...)
		file := path.Base(id[:at]) + "-" + id[at+1:] + ".tgz"
		w.Files[file] = b
		w.Pins["npm/"+id] = []source.Artifact{{Ecosystem: source.NPM, Name: id[:at], Version: id[at+1:], File: file, Integrity: plantest.Integrity(b)}}
	}
	for name, files := range c.repos {
		commit, _, _ := strings.Cut(c.text["commit-"+name], "\n")
		w.Git[commit] = files
	}
	return w
}

// runOnHost runs an action with the shell of this machine, in a directory that stands for the root: the project's place,
// /web, is written anew wherever it appears. It gives what the action leaves.
func runOnHost(t testing.TB, w *plantest.World, r executor.Request) map[string]string {
	dir := t.TempDir()
	err := tree.Walk(t.Context(), w.Store, r.Action.Root, func(p string, e tree.Entry) error {
		file := filepath.Join(dir, p)
		switch e.Kind {
		case tree.KindDir:
			return os.MkdirAll(file, 0o755)
		case tree.KindLink:
			return os.Symlink(e.Target, file)
		}
		f, err := w.Store.Open(t.Context(), e.Digest)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if e.Executable {
			mode = 0o755
		}
		return os.WriteFile(file, b, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
	here := func(s string) string { return strings.ReplaceAll(s, "/web", dir+"/web") }
	cmd := exec.CommandContext(t.Context(), r.Action.Args[0], r.Action.Args[1:]...)
	for i, a := range cmd.Args {
		cmd.Args[i] = here(a)
	}
	cmd.Dir = filepath.Join(dir, r.Action.Dir)
	for _, kv := range r.Action.Env {
		cmd.Env = append(cmd.Env, here(kv))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", r.Action.Args, err, out)
	}
	files := map[string]string{}
	for _, o := range r.Action.Outputs {
		err := filepath.WalkDir(filepath.Join(dir, o), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			p, _ := filepath.Rel(dir, file)
			if d.Type()&fs.ModeSymlink != 0 {
				target, err := os.Readlink(file)
				files[p] = "->" + target
				return err
			}
			b, err := os.ReadFile(file)
			files[p] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// listNPM is a tree as `want` has it: only what lies in some node_modules.
func listNPM(t testing.TB, w *plantest.World, tr tree.Tree) string {
	var b strings.Builder
	err := tree.Walk(t.Context(), w.Store, tr, func(p string, e tree.Entry) error {
		if e.Kind == tree.KindDir && e.Tree != tree.Empty {
			return nil
		}
		var sum string
		if e.Kind == tree.KindFile {
			r, err := w.Store.Open(t.Context(), e.Digest)
			if err != nil {
				return err
			}
			defer r.Close()
			h := sha256.New()
			if _, err := io.Copy(h, r); err != nil {
				return err
			}
			sum = fmt.Sprintf("%x", h.Sum(nil))
		}
		writeListed(&b, p, e.Kind == tree.KindDir, e.Executable, e.Target, sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sortLines(b.String())
}

func writeListed(b *strings.Builder, p string, dir, exec bool, target, sum string) {
	switch {
	case !strings.Contains("/"+p+"/", "/node_modules/"):
	case dir:
		fmt.Fprintf(b, "%s/\n", p)
	case target != "":
		fmt.Fprintf(b, "%s -> %s\n", p, target)
	case exec:
		fmt.Fprintf(b, "%s* %s\n", p, sum[:16])
	default:
		fmt.Fprintf(b, "%s %s\n", p, sum[:16])
	}
}

func sortLines(s string) string {
	lines := slices.Collect(strings.Lines(s))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestAsNPM compares with what npm left, as oracle_test.go recorded it.
func TestAsNPM(t *testing.T) { compareCases(t, oracleCases(t)) }

// TestAsYarn compares with what yarn 1 left.
func TestAsYarn(t *testing.T) { compareCases(t, casesIn(t, "yarn")) }

func compareCases(t *testing.T, cases []*oracleCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := c.world(t)
			tr, err := w.Build(func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
				return Modules(ctx, ask, c.options(t))
			})
			if want := strings.TrimSpace(c.text["refuse"]); want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s; npm says\n%s", err, want, c.text["want"])
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := c.text["want"]
			if ours, ok := c.text["ours"]; ok {
				want = ours
			}
			if got := listNPM(t, w, tr); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
