//go:build oracle

package python

import (
	"bytes"
	"flag"
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

var poetryBinary = flag.String("poetry", "poetry", "the poetry to record")

// TestRecordPoetry runs poetry on every case and writes its lock and what it installed into the case's file. It needs
// poetry, uv, git and a Python of the version oraclePython. The network is not used: the index is served as the proxy of all
// hosts.
//
//	go test -tags oracle -run TestRecordPoetry ./internal/python -poetry /path/to/poetry -uv /path/to/uv -python /path/to/python3.11
func TestRecordPoetry(t *testing.T) {
	for _, c := range readCases(t, "poetry") {
		if *only != "" && *only != c.name {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(pyindex.Handler(c.packed))
			defer srv.Close()
			r := &recording{t: t, oracleCase: c, dir: t.TempDir(), url: srv.URL}
			sections := r.runPoetry()
			file := "testdata/poetry/" + c.name + ".txtar"
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == poetryLock || f.Name == "want" })
			a.Files = append(a.Files, sections...)
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (r *recording) poetry(args ...string) (string, error) {
	cmd := exec.Command(*poetryBinary, append(args, "--no-interaction")...)
	cmd.Dir = filepath.Join(r.dir, "app")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "POETRY_CONFIG_DIR=" + r.dir + "/config", "POETRY_CACHE_DIR=" + r.dir + "/cache",
		"POETRY_DATA_DIR=" + r.dir + "/data", "POETRY_VIRTUALENVS_IN_PROJECT=true", "POETRY_SYSTEM_GIT_CLIENT=true", "POETRY_KEYRING_ENABLED=false",
		"http_proxy=" + r.url, "NO_COLOR=1", "PYTHONDONTWRITEBYTECODE=1", "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// omitted are the lines of pyproject.toml that Poetry does not see while it locks: a change after it.
const omitted = " # after the lock\n"

func (r *recording) runPoetry() []txtar.File {
	r.write("app", r.files)
	config := "[url \"file://" + r.dir + "/git/\"]\n\tinsteadOf = https://git.example/\n"
	r.write(".", map[string]string{".gitconfig": config})
	for name, files := range r.repos {
		r.write("git/"+name, files)
		for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "all"}, {"tag", "v1"}} {
			r.must("git/"+name, "git", args...)
		}
	}
	pyproject := slices.DeleteFunc(slices.Collect(strings.Lines(r.files["pyproject.toml"])), func(l string) bool { return strings.HasSuffix(l, omitted) })
	path := filepath.Join(r.dir, "app/pyproject.toml")
	if err := os.WriteFile(path, []byte(strings.Join(pyproject, "")), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.must("app", *uvBinary, "venv", "-q", "--python", *uvPython) // so that nothing but the packages differs from the other cases
	if out, err := r.poetry("lock"); err != nil {
		r.t.Fatalf("poetry lock: %v\n%s", err, out)
	}
	if err := os.WriteFile(path, []byte(r.files["pyproject.toml"]), 0o644); err != nil {
		r.t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(r.dir, "app/poetry.lock"))
	if err != nil {
		r.t.Fatal(err)
	}
	if v := r.options["lock-version"]; v != "" { // of another Poetry
		lock = bytes.Replace(lock, []byte(`lock-version = "2.1"`), []byte(`lock-version = "`+v+`"`), 1)
		if err := os.WriteFile(filepath.Join(r.dir, "app/poetry.lock"), lock, 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	args := []string{"sync", "--no-root", "--only", strings.Join(append([]string{"main"}, r.list("groups")...), ",")}
	for _, x := range r.list("extras") {
		args = append(args, "--extras", x)
	}
	out, err := r.poetry(args...)
	if refused := r.options["refused"] != "" && r.options["alone"] == ""; refused != (err != nil) {
		r.t.Fatalf("poetry: %v\n%s", err, out)
	}
	want := out
	if err == nil {
		if err := os.RemoveAll(filepath.Join(r.dir, "app/.venv/src")); err != nil { // clones of what is from git
			r.t.Fatal(err)
		}
		want = r.environment()
	}
	return []txtar.File{{Name: poetryLock, Data: []byte(r.hide(string(lock)))}, {Name: "want", Data: []byte(r.hide(want))}}
}
