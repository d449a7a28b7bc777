// Package tiered puts a near store in front of a far one: this machine's disk in front of a cluster's cache. What the
// far one has is brought near when it is asked for.
package tiered

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// transfers is how many blobs are moved between the two at once.
const transfers = 16

// Store is both stores as one.
type Store struct {
	near, far store.Store
	upload    bool
}

var _ store.Store = (*Store)(nil)

// New puts near in front of far, whose bytes must be trusted or verified (package verify). With upload, what is
// recorded goes to far as well, outputs first.
func New(near, far store.Store, upload bool) *Store { return &Store{near, far, upload} }

// Missing implements store.Blobs: what neither has.
func (s *Store) Missing(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error) {
	ds, err := s.near.Missing(ctx, ds)
	if err != nil || len(ds) == 0 {
		return ds, err
	}
	return s.far.Missing(ctx, ds)
}

// Open implements store.Blobs.
func (s *Store) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	r, err := s.near.Open(ctx, d)
	if !store.IsNotFound(err) {
		return r, err
	}
	if err := copyBlob(ctx, s.far, s.near, d); err != nil {
		return nil, err
	}
	return s.near.Open(ctx, d)
}

func copyBlob(ctx context.Context, from, to store.Store, d digest.Digest) error {
	r, err := from.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := to.Ingest(ctx, io.LimitReader(r, d.Size()+1))
	if err == nil && got != d {
		err = fmt.Errorf("blob %s: the store gave %s", d, got)
	}
	return err
}

// Put implements store.Blobs.
func (s *Store) Put(ctx context.Context, b []byte) (digest.Digest, error) { return s.near.Put(ctx, b) }

// Ingest implements store.Blobs.
func (s *Store) Ingest(ctx context.Context, r io.Reader) (digest.Digest, error) {
	return s.near.Ingest(ctx, r)
}

// Directory implements tree.Dirs.
func (s *Store) Directory(ctx context.Context, t tree.Tree) (*tree.Directory, error) {
	d, err := s.near.Directory(ctx, t)
	if !store.IsNotFound(err) {
		return d, err
	}
	if d, err = s.far.Directory(ctx, t); err != nil {
		return nil, err
	}
	got, err := s.near.PutDirectory(ctx, d)
	if err == nil && got != t {
		err = fmt.Errorf("tree %s: the store gave %s", t, got)
	}
	return d, err
}

// PutDirectory implements tree.Dirs.
func (s *Store) PutDirectory(ctx context.Context, d *tree.Directory) (tree.Tree, error) {
	return s.near.PutDirectory(ctx, d)
}

// Result implements store.Actions. A result that only the far store has is recorded in the near one after its output
// has been brought there, since views are made of what is near.
func (s *Store) Result(ctx context.Context, k store.Key) (store.Result, error) {
	r, err := s.near.Result(ctx, k)
	if !store.IsNotFound(err) {
		return r, err
	}
	if r, err = s.far.Result(ctx, k); err != nil {
		return store.Result{}, err
	}
	if err := move(ctx, s.far, s.near, r); err != nil {
		return store.Result{}, err
	}
	return r, s.near.Record(ctx, k, r)
}

// Record implements store.Actions.
func (s *Store) Record(ctx context.Context, k store.Key, r store.Result) error {
	if err := s.near.Record(ctx, k, r); err != nil || !s.upload {
		return err
	}
	if err := move(ctx, s.near, s.far, r); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return s.far.Record(ctx, k, r)
}

// move brings the output and the log of a result from one store to the other.
func move(ctx context.Context, from, to store.Store, r store.Result) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(transfers)
	m := mover{from, to, g, map[digest.Digest]bool{}}
	var err error
	if !r.Output.IsZero() {
		err = m.tree(gctx, r.Output)
	}
	if err == nil && !r.Log.IsZero() {
		err = m.blobs(gctx, []digest.Digest{r.Log})
	}
	if e := g.Wait(); e != nil {
		return e
	}
	if err == nil && !r.Output.IsZero() {
		err = m.dirs(ctx, r.Output, map[tree.Tree]bool{})
	}
	return err
}

type mover struct {
	from, to store.Store
	group    *errgroup.Group
	seen     map[digest.Digest]bool
}

// tree moves the files below t. A directory that is there already says nothing of what is in it.
func (m mover) tree(ctx context.Context, t tree.Tree) error {
	if m.seen[t.Digest()] {
		return nil
	}
	m.seen[t.Digest()] = true
	d, err := m.from.Directory(ctx, t)
	if err != nil {
		return err
	}
	var ds []digest.Digest
	for _, f := range d.Files {
		ds = append(ds, f.Digest)
	}
	if err := m.blobs(ctx, ds); err != nil {
		return err
	}
	for _, sub := range d.Dirs {
		if err := m.tree(ctx, sub.Tree); err != nil {
			return err
		}
	}
	return nil
}

func (m mover) blobs(ctx context.Context, ds []digest.Digest) error {
	var ask []digest.Digest
	for _, d := range ds {
		if !m.seen[d] {
			m.seen[d] = true
			ask = append(ask, d)
		}
	}
	missing, err := m.to.Missing(ctx, ask)
	for _, d := range missing {
		m.group.Go(func() error { return copyBlob(ctx, m.from, m.to, d) })
	}
	return err
}

// dirs puts the directories of t, deepest first, after all files: a directory that can be found is complete.
func (m mover) dirs(ctx context.Context, t tree.Tree, done map[tree.Tree]bool) error {
	if done[t] {
		return nil
	}
	done[t] = true
	d, err := m.from.Directory(ctx, t)
	if err != nil {
		return err
	}
	for _, sub := range d.Dirs {
		if err := m.dirs(ctx, sub.Tree, done); err != nil {
			return err
		}
	}
	_, err = m.to.PutDirectory(ctx, d)
	return err
}
