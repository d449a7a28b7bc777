package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	anyxz "github.com/therootcompany/xz"

	"hewn.example/hewn/internal/archive/xz"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
)

const (
	maxXzDict     = 64 << 20  // what `xz -9` needs
	maxZstdWindow = 128 << 20 // what `zstd --long=27` needs
)

// Decompress gives the plain bytes of r, whose kind is told by its first bytes: gzip, xz, zstd, bzip2, or else plain.
// name is for messages. The result is not bounded: what reads it must be. Close does not close r.
func Decompress(r io.Reader, name string) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, badStream(name, "gzip", err)
		}
		return &stream{Reader: zr, name: name, kind: "gzip", close: zr.Close}, nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		zr, err := openXz(br)
		if err != nil {
			return nil, badStream(name, "xz", err)
		}
		return &stream{Reader: zr, name: name, kind: "xz"}, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		zr, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, badStream(name, "zstd", err)
		}
		return &stream{Reader: zr, name: name, kind: "zstd", close: func() error { zr.Close(); return nil }}, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return &stream{Reader: bzip2.NewReader(br), name: name, kind: "bzip2"}, nil
	}
	return io.NopCloser(br), nil
}

// openXz takes our own decoder where it knows the file's filters, which is nearly always, and the library elsewhere.
func openXz(br *bufio.Reader) (io.Reader, error) {
	head, err := br.Peek(12 + 1024) // the stream's header and the largest header of a block
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if xz.Supported(head) {
		return xz.NewReader(br, maxXzDict)
	}
	return anyxz.NewReader(br, maxXzDict)
}

// stream names its file in the errors of its decompressor.
type stream struct {
	io.Reader
	name, kind string
	close      func() error
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badStream(s.name, s.kind, err)
	}
	return n, err
}

func (s *stream) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

func badStream(name, kind string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	reason := ErrMalformed
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, anyxz.ErrBuf) {
		reason = ErrTruncated
	}
	return diag.Inputf("archive-broken", "cannot decompress %q (%s)", name, kind).Because(fmt.Errorf("%w: %w", reason, err))
}

// inMemory is the largest blob that OpenBlob reads into memory where the store gives no random access.
const inMemory = 32 << 20

// OpenBlob gives random access to a stored blob, which zips need. A reader of the store that is an io.ReaderAt is used
// as it is; otherwise a small blob is read into memory and a large one is copied to an unlinked temporary file, both
// verified by the store. close must be called once.
func OpenBlob(ctx context.Context, s store.Blobs, d digest.Digest) (ra io.ReaderAt, size int64, close func() error, err error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, 0, nil, err
	}
	if ra, ok := r.(io.ReaderAt); ok {
		return ra, d.Size(), r.Close, nil
	}
	defer r.Close()
	if d.Size() <= inMemory {
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, 0, nil, err
		}
		return bytes.NewReader(b), d.Size(), func() error { return nil }, nil
	}
	f, err := os.CreateTemp("", "hewn-blob-")
	if err != nil {
		return nil, 0, nil, err
	}
	_ = os.Remove(f.Name()) // the descriptor is all that is needed; nothing stays behind after a kill
	if _, err := io.Copy(f, r); err != nil {
		_ = f.Close()
		return nil, 0, nil, err
	}
	return f, d.Size(), f.Close, nil
}
