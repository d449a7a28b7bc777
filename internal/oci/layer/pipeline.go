package layer

import (
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/digest"
)

// The stages of writing a layer run side by side:
//
//	tree -> read ahead -> tar -> chunks -> hash of the tar
//	                                   \-> compress (several at a time) -> in order: write
//
// All layers that are being written at one time share the chunks and the processors, so that memory does not grow with
// their number. A chunk that is full needs nothing more than a processor to come to its end, hence nobody waits in a circle.
const maxProcs = 6 // each takes about 15 MB

var (
	procs  = sync.OnceValue(func() chan struct{} { return make(chan struct{}, min(runtime.GOMAXPROCS(0), maxProcs)) })
	slots  = sync.OnceValue(func() chan struct{} { return make(chan struct{}, cap(procs())+3) })
	chunks = freeList[*chunk]{make(chan *chunk, maxProcs+3), func() *chunk { return &chunk{in: make([]byte, 0, chunkSize)} }}
)

// freeList keeps what is used again. Unlike a sync.Pool it has never more in existence than were in use at one time.
type freeList[T any] struct {
	free chan T
	make func() T
}

func (l freeList[T]) get() T {
	select {
	case v := <-l.free:
		return v
	default:
		return l.make()
	}
}

func (l freeList[T]) put(v T) {
	select {
	case l.free <- v:
	default:
	}
}

// chunk is a piece of the tar on its way.
type chunk struct {
	in, out []byte
	err     error
	users   atomic.Int32  // that have not yet let go of it
	ready   chan struct{} // closed when out is made
}

func (c *chunk) release() {
	if c.users.Add(-1) == 0 {
		c.in = c.in[:0]
		chunks.put(c)
		<-slots()
	}
}

// pipeline takes the tar by Write and does all that comes after.
type pipeline struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	codec  *freeList[codec] // nil: no compression
	cur    *chunk
	hashed chan *chunk
	order  chan *chunk
	tar    *digest.Writer
}

// newPipeline gives a context as well, which ends when a stage fails.
func newPipeline(ctx context.Context, c Compression) (*pipeline, context.Context) {
	n := cap(slots()) // sending never blocks: no more chunks than that exist
	ctx, cancel := context.WithCancelCause(ctx)
	return &pipeline{ctx: ctx, cancel: cancel, codec: codecs[c], hashed: make(chan *chunk, n), order: make(chan *chunk, n),
		tar: digest.NewWriter()}, ctx
}

// start runs the stages behind Write in g. They end after close.
func (p *pipeline) start(g *errgroup.Group, w io.Writer) {
	g.Go(func() error {
		for c := range p.hashed {
			_, _ = p.tar.Write(c.in)
			c.release()
		}
		return nil
	})
	g.Go(func() (err error) {
		for c := range p.order {
			<-c.ready
			if err == nil {
				if err = p.emit(w, c); err != nil {
					p.cancel(err)
				}
			}
			c.release()
		}
		return err
	})
}

func (p *pipeline) emit(w io.Writer, c *chunk) error {
	if c.err != nil {
		return c.err
	}
	out := c.out
	if p.codec == nil {
		out = c.in
	}
	_, err := w.Write(out)
	return err
}

// Write takes a part of the tar.
func (p *pipeline) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if p.cur == nil {
			if err := p.next(); err != nil {
				return n - len(b), err
			}
		}
		k := min(len(b), chunkSize-len(p.cur.in))
		p.cur.in = append(p.cur.in, b[:k]...)
		b = b[k:]
		if len(p.cur.in) == chunkSize {
			p.send()
		}
	}
	return n, nil
}

func (p *pipeline) next() error {
	select {
	case slots() <- struct{}{}:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	p.cur = chunks.get()
	return nil
}

// send hands the current chunk to the stages.
func (p *pipeline) send() {
	c := p.cur
	p.cur = nil
	c.err, c.ready = nil, make(chan struct{})
	c.users.Store(2)
	if p.codec == nil {
		close(c.ready)
	} else {
		go p.compress(c)
	}
	p.hashed <- c
	p.order <- c
}

func (p *pipeline) compress(c *chunk) {
	defer close(c.ready)
	procs() <- struct{}{}
	defer func() { <-procs() }()
	enc := p.codec.get()
	c.out, c.err = enc.encode(c.out[:0], c.in)
	p.codec.put(enc)
}

// close sends what is left, if the tar is complete, and lets the stages end.
func (p *pipeline) close(complete bool) {
	if p.cur != nil && complete {
		p.send()
	} else if p.cur != nil {
		p.cur.users.Store(1)
		p.cur.release()
		p.cur = nil
	}
	close(p.hashed)
	close(p.order)
}
