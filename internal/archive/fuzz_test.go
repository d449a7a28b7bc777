package archive

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"hewn.example/hewn/internal/testkit/fuzzing"
	"hewn.example/hewn/internal/tree"
)

var fuzzLimits = Limits{Bytes: 1 << 20, Entries: 200, File: 1 << 19}

// inside fails where something in the tree could lead out of it.
func inside(t *testing.T, m *memStore, tr tree.Tree) {
	t.Helper()
	var walk func(tr tree.Tree)
	walk = func(tr tree.Tree) {
		d, err := m.Directory(context.Background(), tr) // decodes, and so checks, every name
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range d.Files {
			if _, ok := m.blobs[f.Digest]; !ok {
				t.Fatalf("file %q has no blob", f.Name)
			}
		}
		for _, l := range d.Links {
			if strings.HasPrefix(l.Target, "/") {
				t.Fatalf("link %q leads to %q", l.Name, l.Target)
			}
		}
		for _, s := range d.Dirs {
			walk(s.Tree)
		}
	}
	walk(tr)
}

func FuzzTar(f *testing.F) {
	f.Add(makeTar(f, dirE("d"), file("d/a", "1"), link("l", "d/a"), hard("h", "d/a")), false)
	f.Add(makeTar(f, file("/a", "1"), link("b/l", "/a"), link("x/y", "../../..")), true)
	f.Add(makeTar(f, file(strings.Repeat("n/", 150)+"x", "")), false)
	f.Fuzz(func(t *testing.T, raw []byte, absolute bool) {
		m := newMem()
		var tr tree.Tree
		var err error
		fuzzing.Bounded(t, len(raw), func() {
			tr, err = Tar(context.Background(), bytes.NewReader(raw), m, Options{Limits: fuzzLimits, Absolute: absolute})
		})
		if err == nil {
			inside(t, m, tr)
		}
	})
}

func FuzzZip(f *testing.F) {
	f.Add(makeZip(f, zfile{"d/", "", 0}, zfile{"a", "1", 0o755}, zfile{"l", "a", 0o777 | 1<<27}))
	f.Add(makeZip(f, zfile{"../a", "1", 0}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m *memStore
		var tr tree.Tree
		var err error
		fuzzing.Bounded(t, len(raw), func() { m, tr, err = unzip(t, raw, Options{Limits: fuzzLimits}) })
		if err == nil {
			inside(t, m, tr)
		}
	})
}

func FuzzReadAr(f *testing.F) {
	f.Add([]byte(arMagic + member("debian-binary", "2.0\n") + member("#1/3", "abcd") + member("//", "x/\n") + member("/0", "y")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var total int64
		err := ReadAr(bytes.NewReader(raw), func(_ string, size int64, r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			if total += n; n > size {
				t.Fatalf("member of %d bytes gave %d", size, n)
			}
			return err
		})
		if err == nil && total > int64(len(raw)) {
			t.Fatal("members are longer than the archive")
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for _, raw := range compressed(f, "hello\n") {
		f.Add(raw)
	}
	f.Add(unhex(f, helloBz2))
	f.Add(unhex(f, helloXz))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fuzzing.Within(t, 4*maxZstdWindow, func() { // the largest of all windows
			if r, err := Decompress(bytes.NewReader(raw), "f"); err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
				_ = r.Close()
			}
		})
	})
}
