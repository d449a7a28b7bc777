// Package twin gives tests the locks of e2e/twin, which weigh what authentik's weigh: whole, in pieces as seeds of fuzz
// targets, and many times over for benchmarks.
package twin

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Read is a file of the twin: "uv.lock", "web/package-lock.json".
func Read(tb testing.TB, name string) []byte {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			tb.Fatal("no go.mod above this package")
		}
		dir = filepath.Dir(dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "e2e/twin", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// pieceSize is small enough for thousands of tries a second.
const pieceSize = 4 << 10

// Pieces are the beginning of a file with some pieces of it, each cut at blank lines: what starts in the middle is still
// the same format. separator is what stands between two entries of the file.
func Pieces(tb testing.TB, name, separator string) [][]byte {
	tb.Helper()
	b := Read(tb, name)
	head := cut(b[:min(len(b), pieceSize)], separator)
	out := [][]byte{head}
	top := bytes.Index(b, []byte(separator))
	if top < 0 {
		return out
	}
	for _, part := range []int{3, 6, 9} { // tenths of the file
		rest := b[len(b)*part/10:]
		i := bytes.Index(rest, []byte(separator))
		if i < 0 {
			continue
		}
		piece := cut(rest[i:min(len(rest), i+pieceSize)], separator)
		out = append(out, append(bytes.Clone(b[:top]), piece...))
	}
	return out
}

// cut drops what comes after the last separator, unless that is all.
func cut(b []byte, separator string) []byte {
	if i := bytes.LastIndex(b, []byte(separator)); i > 0 {
		return b[:i+1]
	}
	return b
}

// Add seeds a fuzz target with the pieces of a file.
func Add(f *testing.F, name, separator string) {
	f.Helper()
	for _, p := range Pieces(f, name, separator) {
		f.Add(p)
	}
}

// Entries and names of the locks in TOML.
var (
	entry    = []byte("\n[[package]]\n")
	uvName   = regexp.MustCompile(`(\bname = "[a-z0-9._-]+)"`)
	cargoDep = regexp.MustCompile(`(?m)^( "[A-Za-z0-9_-]+)([ "])`)
)

// Times is a lock in TOML (uv.lock, Cargo.lock) with n times as many packages: copies, with names of their own that
// depend on one another as the originals do. The second result is the number of packages.
func Times(b []byte, n int) (lock []byte, packages int) {
	top := bytes.Index(b, entry)
	count := bytes.Count(b, entry)
	out := bytes.NewBuffer(make([]byte, 0, n*(len(b)+len(b)/16)))
	out.Write(b)
	for i := 1; i < n; i++ {
		suffix := fmt.Sprintf("-x%d", i)
		c := uvName.ReplaceAll(b[top:], []byte("${1}"+suffix+`"`))
		c = cargoDep.ReplaceAll(c, []byte("${1}"+suffix+"${2}"))
		out.Write(c)
	}
	return out.Bytes(), count * n
}

// Linear runs read on an input of 1, 10 and 100 times the twin's size and reports time and memory of an entry, which stay
// the same where a reader is linear. make gives the input and the number of its entries.
func Linear(b *testing.B, make func(n int) ([]byte, int), read func([]byte) error) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%dx", n), func(b *testing.B) {
			in, entries := make(n)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if err := read(in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(entries), "µs/entry")
		})
	}
}
