package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/tree"
)

// made builds a tree of "path=content", "path*=content", "path->target" and "path/".
func made(t testing.TB, s *disk.Store, lines ...string) tree.Tree {
	t.Helper()
	b := tree.NewBuilder()
	for _, l := range lines {
		if p, target, ok := strings.Cut(l, "->"); ok {
			if err := b.Link(p, target); err != nil {
				t.Fatal(err)
			}
		} else if p, content, ok := strings.Cut(l, "="); ok {
			p, exec := strings.CutSuffix(p, "*")
			file(t, s, b, p, []byte(content), exec)
		} else if err := b.Dir(l); err != nil {
			t.Fatal(err)
		}
	}
	return finish(t, s, b)
}

func mustHold(t *testing.T, s *disk.Store, dir string, want tree.Tree) {
	t.Helper()
	got, err := tree.Collect(t.Context(), dir, s)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		a, _ := tree.Text(t.Context(), s, got)
		b, _ := tree.Text(t.Context(), s, want)
		t.Errorf("%s holds\n%swant\n%s", dir, a, b)
	}
}

func TestCheckout(t *testing.T) {
	s := open(t, t.TempDir())
	big := string(storetest.Content(1, 10_000))
	a := made(t, s, "bin/ak*="+big, "lib/x=1", "lib/y=2", "l->lib", "gone/deep/f=1", "kind=file", "void/")
	b := made(t, s, "bin/ak*="+big, "lib/x=changed", "l->bin", "kind/inner=dir", "new/z=3")
	dir := filepath.Join(t.TempDir(), "out", "target")
	for _, tr := range []tree.Tree{a, b, a, a, tree.Empty, b} {
		if err := s.Checkout(t.Context(), tr, dir); err != nil {
			t.Fatal(err)
		}
		mustHold(t, s, dir, tr)
	}
	st, err := os.Stat(filepath.Join(dir, "bin/ak"))
	if err != nil || st.Mode().Perm()&0o100 == 0 {
		t.Errorf("%v %v", st, err)
	}
	// Writing to what users got must not reach the store.
	if err := os.WriteFile(filepath.Join(dir, "bin/ak"), []byte("mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	path, _, err := s.View(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, path, a)
	if err := os.RemoveAll(filepath.Join(dir, "lib")); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkout(t.Context(), a, dir); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, dir, a)
}

func TestCheckoutKeepsWhatIsNotOurs(t *testing.T) {
	s := open(t, t.TempDir())
	a, b := made(t, s, "d/f=1"), made(t, s, "d=now a file")
	c := made(t, s, "d/mine=theirs", "d/f=1")
	dir := t.TempDir()
	mine := filepath.Join(dir, "d", "mine")
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var foreign *tree.ForeignFileError
	if err := s.Checkout(t.Context(), a, dir); !errors.As(err, &foreign) || foreign.Path != filepath.Join(dir, "other") {
		t.Fatalf("into a directory with other files: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkout(t.Context(), a, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tr := range []tree.Tree{b, c, b} {
		if err := s.Checkout(t.Context(), tr, dir); !errors.As(err, &foreign) {
			t.Errorf("over the user's file: %v", err)
		}
		if got, err := os.ReadFile(mine); err != nil || string(got) != "precious" {
			t.Fatalf("the user's file is %q, %v", got, err)
		}
	}
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkout(t.Context(), b, dir); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, dir, b)
	// Another directory under the same name is not the one that was filled.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d"), []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkout(t.Context(), a, dir); err == nil {
		t.Error("wrote over a file in a new directory of the old name")
	}
}
