package archive

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"hewn.example/hewn/internal/digest"
)

// The same six bytes `hello\n` as `xz -9` and `bzip2` write them; there is no Go writer for either among our libraries.
const (
	helloXz  = "fd377a585a000004e6d6b446020021011c00000010cf58cc01000568656c6c6f0a000000a56097f194f6fde000011e06c12fa41d1fb6f37d010000000004595a"
	helloBz2 = "425a6839314159265359c1c080e2000001410000100244a00030cd00c3462997177245385090c1c080e2"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compressed(t testing.TB, content string) map[string][]byte {
	t.Helper()
	var gz, zs bytes.Buffer
	gw := gzip.NewWriter(&gz)
	_, _ = io.WriteString(gw, content)
	_ = gw.Close()
	zw, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(zw, content)
	_ = zw.Close()
	return map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes(), "plain": []byte(content)}
}

func TestDecompress(t *testing.T) {
	in := compressed(t, "hello\n")
	in["bzip2"], in["xz"] = unhex(t, helloBz2), unhex(t, helloXz)
	in["empty"] = nil
	for kind, raw := range in {
		r, err := Decompress(bytes.NewReader(raw), "f")
		if err != nil {
			t.Fatal(kind, err)
		}
		got, err := io.ReadAll(r)
		want := "hello\n"
		if kind == "empty" {
			want = ""
		}
		if err != nil || string(got) != want || r.Close() != nil {
			t.Errorf("%s: got %q, %v", kind, got, err)
		}
	}
}

// A file with other filters than our decoder knows goes to the library.
func TestDecompressOtherFilters(t *testing.T) {
	for _, name := range []string{"bcj", "delta", "text"} {
		f, err := os.Open("xz/testdata/" + name + ".xz")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := Decompress(f, name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || len(got) != 40000 || !bytes.Contains(got, []byte("digest")) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestDecompressBroken(t *testing.T) {
	for kind, raw := range compressed(t, strings.Repeat("hello\n", 1000)) {
		if kind == "plain" {
			continue
		}
		r, err := Decompress(bytes.NewReader(raw[:len(raw)-6]), "some.tar")
		if err == nil {
			_, err = io.ReadAll(r)
		}
		checkRefused(t, err, ErrTruncated, "some.tar")
	}
}

// An endless stream must be stopped by the limits of what reads it, not by memory.
func TestDecompressBomb(t *testing.T) {
	head := makeTar(t, file("a", strings.Repeat("0", 40<<20)))
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(head)
	_ = w.Close()
	r, err := Decompress(&b, "bomb.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Tar(context.Background(), r, newMem(), Options{Limits: Limits{Bytes: 1 << 20}})
	checkRefused(t, err, ErrTooLarge, "a")
}

func TestOpenBlob(t *testing.T) {
	m, ctx := newMem(), context.Background()
	for _, size := range []int{0, 10, inMemory + 1} {
		want := bytes.Repeat([]byte("z"), size)
		d, _ := m.Put(ctx, want)
		ra, n, done, err := OpenBlob(ctx, m, d)
		if err != nil || n != int64(size) {
			t.Fatal(n, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(ra, 0, n))
		if err != nil || !bytes.Equal(got, want) || done() != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, _, _, err := OpenBlob(ctx, m, digest.Of([]byte("no"))); err == nil {
		t.Error("a blob that is not there was opened")
	}
}

func member(name, content string) string {
	s := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", name, 0, 0, 0, "100644", len(content), content)
	if len(content)%2 == 1 {
		s += "\n"
	}
	return s
}

func TestReadAr(t *testing.T) {
	in := arMagic + member("debian-binary", "2.0\n") + member("odd/", "abc") + member("/", "symbols") + member("//", "a-very-long-member-name.o/\n") +
		member("/0", "gnu") + member("#1/20", "another-long-name.o\x00bsd") + member("unread", "12345") + strings.TrimSuffix(member("last", "x"), "\n")
	var got []string
	err := ReadAr(strings.NewReader(in), func(name string, size int64, r io.Reader) error {
		if name == "unread" {
			got = append(got, name)
			return nil
		}
		b, err := io.ReadAll(r)
		if int64(len(b)) != size {
			t.Errorf("%s: %d bytes, want %d", name, len(b), size)
		}
		got = append(got, name+"="+string(b))
		return err
	})
	want := []string{"debian-binary=2.0\n", "odd=abc", "a-very-long-member-name.o=gnu", "another-long-name.o=bsd", "unread", "last=x"}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestReadArAttacks(t *testing.T) {
	for name, in := range map[string]string{
		"no magic":               "hello",
		"no end mark":            arMagic + strings.Repeat(" ", 60),
		"negative size":          arMagic + strings.Replace(member("a", "x"), fmt.Sprintf("%-10d`", 1), fmt.Sprintf("%-10d`", -1), 1),
		"truncated header":       arMagic + "abc",
		"truncated member":       arMagic + member("a", "0123456789")[:65],
		"long name out of table": arMagic + member("/7", "x"),
		"huge name table":        arMagic + fmt.Sprintf("%-48s%-10d`\n", "//", int64(1)<<33),
		"BSD name over member":   arMagic + member("#1/99", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			err := ReadAr(strings.NewReader(in), func(_ string, _ int64, r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				return err
			})
			if err == nil {
				t.Fatal("accepted")
			}
		})
	}
	stop := errors.New("stop")
	if err := ReadAr(strings.NewReader(arMagic+member("a", "x")), func(string, int64, io.Reader) error { return stop }); !errors.Is(err, stop) {
		t.Error("the callback's error was lost")
	}
}
