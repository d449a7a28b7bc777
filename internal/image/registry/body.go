package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
)

// localError is a failure of the store and not of the registry: nothing is tried again.
type localError struct{ err error }

// Error implements error.
func (e *localError) Error() string { return "reading the image from the store: " + e.err.Error() }

// Unwrap gives the store's error.
func (e *localError) Unwrap() error { return e.err }

// source reads a blob of the store section by section. Sections that follow one another come from one reader, so that
// a blob is read once however many chunks it goes up in; a reader can only go forward, and is opened anew to go back.
type source struct {
	store store.Blobs
	blob  digest.Digest

	mu  sync.Mutex
	r   io.ReadCloser // stands at pos; nil while a section has it
	pos int64
	err error // the first failure of the store
}

// section gives the n bytes from off on. The last byte of a blob is not given before the store has verified all of it.
func (s *source) section(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	r, pos := s.r, s.pos
	s.r = nil
	s.mu.Unlock()
	if r != nil && pos > off {
		r.Close()
		r = nil
	}
	if r == nil {
		var err error
		if r, err = s.store.Open(ctx, s.blob); err != nil {
			return nil, s.failed(err)
		}
		pos = 0
	}
	if _, err := io.CopyN(io.Discard, r, off-pos); err != nil {
		r.Close()
		return nil, s.failed(err)
	}
	return &section{s: s, r: r, pos: off, end: off + n}, nil
}

func (s *source) failed(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = &localError{fmt.Errorf("blob %s: %w", s.blob, err)}
	}
	return s.err
}

// failure is what went wrong with the store. net/http may give an error of its own instead of a body's.
func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r != nil {
		s.r.Close()
		s.r = nil
	}
}

// section is a part of a blob as the body of a request. The transport may read and close it after the request has
// failed, so it owns the reader until then, and gives it back only where the next section can go on with it.
type section struct {
	s *source

	mu       sync.Mutex // the transport may close a body that another goroutine of it is reading
	r        io.ReadCloser
	pos, end int64
}

// Read implements io.Reader.
func (b *section) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil || b.pos >= b.end {
		return 0, io.EOF
	}
	if int64(len(p)) > b.end-b.pos {
		p = p[:b.end-b.pos]
	}
	n, err := b.r.Read(p)
	b.pos += int64(n)
	switch {
	case err != nil && (!errors.Is(err, io.EOF) || b.pos < b.s.blob.Size()):
		return 0, b.s.failed(err)
	case b.pos == b.s.blob.Size() && err == nil:
		// The store compares the digest where the stream ends: these last bytes wait for its word.
		if _, err := io.ReadFull(b.r, make([]byte, 1)); !errors.Is(err, io.EOF) {
			if err == nil {
				err = errors.New("it is longer than its size")
			}
			return 0, b.s.failed(err)
		}
	}
	return n, nil
}

// Close implements io.Closer.
func (b *section) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return nil
	}
	r := b.r
	b.r = nil
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.pos == b.end && b.pos < b.s.blob.Size() && b.s.r == nil {
		b.s.r, b.s.pos = r, b.pos
		return nil
	}
	return r.Close()
}
