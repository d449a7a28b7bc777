package xz

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	library "github.com/therootcompany/xz"

	"hewn.example/hewn/internal/testkit/fuzzing"
)

// The files of testdata were written by XZ Utils from what these three make.

func random(x uint32) uint32 { return (x*1103515245 + 12345) & 0x7fffffff }

func text(n int) []byte {
	words := strings.Split("tree digest layer action root step plan pin the of and \n", " ")
	var out []byte
	for x := uint32(1); len(out) < n; {
		x = random(x)
		out = append(append(out, words[(x>>16)%uint32(len(words))]...), ' ')
		if x&0x70000 == 0 {
			out = append(out, byte(x>>8))
		}
	}
	return out[:n]
}

func noise(n int) []byte {
	var out []byte
	for x := uint32(7); len(out) < n; {
		x = random(x)
		out = append(out, byte(x>>16))
	}
	return out
}

func lines(n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		out = fmt.Appendf(out, "line %d\n", i%400)
	}
	return out[:n]
}

func contents() map[string][]byte {
	t := text(40000)
	return map[string][]byte{
		"text": t, "fast": t, "extreme": t, "crc32": t, "sha256": t, "none": t, "props": t, "props2": t, "blocks": t, "threads": t,
		"empty": {}, "noise": noise(5000), "mixed": bytes.Join([][]byte{noise(3000), t, noise(3000), lines(70000)}, nil),
		"window": lines(5_000_000), "zeros": make([]byte, 3_000_000), "streams": append(bytes.Clone(t), noise(5000)...),
	}
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".xz"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode(r io.Reader) ([]byte, error) {
	z, err := NewReader(r, 64<<20)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func TestReader(t *testing.T) {
	for name, want := range contents() {
		raw := load(t, name)
		if !Supported(raw) {
			t.Errorf("%s: said to be unsupported", name)
		}
		got, err := decode(bytes.NewReader(raw))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
		if len(want) > 200_000 {
			continue
		}
		got, err = decode(iotest.OneByteReader(bytes.NewReader(raw)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, byte by byte: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, name := range []string{"bcj", "delta"} {
		raw := load(t, name)
		if Supported(raw) {
			t.Errorf("%s: said to be supported", name)
		}
		if _, err := decode(bytes.NewReader(raw)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if Supported(nil) || Supported([]byte("PK")) || Supported(load(t, "text")[:12]) {
		t.Error("a beginning that says nothing is said to be supported")
	}
}

func TestDictionaryLimit(t *testing.T) {
	z, err := NewReader(bytes.NewReader(load(t, "extreme")), 1<<20)
	if err == nil {
		_, err = io.ReadAll(z)
	}
	if !errors.Is(err, ErrMemory) {
		t.Error(err)
	}
}

// Wherever a file is cut, the end must not pass for a good one; whichever bit is turned, either an error comes or it
// was a bit that means nothing.
func TestDamage(t *testing.T) {
	for _, name := range []string{"text", "blocks", "noise"} {
		raw, want := load(t, name), contents()[name]
		for cut := 0; cut < len(raw); cut += 1 + len(raw)/31 {
			if _, err := decode(bytes.NewReader(raw[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut at %d: %v", name, cut, err)
			}
		}
		for at := 0; at < len(raw); at += 1 + len(raw)/79 {
			bad := bytes.Clone(raw)
			bad[at] ^= 1 << (at % 8)
			if got, err := decode(bytes.NewReader(bad)); err == nil && !bytes.Equal(got, want) {
				t.Fatalf("%s with a bit turned at %d passes for good", name, at)
			} else if err == nil {
				t.Errorf("%s: bit %d of byte %d means nothing", name, at%8, at)
			}
		}
		if _, err := decode(bytes.NewReader(append(bytes.Clone(raw), "garbage"...))); err == nil {
			t.Errorf("%s: garbage at the end was accepted", name)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"text", "blocks", "noise", "streams", "empty", "props2", "bcj"} {
		f.Add(load(f, name))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		z, err := NewReader(bytes.NewReader(raw), 1<<20)
		if err != nil {
			return
		}
		var got []byte
		fuzzing.Bounded(t, len(raw), func() { got, err = io.ReadAll(io.LimitReader(z, 4<<20)) })
		if err != nil || len(got) == 4<<20 {
			return
		}
		l, err := library.NewReader(bytes.NewReader(raw), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := io.ReadAll(l); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("we read %d bytes, the library %d, %v", len(got), len(want), err)
		}
	})
}

// XZ_FILE names a large file; without it the small ones are measured.
func BenchmarkReader(b *testing.B) {
	raw := load(b, "window")
	if name := os.Getenv("XZ_FILE"); name != "" {
		var err error
		if raw, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	}
	for name, open := range map[string]func() (io.Reader, error){
		"ours":    func() (io.Reader, error) { return NewReader(bytes.NewReader(raw), 64<<20) },
		"library": func() (io.Reader, error) { return library.NewReader(bytes.NewReader(raw), 64<<20) },
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				r, err := open()
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
