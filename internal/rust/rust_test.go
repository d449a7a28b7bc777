package rust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/lock/cargo"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/plantest"
	"hewn.example/hewn/internal/tree"
)

func read(t testing.TB, p string) string {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func vendorPlan(dir engine.Static, at string) engine.Plan {
	return func(ctx context.Context, ask *engine.Ask) (engine.Step, error) {
		s, err := Vendor(ctx, ask, VendorOptions{Dir: dir, At: at})
		return s.Step, err
	}
}

// worldOf is a world with a source `app` that has the lock, and with what the lock needs.
func worldOf(t testing.TB, c oracleCase, lock string) *plantest.World {
	t.Helper()
	w := plantest.New(t, Natives())
	w.Sources["app"] = map[string]string{"Cargo.lock": lock}
	for _, cr := range c.crates {
		w.Files[cr.name+"-"+cr.version+".crate"] = cr.pack(t)
	}
	l, err := cargo.Read("Cargo.lock", []byte(lock))
	if err != nil {
		t.Fatal(err)
	}
	w.Git = map[string]map[string]string{}
	for _, p := range l.Packages {
		if p.Source.Kind == cargo.Git {
			w.Git[p.Source.Commit] = c.repos[filepath.Base(p.Source.URL)]
		}
	}
	return w
}

// listing writes a vendor tree as oracle_test.go does with cargo's.
func listing(t testing.TB, w *plantest.World, tr tree.Tree) string {
	t.Helper()
	var lines []string
	err := tree.Walk(t.Context(), w.Store, tr, func(p string, e tree.Entry) error {
		rel, ok := strings.CutPrefix(p, "vendor/")
		if e.Kind == tree.KindDir || !ok {
			return nil
		}
		bit := "-"
		if e.Executable {
			bit = "x"
		}
		lines = append(lines, fmt.Sprintf("%s %s %q\n", bit, e.Digest.Hex(), rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[67:], b[67:]) })
	return strings.Join(lines, "")
}

// blur takes the hashes off what is known to differ: the manifests of packages from git, which cargo writes anew, and
// the checksums that follow from them.
func blur(list string, l *cargo.Lock) string {
	for _, p := range l.Packages {
		if p.Source.Kind != cargo.Git {
			continue
		}
		var out []string
		for _, line := range strings.SplitAfter(list, "\n") {
			for _, f := range []string{manifestName, checksumFile} {
				if strings.HasSuffix(line, fmt.Sprintf(" %q\n", p.Name+"-"+p.Version+"/"+f)) {
					line = line[:2] + "(differs)" + line[66:]
				}
			}
			out = append(out, line)
		}
		list = strings.Join(out, "")
	}
	return list
}

// TestAsCargo compares with what `cargo vendor` left, as oracle_test.go recorded it.
func TestAsCargo(t *testing.T) {
	for name, c := range oracleCases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", "oracle", name)
			lock := read(t, filepath.Join(dir, "Cargo.lock"))
			w := worldOf(t, c, lock)
			for file := range w.Files {
				w.Files[file] = []byte(read(t, filepath.Join(dir, file)))
			}
			tr, err := w.Build(vendorPlan(engine.Source("app"), "/cargo"))
			if err != nil {
				t.Fatal(err)
			}
			l, err := cargo.Read("Cargo.lock", []byte(lock))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := blur(listing(t, w, tr), l), blur(read(t, filepath.Join(dir, "vendor.txt")), l); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			want := strings.TrimSuffix(read(t, filepath.Join(dir, "config.txt")), "\n")
			if got := strings.TrimSuffix(Config(l, "vendor"), "\n"); got != want {
				t.Errorf("the configuration is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func content(t testing.TB, w *plantest.World, tr tree.Tree, p string) string {
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

// TestSettledManifest shows what a package from a workspace looks like without it.
func TestSettledManifest(t *testing.T) {
	c := oracleCases["git-several"]
	w := worldOf(t, c, read(t, "testdata/oracle/git-several/Cargo.lock"))
	w.Files["leaf-1.0.0.crate"] = []byte(read(t, "testdata/oracle/git-several/leaf-1.0.0.crate"))
	tr, err := w.Build(vendorPlan(engine.Source("app"), ""))
	if err != nil {
		t.Fatal(err)
	}
	want := `# The original manifest inherits from its workspace; this one stands alone.

[dependencies]
leaf = { default-features = true, features = ["one", "two"], version = "1" }
low = { path = "../../crates/low" }

[features]
default = []

[lints]
rust = { unsafe_code = "forbid", unused = { level = "warn", priority = -1 } }

[package]
authors = ["A \"B\" <a@b.example>"]
edition = "2021"
name = "high"
readme = "../../README.md"
version = "1.2.3"

[target]
"cfg(unix)" = { dev-dependencies = { low = { path = "../../crates/low" } } }
`
	if got := content(t, w, tr, "vendor/high-1.2.3/Cargo.toml"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := content(t, w, tr, "vendor/low-0.1.0/Cargo.toml"); got != family["crates/low/Cargo.toml"] {
		t.Errorf("a manifest that inherits nothing was changed:\n%s", got)
	}
	if got := content(t, w, tr, "config.toml"); !strings.Contains(got, `directory = "/usr/local/cargo/vendor"`) {
		t.Errorf("the configuration is\n%s", got)
	}
}

func TestRefuses(t *testing.T) {
	const head = "version = 4\n[[package]]\nname = \"leaf\"\nversion = \"1.0.0\"\n"
	const registry = "source = \"registry+https://forge.example/registry-index\"\n"
	const commit = "0123456789abcdef0123456789abcdef01234567"
	sum := "checksum = \"" + strings.Repeat("0", 64) + "\"\n"
	pack := func(e entry, name string) []byte {
		return crate{name: name, version: "1.0.0", entries: []entry{e}}.pack(t)
	}
	for name, c := range map[string]struct {
		lock  string
		crate []byte
		repo  map[string]string
		want  string
	}{
		"no lock":     {want: "cannot read `Cargo.lock`"},
		"no checksum": {lock: head + registry, want: "`leaf 1.0.0` has no `checksum`"},
		"two sources": {lock: head + registry + sum + "[[package]]\nname = \"leaf\"\nversion = \"1.0.0\"\nsource = \"git+https://forge.example/leaf#" + commit + "\"\n",
			want: "`leaf 1.0.0` comes from two sources"},
		"outside":    {lock: head + registry + sum, crate: pack(entry{name: "a"}, "other"), want: "is not below `leaf-1.0.0`"},
		"above":      {lock: head + registry + sum, crate: pack(entry{name: "../../a"}, "leaf"), want: "entry"},
		"no archive": {lock: head + registry + sum, crate: []byte("x"), want: "cannot unpack crate `leaf-1.0.0.crate`"},
		"cut off":    {lock: head + registry + sum, crate: pack(entry{name: "a", text: "some text"}, "leaf")[:60], want: "cannot unpack crate"},
		"no package": {lock: head + "source = \"git+https://forge.example/leaf#" + commit + "\"\n",
			repo: map[string]string{"Cargo.toml": member("leaf", "")}, want: "has no package `leaf` of version 1.0.0"},
		"no workspace": {lock: head + "source = \"git+https://forge.example/leaf#" + commit + "\"\n",
			repo: map[string]string{"Cargo.toml": "[package]\nname = \"leaf\"\nversion = \"1.0.0\"\nedition.workspace = true\n"}, want: "no directory above it has one"},
		"nothing to inherit": {lock: head + "source = \"git+https://forge.example/leaf#" + commit + "\"\n",
			repo: map[string]string{"Cargo.toml": "[workspace]\n[package]\nname = \"leaf\"\nversion = \"1.0.0\"\n[dependencies]\nx.workspace = true\n"},
			want: "no `workspace.dependencies.x`"},
	} {
		t.Run(name, func(t *testing.T) {
			w := plantest.New(t, Natives())
			w.Sources["app"] = map[string]string{"Cargo.toml": ""}
			if c.lock != "" {
				w.Sources["app"]["Cargo.lock"] = c.lock
			}
			w.Files["leaf-1.0.0.crate"] = c.crate
			w.Git = map[string]map[string]string{commit: c.repo}
			_, err := w.Build(vendorPlan(engine.Source("app"), ""))
			var all strings.Builder
			for e := err; e != nil; e = errors.Unwrap(e) {
				fmt.Fprintln(&all, e)
			}
			if !strings.Contains(all.String(), c.want) {
				t.Errorf("got %v, want %q", all.String(), c.want)
			}
		})
	}
}

func TestChecksumsEscape(t *testing.T) {
	got := string(checksums(map[string]string{"b\x01\n\t\r\b\f\"\\<ü": "1", "a": "2"}, ""))
	if want := `{"files":{"a":"2","b\u0001\n\t\r\b\f\"\\<ü":"1"},"package":null}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzUnpack(f *testing.F) {
	for _, name := range []string{"names", "modes", "twice"} {
		f.Add([]byte(oracleCases[name].crates[0].pack(f)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u := unpacker{ctx: t.Context(), store: memory.New(), prefix: "leaf-1.0.0", files: files{}, limits: archive.Limits{Bytes: 1 << 20}}
		if err := u.archive(bytes.NewReader(b), "leaf-1.0.0.crate"); err != nil {
			return
		}
		tr, err := u.files.tree(t.Context(), u.store, "", u.dirs)
		if err == nil {
			fuzzing.Tree(t, u.store, tr)
		} else if !errors.As(err, new(*tree.ConflictError)) {
			t.Log(err) // names that no tree can hold
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(family["crates/high/Cargo.toml"]))
	f.Add([]byte(family["Cargo.toml"]))
	w, err := parseManifest("Cargo.toml", []byte(family["Cargo.toml"]))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest("Cargo.toml", b)
		if err != nil || m.settle(sub(w.top, "workspace"), "../") != nil {
			return
		}
		again, err := parseManifest("Cargo.toml", m.encode())
		if err != nil {
			t.Fatalf("%v\n%s", err, m.encode())
		}
		if string(again.encode()) != string(m.encode()) {
			t.Errorf("got\n%s\nthen\n%s", m.encode(), again.encode())
		}
	})
}

// BenchmarkUnpack is one crate of usual size, from its .crate file to its tree.
func BenchmarkUnpack(b *testing.B) {
	text := strings.Repeat("pub fn f(x: u32) -> u32 { x.wrapping_mul(2654435761) }\n", 200)
	c := lib("leaf", "1.0.0")
	for i := range 40 {
		c.entries = append(c.entries, entry{name: fmt.Sprintf("src/m%d.rs", i), text: text + fmt.Sprint(i)})
	}
	packed := c.pack(b)
	b.SetBytes(int64(41 * len(text)))
	for b.Loop() {
		u := unpacker{ctx: b.Context(), store: memory.New(), prefix: "leaf-1.0.0", files: files{}, limits: archive.Limits{Bytes: 1 << 30}}
		if err := u.archive(bytes.NewReader(packed), "leaf-1.0.0.crate"); err != nil {
			b.Fatal(err)
		}
		if _, err := u.files.tree(b.Context(), u.store, "", u.dirs); err != nil {
			b.Fatal(err)
		}
	}
}
