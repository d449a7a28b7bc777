package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// entries describe a tree: "path/" is a directory, "path -> target" a link, "path*" an executable file, each file with its
// own path as content, or with what stands after "=".
func makeTree(t testing.TB, st Store, entries ...string) tree.Tree {
	t.Helper()
	b := tree.NewBuilder()
	for _, e := range entries {
		var err error
		p, target, link := strings.Cut(e, " -> ")
		switch {
		case link:
			err = b.Link(p, target)
		case strings.HasSuffix(e, "/"):
			err = b.Dir(e)
		default:
			p, content, ok := strings.Cut(e, "=")
			p, exec := strings.CutSuffix(p, "*")
			if !ok {
				content = p
			}
			err = b.File(p, put(t, st, content), exec)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tr, err := b.Build(context.Background(), st)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func put(t testing.TB, st Store, content string) digest.Digest {
	t.Helper()
	d, err := st.Put(context.Background(), []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func written(t testing.TB, st Store, tr tree.Tree, o Options) ([]byte, Info) {
	t.Helper()
	var out bytes.Buffer
	info, err := Write(context.Background(), st, tr, o, &out)
	if err != nil {
		t.Fatal(err)
	}
	if info.Digest != digest.Of(out.Bytes()) {
		t.Fatalf("%d bytes were written, the digest is %s", out.Len(), info.Digest)
	}
	return out.Bytes(), info
}

// plain decompresses with Go's own packages or, for zstd, with the library that has a decoder of its own.
func plain(t testing.TB, b []byte, c Compression) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch c {
	case Gzip:
		r, err = gzip.NewReader(r)
	case Zstd:
		r, err = zstd.NewReader(r)
	}
	if err == nil {
		b, err = io.ReadAll(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func headers(t testing.TB, b []byte) (out []*tar.Header) {
	t.Helper()
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h)
	}
}

func text(t testing.TB, st Store, tr tree.Tree) string {
	t.Helper()
	s, err := tree.Text(context.Background(), st, tr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// noise is n bytes that compress a little, the same for the same seed.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		b = fmt.Appendf(b, "line %d of %d\n", r.Uint32(), seed)
	}
	return b[:n]
}

// randomTree has directories, empty ones too, links that lead anywhere, and files of all sizes.
func randomTree(t testing.TB, st Store, r *rand.Rand) (tree.Tree, []string) {
	t.Helper()
	b := tree.NewBuilder()
	dirs, paths := []string{""}, []string{}
	taken := map[string]bool{}
	names := []string{"a", "b", "c", "usr", "lib", "é", "a b", "new\nline", strings.Repeat("n", 120), ".wh", "-", "~"}
	for range 5 + r.IntN(40) {
		p := path.Join(dirs[r.IntN(len(dirs))], names[r.IntN(len(names))]+fmt.Sprint(r.IntN(4)))
		if taken[p] {
			continue
		}
		taken[p] = true
		var err error
		switch r.IntN(5) {
		case 0, 1:
			dirs = append(dirs, p)
			err = b.Dir(p)
		case 2:
			err = b.Link(p, []string{"/", "..", "../../../etc", "/usr/a", "nowhere", "a0", strings.Repeat("long/", 60)}[r.IntN(7)])
		default:
			size := []int{0, 1, 511, 512, 513, 5000, 70_000}[r.IntN(7)]
			err = b.File(p, put(t, st, string(noise(r.Uint64()%8, size))), r.IntN(2) == 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	tr, err := b.Build(context.Background(), st)
	if err != nil {
		t.Fatal(err)
	}
	return tr, paths
}

func newStore() *memory.Store { return memory.New() }
