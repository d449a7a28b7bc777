package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/engine"
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
//	want                  what is in node_modules; or, on one line, why npm refuses
//	ours                  what is there with us, where that differs for a reason that docs/LOCKS.md gives
//	refuse                why we refuse, where npm does
//
// A name that ends in "*" is executable, in "/" a directory; a content "->x" is a link; <CR> is a carriage return. The
// words {registry}, {scoped} (a registry with a token) and {git} are addresses.
type oracleCase struct {
	name     string
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

func oracleCases(t testing.TB) []*oracleCase {
	t.Helper()
	files, err := filepath.Glob("testdata/oracle/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	var out []*oracleCase
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, newCase(strings.TrimSuffix(filepath.Base(f), ".txtar"), a))
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
func TestAsNPM(t *testing.T) {
	for _, c := range oracleCases(t) {
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
