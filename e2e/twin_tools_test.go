//go:build e2e && linux

package e2e

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// toolVersion is the version of a tool that made the twin's lock.
func (w *world) toolVersion(t *testing.T, tool string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.work, twin, "tools.txt"))
	must(t, err)
	for l := range strings.Lines(string(b)) {
		if f := strings.Fields(l); len(f) == 2 && f[0] == tool {
			return f[1]
		}
	}
	t.Fatalf("tools.txt names no %s", tool)
	return ""
}

// asUv compares the environment with what `uv sync --frozen` makes of it in the same place, with the same interpreter
// and compilers.
func (w *world) asUv(t *testing.T) {
	root := w.enter(t, twin+":python-root")
	scratch := t.TempDir()
	command(t, exec.Command("python3", "-m", "pip", "install", "-q", "--no-deps", "--target", scratch, "uv=="+w.toolVersion(t, "uv")))
	copyFile(t, filepath.Join(scratch, "bin", "uv"), filepath.Join(string(root), "usr/local/bin/uv"))
	project := filepath.Join(string(root), "ak-root")
	copyDir(t, filepath.Join(w.work, twin, "packages"), filepath.Join(project, "packages"))
	copyFile(t, filepath.Join(w.work, twin, "pyproject.toml"), filepath.Join(project, "pyproject.toml"))
	lock, err := os.ReadFile(filepath.Join(w.work, twin, "uv.lock"))
	must(t, err)
	index := pythonIndex(t)
	lock = []byte(strings.ReplaceAll(string(lock), "https://files.pypi.example/", filesOf(t, index, string(lock))))
	must(t, os.WriteFile(filepath.Join(project, "uv.lock"), lock, 0o644))

	// The one from git needs git and the repository behind its identity; a case of its own in internal/python has that.
	const git = "ocirefs"
	root.run(t, []string{"UV_DEFAULT_INDEX=" + index, "UV_PYTHON_DOWNLOADS=never", "UV_CACHE_DIR=/ak-root/.cache", "CFLAGS=-O0 -g0"},
		`cd /ak-root && uv sync --frozen --no-install-project --no-default-groups --no-install-package `+git)
	leave := func(p string) bool {
		return endsIn("__pycache__", "INSTALLER", "REQUESTED", "RECORD", "uv_cache.json", "uv_build.json", "pyvenv.cfg", ".lock", ".gitignore", "CACHEDIR.TAG",
			"activate*", "deactivate*", "pydoc.bat", "_virtualenv.*", "_virtualenv.py", "_virtualenv.pth")(p) || strings.Contains(p, "site-packages/"+git)
	}
	want := list(t, filepath.Join(project, ".venv"), leave)
	got := list(t, filepath.Join(w.checkout(t, twin+":python-deps"), "ak-root/.venv"), leave)
	for p, what := range want {
		if what == "/" { // RECORD names no empty directories, and neither we nor pip make them
			delete(want, p)
		}
	}
	compare(t, "uv", want, got, func(p string) bool {
		// Generated scripts; what is compiled here and there, by which release of setuptools; what two packages bring.
		return strings.HasPrefix(p, "bin/") || p == "lib/python3.14/site-packages/docs/Makefile" || regexp.MustCompile(`/(lxml|psycopg_c|gssapi)/.*\.so$|/xmlsec\.[^/]*\.so$|/(lxml|psycopg_c|gssapi|xmlsec)-[^/]*/WHEEL$`).MatchString(p)
	})
}

// pythonIndex is the index of this machine, as pip knows it.
func pythonIndex(t *testing.T) string {
	t.Helper()
	out, _ := exec.Command("python3", "-m", "pip", "config", "get", "global.index-url").Output() // fails where there is none
	index := strings.TrimSpace(string(out))
	if index == "" {
		index = command(t, exec.Command("python3", "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"))
	}
	return strings.TrimRight(index, "/")
}

// filesOf is where the files of an index lie: what comes before the path that the lock has for one of them.
func filesOf(t *testing.T, index, lock string) string {
	t.Helper()
	m := regexp.MustCompile(`https://files\.pypi\.example/(\S+/((\w+)-[^/"]+-py3-none-any\.whl))"`).FindStringSubmatch(lock)
	if m == nil {
		t.Fatal("the lock names no file")
	}
	page := index + "/" + strings.ToLower(strings.ReplaceAll(m[3], "_", "-")) + "/"
	resp, err := http.Get(page)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	must(t, err)
	href := regexp.MustCompile(`href="([^"#]*/)?` + regexp.QuoteMeta(m[2])).FindStringSubmatch(string(text))
	if href == nil {
		t.Fatalf("the index has no %s", m[2])
	}
	base, err := url.Parse(page)
	must(t, err)
	file, err := base.Parse(href[1] + m[2])
	must(t, err)
	prefix, ok := strings.CutSuffix(file.String(), m[1])
	if !ok {
		t.Fatalf("the index keeps %s at %s, not below a place that the lock's path fits", m[2], file)
	}
	return prefix
}

// asNpm compares node_modules with what `npm ci` makes with the same Node.js.
func (w *world) asNpm(t *testing.T) {
	root := w.enter(t, twin+":node-root")
	copyDir(t, filepath.Join(w.work, twin, "web"), filepath.Join(string(root), "web"))
	copyFile(t, filepath.Join(w.work, twin, "package.json"), filepath.Join(string(root), "package.json"))
	registry := strings.TrimRight(command(t, exec.Command("npm", "config", "get", "registry")), "/") + "/"
	file := filepath.Join(string(root), "web/package-lock.json")
	lock, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(lock), "https://npm.example/", registry)), 0o644))
	root.run(t, []string{"NPM_CONFIG_REGISTRY=" + registry}, `cd /web && npm ci --ignore-scripts --no-audit --no-fund --include=dev --cache /npm-cache`)
	modules := func(dir string) places {
		all := list(t, dir, endsIn(".package-lock.json"))
		for p := range all {
			if !strings.Contains(p, "node_modules/") { // the projects' own files
				delete(all, p)
			}
		}
		return all
	}
	want, got := modules(filepath.Join(string(root), "web")), modules(filepath.Join(w.checkout(t, twin+":webui-deps"), "web"))
	compare(t, "npm", want, got, never)
}

// asCargo compares the vendor tree with what `cargo vendor` makes.
func (w *world) asCargo(t *testing.T) {
	dir := t.TempDir()
	copyDir(t, filepath.Join(w.work, twin), dir)
	for _, name := range []string{".cargo", "rust-toolchain.toml"} { // a compiler is not needed, nor a linker
		must(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	file := filepath.Join(dir, "Cargo.lock")
	lock, err := os.ReadFile(file)
	must(t, err)
	// Without a source and a checksum, a package is the default registry's at the locked version.
	text := regexp.MustCompile(`(?m)^source = "registry\+https://crates\.example/index"\n|^checksum = .*\n`).ReplaceAllString(string(lock), "")
	must(t, os.WriteFile(file, []byte(text), 0o644))
	cmd := exec.Command("cargo", "vendor", "--quiet", "--versioned-dirs", filepath.Join(dir, "made"))
	cmd.Dir = dir
	command(t, cmd)
	compare(t, "cargo", list(t, filepath.Join(dir, "made"), never), list(t, vendored(t, w.checkout(t, twin+":rust-crates")), never), never)
}

// vendored is the directory of crates in a vendor tree.
func vendored(t *testing.T, dir string) string {
	t.Helper()
	found := ""
	must(t, filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == ".cargo-checksum.json" && found == "" {
			found = filepath.Dir(filepath.Dir(name))
		}
		return err
	}))
	if found == "" {
		t.Fatal("the tree has no crates")
	}
	return found
}
