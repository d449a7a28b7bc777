//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The workspaces of the twin: authentik's dependencies with a recipe that uses them, and with authentik's own recipe.
const (
	twin         = "e2e/twin"
	twinByRecipe = "e2e/twin-recipe"
)

// twin builds dependencies at full scale, uses them, and compares each tree with what the tool makes that owns the lock.
func (w *world) twin(t *testing.T) {
	w.copyTracked(t, "e2e/twin", "e2e/twin-recipe")
	t.Run("by authentik's recipe", func(t *testing.T) {
		refs := []string{twinByRecipe + ":python-deps", twinByRecipe + ":webui-deps", twinByRecipe + ":authentik-server"}
		_, o := w.first.build(t, refs...)
		t.Logf("%s; the slowest: %s", o, slowest(o.stderr, 6))
		if limit := int64(300e6); o.peak > limit {
			t.Errorf("hewn itself needed %d MB, more than %d", o.peak/1e6, limit/1e6)
		}
		_, o = w.first.build(t, refs...)
		t.Logf("again, nothing changed: %s", o)
		if len(o.started) > 0 {
			t.Errorf("nothing changed, and yet these ran: %v", o.started)
		}
	})
	t.Run("used", func(t *testing.T) {
		o := w.first.must(t, "test", "--progress=json", twin)
		t.Logf("%s; the slowest: %s", o, slowest(o.stderr, 10))
	})
	t.Run("as uv", w.asUv)
	t.Run("as npm", w.asNpm)
	t.Run("as pnpm", w.asPnpm)
	t.Run("as go", w.asGo)
	t.Run("as cargo", w.asCargo)
}

// checkout builds a target and gives the directory with its tree.
func (w *world) checkout(t *testing.T, ref string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.ReplaceAll(filepath.Base(ref), ":", "-"))
	w.first.must(t, "build", ref, "--out", dir)
	return dir
}

// chroot is a checked out root in which another program runs. It must have a shell.
type chroot string

// enter makes a root of the tree of a target, with this machine's way to its registries.
func (w *world) enter(t *testing.T, ref string) chroot {
	t.Helper()
	dir := w.checkout(t, ref)
	for _, d := range []string{"dev", "proc", "tmp", "root", "etc/ssl", "usr/local/bin"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for from, to := range map[string]string{
		"/etc/resolv.conf": "etc/resolv.conf", "/etc/hosts": "etc/hosts", os.Getenv("SSL_CERT_FILE"): "etc/ssl/this-machine.pem",
		filepath.Join(os.Getenv("HOME"), ".npmrc"): "root/.npmrc",
	} {
		if b, err := os.ReadFile(from); err == nil {
			must(t, os.WriteFile(filepath.Join(dir, to), b, 0o644))
		}
	}
	return chroot(dir)
}

// run runs a script of the shell in the root.
func (c chroot) run(t *testing.T, env []string, script string) string {
	t.Helper()
	inner := `set -e
mount --rbind /dev "$R/dev"
mount --rbind /proc "$R/proc"
exec chroot "$R" /bin/sh -euc "$SCRIPT"`
	args := []string{"-m", "--propagation", "private", "sh", "-c", inner}
	if os.Getuid() != 0 {
		args = append([]string{"-r"}, args...)
	}
	cmd := exec.Command("unshare", args...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "R=" + string(c), "SCRIPT=" + script}
	if _, err := os.Stat(filepath.Join(string(c), "etc/ssl/this-machine.pem")); err == nil {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE=/etc/ssl/this-machine.pem", "NODE_EXTRA_CA_CERTS=/etc/ssl/this-machine.pem")
	}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasSuffix(strings.ToLower(name), "_proxy") || strings.HasPrefix(name, "UV_") || strings.HasPrefix(strings.ToLower(name), "npm_config_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	return command(t, cmd)
}

// command runs a command, which must succeed, and gives what it printed.
func command(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		text := stderr.String() + out.String()
		t.Fatalf("%s: %v\n%s", cmd, err, text[max(0, len(text)-4000):])
	}
	t.Logf("%s: %.1f s", filepath.Base(cmd.Path), time.Since(began).Seconds())
	return strings.TrimSpace(out.String())
}

// places are the names below a directory; each is a file's hash and executable bit, a link's target, or "/" for an
// empty directory.
type places map[string]string

// list gives what lies below a directory but for what leave says, which gets paths relative to it.
func list(t *testing.T, dir string, leave func(p string) bool) places {
	t.Helper()
	out := places{}
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		p := strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		if err != nil || p == "" {
			return err
		}
		if leave(p) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case e.IsDir():
			if inner, err := os.ReadDir(name); err != nil || len(inner) > 0 {
				return err
			}
			out[p] = "/"
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			out[p] = "-> " + target
			return err
		default:
			sum, err := sumFile(name)
			out[p] = sum
			return err
		}
		return nil
	}))
	return out
}

// sumFile is a file's hash, with a star behind it if it is executable.
func sumFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	star := ""
	if st.Mode()&0o100 != 0 {
		star = "*"
	}
	return fmt.Sprintf("%x%s", h.Sum(nil)[:8], star), nil
}

// compare fails with the first differences between what a tool made and what hewn made. Of a path that nameOnly
// matches only the name counts.
func compare(t *testing.T, tool string, want, got places, nameOnly func(p string) bool) {
	t.Helper()
	var diff []string
	for p, w := range want {
		g, ok := got[p]
		switch {
		case !ok:
			diff = append(diff, fmt.Sprintf("%s: only %s has it (%s)", p, tool, w))
		case g != w && !nameOnly(p):
			diff = append(diff, fmt.Sprintf("%s: %s has %s, hewn %s", p, tool, w, g))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			diff = append(diff, fmt.Sprintf("%s: only hewn has it (%s)", p, got[p]))
		}
	}
	slices.Sort(diff)
	t.Logf("%d places of %s, %d of hewn, %d differences", len(want), tool, len(got), len(diff))
	if len(want) < 100 {
		t.Errorf("%s made next to nothing", tool)
	}
	if len(diff) > 0 {
		t.Errorf("they differ:\n%s", strings.Join(diff[:min(60, len(diff))], "\n"))
	}
}

// never and always are answers for all paths.
func never(string) bool { return false }

// endsIn says whether a path's last name is one of names; a name that ends in * stands for all that begin so.
func endsIn(names ...string) func(p string) bool {
	return func(p string) bool {
		base := path.Base(p)
		return slices.ContainsFunc(names, func(n string) bool {
			stem, open := strings.CutSuffix(n, "*")
			return base == n || open && strings.HasPrefix(base, stem)
		})
	}
}
