//go:build oracle

package python

import (
	"flag"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"hewn.example/hewn/internal/testkit/pyindex"
)

var (
	uvBinary = flag.String("uv", "uv", "the uv to record")
	uvPython = flag.String("python", "python3.11", "the interpreter for it")
	only     = flag.String("case", "", "record only this case")
)

// TestRecord runs uv on every case and writes its lock and what it installed into the case's file. It needs uv, git, a
// Python of the version oraclePython and a C library of the version oracleLibc; the network is not used:
//
//	go test -tags oracle -run TestRecord ./internal/python -uv /path/to/uv -python /path/to/python3.11
func TestRecord(t *testing.T) {
	for _, c := range readCases(t, "oracle") {
		if *only != "" && *only != c.name {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(pyindex.Handler(c.packed))
			defer srv.Close()
			r := &recording{t: t, oracleCase: c, dir: t.TempDir(), url: srv.URL}
			sections := r.run()
			file := "testdata/oracle/" + c.name + ".txtar"
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool {
				return slices.Contains([]string{uvLock, pyLock, reqsFile}, strings.TrimPrefix(f.Name, "want-")) || f.Name == "want"
			})
			a.Files = append(a.Files, sections...)
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

type recording struct {
	t *testing.T
	*oracleCase
	dir, url string
}

// hide puts what is the same on every machine in the place of what is not.
func (r *recording) hide(s string) string {
	return strings.NewReplacer("file://"+r.dir+"/git/", "https://git.example/", r.dir+"/app", "/app",
		r.url+"/files/", "https://files.example/", r.url+"/simple", "https://index.example/simple").Replace(s)
}

// show is the opposite of hide.
func (r *recording) show(s string) string {
	return strings.NewReplacer("https://git.example/", "file://"+r.dir+"/git/", "https://files.example/", r.url+"/files/").Replace(s)
}

func (r *recording) write(dir string, files map[string]string) {
	for p, text := range files {
		if strings.HasSuffix(p, ".toml") || strings.HasSuffix(p, ".txt") {
			text = r.show(text)
		}
		p = filepath.Join(r.dir, dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *recording) do(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join(r.dir, dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "UV_CACHE_DIR=" + r.dir + "/cache", "UV_NO_CONFIG=0", "UV_LINK_MODE=copy",
		"UV_PYTHON_DOWNLOADS=never", "UV_DEFAULT_INDEX=" + r.url + "/simple", "NO_COLOR=1", "PYTHONDONTWRITEBYTECODE=1", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@t.example", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@t.example",
		"GIT_AUTHOR_DATE=1767323045 +0000", "GIT_COMMITTER_DATE=1767323045 +0000"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *recording) must(dir, name string, args ...string) {
	if out, err := r.do(dir, name, args...); err != nil {
		r.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func (r *recording) run() []txtar.File {
	r.write("app", r.files)
	for name, files := range r.repos {
		dir := "git/" + name
		r.write(dir, files)
		for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "all"}, {"tag", "v1"}} {
			r.must(dir, "git", args...)
		}
	}
	if omit := r.options["lock-without"]; omit != "" { // a setting that uv would refuse to lock with
		lines := slices.Collect(strings.Lines(r.files["pyproject.toml"]))
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, omit) })
		r.write("app", map[string]string{"pyproject.toml": strings.Join(lines, "")})
	}
	r.must("app", *uvBinary, "lock", "--python", *uvPython)
	r.write("app", r.files)
	b, err := os.ReadFile(filepath.Join(r.dir, "app/uv.lock"))
	if err != nil {
		r.t.Fatal(err)
	}
	args := []string{"sync", "--frozen", "--python", *uvPython, "--no-default-groups", "--no-install-project"}
	if r.options["all-packages"] != "" {
		args = append(args, "--all-packages")
	}
	for _, x := range r.list("extras") {
		args = append(args, "--extra", x)
	}
	for _, g := range r.list("groups") {
		args = append(args, "--group", g)
	}
	out, err := r.do("app", *uvBinary, args...)
	if refused := r.options["refused"] != "" && r.options["alone"] == ""; refused != (err != nil) {
		r.t.Fatalf("uv: %v\n%s", err, out)
	}
	if err != nil {
		return r.sections(string(b), out[max(0, strings.Index(out, "error: ")):])
	}
	want := r.environment()
	return append(r.sections(string(b), want), r.exports(args[6:], want)...)
}

func (r *recording) sections(lock, want string) []txtar.File {
	return []txtar.File{{Name: uvLock, Data: []byte(r.hide(lock))}, {Name: "want", Data: []byte(r.hide(want))}}
}

// exports are the same lock in the other formats, and what uv installs from those where that is not the same.
func (r *recording) exports(choice []string, want string) []txtar.File {
	var out []txtar.File
	for _, file := range []string{pyLock, reqsFile} {
		if slices.Contains(r.list("without"), file) { // it cannot say what the case is about
			continue
		}
		args := append([]string{"export", "--frozen", "--quiet", "--no-header", "--no-annotate", "--no-default-groups", "--no-emit-project", "-o", file}, choice...)
		r.must("app", *uvBinary, append(args, "--python", *uvPython)...)
		if err := os.RemoveAll(filepath.Join(r.dir, "app/.venv")); err != nil {
			r.t.Fatal(err)
		}
		r.must("app", *uvBinary, "venv", "-q", "--python", *uvPython)
		if text, err := r.do("app", *uvBinary, "pip", "sync", "--allow-empty-requirements", file); err != nil {
			r.t.Logf("%s is not recorded: %s", file, text)
			continue
		}
		b, err := os.ReadFile(filepath.Join(r.dir, "app", file))
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, txtar.File{Name: file, Data: []byte(r.hide(string(b)))})
		if env := r.environment(); env != want {
			out = append(out, txtar.File{Name: "want-" + file, Data: []byte(env)})
		}
	}
	return out
}

// environment is the environment as the tests list it.
func (r *recording) environment() string {
	l := &listing{}
	root := filepath.Join(r.dir, "app/.venv")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rest, _ := filepath.Rel(root, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			if rest == "bin/python" {
				target = "/usr/bin/python3.11"
			}
			l.link(rest, target)
			return err
		}
		b, err := os.ReadFile(p)
		l.file(rest, r.hide(string(b)), info.Mode()&0o111 != 0)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return l.String()
}
