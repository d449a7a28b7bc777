// Package archive turns archives (tar, zip, ar) and compressed streams into trees, with limits, and refuses whatever
// would leave the tree: parent paths, absolute names, links that point out, devices, names that are not UTF-8.
//
// Two entries of one name: in a tar the later one stands, as every tar tool has it, unless one of them is a directory;
// in a zip they are refused unless they are equal, since zip tools disagree about which one counts, and that has been
// used to show a reviewer one file and an installer another.
//
// Names that differ only in case are different names: trees are what a Linux file system would hold.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hewn.example/hewn/internal/diag"
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

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = DefaultLimits.Bytes
	}
	if l.Entries == 0 {
		l.Entries = DefaultLimits.Entries
	}
	if l.File == 0 {
		l.File = DefaultLimits.File
	}
	return l
}

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
	// names lose their leading slash, absolute link targets are made relative to the link, and a link cannot point out
	// of the tree, because `..` at its root stays at the root.
	Absolute bool
	// Map, if set, gives the path at which an entry goes, or keep=false. It sees the path after Strip. Under Absolute,
	// link targets are mapped too, and made relative to the place where the link went.
	Map func(path string) (to string, keep bool)
}

// The reasons for which an entry, or a whole archive, is refused. The *diag.Problem that is returned wraps one of them.
var (
	ErrParent    = errors.New("its name has a `..`")
	ErrAbsolute  = errors.New("its name is absolute")
	ErrEscape    = errors.New("it is a link that points out of the archive")
	ErrThrough   = errors.New("its path goes through a link or a file of the same archive")
	ErrDevice    = errors.New("it is a device, a pipe or another special file")
	ErrDuplicate = errors.New("its name stands twice in the archive, with different content")
	ErrHardLink  = errors.New("it is a hard link to nothing that stands before it")
	ErrName      = errors.New("its name cannot be used (not UTF-8, a zero byte, or longer than 4096 bytes)")
	ErrTooLarge  = errors.New("it unpacks to more than the limit")
	ErrTruncated = errors.New("it ends in the middle")
	ErrMalformed = errors.New("it is malformed")
)

// refuse says that an entry cannot be unpacked. reason is one of the sentinels or wraps one.
func refuse(entry string, reason error) *diag.Problem {
	return diag.Inputf("archive-entry", "cannot unpack archive entry %q", entry).Because(reason)
}

// broken says that the archive as a whole cannot be read. The reader's own words come last.
func broken(format string, err error) *diag.Problem {
	reason := ErrMalformed
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		reason = ErrTruncated
	}
	return diag.Inputf("archive-broken", "cannot read %s archive", format).Because(fmt.Errorf("%w: %w", reason, err))
}

func tooLarge(what string, limit int64) error {
	return fmt.Errorf("%w: %s is over %d", ErrTooLarge, what, limit)
}
