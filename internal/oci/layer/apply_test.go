package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/tree"
)

// tarOf makes a layer of the entries of makeTree, in the order given, without the directories above them, and with more
// kinds of entry: "a => b" is a hard link, "a |" a pipe, "a %5:6:1755" changes owner and mode of the entry before.
func tarOf(t testing.TB, entries ...string) []byte {
	t.Helper()
	var hs []*tar.Header
	content := map[*tar.Header]string{}
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}
		p, target, link := strings.Cut(e, " -> ")
		hardName, hardTarget, hard := strings.Cut(e, " => ")
		switch {
		case strings.HasPrefix(e, "%"):
			last := hs[len(hs)-1]
			if _, err := fmt.Sscanf(e, "%%%d:%d:%o", &last.Uid, &last.Gid, &last.Mode); err != nil {
				t.Fatal(err)
			}
			continue
		case link:
			h.Typeflag, h.Name, h.Linkname, h.Mode = tar.TypeSymlink, p, target, 0o777
		case hard:
			h.Typeflag, h.Name, h.Linkname = tar.TypeLink, hardName, hardTarget
		case strings.HasSuffix(e, " |"):
			h.Typeflag, h.Name = tar.TypeFifo, strings.TrimSuffix(e, " |")
		case strings.HasSuffix(e, "/"):
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, e, 0o755
		default:
			name, c, ok := strings.Cut(e, "=")
			name, exec := strings.CutSuffix(name, "*")
			if !ok {
				c = name
			}
			if exec {
				h.Mode = 0o755
			}
			h.Name, h.Size, content[h] = name, int64(len(c)), c
		}
		hs = append(hs, h)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content[h]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func keepLayer(t testing.TB, st Store, b []byte) Layer {
	t.Helper()
	d := put(t, st, string(b))
	return Layer{Blob: d, Compression: None, DiffID: d.Hex()}
}

func TestApply(t *testing.T) {
	type layers [][]string
	for name, c := range map[string]struct {
		layers layers
		want   []string // of makeTree
		attrs  Attrs
	}{
		"nothing":                      {},
		"the root's entry":             {layers{{"./", "%0:0:755", "./a"}}, []string{"a=./a"}, Attrs{}},
		"implied parents":              {layers{{"a/b/c"}}, []string{"a/b/c"}, Attrs{}},
		"absolute names":               {layers{{"/etc/", "//etc/./x=1"}}, []string{"etc/x=1"}, Attrs{}},
		"later layers override":        {layers{{"a=1", "b=1"}, {"a*=2"}}, []string{"a*=2", "b=1"}, Attrs{}},
		"later entries override":       {layers{{"a=1", "a=2"}}, []string{"a=2"}, Attrs{}},
		"a directory keeps its files":  {layers{{"d/a"}, {"d/", "%1:2:700", "d/b"}}, []string{"d/a", "d/b"}, Attrs{Owners: []Owner{{"d", 1, 2}, {"d/a", 0, 0}, {"d/b", 0, 0}}, Modes: []Mode{{"d", 0o700}}}},
		"a file replaces a directory":  {layers{{"d/a/b", "d/c"}, {"d=file"}}, []string{"d=file"}, Attrs{}},
		"a directory replaces a file":  {layers{{"d=file"}, {"d/"}}, []string{"d/"}, Attrs{}},
		"a link replaces a directory":  {layers{{"d/a"}, {"d -> /x"}}, []string{"d -> /x"}, Attrs{}},
		"a directory replaces a link":  {layers{{"d -> e", "e/a"}, {"d/", "d/b"}}, []string{"d/b", "e/a"}, Attrs{}},
		"a whiteout":                   {layers{{"a", "d/b", "d/c/x"}, {".wh.a", "d/.wh.c"}}, []string{"d/b"}, Attrs{}},
		"a whiteout of nothing":        {layers{{"a"}, {".wh.b", "no/.wh.c", "a/.wh.d"}}, []string{"a"}, Attrs{}},
		"a whiteout before its name":   {layers{{"a/old"}, {".wh.a", "a/new"}}, []string{"a/new"}, Attrs{}},
		"a whiteout after its name":    {layers{{"a/old"}, {"a/new", ".wh.a"}}, []string{"a/new"}, Attrs{}},
		"a whiteout after its file":    {layers{{"a=1"}, {"a=2", ".wh.a"}}, []string{"a=2"}, Attrs{}},
		"an opaque directory":          {layers{{"d/a", "d/e/f", "x"}, {"d/", "d/.wh..wh..opq", "d/b"}}, []string{"d/b", "x"}, Attrs{}},
		"opaque after its entries":     {layers{{"d/a", "d/e/f"}, {"d/b", "d/e/g", "d/.wh..wh..opq"}}, []string{"d/b", "d/e/g"}, Attrs{}},
		"an opaque root":               {layers{{"a", "b/c"}, {".wh..wh..opq", "d"}}, []string{"d"}, Attrs{}},
		"bookkeeping":                  {layers{{".wh..wh.plnk/", ".wh..wh.plnk/12", "a/.wh..wh.aufs", "b"}}, []string{"b"}, Attrs{}},
		"a hard link":                  {layers{{"a*=1", "%3:4:4755", "d/b => a"}}, []string{"a*=1", "d/b*=1"}, Attrs{Owners: []Owner{{"a", 3, 4}, {"d/b", 3, 4}}, Modes: []Mode{{"a", 0o4755}, {"d/b", 0o4755}}}},
		"a hard link to below":         {layers{{"a=1"}, {"b => /a", "a=2"}}, []string{"a=2", "b=1"}, Attrs{}},
		"a hard link to a link":        {layers{{"l -> a", "m => l"}}, []string{"l -> a", "m -> a"}, Attrs{}},
		"a hard link through a link":   {layers{{"usr/lib/a", "lib -> usr/lib", "b => lib/a"}}, []string{"usr/lib/a", "lib -> usr/lib", "b=usr/lib/a"}, Attrs{}},
		"a parent that is a link":      {layers{{"usr/lib/", "lib -> usr/lib"}, {"lib/x"}}, []string{"usr/lib/x=lib/x", "lib -> usr/lib"}, Attrs{}},
		"an absolute one":              {layers{{"lib -> /usr/lib"}, {"lib/x"}}, []string{"usr/lib/x=lib/x", "lib -> /usr/lib"}, Attrs{}},
		"one that leads out":           {layers{{"d/l -> ../../../../etc", "d/l/x"}}, []string{"etc/x=d/l/x", "d/l -> ../../../../etc"}, Attrs{}},
		"a whiteout through a link":    {layers{{"usr/lib/a", "usr/lib/b", "lib -> usr/lib"}, {"lib/.wh.a"}}, []string{"usr/lib/b", "lib -> usr/lib"}, Attrs{}},
		"a whiteout of a link":         {layers{{"usr/lib/a", "lib -> usr/lib"}, {".wh.lib"}}, []string{"usr/lib/a"}, Attrs{}},
		"owners of what lies below":    {layers{{"h/", "%7:7:755", "h/a", "%7:7:600", "h/b/", "%0:0:755", "h/b/c -> d", "%8:8:777"}}, []string{"h/a", "h/b/c -> d"}, Attrs{Owners: []Owner{{"h", 7, 7}, {"h/b", 0, 0}, {"h/b/c", 8, 8}}, Modes: []Mode{{"h/a", 0o600}}}},
		"of the root":                  {layers{{"./", "%9:9:700", "a"}}, []string{"a"}, Attrs{Owners: []Owner{{"", 9, 9}, {"a", 0, 0}}, Modes: []Mode{{"", 0o700}}}},
		"devices, where they may be":   {layers{{"dev/null |", "a"}}, []string{"a"}, Attrs{}},
		"names that a tree could hold": {layers{{"new\nline", ".wh", "é/~"}}, []string{"new\nline", ".wh", "é/~"}, Attrs{}},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStore()
			var ls []Layer
			for _, l := range c.layers {
				ls = append(ls, keepLayer(t, st, tarOf(t, l...)))
			}
			got, err := Apply(t.Context(), st, ls, ApplyOptions{SkipDevices: true})
			if err != nil {
				t.Fatal(err)
			}
			if want := makeTree(t, st, c.want...); got.Tree != want {
				t.Errorf("got\n%swant\n%s", text(t, st, got.Tree), text(t, st, want))
			}
			if !slices.Equal(got.Attrs.Owners, c.attrs.Owners) || !slices.Equal(got.Attrs.Modes, c.attrs.Modes) {
				t.Errorf("got %+v, want %+v", got.Attrs, c.attrs)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	small := archive.Limits{Bytes: 1 << 20, Entries: 20, File: 1 << 19}
	for name, c := range map[string]struct {
		entries []string
		err     error
	}{
		"a parent path":               {[]string{"a/../../b"}, archive.ErrParent},
		"a hard link out":             {[]string{"a", "b => ../a"}, archive.ErrParent},
		"a hard link to nothing":      {[]string{"b => a"}, archive.ErrHardLink},
		"a hard link to a directory":  {[]string{"a/", "b => a"}, archive.ErrHardLink},
		"a hard link to the root":     {[]string{"b => /"}, archive.ErrHardLink},
		"a hard link through a file":  {[]string{"a", "b => a/c"}, archive.ErrHardLink},
		"a device":                    {[]string{"a |"}, archive.ErrDevice},
		"a path through a file":       {[]string{"a", "a/b"}, archive.ErrThrough},
		"a loop of links":             {[]string{"a -> b", "b -> a", "a/c"}, archive.ErrThrough},
		"a root that is a file":       {[]string{".=x"}, archive.ErrMalformed},
		"an entry below a whiteout":   {[]string{".wh.a/b"}, archive.ErrMalformed},
		"a whiteout of the parent":    {[]string{"a/.wh..."}, archive.ErrMalformed},
		"a whiteout without a name":   {[]string{"a/.wh."}, archive.ErrMalformed},
		"a name that is not UTF-8":    {[]string{"a\xff"}, archive.ErrName},
		"a target that is not UTF-8":  {[]string{"a -> b\xff"}, archive.ErrName},
		"a name that is too long":     {[]string{strings.Repeat("n", 256)}, archive.ErrName},
		"a path that is too long":     {[]string{strings.Repeat("n/", 2048) + "nn"}, archive.ErrName},
		"one that becomes too long":   {[]string{"l -> " + strings.Repeat(strings.Repeat("n", 250)+"/", 16), "l/" + strings.Repeat("m", 100)}, archive.ErrName},
		"a large file":                {[]string{"a=" + strings.Repeat("x", 1<<19+1)}, archive.ErrTooLarge},
		"many large files":            {[]string{"a=" + strings.Repeat("x", 1<<19), "b=" + strings.Repeat("x", 1<<19), "c"}, archive.ErrTooLarge},
		"many entries":                {strings.Split(strings.Repeat("a ", 20)+"a", " "), archive.ErrTooLarge},
		"many directories in one":     {[]string{strings.Repeat("d/", 25)}, archive.ErrTooLarge},
		"an id that is out of range":  {[]string{"a", "%4294967295:0:644"}, archive.ErrMalformed},
		"directories through a limit": {[]string{strings.Repeat("d/", 10), "l -> " + strings.Repeat("e/", 30), "l/x"}, archive.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStore()
			_, err := Apply(t.Context(), st, []Layer{keepLayer(t, st, tarOf(t, c.entries...))}, ApplyOptions{Limits: small})
			var p *diag.Problem
			if !errors.Is(err, c.err) || !errors.As(err, &p) || p.Kind != diag.BadInput {
				t.Errorf("got %v, want %v", err, c.err)
			}
		})
	}
}

// TestApplyComparesDigests damages a layer in all ways in which one can be.
func TestApplyComparesDigests(t *testing.T) {
	st := newStore()
	tr, o := sample(t, st)
	for _, comp := range []Compression{None, Gzip, Zstd} {
		o.Compression = comp
		b, info := written(t, st, tr, o)
		good := Layer{Blob: info.Digest, Compression: comp, DiffID: info.DiffID.Hex()}
		flipped := bytes.Clone(b)
		flipped[len(b)/2] ^= 1
		for name, c := range map[string]struct {
			b []byte
			l Layer
		}{
			"flipped":         {flipped, good},
			"cut off":         {b[:len(b)-700], good},
			"empty":           {nil, good},
			"longer":          {append(bytes.Clone(b), 0), good},
			"another DiffID":  {b, Layer{good.Blob, comp, digest.Empty.Hex()}},
			"another digest":  {b, Layer{digest.Of(flipped), comp, good.DiffID}},
			"not that format": {b, Layer{good.Blob, map[Compression]Compression{None: Gzip, Gzip: Zstd, Zstd: Gzip}[comp], good.DiffID}},
			"taken as a tar":  {append([]byte{1}, b...), Layer{good.Blob, None, good.DiffID}},
		} {
			var p *diag.Problem
			err := Read(t.Context(), bytes.NewReader(c.b), c.l, archive.Limits{}, func(_ *tar.Header, r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				return err
			})
			if !errors.As(err, &p) || p.Kind != diag.BadInput {
				t.Errorf("%s, %s: %v", comp, name, err)
			}
		}
		n := 0
		if err := Read(t.Context(), bytes.NewReader(b), good, archive.Limits{}, func(*tar.Header, io.Reader) error { n++; return nil }); err != nil || n != info.Entries {
			t.Errorf("%s: %d entries of %d, %v", comp, n, info.Entries, err)
		}
	}
}

// TestBomb wants the end of a stream that decompresses without end, also where it is no entry that does.
func TestBomb(t *testing.T) {
	st := newStore()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := enc.EncodeAll(make([]byte, 64<<20), nil) // after the end mark
	l := Layer{Blob: put(t, st, string(bomb)), Compression: Zstd}
	_, err = Apply(t.Context(), st, []Layer{l}, ApplyOptions{Limits: archive.Limits{Bytes: 1 << 20}})
	if !errors.Is(err, archive.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestApplyTellsStoresFault(t *testing.T) {
	for _, size := range []int{10, smallFile + 1} {
		st := newStore()
		l := keepLayer(t, st, tarOf(t, "a="+strings.Repeat("x", size), "b", "c"))
		full := errors.New("no room")
		_, err := Apply(t.Context(), noRoom{st, full}, []Layer{l}, ApplyOptions{})
		var p *diag.Problem
		if !errors.Is(err, full) || errors.As(err, &p) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	st := newStore()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Apply(ctx, st, []Layer{keepLayer(t, st, tarOf(t, "a"))}, ApplyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := Apply(t.Context(), st, []Layer{{Blob: digest.Of([]byte("absent"))}}, ApplyOptions{}); err == nil {
		t.Error("a layer that is not there is applied")
	}
}

type noRoom struct {
	Store
	err error
}

func (s noRoom) Put(context.Context, []byte) (digest.Digest, error) { return digest.Digest{}, s.err }
func (s noRoom) Ingest(context.Context, io.Reader) (digest.Digest, error) {
	return digest.Digest{}, s.err
}

// TestRoundTrip cuts random trees at random into layers, with what a lower layer has wrong, and wants them back.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		st := newStore()
		tr, paths := randomTree(t, st, r)
		attrs := randomAttrs(t, r, paths)
		ls := cut(t, st, r, tr, attrs)
		got, err := Apply(t.Context(), st, ls, ApplyOptions{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got.Tree != tr {
			t.Fatalf("seed %d: got\n%swant\n%s", seed, text(t, st, got.Tree), text(t, st, tr))
		}
		err = tree.Walk(t.Context(), st, tr, func(p string, e tree.Entry) error {
			gu, gg := got.Attrs.Owner(p)
			wu, wg := attrs.Owner(p)
			if gm, wm := got.Attrs.Mode(p, e), attrs.Mode(p, e); gu != wu || gg != wg || gm != wm {
				return fmt.Errorf("%q: got %d:%d %o, want %d:%d %o", p, gu, gg, gm, wu, wg, wm)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		o := Options{Attrs: attrs, Compression: None}
		_, want := written(t, st, tr, o)
		o.Attrs = got.Attrs
		if _, again := written(t, st, tr, o); again != want {
			t.Fatalf("seed %d: the attributes that were found give another layer", seed)
		}
	}
}

// randomAttrs never take the executable bits from a file that has them, or give them: the mode of a layer's entry is all
// that says whether a file is executable.
func randomAttrs(t testing.TB, r *rand.Rand, paths []string) Attrs {
	t.Helper()
	var a Attrs
	taken := map[string]bool{}
	for range r.IntN(5) {
		p := paths[r.IntN(len(paths))]
		if taken[p] {
			continue
		}
		taken[p] = true
		a.Owners = append(a.Owners, Owner{p, r.IntN(3) * 1_000_000_000, r.IntN(3)})
	}
	a, err := a.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// cut makes one to four layers: each entry is in one of them, each directory in all that have something below it, with
// its own attributes; what is right only in an upper layer is something else, or whited out, in a lower one.
func cut(t testing.TB, st *memory.Store, r *rand.Rand, tr tree.Tree, attrs Attrs) (out []Layer) {
	t.Helper()
	n := 1 + r.IntN(4)
	builders := make([]*tree.Builder, n)
	for i := range builders {
		builders[i] = tree.NewBuilder()
	}
	var junk []string // below the first of which layer 0 has files that the next one removes
	err := tree.Walk(t.Context(), st, tr, func(p string, e tree.Entry) error {
		i := r.IntN(n)
		if i > 0 && r.IntN(3) == 0 && e.Kind == tree.KindFile {
			if err := builders[0].File(p, put(t, st, "wrong"), !e.Executable); err != nil {
				return err
			}
		}
		switch e.Kind {
		case tree.KindFile:
			return builders[i].File(p, e.Digest, e.Executable)
		case tree.KindLink:
			return builders[i].Link(p, e.Target)
		}
		if n > 1 && r.IntN(3) == 0 {
			junk = append(junk, p)
			if err := builders[0].File(p+"/junk/more", put(t, st, "junk"), false); err != nil {
				return err
			}
		}
		return builders[i].Dir(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range builders {
		lt, err := b.Build(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Attrs: attrs, Compression: []Compression{Zstd, Gzip, None}[r.IntN(3)]}
		if i == 1 && len(junk) > 0 {
			var gone []string
			for _, p := range junk {
				gone = append(gone, path.Join(p, ".wh.junk")+"=")
			}
			out = append(out, keepLayer(t, st, tarOf(t, gone...)))
		}
		info, err := Put(t.Context(), st, lt, o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Layer{Blob: info.Digest, Compression: o.Compression, DiffID: info.DiffID.Hex()})
	}
	return out
}

// FuzzApply wants layers refused, or a tree that is well-formed, complete and within the limits, and the same again from
// the layer that Write makes of it.
func FuzzApply(f *testing.F) {
	f.Add(tarOf(f, "d/", "d/a=1", "l -> d/a", "h => d/a"), tarOf(f, "d/.wh.a", "l/x", ".wh.h"))
	f.Add(tarOf(f, "a -> /b", "a/x", "%5:6:7777"), tarOf(f, "b/.wh..wh..opq", "b/y", "c |"))
	f.Add([]byte{}, tarOf(f, strings.Repeat("n/", 150)+"x", "é"))
	limits := archive.Limits{Bytes: 1 << 20, Entries: 300, File: 1 << 19}
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		st := newStore()
		ls := []Layer{keepLayer(t, st, lower), keepLayer(t, st, upper)}
		got, err := Apply(t.Context(), st, ls, ApplyOptions{Limits: limits, SkipDevices: true})
		if err != nil {
			return
		}
		n := 0
		err = tree.Walk(t.Context(), st, got.Tree, func(p string, e tree.Entry) error {
			n++
			if len(p) > maxPath || strings.HasPrefix(e.Name, whiteout) {
				t.Errorf("path %q", p)
			}
			_, err := st.Missing(t.Context(), []digest.Digest{e.Digest})
			return err
		})
		if err != nil || n > limits.Entries {
			t.Fatalf("%d entries, %v", n, err)
		}
		info, err := Put(t.Context(), st, got.Tree, Options{Attrs: got.Attrs, Compression: None})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Apply(t.Context(), st, []Layer{{Blob: info.Digest, Compression: None, DiffID: info.DiffID.Hex()}}, ApplyOptions{})
		if err != nil || again.Tree != got.Tree {
			t.Errorf("got\n%sagain, %v\n%s", text(t, st, got.Tree), err, text(t, st, again.Tree))
		}
	})
}
