package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

func blobKey(d digest.Digest) recordKey { return recordKey{d.Hash(), kindBlob} }

// Missing implements store.Blobs.
func (s *Store) Missing(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error) {
	var out []digest.Digest
	refreshed := false
	for _, d := range ds {
		ok, err := s.has(d)
		if err == nil && !ok && !refreshed && d.Size() <= maxRecord {
			refreshed = true
			if _, err = s.packs.refresh(); err == nil {
				ok, err = s.has(d)
			}
		}
		if err == nil {
			err = ctxErr(ctx)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			out = append(out, d)
		}
	}
	return out, nil
}

// has says whether the blob is here, as far as this process has read the packs.
func (s *Store) has(d digest.Digest) (bool, error) {
	if d == digest.Empty {
		return true, nil
	}
	if d.Size() >= packLimit {
		have, err := s.flavours(d)
		if have != 0 || err != nil {
			return true, err
		}
	}
	if err := s.packs.load(); err != nil {
		return false, err
	}
	n, ok := s.packs.has(blobKey(d)) // a larger one may be a directory
	return ok && int64(n) == d.Size(), nil
}

// small gives the content of a blob that is in a pack.
func (s *Store) small(d digest.Digest) ([]byte, bool, error) {
	if d.Size() > maxRecord {
		return nil, false, nil
	}
	b, ok, err := s.packs.get(blobKey(d), true)
	if err != nil || !ok || int64(len(b)) != d.Size() {
		return nil, false, err
	}
	return b, true, nil
}

// Open implements store.Blobs. The reader is an io.ReaderAt as well; what is read that way is not verified.
func (s *Store) Open(_ context.Context, d digest.Digest) (io.ReadCloser, error) {
	if d == digest.Empty {
		return memReader{bytes.NewReader(nil)}, nil
	}
	if d.Size() >= packLimit {
		have, err := s.flavours(d)
		if err != nil {
			return nil, err
		}
		if have != 0 {
			f, err := os.Open(s.casPath(d, have&-have))
			if errors.Is(err, fs.ErrNotExist) {
				return nil, notFound(d)
			}
			if err != nil {
				return nil, err
			}
			return &fileReader{f: f, want: d, hash: digest.NewWriter()}, nil
		}
	}
	b, ok, err := s.small(d)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound(d)
	}
	if digest.Of(b) != d {
		return nil, &CorruptError{Digest: d}
	}
	return memReader{bytes.NewReader(b)}, nil
}

// CorruptError says that what the store has under a digest are not the bytes of that digest: something other than hewn
// changed the store, or the disk fails.
type CorruptError struct{ Digest digest.Digest }

// Error names the blob.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("the store is damaged: the content of blob %s is not what it was", e.Digest)
}

// memReader reads a blob that is in memory.
type memReader struct{ *bytes.Reader }

func (memReader) Close() error { return nil }

// fileReader reads a larger blob and compares its digest at the end.
type fileReader struct {
	f    *os.File
	want digest.Digest
	hash *digest.Writer
}

func (r *fileReader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	_, _ = r.hash.Write(p[:n])
	if err == io.EOF && r.hash.Digest() != r.want {
		err = &CorruptError{Digest: r.want}
	}
	return n, err
}

func (r *fileReader) ReadAt(p []byte, off int64) (int, error) { return r.f.ReadAt(p, off) }
func (r *fileReader) Close() error                            { return r.f.Close() }

// Put implements store.Blobs.
func (s *Store) Put(ctx context.Context, b []byte) (digest.Digest, error) {
	d := digest.Of(b)
	if ok, err := s.has(d); ok || err != nil {
		return d, err
	}
	if len(b) < packLimit {
		return d, s.append(blobKey(d), b)
	}
	tmp, err := s.temp.file()
	if err != nil {
		return digest.Digest{}, err
	}
	_, err = writeHashed(ctx, tmp, b, len(b), eof{})
	if err == nil {
		s.sync.wrote()
		err = s.install(tmp, d, plain)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return digest.Digest{}, err
	}
	return d, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func (s *Store) append(k recordKey, b []byte) error {
	s.sync.wrote()
	return s.packs.add(k, b)
}

// Directory implements tree.Dirs.
func (s *Store) Directory(_ context.Context, t tree.Tree) (*tree.Directory, error) {
	if d := s.dirs.get(t); d != nil {
		return d, nil
	}
	if t == tree.Empty {
		return &tree.Directory{}, nil
	}
	b, ok, err := s.small(t.Digest())
	if err == nil && !ok {
		b, err = s.largeDirectory(t)
	}
	if err != nil {
		return nil, err
	}
	d, err := tree.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", t, err)
	}
	s.dirs.put(t, d)
	return d, nil
}

// largeDirectory reads a directory that somebody kept as a blob, not knowing that it is one.
func (s *Store) largeDirectory(t tree.Tree) ([]byte, error) {
	dg := t.Digest()
	have, err := s.flavours(dg)
	if err != nil {
		return nil, err
	}
	if dg.Size() < packLimit || dg.Size() > maxRecord || have == 0 {
		return nil, fmt.Errorf("tree %s: %w", t, store.ErrNotFound)
	}
	b, err := os.ReadFile(s.casPath(dg, have&-have))
	if err == nil && digest.Of(b) != dg {
		err = &CorruptError{Digest: dg}
	}
	return b, err
}

// PutDirectory implements tree.Dirs.
func (s *Store) PutDirectory(_ context.Context, d *tree.Directory) (tree.Tree, error) {
	if err := d.Check(); err != nil {
		return tree.Tree{}, err
	}
	b := d.Encode()
	t := tree.Of(digest.Of(b))
	if s.dirs.get(t) != nil {
		return t, nil
	}
	ok, err := s.has(t.Digest())
	if err == nil && !ok {
		err = s.append(blobKey(t.Digest()), b)
	}
	if err != nil {
		return tree.Tree{}, err
	}
	s.dirs.put(t, d)
	return t, nil
}

func resultKey(k store.Key) recordKey { return recordKey{k.Digest().Hash(), kindResult} }

// Result implements store.Actions. That the output is complete needs no check here: a result is recorded after what it
// names, nothing is taken away while a process holds the lease, and after a power failure results are compared with
// what is left before anybody is served (see recover.go). One look says that the output was not collected since.
func (s *Store) Result(ctx context.Context, k store.Key) (store.Result, error) {
	var r store.Result
	found := false
	var bad error
	err := s.packs.each(resultKey(k), true, func(b []byte) bool {
		if len(b) == 0 {
			return true
		}
		r = store.Result{}
		if bad = json.Unmarshal(b, &r); bad != nil {
			return true
		}
		if !r.Output.IsZero() {
			if _, err := s.Directory(ctx, r.Output); err != nil {
				return true
			}
		}
		found = true
		return false
	})
	if err == nil && !found {
		err = bad
	}
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Result{}, fmt.Errorf("result %s: %w", k, err)
	}
	return r, nil
}

// Record implements store.Actions.
func (s *Store) Record(_ context.Context, k store.Key, r store.Result) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.append(resultKey(k), b)
}
