package archive

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// Zip unpacks a zip of size bytes; files are inflated by several goroutines. The central directory decides what is in
// it. Two entries with one name are refused unless they are equal.
func Zip(ctx context.Context, r io.ReaderAt, size int64, st Store, o Options) (tree.Tree, error) {
	zr, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are judged below, whatever GODEBUG says
		return tree.Tree{}, broken("zip", err)
	}
	zr.RegisterDecompressor(zip.Deflate, inflater())
	b := newBuilder(ctx, st, o, true)
	if err := b.readZip(zr, size); err != nil {
		return tree.Tree{}, b.fail(err)
	}
	return b.finish(ctx)
}

// inflater gives decompressors that share their buffers: a wheel has thousands of small files.
func inflater() zip.Decompressor {
	pool := &sync.Pool{New: func() any { return flate.NewReader(nil) }}
	return func(r io.Reader) io.ReadCloser {
		fr := pool.Get().(io.ReadCloser)
		_ = fr.(flate.Resetter).Reset(r, nil) // a flate reader's Reset never fails
		return &pooledInflater{ReadCloser: fr, pool: pool}
	}
}

type pooledInflater struct {
	io.ReadCloser
	pool *sync.Pool
}

func (p *pooledInflater) Close() error {
	if p.ReadCloser == nil {
		return nil
	}
	err := p.ReadCloser.Close()
	p.pool.Put(p.ReadCloser)
	p.ReadCloser = nil
	return err
}

func (b *builder) readZip(zr *zip.Reader, size int64) error {
	if len(zr.File) > b.lim.Entries {
		return refuse(zr.File[b.lim.Entries].Name, tooLarge("the number of entries", int64(b.lim.Entries)))
	}
	var packed uint64
	for _, f := range zr.File {
		if packed += f.CompressedSize64; f.CompressedSize64 > uint64(size) || packed > uint64(size) {
			return refuse(f.Name, fmt.Errorf("%w: entries overlap in the archive", ErrMalformed))
		}
		if err := b.zipEntry(f); err != nil {
			return entryError(f.Name, err)
		}
		if b.ctx.Err() != nil {
			return context.Cause(b.ctx)
		}
	}
	return nil
}

func (b *builder) zipEntry(f *zip.File) error {
	raw, to, keep, err := b.enter(f.Name)
	if err != nil || !keep {
		return err
	}
	mode := f.Mode()
	switch {
	case strings.HasSuffix(f.Name, "/") || mode.IsDir():
		return b.dir(to)
	case mode&fs.ModeSymlink != 0:
		rc, err := f.Open()
		if err != nil {
			return zipError(err)
		}
		defer rc.Close()
		target, err := readTarget(rc)
		if err != nil {
			return zipError(err)
		}
		return b.link(f.Name, raw, to, target)
	case !mode.IsRegular():
		return ErrDevice
	}
	if f.UncompressedSize64 > uint64(b.lim.File) {
		return tooLarge("the file", b.lim.File)
	}
	n := &node{kind: isFile, exec: mode&0o111 != 0, digest: new(digest.Digest)}
	if err := b.charge(int64(f.UncompressedSize64)); err != nil {
		return err
	}
	if err := b.leaf(f.Name, to, n); err != nil {
		return err
	}
	b.group.Go(func() error {
		d, err := b.inflate(f)
		if err != nil {
			return entryError(f.Name, err)
		}
		*n.digest = d
		return nil
	})
	return nil
}

// inflate keeps one file's content. The reader checks the CRC; more bytes than declared are an error of ours.
func (b *builder) inflate(f *zip.File) (digest.Digest, error) {
	rc, err := f.Open()
	if err != nil {
		return digest.Digest{}, zipError(err)
	}
	defer rc.Close()
	size := int64(f.UncompressedSize64)
	if size > smallFile {
		return b.ingest(&boundedReader{r: rc, left: size})
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(rc, buf); err != nil {
		return digest.Digest{}, zipError(err)
	}
	var one [1]byte // reads the end, and with it the check of the CRC
	switch n, err := rc.Read(one[:]); {
	case n > 0:
		return digest.Digest{}, fmt.Errorf("%w: more bytes than it declares", ErrMalformed)
	case err != nil && !errors.Is(err, io.EOF):
		return digest.Digest{}, zipError(err)
	}
	d, err := b.st.Put(b.ctx, buf)
	if err != nil {
		err = storeError{err}
	}
	return d, err
}

func zipError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// boundedReader gives at most left bytes and fails, rather than end, where the stream goes on after them.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: more bytes than it declares", ErrMalformed)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = zipError(err)
	}
	return n, err
}
