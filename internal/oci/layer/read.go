package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
)

// Layer is one layer to be read.
type Layer struct {
	Blob        digest.Digest // of the bytes as they are kept
	Compression Compression
	DiffID      string // the SHA-256 of the tar, in hex; empty is not compared
}

// Read gives sink each entry of a layer, and the content of regular files to be read before it returns. Names are as the
// layer has them. Only after Read has returned nil it is known that the bytes are those that l names: nothing that sink
// made may be used before. Limits are those of this layer alone.
func Read(ctx context.Context, r io.Reader, l Layer, limits archive.Limits, sink func(h *tar.Header, content io.Reader) error) error {
	return readLayer(ctx, r, l, &budget{Limits: orDefault(limits)}, sink)
}

// budget is what is left of limits.
type budget struct{ archive.Limits }

// entry counts one entry whose content has size bytes. The stream is counted apart: a sparse file is larger than what
// stands in the stream.
func (b *budget) entry(size int64) error {
	if b.Entries--; b.Entries < 0 {
		return fmt.Errorf("%w: too many entries", archive.ErrTooLarge)
	}
	if size > b.File {
		return tooLarge("the file", b.File)
	}
	if b.Bytes -= size; b.Bytes < 0 {
		return fmt.Errorf("%w: the files are too large together", archive.ErrTooLarge)
	}
	return nil
}

func readLayer(ctx context.Context, r io.Reader, l Layer, b *budget, sink func(*tar.Header, io.Reader) error) error {
	blob := &hashing{ctx: ctx, r: io.LimitReader(r, l.Blob.Size()+1), hash: digest.NewWriter()}
	plain, closeIt, err := decompress(blob, l)
	if err != nil {
		return err
	}
	defer closeIt()
	// Headers and padding are part of the stream too: half as much as the content, and a little for small limits.
	limit := min(b.Bytes, math.MaxInt64/2)
	limit += limit/2 + 1<<20
	diff := &hashing{ctx: ctx, r: &limited{r: plain, left: limit}, hash: digest.NewWriter()}
	if err := readEntries(ctx, diff, b, sink); err != nil {
		return layerError(l, err)
	}
	if _, err := io.Copy(io.Discard, diff); err != nil { // what stands after the end mark
		return layerError(l, err)
	}
	if _, err := io.Copy(io.Discard, blob); err != nil { // what stands after the compressed stream
		return layerError(l, err)
	}
	if got := blob.hash.Digest(); got != l.Blob {
		return mismatch(l, "its bytes have the digest sha256:"+got.Hex())
	}
	if got := diff.hash.Digest().Hex(); l.DiffID != "" && got != l.DiffID {
		return mismatch(l, "its files have the DiffID sha256:"+got+", not sha256:"+l.DiffID)
	}
	return nil
}

func readEntries(ctx context.Context, r io.Reader, b *budget, sink func(*tar.Header, io.Reader) error) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readError(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err = b.entry(h.Size); err == nil {
			err = sink(h, tr)
		}
		if err != nil {
			return entryError(h.Name, readError(err))
		}
	}
}

// decompress gives the tar of a layer.
func decompress(r io.Reader, l Layer) (plain io.Reader, closeIt func(), err error) {
	if l.Compression == None {
		return r, func() {}, nil
	}
	magic := []byte{0x1f, 0x8b}
	if l.Compression == Zstd {
		magic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	}
	br := bufio.NewReader(r)
	head, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if !bytes.HasPrefix(head, magic) {
		return nil, nil, mismatch(l, "its bytes are not "+string(l.Compression)+", as its media type says")
	}
	rc, err := archive.Decompress(br, "sha256:"+l.Blob.Hex())
	if err != nil {
		return nil, nil, err
	}
	return rc, func() { _ = rc.Close() }, nil
}

// hashing hashes what is read.
type hashing struct {
	ctx  context.Context
	r    io.Reader
	hash *digest.Writer
}

func (h *hashing) Read(p []byte) (int, error) {
	if h.ctx.Err() != nil {
		return 0, context.Cause(h.ctx)
	}
	n, err := h.r.Read(p)
	_, _ = h.hash.Write(p[:n])
	return n, err
}

// limited fails where more than left bytes come.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("%w: its tar is too long", archive.ErrTooLarge)
	}
	return n, err
}

func readError(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", archive.ErrTruncated, err)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrInsecurePath):
		return fmt.Errorf("%w: %w", archive.ErrMalformed, err)
	}
	return err
}

// entryError puts the entry's name to an error, unless it is somebody else's fault.
func entryError(name string, err error) error {
	var p *diag.Problem
	var se storeError
	if errors.As(err, &p) || errors.As(err, &se) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("entry %q: %w", name, err)
}

// storeError is a failed write: no fault of the layer.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func layerError(l Layer, err error) error {
	var p *diag.Problem
	var se storeError
	switch {
	case errors.As(err, &se):
		return fmt.Errorf("keep a file of layer sha256:%s: %w", l.Blob.Hex(), se.error)
	case errors.As(err, &p), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return diag.Inputf("layer-broken", "cannot unpack the layer `sha256:%s`", l.Blob.Hex()).Because(err)
}

func mismatch(l Layer, why string) error {
	return diag.Inputf("layer-mismatch", "the layer `sha256:%s` is not what the image says", l.Blob.Hex()).Because(errors.New(why)).
		Hint("get the image again; if that does not help, it was made wrongly")
}
