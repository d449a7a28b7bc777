package layer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// BenchmarkSmall is what a layer costs in which one file of an application changed.
func BenchmarkSmall(b *testing.B) {
	for _, c := range []Compression{Zstd, Gzip, None} {
		b.Run(string(c), func(b *testing.B) {
			st := newStore()
			var entries []string
			for i := range 100 {
				entries = append(entries, fmt.Sprintf("app/f%02d=%s", i, noise(uint64(i), 10<<10)))
			}
			tr := makeTree(b, st, entries...)
			b.SetBytes(1 << 20)
			for b.Loop() {
				if _, err := Write(b.Context(), st, tr, Options{Compression: c}, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	for _, c := range []Compression{Zstd, Gzip, None} {
		b.Run(string(c), func(b *testing.B) {
			st := newStore()
			tr, o := sample(b, st)
			o.Compression = c
			info, err := Put(b.Context(), st, tr, o)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(info.DiffID.Size())
			for b.Loop() {
				if _, err := Apply(b.Context(), st, []Layer{{Blob: info.Digest, Compression: c, DiffID: info.DiffID.Hex()}}, ApplyOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The benchmarks of bench/layer.sh: a store of its own with real files in it.
const (
	envStore = "HEWN_BENCH_LAYER_STORE" // a directory
	envDirs  = "HEWN_BENCH_LAYER_DIRS"  // what Collect puts into it, separated by colons
)

func benchStore(b *testing.B) (*disk.Store, string) {
	b.Helper()
	dir := os.Getenv(envStore)
	if dir == "" {
		b.Skip("run by bench/layer.sh")
	}
	st, err := disk.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	return st, filepath.Join(dir, "bench-tree")
}

func BenchmarkCollect(b *testing.B) {
	st, name := benchStore(b)
	var parts []tree.Part
	for dir := range strings.SplitSeq(os.Getenv(envDirs), ":") {
		tr, err := tree.Collect(b.Context(), dir, st)
		if err != nil {
			b.Fatal(err)
		}
		parts = append(parts, tree.Part{Tree: tr, At: dir, Origin: dir})
	}
	tr, err := tree.Merge(b.Context(), st, parts...)
	if err == nil {
		err = os.WriteFile(name, []byte(tr.String()), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(name + ".tar")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := Write(b.Context(), st, tr, Options{Compression: None}, f); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAssembly goes all the way: files of a store on disk to a layer in that store.
func BenchmarkAssembly(b *testing.B) {
	st, name := benchStore(b)
	text, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	var tr tree.Tree
	if err := tr.UnmarshalText(text); err != nil {
		b.Fatal(err)
	}
	for _, c := range []Compression{Zstd, Gzip, None} {
		b.Run(string(c), func(b *testing.B) {
			var info Info
			for b.Loop() {
				if info, err = Put(b.Context(), st, tr, Options{Compression: c}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(info.Digest.Size()), "outbytes")
			b.ReportMetric(float64(info.DiffID.Size()), "tarbytes")
			b.ReportMetric(peakRSS(b), "peakMB")
		})
	}
}

// peakRSS is the most memory that this process has had, in MB; 0 where the system does not say.
func peakRSS(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kb float64
	_, _ = fmt.Sscan(string(rest), &kb)
	return kb / 1000
}
