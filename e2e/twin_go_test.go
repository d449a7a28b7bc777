//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// asGo compares the module cache with the one that the go command makes of the same go.sum.
func (w *world) asGo(t *testing.T) {
	dir, own := t.TempDir(), filepath.Join(w.work, twin)
	out := w.checkout(t, twin+":go-modules")
	mod := filepath.Join(dir, "mod")
	must(t, os.MkdirAll(mod, 0o755))
	copyFile(t, filepath.Join(own, "go.mod"), filepath.Join(mod, "go.mod"))
	copyFile(t, filepath.Join(own, "go.sum"), filepath.Join(mod, "go.sum"))
	cache := filepath.Join(dir, "cache")
	run := func(args ...string) {
		t.Helper()
		c := exec.Command("go", args...)
		c.Dir = mod
		c.Env = environ(nil, "GOMODCACHE="+cache, "GOFLAGS=-modcacherw", "GOTOOLCHAIN=local", "GOWORK=off")
		began := time.Now()
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[:2], err, out)
		}
		t.Logf("go %s: %.1f s", args[:2], time.Since(began).Seconds())
	}
	run("mod", "edit", "-replace=goauthentik.io/api/v3="+filepath.Join(own, "gen-go-api"))
	sums, err := os.ReadFile(filepath.Join(mod, "go.sum"))
	must(t, err)
	download := []string{"mod", "download"}
	for line := range strings.Lines(string(sums)) {
		if f := strings.Fields(line); len(f) == 3 && !strings.HasSuffix(f[1], "/go.mod") {
			download = append(download, f[0]+"@"+f[1])
		}
	}
	run(download...)
	run("list", "-m", "all") // reads the go.mod of all others

	ours, theirs := moduleFiles(t, filepath.Join(out, "go/pkg/mod")), moduleFiles(t, cache)
	if len(theirs) < 10_000 {
		t.Errorf("the go command made %d files only", len(theirs))
	}
	var wrong []string
	for name, content := range theirs {
		if ours[name] != content {
			wrong = append(wrong, fmt.Sprintf("%s: hewn has %q, the go command %q", name, ours[name], content))
		}
	}
	for name := range ours {
		if theirs[name] == "" {
			wrong = append(wrong, name+": the go command does not have it")
		}
	}
	slices.Sort(wrong)
	for _, w := range wrong[:min(len(wrong), 20)] {
		t.Error(w)
	}
	t.Logf("%d modules, %d files, %d differ", len(download)-2, len(theirs), len(wrong))
}

// moduleFiles lists the files of a module cache with their executable bit and hash. Left out is what the go command keeps
// for itself, and what says when a version was made.
func moduleFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "cache/") && !slices.Contains([]string{".mod", ".ziphash"}, filepath.Ext(name)) {
			return nil
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(file)
		out[name] = fmt.Sprintf("%t %x", st.Mode()&0o111 != 0, sha256.Sum256(b))
		return err
	}))
	return out
}
