package python

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python runs one of our scripts with the machine's interpreter, if it has one: they are plain Python 3.11.
func runPython(t *testing.T, dir, script string, args ...string) (out string, ok bool) {
	t.Helper()
	interpreter, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	if err := exec.Command(interpreter, "-c", "import sys; sys.exit(sys.version_info < (3, 11))").Run(); err != nil {
		t.Skip("python3 is older than 3.11")
	}
	abs, err := filepath.Abs("scripts/" + script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, append([]string{"-P", "-s", abs}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PYTHONHASHSEED=0", "PYTHONDONTWRITEBYTECODE=1"}
	b, err := cmd.CombinedOutput()
	return string(b), err == nil
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for p, text := range files {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuildScript(t *testing.T) {
	backend := `
import os
def get_requires_for_build_wheel(config=None):
    return ["pip-like-name-that-nobody-has>=1", "never; python_version < '3'"] if os.path.exists("greedy") else []
def build_wheel(dist):
    open(os.path.join(dist, "x.whl"), "w").close()
    return "x.whl"
class inner:
    def build_editable(dist):
        return "inner"
`
	for _, tc := range []struct {
		name  string
		files map[string]string
		args  []string
		want  string
		ok    bool
	}{
		{"wheel", nil, []string{"wheel", "backend", "dist", "build/x@1", "in"}, "hewn: built x.whl", true},
		{"object of a module", nil, []string{"editable", "backend:inner", "dist", "build/x@1", "in"}, "hewn: built inner", true},
		{"requirements at run time", map[string]string{"greedy": ""}, []string{"wheel", "backend", "dist", "build/x@1", "in"}, "asks for more than sources.lock pins for it: pip-like-name-that-nobody-has>=1\nhewn: hint: ask it again: `hewn update . build/x@1`", false},
		{"no hook", nil, []string{"editable", "backend", "dist", "build/x@1", "in"}, "the build backend 'backend' cannot build an editable", false},
		{"no backend", nil, []string{"wheel", "ghost.backend", "dist", "build/x@1"}, "the build backend 'ghost.backend' cannot be imported: No module named 'ghost'", false},
		{"backend outside", nil, []string{"wheel", "backend", "dist", "build/x@1", "../in"}, "backend-path '../in' lies outside the source", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{"in/backend.py": backend})
			write(t, dir, tc.files)
			out, ok := runPython(t, dir, "build.py", tc.args...)
			if ok != tc.ok || !strings.Contains(out, tc.want) {
				t.Errorf("%v, got %s\nwant %s", ok, out, tc.want)
			}
		})
	}
}

// What a back end asks for is written down as it says it, one line each.
func TestBuildScriptRequires(t *testing.T) {
	for _, tc := range []struct{ name, backend, hook, want string }{
		{"a list", "def get_requires_for_build_wheel(c=None): return ['b >=1', 'a ; python_version<\"3\"', 'b >=1']", "requires-wheel", "a ; python_version<\"3\"\nb >=1\n"},
		{"nothing", "def get_requires_for_build_wheel(c=None): return []", "requires-wheel", ""},
		{"no such hook", "def get_requires_for_build_wheel(c=None): return ['a']", "requires-editable", ""},
		{"a line end", "def get_requires_for_build_editable(c=None): return ['a>=1,\\n  <2']", "requires-editable", "a>=1, <2\n"},
		{"it says something", "def get_requires_for_build_wheel(c=None): print('running egg_info'); return ['a']", "requires-wheel", "a\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{"backend.py": tc.backend})
			out, ok := runPython(t, dir, "build.py", tc.hook, "backend", dir+"/new/requires.txt", "build/x@1", ".")
			got, err := os.ReadFile(dir + "/new/requires.txt")
			if !ok || err != nil || string(got) != tc.want {
				t.Errorf("%v, %v, got %q, want %q\n%s", ok, err, got, tc.want, out)
			}
		})
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"backend.py": "def get_requires_for_build_wheel(c=None): raise SystemExit('no header')"})
	if out, ok := runPython(t, dir, "build.py", "requires-wheel", "backend", dir+"/r", "build/x@1", "."); ok || !strings.Contains(out, "no header") {
		t.Errorf("%v: %s", ok, out)
	}
}

func TestCompileScript(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"v/lib/site/a.py":          "x = {'b', 'a', 'c'} | frozenset(['z'])\n",
		"v/lib/site/p/__init__.py": "",
		"v/lib/site/p/old.py":      "print 'python 2'\n",
		"v/lib/site/p/nul.py":      "x\x00",
		"v/lib/site/p/data.txt":    "",
	})
	for _, to := range []string{"one", "two"} {
		if out, ok := runPython(t, dir, "compile.py", dir+"/v", dir+"/v/lib/site", dir+"/"+to); !ok || !strings.Contains(out, "not compiled") {
			t.Fatal(out)
		}
	}
	one, _ := filepath.Glob(dir + "/one/lib/site/*/*.pyc")
	more, _ := filepath.Glob(dir + "/one/lib/site/*/*/*.pyc")
	if one = append(one, more...); len(one) != 2 {
		t.Fatalf("compiled %q", one)
	}
	for _, p := range one {
		a, _ := os.ReadFile(p)
		b, err := os.ReadFile(strings.Replace(p, "/one/", "/two/", 1))
		if err != nil || string(a) != string(b) {
			t.Errorf("%s differs the second time: %v", p, err)
		}
		if len(a) < 16 || a[4] != 1 { // PEP 552: hash-based, not checked
			t.Errorf("%s has flags %d", p, a[4])
		}
	}
	if _, ok := runPython(t, dir, "compile.py", dir+"/v", dir+"/nothing", dir+"/three"); !ok {
		t.Error("a package without modules fails")
	}
}
