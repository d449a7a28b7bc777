// Package memory is a store in memory: for tests, and as the near side of a tiered store.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Store keeps everything until it is dropped. The zero value is not usable; call New.
type Store struct {
	mu       sync.RWMutex
	blobs    map[digest.Digest][]byte
	dirs     map[tree.Tree]*tree.Directory // decoded, of those blobs that were read as directories
	results  map[store.Key]store.Result
	complete map[tree.Tree]bool // trees whose blobs are all here; nothing is ever taken away
}

var _ store.Store = (*Store)(nil)

// New gives an empty store.
func New() *Store {
	return &Store{
		blobs:    map[digest.Digest][]byte{digest.Empty: {}},
		dirs:     map[tree.Tree]*tree.Directory{},
		results:  map[store.Key]store.Result{},
		complete: map[tree.Tree]bool{},
	}
}

// Missing implements store.Blobs.
func (s *Store) Missing(_ context.Context, ds []digest.Digest) ([]digest.Digest, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []digest.Digest
	for _, d := range ds {
		if _, ok := s.blobs[d]; !ok {
			out = append(out, d)
		}
	}
	return out, nil
}

// Open implements store.Blobs.
func (s *Store) Open(_ context.Context, d digest.Digest) (io.ReadCloser, error) {
	b, err := s.get(d)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *Store) get(d digest.Digest) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[d]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d, store.ErrNotFound)
	}
	return b, nil
}

// Put implements store.Blobs.
func (s *Store) Put(_ context.Context, b []byte) (digest.Digest, error) {
	d := digest.Of(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[d]; !ok {
		s.blobs[d] = slices.Clone(b)
	}
	return d, nil
}

// Ingest implements store.Blobs.
func (s *Store) Ingest(ctx context.Context, r io.Reader) (digest.Digest, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return digest.Digest{}, err
	}
	return s.Put(ctx, b)
}

// Directory implements tree.Dirs.
func (s *Store) Directory(_ context.Context, t tree.Tree) (*tree.Directory, error) {
	s.mu.RLock()
	d := s.dirs[t]
	s.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	b, err := s.get(t.Digest())
	if err != nil {
		return nil, err
	}
	if d, err = tree.Decode(b); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs[t] = d
	return d, nil
}

// PutDirectory implements tree.Dirs.
func (s *Store) PutDirectory(ctx context.Context, d *tree.Directory) (tree.Tree, error) {
	if err := d.Check(); err != nil {
		return tree.Tree{}, err
	}
	dg, err := s.Put(ctx, d.Encode())
	return tree.Of(dg), err
}

// Result implements store.Actions.
func (s *Store) Result(ctx context.Context, k store.Key) (store.Result, error) {
	s.mu.RLock()
	r, ok := s.results[k]
	complete := s.complete[r.Output]
	s.mu.RUnlock()
	if !ok {
		return store.Result{}, fmt.Errorf("result %s: %w", k, store.ErrNotFound)
	}
	if complete || r.Output.IsZero() {
		return r, nil
	}
	missing, err := store.MissingOf(ctx, s, r.Output, map[tree.Tree]bool{})
	if err != nil {
		return store.Result{}, err
	}
	if len(missing) > 0 {
		return store.Result{}, fmt.Errorf("result %s: its output is not complete: %w", k, store.ErrNotFound)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete[r.Output] = true
	return r, nil
}

// Record implements store.Actions.
func (s *Store) Record(_ context.Context, k store.Key, r store.Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[k] = r
	return nil
}
