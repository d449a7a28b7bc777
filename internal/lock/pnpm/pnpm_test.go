package pnpm

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/fuzzing"
	twinlocks "hewn.example/hewn/internal/testkit/twin"
)

var update = flag.Bool("update", false, "write goldens")

const integrity = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="

// dump writes one line for each importer, package and edge, without the fields that are empty.
func dump(l *Lock) string {
	var b strings.Builder
	line := func(indent string, v any) {
		rv := reflect.ValueOf(v)
		fmt.Fprint(&b, indent, rv.Type().Name())
		for i := range rv.NumField() {
			f, name := rv.Field(i), rv.Type().Field(i).Name
			if f.IsZero() || f.Kind() == reflect.Map || f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
				continue
			}
			text, _ := json.Marshal(f.Interface())
			if name == "Resolution" {
				text = fmt.Appendf(nil, "%+v", f.Interface())
			}
			fmt.Fprintf(&b, " %s=%s", name, text)
		}
		b.WriteByte('\n')
	}
	edges := func(what string, list []Dependency) {
		for _, d := range list {
			line("  "+what+" ", d)
		}
	}
	line("", *l)
	for _, c := range l.Catalogs {
		line("", c)
		for _, e := range c.Entries {
			line("  ", e)
		}
	}
	for _, o := range l.Overrides {
		line("override ", o)
	}
	for _, p := range l.Patches {
		line("", p)
	}
	for _, im := range l.Importers {
		line("", im)
		edges("prod", im.Dependencies)
		edges("optional", im.OptionalDependencies)
		edges("dev", im.DevDependencies)
	}
	for _, p := range l.Packages {
		line("", p)
	}
	for _, s := range l.Snapshots {
		line("", s)
		edges("prod", s.Dependencies)
		edges("optional", s.OptionalDependencies)
	}
	return b.String()
}

func TestParseGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/mixed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"as written": string(text), "with a byte order mark and carriage returns": "\ufeff" + strings.ReplaceAll(string(text), "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Parse("pnpm-lock.yaml", []byte(in))
			if err != nil {
				t.Fatal(err)
			}
			got := dump(l)
			if *update {
				if err := os.WriteFile("testdata/mixed.golden", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, _ := os.ReadFile("testdata/mixed.golden")
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestLookUp(t *testing.T) {
	text, _ := os.ReadFile("testdata/mixed.yaml")
	l, err := Parse("pnpm-lock.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	im, ok := l.Importer(".")
	if !ok {
		t.Fatal("no importer .")
	}
	s, ok := l.Snapshot(im.Dependencies[2].Snapshot)
	if !ok || s.Key != "@scope/tool@1.0.0" {
		t.Fatalf("the alias leads to %v", s)
	}
	if p, ok := l.Package(s.Package); !ok || p.Name != "@scope/tool" || p.Version != "1.0.0" || !p.HasBin {
		t.Errorf("package %v", p)
	}
	_, a := l.Importer("nowhere")
	_, b := l.Snapshot("nothing@1.0.0")
	_, c := l.Package("nothing@1.0.0")
	if a || b || c {
		t.Error("found what is not there")
	}
}

func TestParseErrors(t *testing.T) {
	const head = "lockfileVersion: '9.0'\nimporters:\n  .: {}\n"
	pkg := func(entry string) string { return head + "packages:\n  " + entry + "\n" }
	tests := []struct{ name, in, want string }{
		{"empty", "", "no `lockfileVersion`"},
		{"not YAML", head + "settings: [1,\n b", "pnpm-lock.yaml:4"},
		{"a tab", head + "settings:\n\tb: c", "pnpm-lock.yaml:5: this is not YAML"},
		{"a list", "- a", "pnpm-lock.yaml:1: this is not YAML as pnpm writes it"},
		{"JSON", "{}", "pnpm-lock.yaml:1: this is not YAML as pnpm writes it"},
		{"no version", "importers: {}", "no `lockfileVersion`"},
		{"version 5.4", "lockfileVersion: 5.4", "pnpm-lock.yaml:1: `lockfileVersion`: lockfileVersion 5.4 is not known here; 9.0 is"},
		{"version 6.0", "\nlockfileVersion: '6.0'", "pnpm-lock.yaml:2: `lockfileVersion`: lockfileVersion 6.0"},
		{"version 6.1", "lockfileVersion: '6.1'", "lockfileVersion 6.1"},
		{"version 10", "lockfileVersion: '10.0'", "lockfileVersion 10.0"},
		{"version 13", "lockfileVersion: 13", "lockfileVersion 13"},
		{"version before what it says", "importers: [a]\nlockfileVersion: '6.0'", "lockfileVersion 6.0"},
		{"version in the second document", "---\na: b\n---\nlockfileVersion: '7'", "pnpm-lock.yaml:4: "},
		{"only the first document", "---\nlockfileVersion: '9.0'\n", "only its first document"},
		{"three documents", "---\na: b\n---\n" + head + "---\nc: d\n", "pnpm-lock.yaml:7: this is not YAML as pnpm writes it"},
		{"no importers", "lockfileVersion: '9.0'", "no `importers`"},
		{"importer outside", "lockfileVersion: '9.0'\nimporters:\n  ../x: {}\n", ":3: `importers.../x`: \"../x\" is not a clean path below"},
		{"importer in node_modules", "lockfileVersion: '9.0'\nimporters:\n  node_modules/x: {}\n", "is not a clean path"},
		{"twice", pkg("a@1.0.0: {resolution: {integrity: " + integrity + "}}\n  a@1.0.0: {}"), ":6: `packages`: this is not YAML: mapping key"},
		{"section twice", head + "settings: {}\nsettings: {}\n", ":5: `settings`: the key stands twice"},
		{"no at", pkg("a: {}"), "\"a\" is not name@version"},
		{"name that escapes", pkg("../../a@1.0.0: {}"), "is not name@version"},
		{"other name that escapes", pkg("a@1.0.0: {name: ../a, resolution: {integrity: " + integrity + "}}"), "is not the name of a package"},
		{"no resolution", pkg("a@1.0.0: {}"), ":5: `packages.a@1.0.0`: the package has no resolution"},
		{"empty resolution", pkg("a@1.0.0: {resolution: {}}"), "neither a hash nor a place"},
		{"unknown resolution", pkg("a@1.0.0: {resolution: {type: variations}}"), "a resolution of type `variations` is not known here"},
		{"integrity", pkg("a@1.0.0:\n    resolution: {integrity: sha512-AAAA}"), ":6: `packages.a@1.0.0.resolution.integrity`"},
		{"directory outside", pkg("a@1.0.0: {resolution: {type: directory, directory: ../a}}"), "lies outside the project"},
		{"tarball outside", pkg("a@1.0.0: {resolution: {tarball: 'file:../a.tgz'}}"), "lies outside the project"},
		{"patch outside", head + "patchedDependencies:\n  a: {path: ../../p}\n", "lies outside the project"},
		{"hasBin", pkg("a@1.0.0:\n    hasBin: maybe"), ":6: `packages.a@1.0.0.hasBin`: this must be true or false"},
		{"os", pkg("a@1.0.0:\n    os: {a: b}"), "this must be a list"},
		{"snapshot without package", head + "snapshots:\n  a@1.0.0: {}\n", ":5: `snapshots.a@1.0.0`: `a@1.0.0` is not among the packages"},
		{"edge to nothing", "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: 1\n        version: 1.0.0\n",
			":5: `importers..`: `a` needs `a@1.0.0`, which is not among the snapshots"},
		{"edge without version", "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a: {specifier: 1}\n", "there is no version"},
		{"edge that escapes", "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      ..: {specifier: 1, version: 1.0.0}\n", "is not the name of a package"},
		{"absolute link", "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a: {specifier: 1, version: 'link:/etc'}\n", "a link needs a relative path"},
		{"deep", head + "settings: " + strings.Repeat("[", 100_000), "pnpm-lock.yaml:4: `settings`: collections lie more than"},
		{"deep in lines", head + "settings:\n  " + strings.Repeat("- ", 100_000), "collections lie more than"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("pnpm-lock.yaml", []byte(c.in))
			if err == nil {
				t.Fatal("no error")
			}
			var p *diag.Problem
			if !errors.As(err, &p) || p.Kind != diag.BadInput || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
}

func TestDirName(t *testing.T) {
	long := "a-package-with-a-name@1.0.0(another-package@2.0.0)(third@3.0.0)"
	tests := []struct {
		key   string
		limit int
		want  string
	}{
		{"leaf@1.0.0", 120, "leaf@1.0.0"},
		{"@scope/tool@1.0.0", 120, "@scope+tool@1.0.0"},
		{"plugin@1.0.0(framework@2.0.0(leaf@2.1.0))(leaf@2.1.0)", 120, "plugin@1.0.0_framework@2.0.0_leaf@2.1.0__leaf@2.1.0"},
		{"from-url@https://files.example/f.tgz", 120, "from-url@https+++files.example+f.tgz"},
		{"vendored@file:vendored", 120, "vendored@file+vendored"},
		{long, 120, "a-package-with-a-name@1.0.0_another-package@2.0.0_third@3.0.0"},
	}
	for _, c := range tests {
		if got := DirName(c.key, c.limit); got != c.want {
			t.Errorf("%s: got %s, want %s", c.key, got, c.want)
		}
	}
	for key, limit := range map[string]int{"UpperCase@1.0.0": 120, long: 60, "short@1.0.0": 5} {
		got := DirName(key, limit)
		if head, sum, ok := cutLast(got, "_"); !ok || len(sum) != 32 || !strings.HasPrefix(key, head) || len(head) > max(limit-33, 0) {
			t.Errorf("%s at %d: got %s", key, limit, got)
		}
	}
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func TestSplitKey(t *testing.T) {
	tests := []struct {
		key, pkg string
		groups   []string
	}{
		{"a@1.0.0", "a@1.0.0", nil},
		{"a@1.0.0(b@2.0.0)", "a@1.0.0", []string{"b@2.0.0"}},
		{"a@1.0.0(patch_hash=00)(b@2.0.0(c@3.0.0))(d@1.0.0)", "a@1.0.0", []string{"patch_hash=00", "b@2.0.0(c@3.0.0)", "d@1.0.0"}},
		{"a@file:x(y", "a@file:x(y", nil},
		{"a@file:(x)/y", "a@file:(x)/y", nil},
	}
	for _, c := range tests {
		pkg, groups := SplitKey(c.key)
		if pkg != c.pkg || !slices.Equal(groups, c.groups) {
			t.Errorf("%s: %s %q", c.key, pkg, groups)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, c := range [][3]string{
		{"a", "1.0.0", "a@1.0.0"},
		{"a", "1.0.0(b@2.0.0)", "a@1.0.0(b@2.0.0)"},
		{"a", "b@1.0.0(c@1.0.0)", "b@1.0.0(c@1.0.0)"},
		{"a", "@s/b@1.0.0", "@s/b@1.0.0"},
		{"a", "file:a(b@1.0.0)", "a@file:a(b@1.0.0)"},
		{"a", "https://files.example/x@1/a.tgz", "a@https://files.example/x@1/a.tgz"},
		{"a", "link:../a", ""},
	} {
		if got := target(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: got %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// large is a lock of n packages.
func large(n int) []byte {
	var b strings.Builder
	b.WriteString("lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n")
	for i := range n {
		fmt.Fprintf(&b, "      p%d:\n        specifier: ^1.0.0\n        version: 1.0.%d\n", i, i)
	}
	b.WriteString("\npackages:\n\n")
	for i := range n {
		fmt.Fprintf(&b, "  p%d@1.0.%d:\n    resolution: {integrity: %s}\n    engines: {node: '>=18'}\n\n", i, i, integrity)
	}
	b.WriteString("snapshots:\n\n")
	for i := range n {
		fmt.Fprintf(&b, "  p%d@1.0.%d:\n    dependencies:\n      p%d: 1.0.%d\n\n", i, i, (i+1)%n, (i+1)%n)
	}
	return []byte(b.String())
}

// TestTwiceFarApart has the same keys in different pieces of a long file.
func TestTwiceFarApart(t *testing.T) {
	text := string(large(300))
	for _, c := range [][2]string{
		{"      p299:\n", "      p1:\n"}, {"  p299@1.0.299:\n    resolution", "  p1@1.0.1:\n    resolution"}, {"  p299@1.0.299:\n    dep", "  p1@1.0.1:\n    dep"},
		{"\npackages:", "\n  .:\n    dependencies: {}\n\npackages:"},
	} {
		_, err := Parse("pnpm-lock.yaml", []byte(strings.Replace(text, c[0], c[1], 1)))
		if err == nil || !strings.Contains(err.Error(), "twice") && !strings.Contains(err.Error(), "already defined") {
			t.Errorf("%q: %v", c[1], err)
		}
	}
}

func TestParseLarge(t *testing.T) {
	l, err := Parse("pnpm-lock.yaml", large(2_000))
	if err != nil || len(l.Snapshots) != 2_000 {
		t.Fatal(err)
	}
	if got := l.Importers[0].Dependencies[1].Line; got != 10 {
		t.Errorf("line %d", got)
	}
	if n := len(l.Importers[0].Dependencies); n != 2_000 {
		t.Errorf("%d dependencies", n)
	}
	lines := strings.Split(string(large(2_000)), "\n")
	for i, s := range l.Snapshots {
		if want := fmt.Sprintf("  p%d@1.0.%d:", i, i); lines[s.Line-1] != want {
			t.Fatalf("snapshot %d: line %d is %q", i, s.Line, lines[s.Line-1])
		}
	}
}

// BenchmarkParse shows that time grows with the number of packages and no faster.
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{500, 5_000, 50_000} {
		text := large(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := Parse("pnpm-lock.yaml", text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/package")
		})
	}
}

func FuzzParse(f *testing.F) {
	text, _ := os.ReadFile("testdata/mixed.yaml")
	f.Add(text)
	f.Add(large(2))
	f.Add([]byte("lockfileVersion: '9.0'\nimporters:\n  .: {}\n"))
	twinlocks.Add(f, "web/pnpm-lock.yaml", "\n\n")
	f.Fuzz(func(t *testing.T, b []byte) {
		var l *Lock
		var err error
		fuzzing.Bounded(t, len(b), func() { l, err = Parse("pnpm-lock.yaml", b) })
		var p *diag.Problem
		switch {
		case err != nil:
			if !errors.As(err, &p) {
				t.Errorf("%v is no Problem", err)
			}
			return
		case l.Version != "9.0" || len(l.Importers) == 0:
			t.Error("a lock without importers")
		}
		for _, im := range l.Importers {
			if strings.Contains("/"+im.Path+"/", "/../") {
				t.Errorf("importer %q escapes", im.Path)
			}
			for _, d := range im.Dependencies {
				if _, ok := l.Snapshot(d.Snapshot); ok == (d.Link != "") {
					t.Errorf("edge %v ends nowhere", d)
				}
			}
		}
		for _, s := range l.Snapshots {
			if _, ok := l.Package(s.Package); !ok {
				t.Errorf("%q has no package", s.Key)
			}
			if strings.ContainsAny(DirName(s.Key, 120), "/\\") {
				t.Errorf("folder %q", DirName(s.Key, 120))
			}
		}
	})
}

func TestParseWorkspace(t *testing.T) {
	w, err := ParseWorkspace("pnpm-workspace.yaml", []byte("packages:\n  - a/*\nnodeLinker: hoisted\nhoistPattern: ['*', '!x']\nhoist: false\nvirtualStoreDirMaxLength: 60\n"))
	if err != nil {
		t.Fatal(err)
	}
	w.NPMRC([]byte("node-linker=isolated\nshamefully-hoist = true\npublic-hoist-pattern[]=*a*\npublic-hoist-pattern[]=b\n; x\n"))
	if w.NodeLinker != "hoisted" || !slices.Equal(w.HoistPattern, []string{"*", "!x"}) || *w.Hoist || w.VirtualStoreDirMaxLength != 60 ||
		!*w.ShamefullyHoist || !slices.Equal(w.PublicHoistPattern, []string{"*a*", "b"}) || !slices.Equal(w.Projects, []string{"a/*"}) || w.DedupeDirectDeps != nil {
		t.Errorf("got %+v", w)
	}
	for _, c := range [][2]string{
		{"a: [", "this is not YAML"}, {"- a", "this must be a mapping"}, {"hoist: maybe", "`hoist`: this must be true or false"},
		{"virtualStoreDirMaxLength: 3", "is not a length that leaves room"}, {"a: {b: " + strings.Repeat("[", 100), "nested too deep"},
	} {
		if _, err := ParseWorkspace("pnpm-workspace.yaml", []byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
	for _, empty := range []string{"", "# nothing\n"} {
		if _, err := ParseWorkspace("pnpm-workspace.yaml", []byte(empty)); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func FuzzParseWorkspace(f *testing.F) {
	f.Add([]byte("nodeLinker: hoisted\nhoist: true\n"), []byte("node-linker=hoisted\n"))
	f.Fuzz(func(t *testing.T, b, npmrc []byte) {
		w, err := ParseWorkspace("pnpm-workspace.yaml", b)
		var p *diag.Problem
		if err != nil {
			if !errors.As(err, &p) {
				t.Errorf("%v is no Problem", err)
			}
			return
		}
		w.NPMRC(npmrc)
		if n := w.VirtualStoreDirMaxLength; n != 0 && n < 34 {
			t.Errorf("length %d", n)
		}
	})
}
