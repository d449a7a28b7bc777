package oci

import (
	"context"
	"errors"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/tree"
)

// Description is what hewn-image.json says of a layout that hewn made: which tree each image was made of, and which
// group of files is in which layer. Other tools neither need nor write it.
type Description struct {
	Platforms []Described `json:"platforms"`
}

// Described is the image of one platform in a Description.
type Described struct {
	Platform platform.Platform `json:"platform"`
	Root     tree.Tree         `json:"root"`     // the files that the image was made of
	Manifest string            `json:"manifest"` // "sha256:<hex>"
	Groups   []spec.LayerGroup `json:"groups"`   // by which it was cut
	Layers   []DescribedLayer  `json:"layers"`   // the lowest first; groups without files have none
}

// DescribedLayer is one layer in a Description.
type DescribedLayer struct {
	Name   string `json:"name"`   // of the group
	Digest string `json:"digest"` // "sha256:<hex>" of the blob, compressed
	Size   int64  `json:"size"`   // of the blob
	DiffID string `json:"diffID"` // "sha256:<hex>" of the plain tar
}

// Blob is where the store has the layer.
func (l DescribedLayer) Blob() (digest.Digest, error) { return blobOf(l.Digest, l.Size) }

// Describe reads the hewn-image.json of a layout. For a layout of another tool, which has none, the error wraps
// tree.ErrNotExist.
func Describe(ctx context.Context, st Store, layout tree.Tree) (Description, error) {
	var d Description
	_, err := tree.Lookup(ctx, st, layout, describeFile)
	if errors.Is(err, tree.ErrNotExist) {
		return d, badLayout(describeFile, "the image was not made by hewn").Because(err)
	}
	if err != nil {
		return d, err
	}
	r := opener{st: st, layout: layout, left: maxDocument}
	raw, err := r.file(ctx, describeFile)
	if err != nil {
		return d, err
	}
	return d, parse(describeFile, raw, &d)
}

// isForeign says that err comes from Describe, of a layout that another tool made.
func isForeign(err error) bool { return errors.Is(err, tree.ErrNotExist) }
