package disk_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/tree"
)

func BenchmarkPutSmall(b *testing.B) {
	s := open(b, b.TempDir())
	buf := make([]byte, 1000)
	for i := 0; b.Loop(); i++ {
		binary.LittleEndian.PutUint64(buf, uint64(i))
		if _, err := s.Put(b.Context(), buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutLarge(b *testing.B) {
	s := open(b, b.TempDir())
	buf := make([]byte, 10000)
	b.SetBytes(int64(len(buf)))
	for i := 0; b.Loop(); i++ {
		binary.LittleEndian.PutUint64(buf, uint64(i))
		if _, err := s.Put(b.Context(), buf); err != nil {
			b.Fatal(err)
		}
	}
}

// filled gives the directory of a store that holds n results and as many small blobs.
func filled(b *testing.B, n int) string {
	dir := b.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := range n {
		d, err := s.Put(b.Context(), fmt.Appendf(nil, "content %d", i))
		if err == nil {
			err = s.Record(b.Context(), store.KeyOf(d), store.Result{Output: tree.Empty})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.SaveRecord("build", []byte("record")); err != nil {
		b.Fatal(err)
	}
	return dir
}

// What the run in which nothing changed asks of the store.
func BenchmarkOpenAndLoadRecord(b *testing.B) {
	dir := filled(b, 100_000)
	for b.Loop() {
		s, err := disk.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := s.LoadRecord("build"); !ok {
			b.Fatal("no record")
		}
		_ = s.Close()
	}
}

// Opening and the first look-up of a result, which maps the indexes.
func BenchmarkOpenAndFirstResult(b *testing.B) {
	dir := filled(b, 100_000)
	key := store.KeyOf(digest.Of([]byte("content 77")))
	for b.Loop() {
		s, err := disk.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Result(b.Context(), key); err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}

// thirtyThousand is a tree of 30,000 files like those of node_modules: half of them small, one in fifty a duplicate.
func thirtyThousand(b *testing.B, s *disk.Store) tree.Tree {
	builder := tree.NewBuilder()
	for i := range 30_000 {
		n := 300 + i%7*400
		if i%2 == 0 {
			n = 5000 + i%11*1000
		}
		content := storetest.Content(uint64(i), n)
		if i%50 == 0 {
			content = storetest.Content(uint64(i%500), 6000)
		}
		file(b, s, builder, fmt.Sprintf("pkg%d/dist/m%d/f%d.js", i%300, i/300%10, i), content, false)
	}
	return finish(b, s, builder)
}

func BenchmarkView30k(b *testing.B) {
	dir := b.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	t := thirtyThousand(b, s)
	_ = s.Close()
	defer reportCPU(b)()
	for b.Loop() {
		s := open(b, dir)
		path, _, err := s.View(b.Context(), t)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(path); err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
		b.StartTimer()
	}
}

// A view that differs from an existing one in one file of 30,000: one of its own, and one to be mounted over that.
func BenchmarkViewOneFileChanged(b *testing.B) {
	for _, c := range []struct {
		name string
		make func(*disk.Store, tree.Tree) error
	}{
		{"alone", func(s *disk.Store, t tree.Tree) error { _, _, err := s.View(b.Context(), t); return err }},
		{"layers", func(s *disk.Store, t tree.Tree) error { _, _, err := s.ViewLayers(b.Context(), t); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, b.TempDir())
			t := thirtyThousand(b, s)
			if _, _, err := s.View(b.Context(), t); err != nil {
				b.Fatal(err)
			}
			defer reportCPU(b)()
			for i := 0; b.Loop(); i++ {
				if err := c.make(s, changed(b, s, t, i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// changed is t with one file more.
func changed(b *testing.B, s *disk.Store, t tree.Tree, i int) tree.Tree {
	d, err := s.Put(b.Context(), fmt.Append(nil, "changed ", i))
	if err != nil {
		b.Fatal(err)
	}
	builder := tree.NewBuilder()
	if err := builder.File("pkg7/dist/m3/f.js", d, false); err != nil {
		b.Fatal(err)
	}
	top, err := tree.Overlay(b.Context(), s, tree.Part{Tree: t}, tree.Part{Tree: finish(b, s, builder)})
	if err != nil {
		b.Fatal(err)
	}
	return top
}

// Views of one file each, as the outputs of small steps have them, in a store that gets more and more of them.
func BenchmarkViewsOfOneFile(b *testing.B) {
	s := open(b, b.TempDir())
	defer reportCPU(b)()
	for i := 0; b.Loop(); i++ {
		builder := tree.NewBuilder()
		file(b, s, builder, "out/file", fmt.Append(nil, "content ", i), false)
		if _, _, err := s.View(b.Context(), finish(b, s, builder)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCollect30k(b *testing.B) {
	s := open(b, b.TempDir())
	t := thirtyThousand(b, s)
	src := filepath.Join(b.TempDir(), "src")
	view, _, err := s.View(b.Context(), t)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.CopyFS(src, os.DirFS(view)); err != nil {
		b.Fatal(err)
	}
	defer reportCPU(b)()
	for b.Loop() {
		got, err := tree.Collect(b.Context(), src, s)
		if err != nil || got != t {
			b.Fatal(got, err)
		}
	}
}

func BenchmarkLock(b *testing.B) {
	s := open(b, b.TempDir())
	for b.Loop() {
		unlock, err := s.Lock(b.Context(), "key")
		if err != nil {
			b.Fatal(err)
		}
		unlock()
	}
}

// reportCPU adds what the process used of the processors, which says more than wall time on a busy machine.
func reportCPU(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Milliseconds())/float64(b.N), "cpu-ms/op") }
}
