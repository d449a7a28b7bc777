package main

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/digest"
)

// batchBytes is how much of archives is in memory, unpacked, at the same time.
const batchBytes = 24 << 20

// isArchive says whether an artifact is unpacked: a wheel, an archive of npm, Go, Rust or Python; not a go.mod or a .deb.
func isArchive(name string) bool {
	return slices.ContainsFunc([]string{".whl", ".zip", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".crate"}, func(end string) bool { return strings.HasSuffix(name, end) })
}

type content struct {
	path string
	b    []byte
}

// unpackParts does the parts of unpacking for all archives, one after the other for a batch of them, each with that many
// goroutines, and gives their times. into gets a directory for each archive.
func unpackParts(ctx context.Context, archives []string, into string, workers int) (*parts, error) {
	var sums [3]struct{ wall, cpu time.Duration }
	base := 0
	for _, batch := range batches(archives) {
		loaded := make([][]content, len(batch))
		read := func(keep bool) func() error {
			return func() error {
				return each(ctx, workers, len(batch), func(i int) (err error) {
					loaded[i], err = readArchive(batch[i], keep)
					return err
				})
			}
		}
		// Not measured: it has what is decompressed allocated, and the files in the kernel's memory.
		if err := read(true)(); err != nil {
			return nil, err
		}
		kept := slices.Clone(loaded)
		files := slices.Concat(kept...)
		steps := [3]func() error{
			read(false),
			func() error {
				return each(ctx, workers, len(files), func(i int) error {
					digest.Of(files[i].b)
					return nil
				})
			},
			func() error {
				return each(ctx, workers, len(kept), func(i int) error {
					return createFiles(filepath.Join(into, fmt.Sprint(base+i)), kept[i])
				})
			},
		}
		for k, f := range steps {
			wall, cpu, err := timed(f)
			if err != nil {
				return nil, err
			}
			sums[k].wall += wall
			sums[k].cpu += cpu
		}
		base += len(batch)
	}
	p := &parts{}
	for k, s := range sums {
		p[k].add(measured{wall: s.wall, cpu: s.cpu})
	}
	return p, nil
}

// batches puts archives together, the largest first in each, so that none is waited for alone for long.
func batches(archives []string) (out [][]string) {
	size := func(p string) int64 {
		st, err := os.Stat(p)
		if err != nil {
			return 0 // reading it will say so
		}
		return st.Size()
	}
	var sum int64
	var now []string
	for _, p := range archives {
		if now = append(now, p); sum+size(p) > batchBytes {
			out, now, sum = append(out, now), nil, 0
			continue
		}
		sum += size(p)
	}
	out = append(out, now)
	for _, b := range out {
		slices.SortFunc(b, func(x, y string) int { return cmp.Compare(size(y), size(x)) })
	}
	return out
}

// each calls f for 0 to n-1 in so many goroutines.
func each(ctx context.Context, workers, n int, f func(i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(i) })
	}
	return g.Wait()
}

// timed gives what f takes, and the processor time of this process meanwhile.
func timed(f func() error) (wall, cpu time.Duration, err error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	err = f()
	wall = time.Since(begin)
	if e := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err == nil {
		err = e
	}
	spent := func(u syscall.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }
	return wall, spent(after) - spent(before), err
}

// readArchive decompresses all files of an archive with the decompressors that hewn has; it keeps them or drops them.
func readArchive(file string, keep bool) (out []content, err error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	visit := func(name string, r io.Reader) error {
		if !keep {
			_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, *buf)
			return err
		}
		b, err := io.ReadAll(r)
		if name = filepath.Clean(name); err == nil && !filepath.IsLocal(name) {
			err = fmt.Errorf("%s: a file %q", file, name)
		}
		out = append(out, content{name, b})
		return err
	}
	if strings.HasSuffix(file, ".whl") || strings.HasSuffix(file, ".zip") {
		return out, errors.Join(readZip(file, visit), err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := archive.Decompress(f, filepath.Base(file))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if h.Typeflag == tar.TypeReg {
			if err := visit(h.Name, t); err != nil {
				return nil, err
			}
		}
	}
}

var (
	copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}
	inflaters   = sync.Pool{New: func() any { return flate.NewReader(nil) }}
)

// pooled gives a decompressor back when its file has been read.
type pooled struct{ io.ReadCloser }

func (p pooled) Close() error {
	inflaters.Put(p.ReadCloser)
	return nil
}

func readZip(file string, visit func(string, io.Reader) error) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close()
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser {
		d := inflaters.Get().(io.ReadCloser)
		_ = d.(flate.Resetter).Reset(r, nil) // a flate reader's Reset never fails
		return pooled{d}
	})
	for _, f := range z.File {
		if !f.Mode().IsRegular() || strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		err = visit(f.Name, r)
		if e := r.Close(); err == nil {
			err = e
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", file, f.Name, err)
		}
	}
	return nil
}

// createFiles makes the files of an archive below a new directory, of two of one name the later.
func createFiles(dir string, files []content) error {
	made := map[string]bool{}
	for _, f := range files {
		at := filepath.Join(dir, f.path)
		if parent := filepath.Dir(at); !made[parent] {
			if err := os.MkdirAll(parent, 0o755); err != nil {
				return err
			}
			made[parent] = true
		}
		if err := os.WriteFile(at, f.b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
