//go:build oracle

package rust

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hewn.example/hewn/internal/executor"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/testkit/plantest"
	"hewn.example/hewn/internal/tree"
)

// TestCompiles has the machine's cargo carry out the steps, in roots whose files are all of one time, and looks at what it
// compiles in each, empty programs included. Run it with
//
//	go test -tags oracle -run TestCompiles ./internal/rust
func TestCompiles(t *testing.T) {
	c := newCarried(t)
	src := c.w.Sources["app"]
	for _, e := range []struct{ name, file, from, to, compiles, says string }{
		{"first", "low/src/lib.rs", "low", "low", "app inner leaf low other; app inner low other; app inner other; app", "app1 inner1 low1 other1"},
		{"program", "cmd/app.rs", "app1", "app2", "app", "app2 inner1 low1 other1"},
		{"module of the program", "cmd/more.rs", "", "// more", "app", "app2 inner1 low1 other1"},
		{"package", "inner/src/lib.rs", "inner1", "inner2", "app inner other; app", "app2 inner2 low1 other1"},
		{"lowest package", "low/src/lib.rs", "low1", "low2", "app inner low other; app inner other; app", "app2 inner2 low2 other1"},
	} {
		src[e.file] = strings.Replace(src[e.file], e.from, e.to, 1)
		compiles, says := c.build()
		if compiles != e.compiles || says != e.says {
			t.Errorf("%s: cargo compiles %q, want %q; the program says %q, want %q", e.name, compiles, e.compiles, says, e.says)
		}
	}
}

// TestCompilesWatched shows that a package sees files of packages that are compiled later than it.
func TestCompilesWatched(t *testing.T) {
	const lib = "pub fn low() -> String { env!(\"LIST\").into() }\n"
	for name, c := range map[string]struct{ build, lib string }{
		"missing file":                  {"println!(\"cargo:rerun-if-changed=../cmd/list.rs\"); println!(\"cargo:rustc-env=LIST={}\", std::fs::read_to_string(\"../cmd/list.rs\").unwrap_or(\"none\".into()));", lib},
		"stub":                          {"println!(\"cargo:rerun-if-changed=../cmd/app.rs\"); println!(\"cargo:rustc-env=LIST={}\", std::fs::read_to_string(\"../cmd/app.rs\").unwrap().contains(\"inner\"));", lib},
		"directory":                     {"println!(\"cargo:rerun-if-changed=../inner\"); println!(\"cargo:rustc-env=LIST={}\", std::fs::read_dir(\"../inner/src\").unwrap().count());", lib},
		"included":                      {"", "pub fn low() -> String { include_str!(\"../../cmd/list.rs\").into() }\n"},
		"included from another package": {"", "pub fn low() -> String { include_str!(\"../../inner/list.rs\").into() }\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCarried(t)
			src := r.w.Sources["app"]
			src["low/build.rs"], src["low/src/lib.rs"] = "fn main() { "+c.build+" }\n", c.lib
			src["cmd/list.rs"], src["inner/list.rs"], src["inner/src/second.rs"] = "list", "list", "// second"
			want := map[string]string{"stub": "true", "directory": "2"}[name]
			if want == "" {
				want = "list"
			}
			if _, says := r.build(); says != "app1 inner1 "+want+" other1" {
				t.Errorf("the program says %q", says)
			}
			src["cmd/app.rs"] = strings.Replace(src["cmd/app.rs"], "app1", "app2", 1)
			if _, says := r.build(); says != "app2 inner1 "+want+" other1" {
				t.Errorf("after an edit the program says %q", says)
			}
		})
	}
}

// carried carries out actions in a directory of the machine.
type carried struct {
	t     *testing.T
	w     *plantest.World
	dir   string
	steps []string // what cargo compiled in each
}

// newCarried has a program that needs two packages, which need a third, and a crate.
func newCarried(t *testing.T) *carried {
	c := &carried{t: t, w: builtWorld(t), dir: t.TempDir()}
	c.w.Act = c.act
	src := c.w.Sources["app"]
	src["Cargo.lock"] = strings.NewReplacer(" \"inner\",\n]", " \"inner\",\n \"other\",\n]", " \"leaf\",\n]", " \"leaf\",\n \"low\",\n]").Replace(src["Cargo.lock"]) +
		"\n[[package]]\nname = \"low\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"other\"\nversion = \"0.1.0\"\ndependencies = [\n \"low\",\n]\n"
	src["Cargo.toml"] = member("app", "[[bin]]\nname = \"app\"\npath = \"cmd/app.rs\"\n[dependencies]\ninner = { path = \"inner\" }\nother = { path = \"other\" }\n[workspace]\n")
	src["inner/Cargo.toml"] = member("inner", "[dependencies]\nleaf = \"1\"\nlow = { path = \"../low\" }\n")
	src["other/Cargo.toml"] = member("other", "[dependencies]\nlow = { path = \"../low\" }\n")
	src["low/Cargo.toml"] = member("low", "")
	src["low/src/lib.rs"] = "pub fn low() -> &'static str { \"low1\" }\n"
	src["inner/src/lib.rs"] = "pub fn inner() -> String { leaf::f(); format!(\"inner1 {}\", low::low()) }\n"
	src["other/src/lib.rs"] = "pub fn other() -> String { low::low(); \"other1\".into() }\n"
	src["cmd/app.rs"] = "fn main() { println!(\"app1 {} {}\", inner::inner(), other::other()) }\n"
	return c
}

// build gives what cargo compiled, step by step, and what the program says.
func (c *carried) build() (compiles, says string) {
	c.t.Helper()
	c.steps = nil
	tr, err := c.w.Build(buildPlan("1.95.0"))
	if err != nil {
		c.t.Fatal(err)
	}
	program := filepath.Join(c.t.TempDir(), "app")
	c.lay(tr, filepath.Dir(program), "bin/app")
	if err := os.Chmod(program, 0o755); err != nil {
		c.t.Fatal(err)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Join(c.steps, "; "), strings.TrimSpace(string(out))
}

var compiling = regexp.MustCompile(`(?m)^ +Compiling (\S+) `)

func (c *carried) act(r executor.Request) map[string]string {
	if err := os.RemoveAll(c.dir); err != nil {
		panic(err) // on a goroutine of the engine
	}
	at := strings.NewReplacer("/build/", c.dir+"/build/", DefaultAt, c.dir+DefaultAt).Replace
	c.lay(r.Action.Root, c.dir, "")
	config := c.dir + DefaultAt + "/config.toml"
	write(c.t, config, at(read(c.t, config)))
	old := time.Unix(315532800, 0)
	c.visit(c.dir, func(p string, _ fs.DirEntry) error {
		if err := os.Chmod(p, 0o755); err != nil { // plantest's files lose the bit
			return err
		}
		return os.Chtimes(p, old, old)
	})
	cmd := exec.Command(r.Action.Args[0], r.Action.Args[1], at(r.Action.Args[2]))
	cmd.Dir, cmd.Env = at(r.Action.Dir), os.Environ()
	for _, e := range r.Action.Env {
		if strings.HasPrefix(e, "CARGO_") {
			cmd.Env = append(cmd.Env, at(e))
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		panic(fmt.Sprintf("%s: %v\n%s", r.Label, err, out))
	}
	var names []string
	for _, m := range compiling.FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	c.steps = append(c.steps, strings.Join(names, " "))
	files := map[string]string{}
	c.visit(at(r.Action.Outputs[0]+"/"), func(p string, e fs.DirEntry) error {
		if e.Type().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			files[strings.TrimPrefix(p, c.dir)] = string(b)
		}
		return nil
	})
	return files
}

// lay writes the files of a tree below dir; with one, that file only.
func (c *carried) lay(tr tree.Tree, dir, one string) {
	err := tree.Walk(c.t.Context(), c.w.Store, tr, func(p string, e tree.Entry) error {
		if e.Kind != tree.KindFile || one != "" && p != one {
			return nil
		}
		b, err := store.ReadBlob(c.t.Context(), c.w.Store, e.Digest, 1<<26)
		if one != "" {
			p = filepath.Base(p)
		}
		write(c.t, filepath.Join(dir, p), string(b))
		return err
	})
	if err != nil {
		panic(err)
	}
}

func (c *carried) visit(dir string, f func(p string, e fs.DirEntry) error) {
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return f(p, e)
	})
	if err != nil {
		panic(err)
	}
}
