package fingerprint_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store/fingerprint"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// counting counts the files that are read.
type counting struct {
	*memory.Store
	n atomic.Int64
}

func (c *counting) Ingest(ctx context.Context, r io.Reader) (digest.Digest, error) {
	c.n.Add(1)
	return c.Store.Ingest(ctx, r)
}

func put(t testing.TB, dir, name, content string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// age lets a few ticks of the kernel's clock pass: the change time of a file cannot be set.
func age() { time.Sleep(30 * time.Millisecond) }

func scan(t testing.TB, dir string, old *fingerprint.Fingerprint, sink tree.Sink) *fingerprint.Fingerprint {
	t.Helper()
	fp, tr, err := fingerprint.Scan(t.Context(), dir, old, sink)
	if err != nil {
		t.Fatal(err)
	}
	if tr != fp.Tree() {
		t.Error("two trees")
	}
	b, _ := fp.MarshalBinary()
	back, err := fingerprint.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func text(t testing.TB, s *memory.Store, tr tree.Tree) string {
	var names []string
	if err := tree.Walk(t.Context(), s, tr, func(p string, e tree.Entry) error {
		names = append(names, p)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestScanIgnores(t *testing.T) {
	top := t.TempDir()
	put(t, top, ".git/HEAD", "x")
	put(t, top, ".gitignore", "node_modules\n/app/out\n")
	put(t, top, "app/.gitignore", "*.log\n!keep.log\n")
	for _, p := range []string{"a.py", "out/x", "sub/out/x", "node_modules/m/i.js", "x.log", "keep.log", "only/x.log", ".git"} {
		put(t, top, "app/"+p, "content")
	}
	if err := os.MkdirAll(filepath.Join(top, "app/void/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.py", filepath.Join(top, "app/link")); err != nil {
		t.Fatal(err)
	}
	s := memory.New()
	if err := os.Remove(filepath.Join(top, "app/.git")); err != nil {
		t.Fatal(err)
	}
	fp := scan(t, filepath.Join(top, "app"), nil, s)
	if got := text(t, s, fp.Tree()); got != ".gitignore a.py keep.log link sub sub/out sub/out/x" {
		t.Errorf("got %s", got)
	}
	if !fp.Unchanged() {
		t.Error("changed at once")
	}
	put(t, top, ".gitignore", "node_modules\n")
	if fp.Unchanged() {
		t.Error("a change of the rules above went unnoticed")
	}
	whole := scan(t, filepath.Join(top, "app", "node_modules"), nil, s)
	if got := text(t, s, whole.Tree()); got != "m m/i.js" {
		t.Errorf("a source that is ignored itself: %s", got)
	}
}

func TestUnchanged(t *testing.T) {
	changes := map[string]func(dir string) error{
		"content":       func(dir string) error { return os.WriteFile(dir+"/sub/a", []byte("other"), 0o644) },
		"same size":     func(dir string) error { return os.WriteFile(dir+"/sub/a", []byte("tno"), 0o644) },
		"mode":          func(dir string) error { return os.Chmod(dir+"/sub/a", 0o755) },
		"new file":      func(dir string) error { return os.WriteFile(dir+"/sub/b", nil, 0o644) },
		"removed":       func(dir string) error { return os.Remove(dir + "/sub/a") },
		"renamed":       func(dir string) error { return os.Rename(dir+"/sub/a", dir+"/sub/z") },
		"link":          func(dir string) error { _ = os.Remove(dir + "/l"); return os.Symlink("y", dir+"/l") },
		"rules":         func(dir string) error { return os.WriteFile(dir+"/.gitignore", []byte("a\n"), 0o644) },
		"new directory": func(dir string) error { return os.Mkdir(dir+"/sub/d", 0o755) },
		"old times": func(dir string) error {
			st, err := os.Stat(dir + "/sub/a")
			if err != nil {
				return err
			}
			_ = os.WriteFile(dir+"/sub/a", []byte("tno"), 0o644)
			return os.Chtimes(dir+"/sub/a", st.ModTime(), st.ModTime())
		},
	}
	for _, racy := range []bool{true, false} {
		for name, change := range changes {
			t.Run(fmt.Sprint(name, racy), func(t *testing.T) {
				dir := t.TempDir()
				put(t, dir, "sub/a", "one")
				put(t, dir, "top", "two")
				put(t, dir, ".gitignore", "none\n")
				if err := os.Symlink("x", dir+"/l"); err != nil {
					t.Fatal(err)
				}
				if !racy {
					age()
				}
				fp := scan(t, dir, nil, memory.New())
				if !fp.Unchanged() {
					t.Error("changed at once")
				}
				if err := change(dir); err != nil {
					t.Fatal(err)
				}
				if fp.Unchanged() {
					t.Error("went unnoticed")
				}
			})
		}
	}
}

func TestScanReadsWhatChanged(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		put(t, dir, fmt.Sprintf("d%d/f%d", i%10, i), fmt.Sprint(i))
	}
	age()
	s := &counting{Store: memory.New()}
	first := scan(t, dir, nil, s)
	put(t, dir, "d3/f3", "changed")
	put(t, dir, "d4/new", "new")
	age()
	before := s.n.Load()
	second := scan(t, dir, first, s)
	if n := s.n.Load() - before; n != 2 {
		t.Errorf("%d files were read", n)
	}
	if fresh := scan(t, dir, nil, s); fresh.Tree() != second.Tree() || fresh.Tree() == first.Tree() {
		t.Error("wrong tree")
	}
	other := &counting{Store: memory.New()} // another store has none of it
	if again := scan(t, dir, second, other); again.Tree() != second.Tree() || other.n.Load() != 101 {
		t.Errorf("a store that had nothing got %d files", other.n.Load())
	}
}

func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	put(f, dir, "a/b", "x")
	fp, _, err := fingerprint.Scan(f.Context(), dir, nil, memory.New())
	if err != nil {
		f.Fatal(err)
	}
	b, _ := fp.MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		fp, err := fingerprint.Parse(b)
		if err != nil {
			return
		}
		out, _ := fp.MarshalBinary()
		if again, err := fingerprint.Parse(out); err != nil || again.Tree() != fp.Tree() {
			t.Error("does not come back")
		}
	})
}

func fiveThousand(b *testing.B) string {
	dir := b.TempDir()
	for i := range 5000 {
		put(b, dir, fmt.Sprintf("pkg%d/sub%d/file%d.py", i%50, i/50%10, i), strings.Repeat("x", i))
	}
	put(b, dir, ".gitignore", "node_modules/\n*.pyc\n__pycache__/\n/dist\n.venv\n*.egg-info\n")
	age()
	return dir
}

func BenchmarkUnchanged5k(b *testing.B) {
	fp := scan(b, fiveThousand(b), nil, memory.New())
	for b.Loop() {
		if !fp.Unchanged() {
			b.Fatal("changed")
		}
	}
}

func BenchmarkScan5kNothingChanged(b *testing.B) {
	s := memory.New()
	dir := fiveThousand(b)
	fp := scan(b, dir, nil, s)
	for b.Loop() {
		if next := scan(b, dir, fp, s); next.Tree() != fp.Tree() {
			b.Fatal("changed")
		}
	}
}

func BenchmarkParse5k(b *testing.B) {
	fp := scan(b, fiveThousand(b), nil, memory.New())
	enc, _ := fp.MarshalBinary()
	b.SetBytes(int64(len(enc)))
	for b.Loop() {
		if _, err := fingerprint.Parse(enc); err != nil {
			b.Fatal(err)
		}
	}
}
