package layer

import (
	"archive/tar"
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

var sampleData = sync.OnceValue(func() string { return string(noise(1, 5<<20)) })

// sample has every form of header that a tree can ask for, and over three chunks of content.
func sample(t testing.TB, st Store) (tree.Tree, Options) {
	t.Helper()
	long := strings.Repeat("d/", 120) + strings.Repeat("n", 200)
	tr := makeTree(t, st, "bin -> usr/bin", "usr/bin/ak*", "usr/bin/sudo*", "usr/lib/data="+sampleData(), "usr/lib/some="+string(noise(2, 100_000)),
		"etc/passwd=root:x:0:0::/root:/bin/sh\n", "tmp/", "home/ak/file", "empty=", "é/ü", "new\nline", long, "far -> /"+strings.Repeat("x/", 200),
		strings.Repeat("p", 90)+"/"+strings.Repeat("q", 90), "é/link -> ü")
	return tr, Options{Attrs: Attrs{
		Owners: []Owner{{"home/ak", 1000, 1000}, {"empty", 3_000_000_000, 5}},
		Modes:  []Mode{{"tmp", 0o1777}, {"usr/bin/sudo", 0o4755}},
	}}
}

// TestGolden pins the bytes. Where the tar's digest moves, TarVersion must, where only a compressed one does, the version of
// the library: images that were made before would be made anew, with other digests.
func TestGolden(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	for _, c := range []struct {
		compression Compression
		codec       string
		want        string
	}{
		{None, "none", "3e1c1d650b98e03d18476a0760826ec522cf2143a187d8c3840fbcbdd19f8c9a/5427712"},
		{Gzip, "klauspost/compress v1.20.3 gzip 6 chunk 2097152", "f61e0db459f5842d2766e259f5b5c977018f94c057266a3fcd245d593be32e1d/1577415"},
		{Zstd, "klauspost/compress v1.20.3 zstd default chunk 2097152", "6a96bdc96f843dcf9e7fe26c2ec2997c4eac3470c6465147bab62a1a9f102a06/1558283"},
	} {
		o.Compression = c.compression
		b, info := written(t, st, tr, o)
		if got := info.Digest.String(); got != c.want || CodecVersion(c.compression) != c.codec || TarVersion != "tar/1" {
			t.Errorf("%s: the bytes of a layer moved: got %s by %q", c.compression, got, CodecVersion(c.compression))
		}
		if got := digest.Of(plain(t, b, c.compression)); got != info.DiffID {
			t.Errorf("%s: decompresses to %s, not %s", c.compression, got, info.DiffID)
		}
	}
}

func TestCodecVersionIsThatOfTheModule(t *testing.T) {
	b, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if name, ok := strings.CutPrefix(r.Mod.Path, "github.com/"); ok && name == "klauspost/compress" {
			if got := name + " " + r.Mod.Version; got != library {
				t.Errorf("go.mod has %s, the key of layers says %s", got, library)
			}
			return
		}
	}
	t.Error("go.mod does not name the library")
}

func TestEntries(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	o.Compression = None
	b, info := written(t, st, tr, o)
	hs := headers(t, b)
	if len(hs) != info.Entries {
		t.Errorf("%d headers, %d entries", len(hs), info.Entries)
	}
	byName := map[string]*tar.Header{}
	var names []string
	for _, h := range hs {
		byName[h.Name] = h
		names = append(names, h.Name)
		if h.ModTime.Unix() != 315532800 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%q: %+v", h.Name, h)
		}
		for key := range h.PAXRecords {
			if !slices.Contains([]string{"path", "linkpath", "uid", "gid", "size"}, key) {
				t.Errorf("%q: PAX record %s", h.Name, key)
			}
		}
	}
	var want []string
	err := tree.Walk(t.Context(), st, tr, func(p string, e tree.Entry) error {
		if e.Kind == tree.KindDir {
			p += "/"
		}
		want = append(want, p)
		return nil
	})
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("the order is not that of the tree: %q, %v", names, err)
	}
	for name, w := range map[string]struct {
		kind     byte
		mode     int64
		uid, gid int
		format   tar.Format
	}{
		"usr/bin/":     {tar.TypeDir, 0o755, 0, 0, tar.FormatUSTAR},
		"usr/bin/ak":   {tar.TypeReg, 0o755, 0, 0, tar.FormatUSTAR},
		"usr/bin/sudo": {tar.TypeReg, 0o4755, 0, 0, tar.FormatUSTAR},
		"tmp/":         {tar.TypeDir, 0o1777, 0, 0, tar.FormatUSTAR},
		"bin":          {tar.TypeSymlink, 0o777, 0, 0, tar.FormatUSTAR},
		"home/":        {tar.TypeDir, 0o755, 0, 0, tar.FormatUSTAR},
		"home/ak/":     {tar.TypeDir, 0o755, 1000, 1000, tar.FormatUSTAR},
		"home/ak/file": {tar.TypeReg, 0o644, 1000, 1000, tar.FormatUSTAR},
		"empty":        {tar.TypeReg, 0o644, 3_000_000_000, 5, tar.FormatPAX},
		"é/ü":          {tar.TypeReg, 0o644, 0, 0, tar.FormatPAX},
		"new\nline":    {tar.TypeReg, 0o644, 0, 0, tar.FormatUSTAR},
		"far":          {tar.TypeSymlink, 0o777, 0, 0, tar.FormatPAX},
		strings.Repeat("p", 90) + "/" + strings.Repeat("q", 90): {tar.TypeReg, 0o644, 0, 0, tar.FormatUSTAR},
	} {
		h := byName[name]
		if h == nil {
			t.Errorf("no entry %q", name)
		} else if h.Typeflag != w.kind || h.Mode != w.mode || h.Uid != w.uid || h.Gid != w.gid || h.Format != w.format {
			t.Errorf("%q: got %c %o %d:%d %s", name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Format)
		}
	}
}

func TestEmptyTree(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Zstd} {
		b, info := written(t, newStore(), tree.Empty, Options{Compression: c})
		if got := plain(t, b, c); !bytes.Equal(got, make([]byte, 1024)) || info.Entries != 0 {
			t.Errorf("%s: %d bytes, %+v", c, len(got), info)
		}
	}
}

func TestPut(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	_, want := written(t, st, tr, o)
	got, err := Put(t.Context(), st, tr, o)
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if missing, err := st.Missing(t.Context(), []digest.Digest{got.Digest}); len(missing) > 0 || err != nil {
		t.Error("the layer is not in the store", err)
	}
	full := errors.New("no room")
	if _, err := Put(t.Context(), fullStore{st, full}, tr, o); !errors.Is(err, full) {
		t.Errorf("a full store: %v", err)
	}
	bad := makeTree(t, st, "a/.wh.b")
	var p *diag.Problem
	if _, err := Put(t.Context(), st, bad, o); !errors.As(err, &p) {
		t.Errorf("a whiteout: %v", err)
	}
}

type fullStore struct {
	Store
	err error
}

func (s fullStore) Ingest(_ context.Context, r io.Reader) (digest.Digest, error) {
	_, _ = io.CopyN(io.Discard, r, 10)
	return digest.Digest{}, s.err
}

func TestWhiteoutsAreRefused(t *testing.T) {
	for _, name := range []string{"a/.wh.b", ".wh..wh..opq", ".wh.", ".wh.d/"} {
		st := newStore()
		_, err := Write(t.Context(), st, makeTree(t, st, name, "z"), Options{}, io.Discard)
		var p *diag.Problem
		if !errors.As(err, &p) || !strings.Contains(p.What, strings.TrimSuffix(name, "/")) || len(p.Hints) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// zeros is a store with one blob of any size, all zeros.
type zeros struct {
	Store
	d      digest.Digest
	opened int
}

func (z *zeros) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	if d == z.d {
		z.opened++
		return io.NopCloser(endless{}), nil
	}
	return z.Store.Open(ctx, d)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// head keeps the first bytes that are written to it, and then fails.
type head struct {
	bytes.Buffer
	most int
}

var errEnough = errors.New("enough was written")

func (h *head) Write(p []byte) (int, error) {
	if h.Len() >= h.most {
		return 0, errEnough
	}
	return h.Buffer.Write(p)
}

// TestLargeFile looks at the header of a file of 9 GiB, of which only the beginning is ever made.
func TestLargeFile(t *testing.T) {
	z := &zeros{Store: newStore()}
	z.d, _ = digest.New(make([]byte, 32), 9<<30)
	b := tree.NewBuilder()
	if err := b.File("disk.img", z.d, false); err != nil {
		t.Fatal(err)
	}
	tr, err := b.Build(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	out := &head{most: 8 << 20}
	if _, err := Write(t.Context(), z, tr, Options{Compression: None}, out); !errors.Is(err, errEnough) {
		t.Fatalf("a writer that fails: %v", err)
	}
	h, err := tar.NewReader(&out.Buffer).Next()
	if err != nil || h.Size != 9<<30 || h.Format != tar.FormatPAX || h.Name != "disk.img" {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestLongPath(t *testing.T) {
	st := newStore()
	p := strings.Repeat(strings.Repeat("é", 100)+"/", 20)
	p += strings.Repeat("n", 4096-len(p))
	b, _ := written(t, st, makeTree(t, st, p), Options{Compression: None})
	hs := headers(t, b)
	if got := hs[len(hs)-1].Name; got != p || len(got) != 4096 {
		t.Errorf("got a name of %d bytes", len(got))
	}
}

// TestBrokenBlobs wants an error for a blob that is not what its digest says.
func TestBrokenBlobs(t *testing.T) {
	for _, size := range []int64{10, 1 << 20} {
		for name, c := range map[string]struct {
			r   io.Reader
			err error
		}{
			"short":   {io.LimitReader(endless{}, size-1), io.ErrUnexpectedEOF},
			"long":    {endless{}, nil},
			"damaged": {io.MultiReader(io.LimitReader(endless{}, size), failing{}), errEnough},
			"absent":  {nil, errEnough},
		} {
			d, _ := digest.New(make([]byte, 32), size)
			st := brokenStore{newStore(), d, c.r}
			b := tree.NewBuilder()
			_ = b.File("a/file", d, false)
			tr, err := b.Build(t.Context(), st)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Write(t.Context(), st, tr, Options{}, io.Discard)
			if err == nil || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%s, %d bytes: %v", name, size, err)
			}
		}
	}
}

type brokenStore struct {
	Store
	d digest.Digest
	r io.Reader
}

func (s brokenStore) Open(context.Context, digest.Digest) (io.ReadCloser, error) {
	if s.r == nil {
		return nil, errEnough
	}
	return io.NopCloser(s.r), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errEnough }

func TestWriteStops(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Write(ctx, st, tr, o, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestManyAtOnce writes with codecs that others have used, side by side with more of them than there are chunks to share.
func TestManyAtOnce(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	want := map[Compression]Info{}
	for _, c := range []Compression{None, Gzip, Zstd} {
		o.Compression = c
		_, want[c] = written(t, st, tr, o)
	}
	var wg sync.WaitGroup
	for range cap(slots()) + 1 {
		wg.Go(func() {
			for c, w := range want {
				if got, err := Write(t.Context(), st, tr, Options{o.Attrs, c}, io.Discard); err != nil || got != w {
					t.Errorf("%s: got %+v, %v", c, got, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(slots()); n != 0 {
		t.Errorf("%d chunks were never given back", n)
	}
}

// TestCodecsForget compares what a codec makes of a chunk after others with what a new one makes of it.
func TestCodecsForget(t *testing.T) {
	for c, fresh := range map[Compression]func() codec{Zstd: newZstd, Gzip: newGzip} {
		used := fresh()
		for i := range uint64(6) {
			src := noise(i%3, 1+int(i)*400_000)
			got, err1 := used.encode(nil, src)
			want, err2 := fresh().encode(nil, src)
			if err := errors.Join(err1, err2); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: chunk %d depends on those before: %d and %d bytes, %v", c, i, len(got), len(want), err)
			}
		}
	}
}

// TestOldZstdCodec uses one until the positions that it counts begin anew, at 2 GiB. Each call counts a window and its input.
func TestOldZstdCodec(t *testing.T) {
	used, small, src := newZstd(), make([]byte, 200_000), noise(3, 1<<20)
	want, err := newZstd().encode(nil, src)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	position := 0
	for position < 1<<31+1<<25 {
		if 1<<31-position > 1<<24 {
			position += chunkSize + len(small)
			if out, err = used.encode(out[:0], small); err != nil {
				t.Fatal(err)
			}
			continue
		}
		position += chunkSize + len(src)
		if out, err = used.encode(out[:0], src); err != nil || !bytes.Equal(out, want) {
			t.Fatalf("after %d bytes: %d bytes instead of %d, %v", position, len(out), len(want), err)
		}
	}
}

func TestGoReadsGzip(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	o.Compression = Gzip
	b, info := written(t, st, tr, o)
	r, err := stdgzip.NewReader(bytes.NewReader(b))
	if err != nil || !r.ModTime.IsZero() || r.Name != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	w := digest.NewWriter()
	if _, err := io.Copy(w, r); err != nil || w.Digest() != info.DiffID {
		t.Errorf("got %s, %v", w.Digest(), err)
	}
}

// TestTools lets the usual programs read what is written.
func TestTools(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	dir := t.TempDir()
	for c, args := range map[Compression][]string{Zstd: {"zstd", "-q", "-d", "-c"}, Gzip: {"gzip", "-d", "-c"}, None: {"cat"}} {
		t.Run(string(c), func(t *testing.T) {
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Skip("there is no " + args[0])
			}
			o.Compression = c
			b, info := written(t, st, tr, o)
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Stdin = bytes.NewReader(b)
			out, err := cmd.Output()
			if err != nil || digest.Of(out) != info.DiffID {
				t.Errorf("%s gives %d bytes, %v", args[0], len(out), err)
			}
		})
	}
	o.Compression = None
	b, info := written(t, st, tr, o)
	file := filepath.Join(dir, "layer.tar")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("tar"); err != nil || runtime.GOOS != "linux" {
		t.Skip("there is no GNU tar")
	}
	out, err := exec.Command("tar", "--numeric-owner", "--utc", "-tvf", file).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != info.Entries {
		t.Fatalf("tar lists %d entries of %d: %v\n%s", len(lines), info.Entries, err, out)
	}
	for _, want := range []string{"drwxrwxrwt 0/0 0 1980-01-01 00:00 tmp/", "-rwsr-xr-x 0/0 12 1980-01-01 00:00 usr/bin/sudo",
		"lrwxrwxrwx 0/0 0 1980-01-01 00:00 bin -> usr/bin", "-rw-r--r-- 1000/1000 12 1980-01-01 00:00 home/ak/file"} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Join(strings.Fields(l), " ") == want }) {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
}

func TestNamesOfCompressions(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Zstd} {
		if got, err := CompressionOf(c.MediaType()); got != c || err != nil {
			t.Errorf("%s: got %s, %v", c, got, err)
		}
		if got, err := ParseCompression(string(c)); got != c || err != nil {
			t.Errorf("%s: got %s, %v", c, got, err)
		}
	}
	if c, err := ParseCompression(""); c != Zstd || err != nil {
		t.Errorf("got %s, %v", c, err)
	}
	var p *diag.Problem
	if _, err := ParseCompression("xz"); !errors.As(err, &p) || p.Kind != diag.BadInput {
		t.Error(err)
	}
	if _, err := CompressionOf("application/vnd.oci.image.config.v1+json"); !errors.As(err, &p) {
		t.Error(err)
	}
	if _, err := Write(t.Context(), newStore(), tree.Empty, Options{Compression: "xz"}, io.Discard); err == nil {
		t.Error("xz is written")
	}
}
