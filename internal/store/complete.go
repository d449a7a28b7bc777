package store

import (
	"context"
	"errors"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// IsNotFound says that err comes from a read that found nothing.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// MissingOf gives the blobs of t that s does not have, each once, in the order of a walk; a directory that is missing
// counts as a blob, and what would be below it cannot be told. seen, if not nil, holds trees that are known to be
// complete: they are left out, and those found complete are added.
func MissingOf(ctx context.Context, s interface {
	Blobs
	tree.Dirs
}, t tree.Tree, seen map[tree.Tree]bool) ([]digest.Digest, error) {
	if seen == nil {
		seen = map[tree.Tree]bool{}
	}
	if seen[t] {
		return nil, nil
	}
	d, err := s.Directory(ctx, t)
	if IsNotFound(err) {
		return []digest.Digest{t.Digest()}, nil
	}
	if err != nil {
		return nil, err
	}
	ask := make([]digest.Digest, 0, len(d.Files))
	for _, f := range d.Files {
		ask = append(ask, f.Digest)
	}
	missing, err := s.Missing(ctx, ask)
	if err != nil {
		return nil, err
	}
	have := map[digest.Digest]bool{}
	out := missing[:0:0]
	add := func(ds []digest.Digest) {
		for _, d := range ds {
			if !have[d] {
				have[d] = true
				out = append(out, d)
			}
		}
	}
	add(missing)
	for _, sub := range d.Dirs {
		missing, err := MissingOf(ctx, s, sub.Tree, seen)
		if err != nil {
			return nil, err
		}
		add(missing)
	}
	if len(out) == 0 {
		seen[t] = true
	}
	return out, nil
}
