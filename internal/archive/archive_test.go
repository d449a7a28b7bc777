package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// memStore is a store in a map; it lives here so that this package is tested without what is above it.
type memStore struct {
	mu    sync.Mutex
	blobs map[digest.Digest][]byte
	fail  error // of every write
}

func newMem() *memStore { return &memStore{blobs: map[digest.Digest][]byte{}} }

func (m *memStore) Put(_ context.Context, b []byte) (digest.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := digest.Of(b)
	m.blobs[d] = bytes.Clone(b)
	return d, m.fail
}

func (m *memStore) Ingest(ctx context.Context, r io.Reader) (digest.Digest, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return digest.Digest{}, err
	}
	return m.Put(ctx, b)
}

func (m *memStore) Open(_ context.Context, d digest.Digest) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[d]
	if !ok {
		return nil, store.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memStore) Missing(context.Context, []digest.Digest) ([]digest.Digest, error) {
	return nil, nil
}

func (m *memStore) Directory(_ context.Context, t tree.Tree) (*tree.Directory, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return tree.Decode(m.blobs[t.Digest()])
}

func (m *memStore) PutDirectory(ctx context.Context, d *tree.Directory) (tree.Tree, error) {
	if err := d.Check(); err != nil {
		return tree.Tree{}, err
	}
	dg, err := m.Put(ctx, d.Encode())
	return tree.Of(dg), err
}

// show is one line an entry: `path`, `path*` for executables, with content or target.
func show(t testing.TB, m *memStore, tr tree.Tree) string {
	t.Helper()
	var b strings.Builder
	var walk func(dir string, tr tree.Tree)
	walk = func(dir string, tr tree.Tree) {
		d, err := m.Directory(context.Background(), tr)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range d.Files {
			x := ""
			if f.Executable {
				x = "*"
			}
			c := m.blobs[f.Digest]
			if len(c) > 20 {
				c = fmt.Appendf(nil, "%d bytes", len(c))
			}
			fmt.Fprintf(&b, "%s%s%s: %s\n", dir, f.Name, x, c)
		}
		for _, l := range d.Links {
			fmt.Fprintf(&b, "%s%s -> %s\n", dir, l.Name, l.Target)
		}
		for _, s := range d.Dirs {
			if s.Tree == tree.Empty {
				fmt.Fprintf(&b, "%s%s/\n", dir, s.Name)
			}
			walk(dir+s.Name+"/", s.Tree)
		}
	}
	walk("", tr)
	return b.String()
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, Mode: 0o644, Linkname: content}
}
func link(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
}
func hard(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
}
func dirE(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755} }
func exec(name, content string) tar.Header {
	return tar.Header{Name: name, Mode: 0o755, Linkname: content}
}

// makeTar writes headers; a regular file's content stands in its Linkname.
func makeTar(t testing.TB, hs ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		var content string
		if h.Typeflag == 0 {
			h.Typeflag, content, h.Linkname = tar.TypeReg, h.Linkname, ""
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTar(t *testing.T) {
	long := strings.Repeat("d/", 120) + strings.Repeat("n", 200)
	mapped := func(p string) (string, bool) {
		if p == "lib" || strings.HasPrefix(p, "lib/") {
			return "usr/" + p, true
		}
		return p, !strings.HasPrefix(p, "doc/")
	}
	for _, c := range []struct {
		name string
		o    Options
		in   []tar.Header
		want string
	}{
		{"files links and modes", Options{}, []tar.Header{dirE("./"), dirE("./e"), file("./a", "x"), exec("b/c", "run"), link("b/l", "../a")},
			"a: x\nb/c*: run\nb/l -> ../a\ne/\n"},
		{"PAX and GNU long names", Options{}, []tar.Header{file(long, "x")}, long + ": x\n"},
		{"large file by ingest", Options{}, []tar.Header{file("big", strings.Repeat("y", smallFile+1))}, "big: 524289 bytes\n"},
		{"hard link copies content and mode", Options{}, []tar.Header{exec("a", "1"), hard("d/b", "a")}, "a*: 1\nd/b*: 1\n"},
		{"hard link within what is stripped", Options{Strip: 1}, []tar.Header{file("p/a", "1"), hard("p/b", "p/a")}, "a: 1\nb: 1\n"},
		{"duplicate: later stands", Options{}, []tar.Header{file("a", "1"), file("a", "2"), link("l", "a"), file("l", "3")}, "a: 2\nl: 3\n"},
		{"names that differ in case stay apart", Options{}, []tar.Header{file("A", "1"), file("a", "2")}, "A: 1\na: 2\n"},
		{"strip drops the top", Options{Strip: 1}, []tar.Header{file("pax", "0"), dirE("p"), file("p/a", "1"), link("p/l", "a")}, "a: 1\nl -> a\n"},
		{"absolute names and links", Options{Absolute: true}, []tar.Header{file("/a", "1"), link("./usr/bin/l", "/a"), link("usr/up", "../../../a")},
			"a: 1\nusr/up -> ../../../a\nusr/bin/l -> ../../a\n"},
		{"link to its own directory and to the root", Options{Absolute: true}, []tar.Header{link("x/l", "/x"), link("r", "/")}, "r -> .\nx/l -> .\n"},
		{"map moves entries and the links to them", Options{Absolute: true, Map: mapped},
			[]tar.Header{dirE("./lib/"), file("./lib/s/a", "1"), link("./lib/s/l", "../../etc/x"), link("./etc/m", "/lib/s/a"), file("doc/x", ""), link("lib/s/n", "a")},
			"etc/m -> ../usr/lib/s/a\nusr/lib/s/a: 1\nusr/lib/s/l -> ../../../etc/x\nusr/lib/s/n -> a\n"},
		{"link loops are only links", Options{}, []tar.Header{link("a", "b"), link("b", "a")}, "a -> b\nb -> a\n"},
		{"global header is no entry", Options{}, []tar.Header{{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c0ffee"}}, file("a", "1")}, "a: 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMem()
			tr, err := Tar(context.Background(), bytes.NewReader(makeTar(t, c.in...)), m, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, show(t, m, tr)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTarAttacks(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		in   []tar.Header
		want error
		at   string
	}{
		{"parent path", Options{}, []tar.Header{file("a/../../x", "")}, ErrParent, "a/../../x"},
		{"parent path under Absolute", Options{Absolute: true}, []tar.Header{file("../x", "")}, ErrParent, "../x"},
		{"absolute path", Options{}, []tar.Header{file("/etc/x", "")}, ErrAbsolute, "/etc/x"},
		{"absolute link", Options{}, []tar.Header{link("l", "/etc")}, ErrEscape, "l"},
		{"escaping link", Options{}, []tar.Header{link("a/l", "../../x")}, ErrEscape, "a/l"},
		{"link escaping by way of another link", Options{}, []tar.Header{link("x/y/z", "../.."), link("p", "x/y/z/../q")}, ErrEscape, "p"},
		{"link out, then write through it", Options{}, []tar.Header{link("l", "d"), file("l/x", "")}, ErrThrough, "l/x"},
		{"write through a link under Absolute", Options{Absolute: true}, []tar.Header{link("l", "/etc"), file("l/x", "")}, ErrThrough, "l/x"},
		{"file as directory", Options{}, []tar.Header{file("a", ""), file("a/b", "")}, ErrThrough, "a/b"},
		{"file in place of a directory", Options{}, []tar.Header{file("a/b", ""), file("a", "")}, ErrDuplicate, "a"},
		{"link in place of a directory", Options{}, []tar.Header{file("a/b", ""), link("a", "c")}, ErrDuplicate, "a"},
		{"hard link out", Options{}, []tar.Header{hard("a", "../../etc/passwd")}, ErrParent, "a"},
		{"hard link to an absolute name", Options{}, []tar.Header{hard("a", "/etc/passwd")}, ErrAbsolute, "a"},
		{"hard link to a later entry", Options{}, []tar.Header{hard("a", "b"), file("b", "")}, ErrHardLink, "a"},
		{"device", Options{}, []tar.Header{{Name: "dev", Typeflag: tar.TypeBlock}}, ErrDevice, "dev"},
		{"character device", Options{}, []tar.Header{{Name: "null", Typeflag: tar.TypeChar}}, ErrDevice, "null"},
		{"fifo", Options{}, []tar.Header{{Name: "pipe", Typeflag: tar.TypeFifo}}, ErrDevice, "pipe"},
		{"name that is not UTF-8", Options{}, []tar.Header{{Name: "a\xff", Format: tar.FormatGNU}}, ErrName, "a\xff"},
		{"link target that is not UTF-8", Options{}, []tar.Header{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "\xff", Format: tar.FormatGNU}}, ErrName, "l"},
		{"name too long", Options{}, []tar.Header{file(strings.Repeat("n", 256), "")}, ErrName, ""},
		{"path too long", Options{}, []tar.Header{file(strings.Repeat("n/", 2050)+"x", "")}, ErrName, ""},
		{"file over the limit", Options{Limits: Limits{File: 3}}, []tar.Header{file("a", "1234")}, ErrTooLarge, "a"},
		{"all files over the limit", Options{Limits: Limits{Bytes: 3}}, []tar.Header{file("a", "12"), file("b", "34")}, ErrTooLarge, "b"},
		{"too many entries", Options{Limits: Limits{Entries: 2}}, []tar.Header{file("a", ""), file("b", ""), file("c", "")}, ErrTooLarge, "c"},
		{"too many implied directories", Options{Limits: Limits{Entries: 100}}, []tar.Header{file(strings.Repeat("d/", 200)+"x", "")}, ErrTooLarge, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Tar(context.Background(), bytes.NewReader(makeTar(t, c.in...)), newMem(), c.o)
			checkRefused(t, err, c.want, c.at)
		})
	}
}

func checkRefused(t *testing.T, err, want error, at string) {
	t.Helper()
	var p *diag.Problem
	if !errors.Is(err, want) || !errors.As(err, &p) || p.Kind != diag.BadInput {
		t.Fatalf("got %v, want a Problem that wraps %v", err, want)
	}
	if at != "" && !strings.Contains(err.Error(), fmt.Sprintf("%q", at)) {
		t.Errorf("%v does not name %q", err, at)
	}
}

func TestTarHugeDeclaredSize(t *testing.T) {
	raw := makeTar(t, file("a", "x"))
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "huge", Size: 1 << 40, Mode: 0o644, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	_, err := Tar(context.Background(), io.MultiReader(&b, bytes.NewReader(raw)), newMem(), Options{})
	checkRefused(t, err, ErrTooLarge, "huge")
}

func TestTarTruncated(t *testing.T) {
	for _, size := range []int{1000, smallFile + 1000} {
		raw := makeTar(t, file("a", strings.Repeat("x", size)))
		_, err := Tar(context.Background(), bytes.NewReader(raw[:700]), newMem(), Options{})
		checkRefused(t, err, ErrTruncated, "a")
		_, err = Tar(context.Background(), bytes.NewReader(raw[:100]), newMem(), Options{})
		checkRefused(t, err, ErrTruncated, "")
	}
	_, err := Tar(context.Background(), strings.NewReader(strings.Repeat("garbage!", 200)), newMem(), Options{})
	checkRefused(t, err, ErrMalformed, "")
}

func TestStoreFailureIsNotTheArchives(t *testing.T) {
	full := errors.New("no space")
	for _, size := range []int{10, smallFile + 10} {
		m := newMem()
		m.fail = full
		_, err := Tar(context.Background(), bytes.NewReader(makeTar(t, file("a", strings.Repeat("x", size)))), m, Options{})
		var p *diag.Problem
		if !errors.Is(err, full) || errors.As(err, &p) {
			t.Errorf("tar: got %v", err)
		}
		raw := makeZip(t, zfile{name: "a", content: strings.Repeat("x", size)})
		_, err = Zip(context.Background(), bytes.NewReader(raw), int64(len(raw)), m, Options{})
		if !errors.Is(err, full) || errors.As(err, &p) {
			t.Errorf("zip: got %v", err)
		}
	}
}

type zfile struct {
	name, content string
	mode          fs.FileMode
}

func makeZip(t testing.TB, fs ...zfile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range fs {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if f.mode != 0 {
			h.SetMode(f.mode)
		}
		fw, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(fw, f.content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unzip(t testing.TB, raw []byte, o Options) (*memStore, tree.Tree, error) {
	t.Helper()
	m := newMem()
	tr, err := Zip(context.Background(), bytes.NewReader(raw), int64(len(raw)), m, o)
	return m, tr, err
}

func TestZip(t *testing.T) {
	raw := makeZip(t, zfile{"d/", "", 0}, zfile{"a", "1", 0}, zfile{"b/x", "run", 0o755}, zfile{"b/l", "../a", 0o777 | fs.ModeSymlink},
		zfile{"big", strings.Repeat("y", smallFile+1), 0o644}, zfile{"a", "1", 0})
	m, tr, err := unzip(t, raw, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("a: 1\nbig: 524289 bytes\nb/x*: run\nb/l -> ../a\nd/\n", show(t, m, tr)); d != "" {
		t.Error(d)
	}
}

func TestZipAttacks(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		in   []zfile
		want error
		at   string
	}{
		{"parent path", Options{}, []zfile{{"../x", "", 0}}, ErrParent, "../x"},
		{"absolute path", Options{}, []zfile{{"/x", "", 0}}, ErrAbsolute, "/x"},
		{"escaping link", Options{}, []zfile{{"l", "../x", 0o777 | fs.ModeSymlink}}, ErrEscape, "l"},
		{"link out, then write through it", Options{}, []zfile{{"l", ".", 0o777 | fs.ModeSymlink}, {"l/x", "", 0}}, ErrThrough, "l/x"},
		{"link with an endless target", Options{}, []zfile{{"l", strings.Repeat("a", 5000), 0o777 | fs.ModeSymlink}}, ErrName, "l"},
		{"device", Options{}, []zfile{{"d", "", 0o644 | fs.ModeDevice}}, ErrDevice, "d"},
		{"duplicate with other content", Options{}, []zfile{{"a", "1", 0}, {"a", "2", 0}}, ErrDuplicate, "a"},
		{"duplicate with other mode", Options{}, []zfile{{"a", "1", 0o644}, {"a", "1", 0o755}}, ErrDuplicate, "a"},
		{"bomb", Options{Limits: Limits{Bytes: 1 << 20}}, []zfile{{"a", strings.Repeat("0", 2<<20), 0}}, ErrTooLarge, "a"},
		{"many small bombs", Options{Limits: Limits{Bytes: 1 << 20}}, []zfile{{"a", strings.Repeat("0", 700<<10), 0}, {"b", strings.Repeat("0", 700<<10), 0}}, ErrTooLarge, "b"},
		{"file over the limit", Options{Limits: Limits{File: 3}}, []zfile{{"a", "1234", 0}}, ErrTooLarge, "a"},
		{"too many entries", Options{Limits: Limits{Entries: 1}}, []zfile{{"a", "", 0}, {"b", "", 0}}, ErrTooLarge, "b"},
		{"name that is not UTF-8", Options{}, []zfile{{"a\xff", "", 0}}, ErrName, "a\xff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := unzip(t, makeZip(t, c.in...), c.o)
			checkRefused(t, err, c.want, c.at)
		})
	}
}

// patchCentral rewrites a 32-bit field of the only central directory record.
func patchCentral(t *testing.T, raw []byte, off int, v uint32) []byte {
	t.Helper()
	raw = bytes.Clone(raw)
	at := bytes.Index(raw, []byte("PK\x01\x02"))
	for i := range 4 {
		raw[at+off+i] = byte(v >> (8 * i))
	}
	return raw
}

func TestZipLies(t *testing.T) {
	for _, size := range []int{1000, smallFile + 1000} {
		raw := makeZip(t, zfile{name: "a", content: strings.Repeat("x", size)})
		for name, bad := range map[string][]byte{
			"more than declared":             patchCentral(t, raw, 24, uint32(size-10)),
			"less than declared":             patchCentral(t, raw, 24, uint32(size+10)),
			"wrong CRC":                      patchCentral(t, raw, 16, 12345),
			"packed size over the archive's": patchCentral(t, raw, 20, 1<<30),
		} {
			_, _, err := unzip(t, bad, Options{})
			var p *diag.Problem
			if !errors.As(err, &p) || p.Kind != diag.BadInput {
				t.Errorf("%s, %d bytes: got %v", name, size, err)
			}
		}
	}
	raw := makeZip(t, zfile{name: "a", content: "x"})
	_, _, err := unzip(t, raw[:len(raw)-10], Options{})
	checkRefused(t, err, ErrMalformed, "")
}
