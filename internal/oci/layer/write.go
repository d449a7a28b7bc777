package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/action"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// TarVersion names the form of the tar. It belongs into the key of every step that makes a layer.
const TarVersion = "tar/1"

const (
	aheadFile = 64 << 10  // files up to this size are read before their turn
	ahead     = 32        // how many of them at most
	readers   = 4         // how many of them at a time
	queued    = 128       // entries of which the tree was read before their turn
	copySize  = 256 << 10 // of larger files
)

// Options says how Write makes a layer.
type Options struct {
	Attrs       Attrs
	Compression Compression
}

var mtime = time.Unix(action.SourceDateEpoch, 0).UTC()

// Write writes the layer that holds t to w. Each entry of t but the root is in it. A name that begins with `.wh.` is
// refused with a *diag.Problem: in a layer it would remove a file instead of being one.
func Write(ctx context.Context, src Source, t tree.Tree, o Options, w io.Writer) (Info, error) {
	hash := digest.NewWriter()
	info, err := write(ctx, src, t, o, io.MultiWriter(hash, w))
	info.Digest = hash.Digest()
	if err != nil {
		return Info{}, err
	}
	return info, nil
}

// write leaves the digest of what it writes to others.
func write(ctx context.Context, src Source, t tree.Tree, o Options, w io.Writer) (Info, error) {
	attrs, err := o.Attrs.Canonical()
	if err != nil {
		return Info{}, fmt.Errorf("layer: %w", err)
	}
	if o.Compression, err = ParseCompression(string(o.Compression)); err != nil {
		return Info{}, err
	}
	g, ctx := errgroup.WithContext(ctx)
	p, ctx := newPipeline(ctx, o.Compression)
	defer p.cancel(nil)
	p.start(g, w)
	a := &assembler{ctx: ctx, src: src, attrs: attrs, tw: tar.NewWriter(p),
		queue: make(chan *item, queued), reads: make(chan *item, ahead), ahead: make(chan struct{}, ahead)}
	g.Go(func() error { return a.walk(t) })
	for range readers {
		g.Go(func() error { a.read(); return nil })
	}
	entries := 0
	g.Go(func() (err error) {
		entries, err = a.assemble()
		p.close(err == nil)
		return err
	})
	if err := g.Wait(); err != nil {
		return Info{}, err
	}
	return Info{DiffID: p.tar.Digest(), Entries: entries}, nil
}

// Put writes the layer that holds t into st.
func Put(ctx context.Context, st Store, t tree.Tree, o Options) (Info, error) {
	r, w := io.Pipe()
	var kept digest.Digest
	var keepErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		kept, keepErr = st.Ingest(ctx, r)
		_ = r.CloseWithError(keepErr) // Write fails with it
	}()
	info, err := write(ctx, st, t, o, w)
	_ = w.CloseWithError(err) // nil is the end of the stream
	<-done
	switch {
	case err != nil:
		return Info{}, err
	case keepErr != nil:
		return Info{}, keepErr
	}
	info.Digest = kept
	return info, nil
}

// item is one entry on its way into the tar.
type item struct {
	path  string
	entry tree.Entry
	buf   []byte // the content, if it is read ahead
	err   error
	ready chan struct{} // closed when buf and err are set; nil if the content is not read ahead
}

// assembler makes the tar. One goroutine walks the tree, some read small files, one puts all in order.
type assembler struct {
	ctx   context.Context
	src   Source
	attrs Attrs
	tw    *tar.Writer
	queue chan *item    // all entries, in order
	reads chan *item    // those to be read ahead
	ahead chan struct{} // one for each that was, until it is in the tar
}

var buffers = sync.Pool{New: func() any { b := make([]byte, aheadFile); return &b }}

func (a *assembler) walk(t tree.Tree) error {
	defer close(a.queue)
	defer close(a.reads)
	return tree.Walk(a.ctx, a.src, t, func(path string, e tree.Entry) error {
		if strings.HasPrefix(e.Name, whiteout) {
			return diag.Failf("layer-whiteout", "cannot put `%s` into a layer", path).
				Because(errors.New("in an image, a name that begins with `.wh.` removes a file of a lower layer")).
				Hint("leave `%s` out of the image's root, or rename it", path)
		}
		it := &item{path: path, entry: e}
		if e.Kind == tree.KindFile && e.Digest.Size() <= aheadFile {
			it.ready = make(chan struct{})
			select {
			case a.ahead <- struct{}{}:
			case <-a.ctx.Done():
				return context.Cause(a.ctx)
			}
			a.reads <- it // has room for as many as a.ahead allows
		}
		select {
		case a.queue <- it:
			return nil
		case <-a.ctx.Done():
			return context.Cause(a.ctx)
		}
	})
}

func (a *assembler) read() {
	for it := range a.reads {
		it.err = a.readSmall(it)
		close(it.ready)
	}
}

func (a *assembler) readSmall(it *item) error {
	if err := a.ctx.Err(); err != nil {
		return context.Cause(a.ctx)
	}
	d := it.entry.Digest
	if d.Size() == 0 {
		return nil
	}
	r, err := a.src.Open(a.ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	it.buf = (*buffers.Get().(*[]byte))[:d.Size()]
	if _, err := io.ReadFull(r, it.buf); err != nil {
		return fmt.Errorf("read blob %s: %w", d, noEOF(err))
	}
	return atEnd(r, d)
}

// atEnd makes the store compare the digest, which it does at the end.
func atEnd(r io.Reader, d digest.Digest) error {
	var one [1]byte
	for {
		n, err := r.Read(one[:])
		switch {
		case n > 0:
			return fmt.Errorf("blob %s is longer than it says", d)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read blob %s: %w", d, err)
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (a *assembler) assemble() (entries int, err error) {
	for it := range a.queue {
		if it.ready != nil {
			<-it.ready
		}
		if err == nil {
			err = it.err
		}
		if err == nil {
			err = a.add(it)
		}
		if it.buf != nil {
			full := it.buf[:cap(it.buf)]
			buffers.Put(&full)
		}
		if it.ready != nil {
			<-a.ahead
		}
		if err != nil {
			return entries, err // ends ctx, and with it the walk
		}
		entries++
	}
	if err := a.ctx.Err(); err != nil {
		return entries, context.Cause(a.ctx)
	}
	return entries, a.tw.Close()
}

func (a *assembler) add(it *item) error {
	h := a.header(it.path, it.entry)
	if err := a.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("layer: entry %q: %w", it.path, err)
	}
	if h.Size == 0 {
		return nil
	}
	var err error
	if it.ready != nil {
		_, err = a.tw.Write(it.buf)
	} else {
		err = a.copyLarge(it.entry.Digest)
	}
	return err
}

func (a *assembler) header(path string, e tree.Entry) *tar.Header {
	uid, gid := a.attrs.Owner(path)
	h := &tar.Header{Name: path, Mode: int64(a.attrs.Mode(path, e)), Uid: uid, Gid: gid, ModTime: mtime}
	switch e.Kind {
	case tree.KindDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case tree.KindLink:
		h.Typeflag = tar.TypeSymlink
		h.Linkname = e.Target
	default:
		h.Typeflag = tar.TypeReg
		h.Size = e.Digest.Size()
	}
	return h
}

func (a *assembler) copyLarge(d digest.Digest) error {
	r, err := a.src.Open(a.ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, min(copySize, d.Size()))
	for left := d.Size(); left > 0; {
		b := buf[:min(int64(len(buf)), left)]
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("read blob %s: %w", d, noEOF(err))
		}
		if _, err := a.tw.Write(b); err != nil {
			return err
		}
		left -= int64(len(b))
	}
	return atEnd(r, d)
}
