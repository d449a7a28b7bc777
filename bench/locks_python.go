package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// notUv is the package of the twin that uv leaves out: it would want git and the host that stands in the lock.
const notUv = "ocirefs"

// uvRoot is a root with the twin's Python, compilers and uv, in which both make the environment at the same place.
func (l *locks) uvRoot(ctx context.Context) (string, error) {
	root := filepath.Join(l.cache, "python-root")
	return root, l.filled("python-root", func() error {
		dir, err := l.workspace("workspace", nil)
		if err != nil {
			return err
		}
		if _, err := l.b.build(l.full(), "build", dir+":python-root", "--out", root).run(ctx); err != nil {
			return err
		}
		for _, d := range []string{"dev", "proc", "tmp", "root", "etc/ssl", "usr/local/bin"} {
			if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
				return err
			}
		}
		// This machine's way to its registry, where it has any.
		for from, to := range map[string]string{"/etc/resolv.conf": "etc/resolv.conf", "/etc/hosts": "etc/hosts", os.Getenv("SSL_CERT_FILE"): "etc/ssl/this-machine.pem"} {
			if b, err := os.ReadFile(from); err == nil {
				if err := os.WriteFile(filepath.Join(root, to), b, 0o644); err != nil {
					return err
				}
			}
		}
		b, err := os.ReadFile(l.tools.uv)
		if err == nil {
			err = os.WriteFile(filepath.Join(root, "usr/local/bin/uv"), b, 0o755)
		}
		return err
	})
}

// uvSync is `uv sync` of a project in the root, and then one look at what it made.
func (l *locks) uvSync(root, project, cache string, more ...string) process {
	const enter = `mount --rbind /dev "$R/dev"
mount --rbind /proc "$R/proc"
exec chroot "$R" /bin/sh -euc "$SCRIPT"`
	args := []string{"unshare", "-m", "--propagation", "private", "sh", "-euc", enter}
	if os.Getuid() != 0 {
		args = append([]string{"unshare", "-r"}, args[1:]...)
	}
	script := "cd " + project + " && uv sync --frozen --quiet --link-mode hardlink --no-install-project --no-default-groups --no-install-package " +
		strings.Join(append([]string{notUv}, more...), " ") + " && .venv/bin/python -c 1"
	set := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/root", "R": root, "SCRIPT": script, "VIRTUAL_ENV": "", "PYTHONPATH": "",
		"UV_CACHE_DIR": cache, "UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON": "/usr/bin/python3.14", "CFLAGS": "-O0 -g0",
	}
	if os.Getenv("SSL_CERT_FILE") != "" {
		set["SSL_CERT_FILE"] = "/etc/ssl/this-machine.pem"
	}
	return process{args: args, env: environ(set)}
}

// uvProject puts what uv reads of the twin into the root, with files from the mirror.
func (l *locks) uvProject(root, project string, mirrors map[string]string) error {
	files := strings.NewReplacer("https://files.pypi.example/", strings.TrimSuffix(mirrors["pypi"], "simple")+"files/")
	for _, p := range []string{"packages", "pyproject.toml", "uv.lock"} {
		if err := copyTree(filepath.Join(l.repo, "e2e/twin", p), filepath.Join(root, project, p), files); err != nil {
			return err
		}
	}
	return nil
}

const (
	uvAt        = "/ak-root"
	uvCache     = "/uv-cache"
	changedGoal = 300 * time.Millisecond
)

// fillUv has uv build and unpack everything into its cache, once.
func (l *locks) fillUv(ctx context.Context) (root string, err error) {
	if err := l.mirrorPypi(ctx); err != nil {
		return "", err
	}
	mirrors, err := l.mirrors(ctx)
	if err != nil {
		return "", err
	}
	if root, err = l.uvRoot(ctx); err != nil {
		return "", err
	}
	return root, l.filled("uv", func() error {
		if err := l.uvProject(root, uvAt, mirrors); err != nil {
			return err
		}
		_, err := l.uvSync(root, uvAt, uvCache).run(ctx)
		return err
	})
}

// pythonRows compares virtual environments at the place where they are used.
func (l *locks) pythonRows(ctx context.Context) error {
	root, err := l.fillUv(ctx)
	if err != nil {
		return err
	}
	uv := func(name string, more ...string) side {
		return side{name, func(int) (process, error) {
			aside, err := l.dir("aside")
			if err != nil {
				return process{}, err
			}
			if err := os.Rename(filepath.Join(root, uvAt, ".venv"), filepath.Join(aside, "venv")); err != nil && !os.IsNotExist(err) {
				return process{}, err
			}
			return l.uvSync(root, uvAt, uvCache, append([]string{"--offline"}, more...)...), nil
		}}
	}
	built, seen, err := l.warm(ctx, "bench-venv", "virtual environment")
	if err != nil {
		return err
	}
	compiled, compiledSeen, err := l.warm(ctx, "bench-venv-compiled", "virtual environment")
	if err != nil {
		return err
	}
	_, coldSeen, err := l.warm(ctx, "bench-venv-compiled", "virtual environment", "bytecode of")
	if err != nil {
		return err
	}
	s, err := l.turns(ctx, uv("uv sync"), built, seen, uv("uv sync --compile-bytecode", "--compile-bytecode"), compiled, compiledSeen, coldSeen)
	if err != nil {
		return err
	}
	const tool, tool2, bound = "uv sync --frozen", "uv sync --frozen --compile-bytecode", "inodes of the view"
	l.compare("virtual environment, usable at its mount point", 1, s[2], s[0], tool, bound)
	l.compare("the same, but nothing has looked at it", 1, s[1], s[0], tool, "reading the lock")
	l.compare("with bytecode, usable at its mount point", 1, s[5], s[3], tool2, bound)
	l.compare("the same, but nothing has looked at it", 1, s[4], s[3], tool2, "reading the lock")
	l.compare("with bytecode, usable, no package compiled before", 1, s[6], s[3], tool2, "starts of Python, the compiler")
	return nil
}

// Another version of a package that only other packages ask for, so that the manifest still fits the lock.
const changedEntry = `[[package]]
name = "idna"
version = "3.10"
source = { registry = "https://pypi.example/simple" }
wheels = [
    { url = "https://files.pypi.example/idna-3.10-py3-none-any.whl", hash = "sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3", size = 70442 },
]

`

var changedRE = regexp.MustCompile(`(?s)\[\[package\]\]\nname = "idna"\n.*?\n\n`)

// changedRows measures an environment that was built and seen, after one package has moved to another version.
func (l *locks) changedRows(ctx context.Context) error {
	states := []struct {
		what, target string
		without      []string
	}{
		{"one package changed, its tree is there", "bench-venv", nil},
		{"the same with bytecode, which is there", "bench-venv-compiled", nil},
		{"the same, only its archive is there", "bench-venv-compiled", []string{"bytecode of idna 3.10", ": idna 3.10"}},
	}
	var sides []side
	for _, st := range states {
		s, err := l.changed(ctx, st.target, st.without)
		if err != nil {
			return err
		}
		sides = append(sides, s)
	}
	s, err := l.turns(ctx, sides...)
	if err != nil {
		return err
	}
	for i, st := range states {
		l.within("virtual environment, "+st.what, changedGoal, s[i], "reading the lock, start of Python")
	}
	return nil
}

// changed is hewn where the environment has been built and seen, and the packages of the next one are there but for some
// steps. Before each run the store goes back to that.
func (l *locks) changed(ctx context.Context, target string, without []string) (side, error) {
	dir, err := l.workspace("workspace", nil)
	if err != nil {
		return side{}, err
	}
	file := filepath.Join(dir, "uv.lock")
	before, err := os.ReadFile(file)
	if err != nil {
		return side{}, err
	}
	after := changedRE.ReplaceAllString(string(before), changedEntry)
	if after == string(before) {
		return side{}, fmt.Errorf("%s: no package to change", file)
	}
	target += "-seen"
	steps, err := l.everything(ctx, dir, target)
	if err != nil {
		return side{}, err
	}
	if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
		return side{}, err
	}
	more, err := l.everything(ctx, dir, target)
	if err != nil {
		return side{}, err
	}
	st, err := l.dir("store-changed")
	if err != nil {
		return side{}, err
	}
	not := append([]string{"/seen/yes", "virtual environment"}, without...)
	if err := partStore(ctx, l.full(), st, append(steps, more...), func(s done) bool { return !contains(s.Label, not) }); err != nil {
		return side{}, err
	}
	if err := os.WriteFile(file, before, 0o644); err != nil {
		return side{}, err
	}
	ref := dir + ":" + target
	if _, err := l.b.build(st, "--offline", "build", ref).run(ctx); err != nil {
		return side{}, err
	}
	snap, err := takeSnapshot(st)
	if err == nil {
		err = snap.remember()
	}
	return side{"hewn " + target + ", one package changed", func(int) (process, error) {
		if err := snap.restore(); err != nil {
			return process{}, err
		}
		return l.b.build(st, "--offline", "build", ref), os.WriteFile(file, []byte(after), 0o644)
	}}, err
}

func contains(s string, any []string) bool {
	for _, a := range any {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}
