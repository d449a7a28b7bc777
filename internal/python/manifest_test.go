package python

import (
	"os"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/lock/uv"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/store/memory"
)

func TestCheckManifest(t *testing.T) {
	env := testEnvironment(t)
	const lock = `version = 1
[[package]]
name = "app"
source = { virtual = "." }
[package.metadata]
requires-dist = [
  { name = "a", specifier = ">=1.0,<2" },
  { name = "b", extras = ["x"], marker = "extra == 'more'" },
  { name = "m", marker = "python_full_version >= '3.13'" },
  { name = "c", git = "https://git.example/c" },
]
[package.metadata.requires-dev]
dev = [{ name = "t", specifier = ">=1" }, { name = "u" }]
lint = [{ name = "u" }]
`
	const same, dev = `"A < 2, >= 1.0", "c >= 3", "m; python_version > '3.12'"`, `"T>=1", {include-group = "Lint"}`
	groups := func(dev string) string { return "]\n[dependency-groups]\nlint = ['u']\ndev = [" + dev + "]\n" }
	for _, tc := range []struct{ name, dependencies, want string }{
		{"same", same, ""},
		{"group changed", same + groups(`"t>=2", {include-group = "Lint"}`), "pyproject.toml asks for `t >=2` in the group `dev`, which the lock does not know\nthe lock was made for `t >=1` in the group `dev`, which pyproject.toml does not ask for"},
		{"include gone", same + groups(`"t>=1"`), "the lock was made for `u` in the group `dev`, which pyproject.toml does not ask for"},
		{"new group", same + groups(dev) + "new = ['x']\n", "pyproject.toml asks for `x` in the group `new`, which the lock does not know"},
		{"no extra", strings.Replace(same, "A", "A[y]", 1), "pyproject.toml asks for `a[y] <2,>=1.0`, which the lock does not know\nthe lock was made for `a <2,>=1.0`, which pyproject.toml does not ask for"},
		{"marker on", strings.Replace(same, "> '3.12'", "> '3.13'", 1), "the lock was made for `m` for this platform, which pyproject.toml does not ask for"},
		{"out of the extra", same + ", 'b[x]'", "pyproject.toml asks for `b[x]` for this platform, which the lock does not know"},
		{"into the extra", strings.Replace(same, `"c >= 3", `, "", 1) + "]\noptional-dependencies.more = ['b[x]', 'c'", "the lock was made for `c` for this platform, which pyproject.toml does not ask for"},
		{"into another extra", same + "]\noptional-dependencies.less = ['b[x]'", "pyproject.toml asks for `b[x]` for this platform with the extra `less`, which the lock does not know"},
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
			if !strings.Contains(tc.dependencies, "[dependency-groups]") {
				tc.dependencies += groups(dev)
			}
			if !strings.Contains(tc.dependencies, "-dependencies.more") {
				tc.dependencies = strings.Replace(tc.dependencies, "]\n[dep", "]\noptional-dependencies.more = [\"b[x]\"]\n[dep", 1)
			}
			tc.dependencies += "[tool.uv.sources]\nC = { git = 'https://git.example/c' }\n"
			p, err := parseProject("pyproject.toml", []byte("[project]\nname = \"app\"\ndependencies = ["+tc.dependencies))
			if err != nil {
				t.Fatal(err)
			}
			err = checkManifest(l, l.Root(), p, env)
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

func testEnvironment(t *testing.T) pep508.Environment {
	t.Helper()
	env, err := pep508.CPython("3.13.5", platform.Platform{OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// TestCheckManifestOfExamples reads a lock that a person would have.
func TestCheckManifestOfExamples(t *testing.T) {
	env := testEnvironment(t)
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
		if err := checkLock(l); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		if err := checkManifest(l, l.Root(), p, env); err != nil || len(p.requires) < 10 {
			t.Errorf("%s: %v", dir, problemText(err))
		}
	}
}

// TestCheckSettings changes what [tool.uv] says of where packages are from and which versions may be chosen. For each uv
// refuses to install with `--locked`.
func TestCheckSettings(t *testing.T) {
	const lock = `version = 1
requires-python = ">=3.11"
[manifest]
constraints = [{ name = "c", specifier = "<3" }]
overrides = [{ name = "o", specifier = "==1.0" }]
[[package]]
name = "app"
source = { virtual = "." }
[package.metadata]
requires-dist = [
  { name = "a" },
  { name = "g", git = "https://git.example/g?tag=v1" },
  { name = "i", index = "https://own.example/simple" },
  { name = "l", marker = "sys_platform == 'linux'", url = "https://files.example/l-1.zip" },
  { name = "l", marker = "sys_platform != 'linux'" },
  { name = "m", editable = "packages/m" },
  { name = "p", directory = "vendor/p" },
  { name = "u", url = "https://files.example/u-1.zip" },
]
`
	const manifest = `[project]
name = "app"
requires-python = ">=3.11"
dependencies = ["a", "g", "i", "l", "m", "p", "u @ https://files.example/u-1.zip"]
[tool.uv]
constraint-dependencies = ["C<3"]
override-dependencies = ["o==1.0"]
[tool.uv.sources]
G = { git = "https://git.example/g", tag = "v1" }
i = { index = "own" }
l = [{ url = "https://files.example/l-1.zip", marker = "sys_platform == 'linux'" }]
m = { workspace = true }
p = { path = "vendor/p" }
`
	for _, tc := range []struct{ name, old, new, want string }{
		{"as locked", "", "", ""},
		{"from elsewhere", "[tool.uv.sources]\n", "[tool.uv.sources]\na = { path = 'a' }\n", "pyproject.toml takes `a` from path a, the lock from an index"},
		{"from an index", "p = { path = \"vendor/p\" }", "", "pyproject.toml takes `p` from an index, the lock from path vendor/p"},
		{"moved", "vendor/p", "vendor/q", "pyproject.toml takes `p` from path vendor/q, the lock from path vendor/p"},
		{"another tag", `tag = "v1"`, `tag = "v2"`, "pyproject.toml takes `g` from git v2, the lock from git v1"},
		{"git for a URL", "u @ https://files.example/u-1.zip", "u @ git+https://git@git.example/u@main", "pyproject.toml takes `u` from git main, the lock from url u-1.zip"},
		{"out of the workspace", "m = { workspace = true }", "m = { url = 'https://files.example/m-2.zip' }", "pyproject.toml takes `m` from url m-2.zip, the lock from path packages/m"},
		{"for an extra only", `tag = "v1"`, `tag = "v2", extra = "x"`, ""},
		{"constraint", "C<3", "C<4", "pyproject.toml asks for `c <4` in `constraint-dependencies`, which the lock does not know"},
		{"constraint gone", `"C<3"`, "", "the lock was made for `c <3` in `constraint-dependencies`, which pyproject.toml does not ask for"},
		{"override", "o==1.0", "o==2.0", "pyproject.toml asks for `o ==2.0` in `override-dependencies`, which the lock does not know"},
		{"override of a form of tomorrow", `"o==1.0"`, `{ name = "o" }`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := uv.Read("uv.lock", []byte(lock))
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(manifest, tc.old, tc.new, 1)
			if text == manifest && tc.old != "" {
				t.Fatalf("%q is not there", tc.old)
			}
			p, err := parseProject("pyproject.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err = checkResolution(l, p); err == nil {
				err = checkManifest(l, l.Root(), p, testEnvironment(t))
			}
			if tc.want == "" && err == nil {
				return
			}
			if err == nil || tc.want == "" || !strings.Contains(problemText(err), tc.want) || len(hints(err)) == 0 {
				t.Errorf("got  %v\nwant %s", problemText(err), tc.want)
			}
		})
	}
}

// TestCheckMembers changes the manifests of a workspace beside a lock that uv made.
func TestCheckMembers(t *testing.T) {
	for _, tc := range []struct{ name, file, old, new, want string }{
		{"as locked", "packages/one/pyproject.toml", "one", "one", ""},
		{"member changed", "packages/one/pyproject.toml", `"dep"`, `"dep>=2"`, "the lock does not fit packages/one/pyproject.toml\npackages/one/pyproject.toml asks for `dep >=2`, which the lock does not know\nthe lock was made for `dep`, which packages/one/pyproject.toml does not ask for"},
		{"member's group", "packages/one/pyproject.toml", "[build-system]", "[dependency-groups]\ndev = ['x']\n[build-system]", "packages/one/pyproject.toml asks for `x` in the group `dev`, which the lock does not know"},
		{"member renamed", "packages/two/pyproject.toml", `"two"`, `"three"`, "the lock has `two` there, packages/two/pyproject.toml has `three`"},
		{"another Python", "packages/one/pyproject.toml", `version = "0.1"`, "version = '0.1'\nrequires-python = '==3.12.*'", "packages/one/pyproject.toml: `project.requires-python`: target venv: the project is for Python ==3.12.*, but the root has Python 3.11.7"},
		{"member became a package", uvLock, `editable = "packages/two"`, `virtual = "packages/two"`, "packages/two/pyproject.toml makes `two` a package, which the lock does not install"},
		{"member gone", "packages/two/pyproject.toml", "[project]", "[projekt]", "the lock has `two` there, packages/two/pyproject.toml does not give a name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, c := range readCases(t, "oracle") {
				if c.name != "workspace" {
					continue
				}
				files := c.files
				if tc.file == uvLock {
					files = c.locks
				}
				if text := files[tc.file]; !strings.Contains(text, tc.old) {
					t.Fatalf("%q is not in\n%s", tc.old, text)
				}
				files[tc.file] = strings.ReplaceAll(files[tc.file], tc.old, tc.new)
				_, err := (&oracleWorld{oracleCase: c, st: memory.New(), lock: uvLock}).install()
				if tc.want == "" && err == nil {
					continue
				}
				if err == nil || tc.want == "" || !strings.Contains(problemText(err), tc.want) || diag.ExitCode(err) != 2 {
					t.Errorf("got  %v\nwant %s", problemText(err), tc.want)
				}
			}
		})
	}
}
