package uv

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/testkit/twin"
)

var update = flag.Bool("update", false, "write goldens")

// text is a stable picture of a lock for goldens.
func text(l *Lock) string {
	var b strings.Builder
	fmt.Fprintf(&b, "revision %d python %q\n", l.Revision, l.RequiresPython)
	for _, m := range l.ResolutionMarkers {
		fmt.Fprintf(&b, "fork %s\n", m)
	}
	for _, set := range l.Conflicts {
		fmt.Fprintf(&b, "conflict %v\n", set)
	}
	fmt.Fprintf(&b, "members %v\n", l.Members)
	deps := func(label string, ds []Dependency) {
		for _, d := range ds {
			fmt.Fprintf(&b, "  %s %s", label, d.Name)
			if len(d.Extras) > 0 {
				fmt.Fprintf(&b, "%v", d.Extras)
			}
			if d.Version != "" {
				fmt.Fprintf(&b, " =%s", d.Version)
			}
			if d.Source != (Source{}) {
				fmt.Fprintf(&b, " (%s)", d.Source)
			}
			if d.Marker != "" {
				fmt.Fprintf(&b, " ; %s", d.Marker)
			}
			b.WriteString("\n")
		}
	}
	for _, p := range l.Packages {
		fmt.Fprintf(&b, "%s %s line %d: %+v\n", p.Name, p.Version, p.Pos.Line, p.Source)
		for _, m := range p.ResolutionMarkers {
			fmt.Fprintf(&b, "  fork %s\n", m)
		}
		deps("needs", p.Dependencies)
		for _, m := range []map[string][]Dependency{p.Optional, p.Groups} {
			keys := make([]string, 0)
			for k := range m {
				keys = append(keys, k)
			}
			sort.Strings(keys)
			for _, k := range keys {
				deps("["+k+"]", m[k])
			}
		}
		if p.Sdist != nil {
			fmt.Fprintf(&b, "  sdist %s %s %d %s\n", p.Sdist.Name, p.Sdist.Integrity, p.Sdist.Size, p.Sdist.UploadTime)
		}
		for _, w := range p.Wheels {
			fmt.Fprintf(&b, "  wheel %s %s %d line %d\n", w.Name, w.Integrity, w.Size, w.Pos.Line)
		}
	}
	return b.String()
}

func TestRead(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.lock")
	if len(files) == 0 {
		t.Fatal("no fixtures")
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Read("uv.lock", data)
			var got string
			if err != nil {
				got = "error: " + err.Error() + "\n"
			} else {
				got = text(l)
			}
			golden := strings.TrimSuffix(f, ".lock") + ".golden"
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

func TestRefusals(t *testing.T) {
	sum := "sha256:" + strings.Repeat("ab", 32)
	pkg := func(rest string) string {
		return "version = 1\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"https://pypi.example/simple\" }\n" + rest
	}
	for _, tc := range []struct{ name, in, want string }{
		{"syntax", "version = 1\n[[package\n", "uv.lock:2:10: is not TOML"},
		{"not a lock", "a = 1\n", "`version` is missing: this is no uv.lock"},
		{"version", "version = 2\n", "uv.lock:1:11: `version`: lock format version 2 is not known, only 1 is"},
		{"version text", "version = \"1\"\n", "uv.lock:1:11: `version`: must be a number, but is a string"},
		{"no name", "version = 1\n[[package]]\nversion = \"1\"\n", "uv.lock:2:3: `package.name`: `name` is missing"},
		{"bad name", "version = 1\n[[package]]\nname = \"../a\"\n", "uv.lock:3:8: `package.name`: \"../a\" is no name of a package"},
		{"no source", "version = 1\n[[package]]\nname = \"a\"\n", "uv.lock:2:3: `package.a.source`: package `a` has no `source`"},
		{"odd source", "version = 1\n[[package]]\nname = \"a\"\nsource = { ipfs = \"x\" }\n", "uv.lock:4:10: `package.a.source`: the source is of a kind that is not known (it has ipfs)"},
		{"no commit", "version = 1\n[[package]]\nname = \"a\"\nsource = { git = \"https://git.example/a?rev=v1\" }\n", "must be a commit of 40 hex digits"},
		{"no hash", pkg("wheels = [\n  { url = \"https://f.example/a-1-py3-none-any.whl\" },\n]\n"), "uv.lock:7:3: `package.a.wheels`: `a-1-py3-none-any.whl` has no `hash`"},
		{"bad hash", pkg("sdist = { url = \"https://f.example/a-1.tar.gz\", hash = \"sha256:12\" }\n"), "uv.lock:6:56: `package.a.sdist.hash`: integrity: 1 bytes are no sha256"},
		{"weak hash", pkg("sdist = { url = \"https://f.example/a-1.tar.gz\", hash = \"sha1:" + strings.Repeat("0", 40) + "\" }\n"), "a hash of kind sha1 is not accepted"},
		{"no url", pkg("sdist = { hash = \"" + sum + "\" }\n"), "the file has no usable name"},
		{"not a wheel", pkg("wheels = [{ url = \"https://f.example/a.zip\", hash = \"" + sum + "\" }]\n"), "\"a.zip\" is not the name of a wheel"},
		{"twice", pkg("") + pkg("")[len("version = 1\n"):], "uv.lock:6:3: `package.a`: package `a` stands twice"},
		{"key twice", "version = 1\nversion = 1\n", "uv.lock:2:1: `version`: the key is defined twice"},
		{"type", pkg("dependencies = \"b\"\n"), "uv.lock:6:16: `package.a.dependencies`: must be an array, but is a string"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Read("uv.lock", []byte(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			}
			var p *diag.Problem
			if !errors.As(err, &p) || p.Kind != diag.BadInput || p.Pos.Line == 0 {
				t.Errorf("not bad input with a position: %#v", err)
			}
		})
	}
}

func large(packages, wheels int) []byte {
	var b strings.Builder
	b.WriteString("version = 1\nrevision = 3\nrequires-python = \">=3.13\"\n")
	for i := range packages {
		fmt.Fprintf(&b, "\n[[package]]\nname = \"p%d\"\nversion = \"1.0\"\nsource = { registry = \"https://pypi.example/simple\" }\ndependencies = [\n    { name = \"p%d\", marker = \"sys_platform == 'linux'\" },\n]\nwheels = [\n", i, i/2)
		for j := range wheels {
			fmt.Fprintf(&b, "    { url = \"https://files.pypi.example/packages/%064d/p%d-1.0-cp31%d-cp31%d-manylinux_2_17_x86_64.manylinux2014_x86_64.whl\", hash = \"sha256:%064x\", size = 4093, upload-time = \"2026-05-01T10:00:00Z\" },\n", j, i, j, j, i*j)
		}
		b.WriteString("]\n")
	}
	return []byte(b.String())
}

// BenchmarkRead shows that reading is linear: a package takes as long at 100 times the twin's size.
func BenchmarkRead(b *testing.B) {
	lock := twin.Read(b, "uv.lock")
	twin.Linear(b, func(n int) ([]byte, int) { return twin.Times(lock, n) }, func(data []byte) error {
		_, err := Read("uv.lock", data)
		return err
	})
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.lock")
	for _, name := range files {
		data, _ := os.ReadFile(name)
		f.Add(data)
	}
	f.Add(large(2, 2))
	twin.Add(f, "uv.lock", "\n[[package]]\n")
	f.Add([]byte("version = 1\na.b = 1\na.b.c = 2\n[a]\n[[a]]\n[a.b]\nx = [1, {y.z = 2, y.w = 3}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l *Lock
		var err error
		fuzzing.Bounded(t, len(data), func() { l, err = Read("uv.lock", data) })
		if err != nil {
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("an error without a position: %v", err)
			}
			if lines := strings.Count(string(data), "\n") + 1; p.Pos.Line < 1 || p.Pos.Line > lines {
				t.Fatalf("line %d of %d", p.Pos.Line, lines)
			}
			return
		}
		_ = text(l)
		for _, p := range l.Packages {
			fuzzing.Name(t, "package", p.Name)
			for _, f := range p.Wheels {
				fuzzing.Name(t, "wheel", f.Name)
			}
			if p.Sdist != nil {
				fuzzing.Name(t, "sdist", p.Sdist.Name)
			}
		}
	})
}
