// Package verify makes a store whose bytes are not trusted (a cluster's, a shared cache's) into one that may be: what it
// gives is compared with the digest under which it was asked for.
package verify

import (
	"context"
	"fmt"
	"io"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Store checks whatever comes from another store. Results of steps cannot be checked: whoever can write to an action
// cache is trusted.
type Store struct{ from store.Store }

var _ store.Store = (*Store)(nil)

// New wraps from.
func New(from store.Store) *Store { return &Store{from} }

// MismatchError says that a store gave other bytes than it was asked for.
type MismatchError struct{ Want, Got digest.Digest }

// Error names both digests.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("asked for blob %s, the store gave %s", e.Want, e.Got)
}

// Missing implements store.Blobs.
func (s *Store) Missing(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error) {
	return s.from.Missing(ctx, ds)
}

// Open implements store.Blobs. It is an error at the end, or as soon as there is too much, if the bytes are others.
func (s *Store) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	r, err := s.from.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	return &reader{r: r, want: d, sum: digest.NewWriter(), left: d.Size()}, nil
}

type reader struct {
	r    io.ReadCloser
	want digest.Digest
	sum  *digest.Writer
	left int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	_, _ = r.sum.Write(p[:n])
	r.left -= int64(n)
	if got := r.sum.Digest(); r.left < 0 || err == io.EOF && got != r.want {
		return 0, &MismatchError{Want: r.want, Got: got}
	}
	return n, err
}

func (r *reader) Close() error { return r.r.Close() }

// Put implements store.Blobs.
func (s *Store) Put(ctx context.Context, b []byte) (digest.Digest, error) {
	return same(digest.Of(b))(s.from.Put(ctx, b))
}

// Ingest implements store.Blobs.
func (s *Store) Ingest(ctx context.Context, r io.Reader) (digest.Digest, error) {
	w := digest.NewWriter()
	got, err := s.from.Ingest(ctx, io.TeeReader(r, w))
	return same(w.Digest())(got, err)
}

func same(want digest.Digest) func(digest.Digest, error) (digest.Digest, error) {
	return func(got digest.Digest, err error) (digest.Digest, error) {
		if err == nil && got != want {
			err = &MismatchError{Want: want, Got: got}
		}
		return got, err
	}
}

// Directory implements tree.Dirs.
func (s *Store) Directory(ctx context.Context, t tree.Tree) (*tree.Directory, error) {
	d, err := s.from.Directory(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("tree %s: %w", t, err)
	}
	if _, err := same(t.Digest())(digest.Of(d.Encode()), nil); err != nil {
		return nil, err
	}
	return d, nil
}

// PutDirectory implements tree.Dirs.
func (s *Store) PutDirectory(ctx context.Context, d *tree.Directory) (tree.Tree, error) {
	t, err := s.from.PutDirectory(ctx, d)
	if err == nil {
		_, err = same(digest.Of(d.Encode()))(t.Digest(), nil)
	}
	return t, err
}

// Result implements store.Actions.
func (s *Store) Result(ctx context.Context, k store.Key) (store.Result, error) {
	return s.from.Result(ctx, k)
}

// Record implements store.Actions.
func (s *Store) Record(ctx context.Context, k store.Key, r store.Result) error {
	return s.from.Record(ctx, k, r)
}
