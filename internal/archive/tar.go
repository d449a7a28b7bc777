package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// Tar unpacks a plain tar stream (see Decompress for compressed ones) with PAX and GNU extensions. It reads up to the
// archive's end mark, not further. Of two entries with one name the later stands. On an error blobs of earlier entries
// may be in the store, but no tree refers to them.
func Tar(ctx context.Context, r io.Reader, st Store, o Options) (tree.Tree, error) {
	b := newBuilder(ctx, st, o, false)
	if err := b.readTar(tar.NewReader(r)); err != nil {
		return tree.Tree{}, b.fail(err)
	}
	return b.finish(ctx)
}

func (b *builder) readTar(tr *tar.Reader) error {
	for {
		if err := b.ctx.Err(); err != nil {
			return context.Cause(b.ctx)
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken("tar", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader { // `git archive` writes the commit's name here
			continue
		}
		if err := b.tarEntry(tr, h); err != nil {
			return entryError(h.Name, err)
		}
	}
}

func (b *builder) tarEntry(tr *tar.Reader, h *tar.Header) error {
	raw, to, keep, err := b.enter(h.Name)
	if err != nil || !keep {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return b.dir(to)
	case tar.TypeReg, tar.TypeGNUSparse:
		if err := b.charge(h.Size); err != nil {
			return err
		}
		d, err := b.file(tr, h.Size)
		if err != nil {
			return err
		}
		n := &node{kind: isFile, exec: h.Mode&0o111 != 0, digest: d}
		b.names[raw] = n
		return b.leaf(h.Name, to, n)
	case tar.TypeSymlink:
		return b.link(h.Name, raw, to, h.Linkname)
	case tar.TypeLink:
		target, err := b.clean(h.Linkname)
		if err != nil {
			return err
		}
		n := b.names[target]
		if n == nil {
			return ErrHardLink
		}
		b.names[raw] = n
		return b.leaf(h.Name, to, n)
	}
	return ErrDevice
}

// storeError is a failed write: no fault of the archive.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

// entryError puts the entry's name to an error, unless the error names one already or speaks of something else
// than the archive (a store that cannot be written, a cancelled run).
func entryError(entry string, err error) error {
	var p *diag.Problem
	var se storeError
	switch {
	case errors.As(err, &se):
		return fmt.Errorf("keep archive entry %q: %w", entry, se.error)
	case errors.As(err, &p), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse(entry, ErrTruncated)
	}
	return refuse(entry, err)
}

// Keep puts the content of the entry at hand into the store.
type Keep func() (digest.Digest, error)

// EachEntry calls f for each entry of a plain tar stream, within limits. It is for formats that have rules of
// their own about names and kinds; f checks them, and keeps what it wants.
func EachEntry(ctx context.Context, r io.Reader, st Store, lim Limits, f func(h *tar.Header, keep Keep) error) error {
	const small = 256 << 10 // stored in one piece, which is cheaper
	lim = lim.orDefault()
	left := lim.Bytes
	tr := tar.NewReader(r)
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > lim.Entries {
			return fmt.Errorf("more than %d entries", lim.Entries)
		}
		err = f(h, func() (digest.Digest, error) {
			if h.Size > left || h.Size > lim.File {
				return digest.Digest{}, ErrTooLarge
			}
			left -= h.Size
			if h.Size > small {
				return st.Ingest(ctx, tr)
			}
			b := make([]byte, h.Size)
			if _, err := io.ReadFull(tr, b); err != nil {
				return digest.Digest{}, err
			}
			return st.Put(ctx, b)
		})
		if err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
}

// WalkTar calls f for each regular file of a plain tar stream, with its clean path, without keeping anything. The
// caller bounds r. Names are refused as by Tar.
func WalkTar(ctx context.Context, r io.Reader, f func(path string, r io.Reader) error) error {
	b := &builder{lim: Limits{}.orDefault()}
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken("tar", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		p, err := b.clean(h.Name)
		if err == nil {
			err = f(p, tr)
		}
		if err != nil {
			return entryError(h.Name, err)
		}
	}
}
