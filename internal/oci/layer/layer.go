// Package layer makes the bytes of one image layer from a tree, and trees from layers.
//
// Writing is a function of the tree, its attributes and the compression alone: the same bytes on every machine, with any
// number of processors, at any time. docs/IMAGE.md specifies them. Reading takes whatever the OCI image specification
// allows, refuses what would leave the tree, and is bounded.
//
// All functions may be called from many goroutines; what layers that are written at the same time hold in memory is
// bounded for the whole process.
package layer

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/tree"
)

// Source is what layers are made from.
type Source interface {
	store.Blobs
	tree.Dirs
}

// Store is where layers are kept and unpacked.
type Store interface {
	store.Blobs
	tree.Dirs
}

// Info is what Write made.
type Info struct {
	DiffID  digest.Digest // of the tar before compression; images name it in their configuration
	Digest  digest.Digest // of the bytes written
	Entries int           // files, links and directories
}

// Compression is how the tar of a layer is compressed.
type Compression string

// The compressions that a layer can have.
const (
	Zstd Compression = "zstd"
	Gzip Compression = "gzip"
	None Compression = "none"
)

// ParseCompression reads the name of a compression. Empty is zstd.
func ParseCompression(s string) (Compression, error) {
	switch c := Compression(s); c {
	case "":
		return Zstd, nil
	case Zstd, Gzip, None:
		return c, nil
	}
	return "", diag.Inputf("layer-compression", "unknown compression `%s`", s).Hint("write `zstd`, `gzip` or `none`")
}

// MediaType is the OCI media type of a layer so compressed.
func (c Compression) MediaType() types.MediaType {
	switch c {
	case Gzip:
		return types.OCILayer
	case None:
		return types.OCIUncompressedLayer
	}
	return types.OCILayerZStd
}

// CompressionOf gives the compression that a media type says, of OCI's and of Docker's own.
func CompressionOf(m types.MediaType) (Compression, error) {
	switch m {
	case types.OCILayer, types.OCIRestrictedLayer, types.DockerLayer, types.DockerForeignLayer:
		return Gzip, nil
	case types.OCILayerZStd:
		return Zstd, nil
	case types.OCIUncompressedLayer, types.OCIUncompressedRestrictedLayer, types.DockerUncompressedLayer:
		return None, nil
	}
	return "", diag.Inputf("layer-media-type", "cannot read a layer of media type `%s`", m)
}

// DefaultLimits is what Apply allows all layers of an image together. The largest images in use unpack to about 40 GB.
var DefaultLimits = archive.Limits{Bytes: 64 << 30, Entries: 2_000_000, File: 32 << 30}

func orDefault(l archive.Limits) archive.Limits {
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

const (
	whiteout     = ".wh."         // before the name that a layer removes
	opaque       = ".wh..wh..opq" // what lower layers have in this directory is not to be seen
	whiteoutMeta = ".wh..wh."     // bookkeeping of a file system of old, which no reader takes for content
)

func tooLarge(what string, limit int64) error {
	return fmt.Errorf("%w: %s is over %d", archive.ErrTooLarge, what, limit)
}
