// Package archive turns archives (tar, zip, ar) and compressed streams into trees, with limits, and refuses whatever
// would leave the tree: parent paths, absolute names, links that point out, devices, a name twice, names that are not
// UTF-8.
package archive

import (
	"context"
	"io"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/tree"
)

// Limits bounds what an archive may unpack to. A zero field means the default of DefaultLimits.
type Limits struct {
	Bytes   int64 // of all files together
	Entries int
	File    int64 // of one file
}

// DefaultLimits is generous for everything real: the largest artifact known here unpacks to under 2 GB and 120,000 entries.
var DefaultLimits = Limits{Bytes: 8 << 30, Entries: 500_000, File: 4 << 30}

// Store is what unpacking writes to.
type Store interface {
	tree.Dirs
	Put(ctx context.Context, b []byte) (digest.Digest, error)
	Ingest(ctx context.Context, r io.Reader) (digest.Digest, error)
}

// Options says how to unpack.
type Options struct {
	Limits Limits
	// Strip removes this many leading names from every path; entries with no more names are dropped.
	Strip int
	// Absolute says that absolute names and links are meant relative to the root of the tree (Debian and OCI layers):
	// names lose their leading slash, absolute link targets are made relative to the link.
	Absolute bool
	// Map, if set, gives the path at which an entry goes, or keep=false. It sees the path after Strip.
	Map func(path string) (to string, keep bool)
}
