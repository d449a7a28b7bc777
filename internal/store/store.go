// Package store says what a content-addressed store and an action cache are. What is behind the interfaces lies in
// the packages below: memory, disk, tiered, verify. One conformance suite, store/storetest, runs against all of them.
package store

import (
	"context"
	"errors"
	"io"
	"strconv"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// ErrNotFound is wrapped by the error of a read that finds nothing under a digest or key.
var ErrNotFound = errors.New("not in the store")

// Blobs is a content-addressed store. All methods may be called from many goroutines.
type Blobs interface {
	// Missing gives those of ds that the store does not have, in the order given.
	Missing(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error)
	// Open streams a blob. The reader fails at the end if the bytes are not those of d.
	Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error)
	// Put keeps a small blob that is in memory.
	Put(ctx context.Context, b []byte) (digest.Digest, error)
	// Ingest keeps what r gives up to its end. Nothing is visible under any digest before all of it is there.
	Ingest(ctx context.Context, r io.Reader) (digest.Digest, error)
}

// Key is the identity of a step: the digest of a complete description of what it does and on which inputs.
// It is a type of its own so that it is never taken for the digest of a content. Package action makes Keys.
type Key struct{ d digest.Digest }

// KeyOf says that d is the digest of a step's description.
func KeyOf(d digest.Digest) Key { return Key{d} }

// Digest is the digest of the step's description.
func (k Key) Digest() digest.Digest { return k.d }

// String is the text form of the digest.
func (k Key) String() string { return k.d.String() }

// IsZero says that k was never set.
func (k Key) IsZero() bool { return k.d.IsZero() }

// Result is what a step gave.
type Result struct {
	Output   tree.Tree     `json:"output"`            // all outputs at the paths at which they were made
	ExitCode int           `json:"exitCode"`          // of an action; 0 for others. Only 0 is ever kept in a cache
	Log      digest.Digest `json:"log,omitzero"`      // stdout and stderr of an action, interleaved
	Seconds  float64       `json:"seconds,omitempty"` // wall time of the run that gave it
}

// Actions is an action cache. All methods may be called from many goroutines.
type Actions interface {
	// Result gives the result kept under k, or an error that wraps ErrNotFound. A result whose output is not
	// completely in the store that the cache belongs to counts as not found.
	Result(ctx context.Context, k Key) (Result, error)
	// Record keeps r under k. All blobs and directories of r are in the store already.
	Record(ctx context.Context, k Key, r Result) error
}

// Store is both, and the directories: what engine and steps work on.
type Store interface {
	Blobs
	Actions
	tree.Dirs
}

// Views gives trees as directories on this machine's disk, for mounting. What a view shows must never be written to.
type Views interface {
	// View gives the path of a directory that holds t. release says that it is no longer needed; until then it stays.
	View(ctx context.Context, t tree.Tree) (path string, release func(), err error)
}

// LayeredViews is what Views that can be laid over one another offer besides.
type LayeredViews interface {
	// ViewLayers gives directories that show t when they are mounted over one another. It can be much faster than a view
	// of its own for a tree that differs little from one before.
	ViewLayers(ctx context.Context, t tree.Tree) (v LayeredView, release func(), err error)
}

// LayeredView is a tree as directories that are mounted over one another.
type LayeredView struct {
	// Paths are the directories, the first on top.
	Paths []string
	// Hides are the paths of entries of lower directories that the tree does not have: the first directory has the
	// kernel's mark for a removed entry there (a character device 0:0). What else is mounted in the same place must not
	// have them, for the mark hides them there as well.
	Hides []string
}

// ReadBlob reads a blob of at most limit bytes into memory.
func ReadBlob(ctx context.Context, s Blobs, d digest.Digest, limit int64) ([]byte, error) {
	if d.Size() > limit {
		return nil, &TooLargeError{Size: d.Size(), Limit: limit}
	}
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TooLargeError says that something is over the limit of a bounded read.
type TooLargeError struct{ Size, Limit int64 }

// Error names both numbers.
func (e *TooLargeError) Error() string {
	return "content of " + strconv.FormatInt(e.Size, 10) + " bytes is over the limit of " + strconv.FormatInt(e.Limit, 10)
}
