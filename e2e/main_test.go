//go:build e2e && linux

// Package e2e does with hewn what a person does, from the registries that this machine is configured for: it builds,
// boots, uses, edits and checks the miniature, cold and again, as two users. `make e2e` runs it. One store serves the
// whole sequence, since filling it is what costs; a second one, filled by another user under other circumstances, must
// come to the same digests.
//
// Nothing stays behind. Variables for whoever works on hewn:
//
//	HEWN_E2E_STORE  a store to use instead of a new one: nothing is cold then
//	HEWN_E2E_HEWN   a program to use instead of bin/hewn
//	HEWN_E2E_KEEP   keep the directory with stores and logs
//	HEWN_E2E_ALL    run also the slow actions without layers
package e2e

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/executor/sandbox"
)

func TestMain(m *testing.M) {
	if sandbox.ServerMain(os.Args) {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == otherwise {
		os.Exit(runOtherwise(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// world is what the whole sequence works in.
type world struct {
	dir         string // everything lies below it; other users may look in
	repo        string
	hewn        string // a copy of the built program
	work        string // a copy of what a clone holds of examples/
	store       string
	cold        bool // the store was empty at the start
	first       person
	state       string
	digests     map[string]string // of every target, as the first store has them
	imageDigest string            // of the image, as the first store has it
}

// miniature is the reference that a person types.
const miniature = "examples/miniature"

func newWorld(t *testing.T) *world {
	t.Helper()
	repo, err := filepath.Abs("..")
	must(t, err)
	dir, err := os.MkdirTemp("", "hewn-e2e-")
	must(t, err)
	t.Cleanup(func() {
		if os.Getenv("HEWN_E2E_KEEP") != "" {
			t.Logf("kept: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("something stays behind: %v", err)
		}
	})
	must(t, os.Chmod(dir, 0o755))
	w := &world{dir: dir, repo: repo, hewn: filepath.Join(dir, "bin", "hewn"), work: filepath.Join(dir, "work"),
		store: filepath.Join(dir, "store"), cold: true, state: filepath.Join(dir, "state"), digests: map[string]string{}}
	if s := os.Getenv("HEWN_E2E_STORE"); s != "" {
		w.store, w.cold = s, false
	}
	copyFile(t, cmp.Or(os.Getenv("HEWN_E2E_HEWN"), filepath.Join(repo, "bin", "hewn")), w.hewn)
	w.copyTracked(t, "examples")
	w.first = person{hewn: w.hewn, dir: w.work, env: environ(nil, "HEWN_STORE="+w.store)}
	return w
}

// copyTracked copies what a clone of the repository would hold of directories. hewn.toml allows pins to move with the archive, and
// that must not change the repository.
func (w *world) copyTracked(t *testing.T, dirs ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "safe.directory=*", "-C", w.repo, "ls-files", "-z", "-co", "--exclude-standard"}, dirs...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v\n%s", err, stderr.String())
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		from := filepath.Join(w.repo, name)
		if _, err := os.Lstat(from); err == nil {
			copyFile(t, from, filepath.Join(w.work, name))
		}
	}
}

// copyDir copies everything below a directory.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			copyFile(t, name, to+strings.TrimPrefix(name, from))
		}
		return err
	}))
}

// copyFile copies a file or a link, with its executable bit.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	st, err := os.Lstat(from)
	must(t, err)
	if st.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		must(t, err)
		must(t, os.Symlink(target, to))
		return
	}
	b, err := os.ReadFile(from)
	must(t, err)
	mode := os.FileMode(0o644)
	if st.Mode()&0o100 != 0 {
		mode = 0o755
	}
	must(t, os.WriteFile(to, b, mode))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
