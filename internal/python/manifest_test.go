package python

import (
	"os"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/uv"
)

func TestCheckManifest(t *testing.T) {
	const lock = `version = 1
[[package]]
name = "app"
source = { virtual = "." }
[package.metadata]
requires-dist = [
  { name = "a", specifier = ">=1.0,<2" },
  { name = "b", extras = ["x"], marker = "extra == 'more'" },
  { name = "c", git = "https://git.example/c" },
]
`
	for _, tc := range []struct{ name, dependencies, want string }{
		{"same", `"A [x] < 2, >= 1.0", "c >= 3"`, ""},
		{"other version", `"a<3,>=1.0", "c"`, "pyproject.toml asks for `a <3,>=1.0`, which the lock does not know\nthe lock was made for `a <2,>=1.0`, which pyproject.toml does not ask for"},
		{"new", `"a>=1.0,<2", "c", "d"`, "pyproject.toml asks for `d`, which the lock does not know"},
		{"gone", `"a>=1.0,<2"`, "the lock was made for `c`, which pyproject.toml does not ask for"},
		{"malformed", `"a b"`, "requirement \"a b\""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := uv.Read("uv.lock", []byte(lock))
			if err != nil {
				t.Fatal(err)
			}
			p, err := parseProject("pyproject.toml", []byte("[project]\nname = \"app\"\ndependencies = ["+tc.dependencies+"]\n[project.optional-dependencies]\nmore = [\"b[x]\"]\n"))
			if err != nil {
				t.Fatal(err)
			}
			err = checkManifest(l, p)
			if tc.want == "" {
				if err != nil {
					t.Error(problemText(err))
				}
				return
			}
			if err == nil || !strings.Contains(problemText(err), tc.want) || diag.ExitCode(err) != 2 {
				t.Errorf("got  %v\nwant %s", problemText(err), tc.want)
			}
		})
	}
}

// TestCheckManifestOfExamples reads a lock that a person would have.
func TestCheckManifestOfExamples(t *testing.T) {
	for _, dir := range []string{"../../examples/miniature", "../../e2e/twin"} {
		manifest, err := os.ReadFile(dir + "/pyproject.toml")
		if err != nil {
			t.Fatal(err)
		}
		lock, err := os.ReadFile(dir + "/uv.lock")
		if err != nil {
			t.Fatal(err)
		}
		l, err := uv.Read("uv.lock", lock)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseProject("pyproject.toml", manifest)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkManifest(l, p); err != nil || len(p.requires) < 10 {
			t.Errorf("%s: %v", dir, problemText(err))
		}
	}
}
