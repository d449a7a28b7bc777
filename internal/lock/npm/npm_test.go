package npm

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/twin"
)

var update = flag.Bool("update", false, "write goldens")

// dump is the neutral form as text, one line a fact.
func dump(l *Lock) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version %d\n", l.Version)
	for _, p := range l.Packages {
		fmt.Fprintf(&b, "%q line %d: %s@%s folder=%q\n", p.Path, p.Line, p.Name, p.Version, p.Folder())
		for _, f := range []struct {
			name string
			v    any
			set  bool
		}{
			{"resolved", p.Resolved, p.Resolved != ""},
			{"integrity", p.Integrity, !p.Integrity.IsZero()},
			{"target", p.Target, p.Link},
			{"inBundle", p.InBundle, p.InBundle},
			{"dev", p.Dev, p.Dev},
			{"optional", p.Optional, p.Optional},
			{"installScript", p.HasInstallScript, p.HasInstallScript},
			{"os", p.OS, p.OS != nil},
			{"cpu", p.CPU, p.CPU != nil},
			{"libc", p.Libc, p.Libc != nil},
			{"node", p.NodeRange, p.NodeRange != ""},
			{"bin", p.Bin, p.Bin != nil},
			{"dependencies", p.Dependencies, p.Dependencies != nil},
			{"devDependencies", p.DevDependencies, p.DevDependencies != nil},
			{"peers", p.PeerDependencies, p.PeerDependencies != nil},
			{"optionalPeers", p.OptionalPeers, p.OptionalPeers != nil},
		} {
			if f.set {
				fmt.Fprintf(&b, "\t%s %v\n", f.name, f.v)
			}
		}
	}
	return b.String()
}

func TestParseGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/mixed.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"as written", "version 2 with a byte order mark"} {
		t.Run(name, func(t *testing.T) {
			in, golden := string(text), "testdata/mixed.golden"
			if strings.HasPrefix(name, "version 2") {
				in = "\ufeff" + strings.Replace(in, `"lockfileVersion": 3`, `"lockfileVersion": 2`, 1)
			}
			l, err := Parse("package-lock.json", []byte(in))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Replace(dump(l), "version 2", "version 3", 1)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, _ := os.ReadFile(golden)
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	wrap := func(entry string) string {
		return "{\n \"lockfileVersion\": 3,\n \"packages\": {\n  \"\": {},\n  " + entry + "\n }\n}\n"
	}
	tests := []struct{ name, in, want string }{
		{"not JSON", "{\n \"a\": 1,\n}", "package-lock.json:3: this is not JSON"},
		{"truncated", "{\"lockfileVersion\": 3, \"packages\": {", "package-lock.json:1: this is not JSON"},
		{"empty", "", "package-lock.json: this is not JSON"},
		{"a list", "[]", "this must be an object"},
		{"version 1", `{"lockfileVersion": 1}`, "lockfileVersion 1 (of npm 6)"},
		{"no version", "{\"name\": \"a\", \"packages\": {}}", "the lock has no `lockfileVersion`"},
		{"version by line", "{\n\"lockfileVersion\": 4, \"packages\": {}}", "package-lock.json:2: `lockfileVersion`"},
		{"conflict", "{\n<<<<<<< HEAD\n\"lockfileVersion\": 3,\n=======\n", "package-lock.json:2: this is not JSON: a merge left a conflict"},
		{"version 4", `{"lockfileVersion": 4, "packages": {}}`, "lockfileVersion 4 is not known here; 2 and 3 are"},
		{"version as text", "{\"lockfileVersion\": \"3\"}", "`\"3\"` is not a lockfileVersion"},
		{"no packages", `{"lockfileVersion": 3}`, "no `packages`"},
		{"no project", `{"lockfileVersion": 3, "packages": {}}`, "no entry for the project"},
		{"packages is a list", "{\"lockfileVersion\": 3,\n\"packages\": []}", "package-lock.json:2: `packages`: this must be an object"},
		{"escape", wrap(`"../../etc/node_modules/a": {}`), ":5: `packages.../../etc/node_modules/a`: \"../../etc/node_modules/a\" lies outside"},
		{"parent inside", wrap(`"node_modules/../a": {}`), ":5: "},
		{"absolute", wrap(`"/etc": {}`), "not a clean relative path"},
		{"odd name", wrap(`"node_modules/a b": {"version": "1.0.0"}`), "\"a b\" is not the name of a package"},
		{"alias that escapes", wrap(`"node_modules/a": {"name": "../../x"}`), "is not the name of a package"},
		{"twice", wrap("\"node_modules/a\": {},\n  \"node_modules/a\": {}"), ":6: `packages.node_modules/a`: the path stands twice"},
		{"type", wrap("\"node_modules/a\": {\n   \"version\": 1\n  }"), ":6: `packages.node_modules/a.version`: this cannot be a JSON number"},
		{"integrity", wrap(`"node_modules/a": {"integrity": "sha512-AAAA"}`), ":5: `packages.node_modules/a.integrity`"},
		{"integrity by line", wrap("\"node_modules/a\": {\n   \"integrity\": \"hello\"\n  }"), ":6: `packages.node_modules/a.integrity`"},
		{"the project as a list", "{\"lockfileVersion\": 3, \"packages\": {\n\"\": []}}", ":2: `packages.\"\"`: this cannot be a JSON array"},
		{"name of the project", "{\"lockfileVersion\": 3, \"packages\": {\"\": {\n\"name\": 3}}}", ":2: `packages.\"\".name`: this cannot be a JSON number"},
		{"workspaces as text", "{\"lockfileVersion\": 3, \"packages\": {\"\": {\n\"workspaces\": \"w/*\"}}}", ":2: `packages.\"\".workspaces`: this cannot be a JSON string"},
		{"workspaces as numbers", "{\"lockfileVersion\": 3, \"packages\": {\"\": {\n\"workspaces\": {\"packages\": [1]}}}}", ".workspaces`: this cannot be a JSON array with something else"},
		{"no version", wrap(`"node_modules/a": {"version": "x y"}`), ":5: `packages.node_modules/a.version`: \"x y\" is no version"},
		{"hidden name", wrap(`"node_modules/.bin": {}`), "\".bin\" is not the name of a package"},
		{"link to nothing", wrap(`"node_modules/a": {"link": true, "resolved": "w/a"}`), ":5: `packages.node_modules/a`: it is a link to `w/a`, which is no package"},
		{"link to itself", wrap(`"node_modules/a": {"link": true, "resolved": "node_modules/a"}`), ":5: `packages.node_modules/a`: it is a link to"},
		{"in a link", wrap("\"w\": {}, \"node_modules/w\": {\"link\": true, \"resolved\": \"w\"},\n  \"node_modules/w/node_modules/a\": {}"), ":6: `packages.node_modules/w/node_modules/a`: it lies in `node_modules/w`, which is a link"},
		{"capital letters", wrap("\"node_modules/a\": {},\n  \"node_modules/A\": {}"), "differ by capital letters only"},
		{"link nowhere", wrap(`"node_modules/a": {"link": true}`), ":5: `packages.node_modules/a.resolved`: a link needs a relative path"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("package-lock.json", []byte(c.in))
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

// large is a lock of n packages, one a line.
func large(n int) []byte {
	var b strings.Builder
	b.WriteString("{\"lockfileVersion\": 3, \"packages\": {\n\"\": {}")
	for i := range n {
		fmt.Fprintf(&b, ",\n\"node_modules/p%d\": {\"version\": \"1.0.%d\"}", i, i)
	}
	b.WriteString("}}")
	return []byte(b.String())
}

func TestParseLarge(t *testing.T) {
	l, err := Parse("package-lock.json", large(10_000))
	if err != nil || len(l.Packages) != 10_001 {
		t.Fatal(err)
	}
	if l.Packages[1].Line != 3 {
		t.Errorf("line %d", l.Packages[1].Line)
	}
}

// ordinary is a lock of n packages that say what packages of a large application say.
func ordinary(n int) []byte {
	var b strings.Builder
	b.WriteString("{\n  \"name\": \"app\",\n  \"lockfileVersion\": 3,\n  \"packages\": {\n    \"\": {}")
	sum := strings.Repeat("A", 86) + "=="
	for i := range n {
		fmt.Fprintf(&b, ",\n    \"node_modules/@scope%d/package-%d\": {\n      \"version\": \"1.0.%d\",\n"+
			"      \"resolved\": \"https://npm.example/@scope%d/package-%d/-/package-%d-1.0.%d.tgz\",\n      \"integrity\": \"sha512-%s\",\n", i%9, i, i, i%9, i, i, i, sum)
		fmt.Fprintf(&b, "      \"dev\": true,\n      \"license\": \"MIT\",\n      \"bin\": {\n        \"cmd%d\": \"bin/cmd.js\"\n      },\n      \"dependencies\": {\n"+
			"        \"a%d\": \"^1.2.3\",\n        \"b%d\": \"^4.5.6\",\n        \"c%d\": \"~7.8.9\"\n      },\n      \"peerDependencies\": {\n        \"d%d\": \"*\"\n      },\n"+
			"      \"engines\": {\n        \"node\": \">=18\"\n      }\n    }", i, i, i, i, i)
	}
	b.WriteString("\n  }\n}\n")
	return []byte(b.String())
}

// BenchmarkParse shows that time grows with the number of packages and no faster; a large application has 1,300.
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1_300, 13_000, 130_000} {
		text := ordinary(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := Parse("package-lock.json", text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/package")
		})
	}
}

func FuzzParse(f *testing.F) {
	text, _ := os.ReadFile("testdata/mixed.json")
	f.Add(text)
	f.Add([]byte(`{"lockfileVersion":2,"packages":{"":{}}}`))
	for _, piece := range twin.Pieces(f, "web/package-lock.json", "\n    },\n") {
		f.Add(append(piece, "    }\n  }\n}\n"...)) // closed, where it was cut
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var l *Lock
		var err error
		fuzzing.Bounded(t, len(b), func() { l, err = Parse("package-lock.json", b) })
		var p *diag.Problem
		switch {
		case err == nil:
			for _, e := range l.Packages {
				if strings.Contains("/"+e.Path+"/", "/../") && e.Folder() != "" {
					t.Errorf("path %q escapes", e.Path)
				}
				if e.Line < 1 || e.Line > strings.Count(string(b), "\n")+1 {
					t.Errorf("line %d is not in the file", e.Line)
				}
				for _, bin := range e.Bin {
					if strings.Contains(bin.Name, "/") || strings.HasPrefix(bin.File, "../") {
						t.Errorf("bin %v escapes", bin)
					}
				}
			}
		case !errors.As(err, &p):
			t.Errorf("%v is no Problem", err)
		}
	})
}
